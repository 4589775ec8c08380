"""Secrets after a label with no sign between, under names that say little, and behind what hides them; and
what only stands there.
"""

from __future__ import annotations

import json
import uuid

import pytest

from addons.core.redact.detectors.names import NameClass, classify
from addons.core.redact.detectors.randomness import is_beyond_doubt, is_jumbled, is_opaque, is_wordless
from addons.core.redact.detectors.vendors import digits, fill, hex_, lower, upper, uuid_
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber

SCRUBBER = Scrubber(Masker(b"k" * 16))  # its gate begins with RE2
ID = str(uuid.UUID(int=0x5C1E0B7A42D94F638B1E7D20C9A6F314))
NOISE = fill(36) + "_"
LETTERS = fill(24, "QzXwBvNcMsLfjDhGtPy")

HIDDEN = [
    ('VAULT_CLIENT_TOKEN="s.{}"', fill(24)),
    ("token = r.{}", LETTERS),
    ("VAULT_CLIENT_TOKEN={}", fill(26)),
    ("stock api_key: {}", LETTERS.lower()),
    ("AZURE_FUNCTION_KEY={}==", fill(54)),
    ("stockACCESS_KEY {}", lower(20)),
    ("stock_SECRETTOKEN {}", "ukyynvbhsbrkriqwlf74433" + "ybgt"),
    ("Stock Client Secret {}", hex_(40)),
    ("stock_token {}", fill(22)),
    ("stock_token {}", "bnkrtzda83" + "XFUOUICHAQRM"),
    ("scaleway token {}", uuid_()),
    ("API Key\n{}\n", hex_(32)),
    ("deepgram-api: {}", hex_(40)),
    ("flagsmith env key: {}", hex_(40)),
    ("secret_id: {}", uuid_()),
    ("CYPRESS_RECORD_KEY={}", uuid_()),
    ("app_certificate={}", hex_(32)),
    ("CC_TEST_REPORTER_ID: {}", hex_(64)),
    ("-Dsonar.login={} -X", hex_(40)),
    ("ai21_key: {}", uuid_()),
    ("agent link --key={} --host=m", hex_(64)),
    ("auth acme --key {}", hex_(32)),
    ("Authorization: sso-key {}", fill(30) + ":" + fill(20)),
    ("statuspage_api: OAuth {}", hex_(64)),
    ("token = {}", "P4ss(w0rd"),
    ("pwd={};db=x", "/k7Qz2Xw"),
    ("password: {}", "/k7Qz2Xw"),
    (NOISE + "password={}", "Ny8fVq3x-k"),
    ("seed_phrase = {}", " ".join(["able", "zebra", "acid"] * 5)),
    ("<AdministratorPassword>\n  <Value>{}</Value>", fill(19)),
]
LEFT = [
    *(f"{name} token {hex_(32)}" for name in ("next page", "continuation", "trace", "cursor", "sync")),
    *(f"{name} key {hex_(32)}" for name in ("sort", "cache", "public", "partition", "object")),
    f"token {ID} of the cart",
    "secret default-token-x7k2p-2024-canary not found",
    "secret sh.helm.release.v1.orders.v12 created",
    "token rotation-service-2024-canary-eu1",
    "token 0x1672261268abdaef9096278678abcdee02872113 of a contract",
    "token ExampleTokenService2ImplFactory is bound",
    "token org.example.auth.TokenService2Impl registered",
    f"service account key projects/stock/keys/{hex_(40)}",
    "api key orders-prod-2024-Rotation-K1-A2 renamed",
    "token = config.db.connection.token",
    "secret_id: arn:aws:secretsmanager:eu-west-1:123:secret:prod/db-AbC123",
    "SecretId=prod/db/password",
    "sonar.login=till",
    "client_token: " + fill(26),
    "token: expirationOfClientCredentials",
    f"orders-api: {hex_(40)}",
    f"github cache key: {hex_(40)}",
    f"branch_key: {ID}",
    f"front_key={digits(10)}",
    f"run --key={ID} --sort-key={hex_(32)}",
    "Authorization: required for user till",
    "authorization: policy orders-7f9c6b5d48-x2k9p denied",
    "run --pwd /srv/app2",
    "PWD=/srv/app2",
    "pwd=/home/till/k7Qz2Xw",
    "token = get_token(x2",
    "seed_phrase = please write down the words that show next and keep them safe from others",
]


@pytest.mark.parametrize(("text", "secret"), HIDDEN)
def test_the_gate_sees_a_label_wherever_it_stands(quick: Scrubber, text: str, secret: str) -> None:
    for full in (text.format(secret), f"notes\n{text.format(secret)}"):
        body = json.dumps([{"m": full, "n": 1}])
        masked = quick.scrub_body(body.encode(), "application/json").data
        assert secret.encode() not in masked + quick.scrub_body(full.encode(), "text/plain").data


@pytest.mark.parametrize(("text", "secret"), HIDDEN)
def test_a_secret_behind_a_label_is_gone(text: str, secret: str) -> None:
    full = "notes\n" + text.format(secret)
    plain = SCRUBBER.scrub_body(full.encode(), "text/plain").data
    in_json = SCRUBBER.scrub_body(json.dumps({"m": full}).encode(), "application/json").data
    assert secret.encode() not in plain + in_json
    assert json.loads(in_json)["m"].startswith("notes")
    assert SCRUBBER.scrub_body(plain, "text/plain").data == plain


@pytest.mark.parametrize("text", LEFT)
def test_what_only_stands_behind_a_label_stays(text: str) -> None:
    assert SCRUBBER.scrub_body(text.encode(), "text/plain").data == text.encode()
    body = json.dumps({"m": text}).encode()
    assert SCRUBBER.scrub_body(body, "application/json").data == body


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("secret_id", NameClass.OPAQUE),
        ("deepgram-api", NameClass.OPAQUE),
        ("orders-api", NameClass.NONE),
        ("role_id", NameClass.NONE),
        ("branch_key", NameClass.WEAK),
        ("--key", NameClass.WEAK),
        ("--sort-key", NameClass.NONE),
        ("key", NameClass.NONE),
        ("trace_token", NameClass.NONE),
        (NOISE + "password", NameClass.PASSWORD),
        (NOISE + "x", NameClass.NONE),
        (fill(48), NameClass.NONE),
    ],
)
def test_a_name_that_says_little_asks_more_of_its_value(name: str, expected: NameClass) -> None:
    assert classify(name) is expected


def test_an_argument_named_key_is_judged_by_its_value() -> None:
    def shown(value: str) -> bytes:
        body = json.dumps({"argv": ["agent", "--key", value]})
        return SCRUBBER.scrub_body(body.encode(), "application/json").data

    assert hex_(64).encode() not in shown(hex_(64))
    assert b"/etc/ssl/key.pem" in shown("/etc/ssl/key.pem")


@pytest.mark.parametrize("name", ["secret_id", "SECRET_ID"])
def test_in_json_an_opaque_name_takes_ids_and_digests_alone(name: str) -> None:
    def shown(value: str) -> bytes:
        return SCRUBBER.scrub_body(json.dumps({name: value}).encode(), "application/json").data

    assert ID.encode() not in shown(ID)
    assert b"prod/db/main-AbC123" in shown("prod/db/main-AbC123")


def test_randomness() -> None:
    assert is_opaque(hex_(32).encode())
    assert not any(map(is_opaque, (b"0" * 32, hex_(31).encode(), b"prod/db")))
    assert is_jumbled(LETTERS.encode())
    assert not any(map(is_jumbled, (b"getConnectionPassword", b"HTTPSProxyTokenSource", b"k7Qz")))
    assert all(map(is_wordless, (LETTERS.encode(), LETTERS.lower().encode())))
    assert not any(map(is_wordless, (b"expirationOfClientCredentials", b"authenticationrequired", b"xkcdqz")))
    assert all(map(is_beyond_doubt, (hex_(40).encode(), upper(20).encode(), fill(24).encode())))
    assert not any(
        map(is_beyond_doubt, (ID.encode(), b"orders-7f9c6b5d48-x2k9p", b"introspection2endpoint", b"a" * 24))
    )
