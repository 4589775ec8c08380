"""What a name, a word or a statement announces goes; what only looks announced comes out byte for byte."""

from __future__ import annotations

import json

import pytest

from addons.core.redact.detectors.hyperscan_patterns import translated
from addons.core.redact.detectors.names import NameClass, classify
from addons.core.redact.masking.mask import Masker
from addons.core.redact.screening import announced
from addons.core.redact.scrubber import Scrubber
from tests.core.redact.planted import KEY, PASSWORD

SCRUBBER = Scrubber(Masker(b"k" * 16))
GROUPS = "x0yp szLm RfxQ 4lXR Ik50 eZxz"
PHRASE = "able about above absent absorb abstract absurd abuse access accident account accuse"
UUID = "5c1e0b7a-42d9-4f63-8b1e-7d20c9a6f314"
LINE = "q7Z" * 21 + "w"
MIXED = "qZ7xW9bV4nC1mS8lF5jD3hG6"

ANNOUNCED = [
    f"{name}{rest}"
    for name, rest in (
        ("PASSWORDS", f": '{PASSWORD}'"),
        ("SHOP_CREDENTIALS", f'="{KEY}"'),
        ("**api_token**", f": {KEY}"),
        ("contraseña", f": {PASSWORD}"),
        ("mot de passe : ", PASSWORD),
        ("Das Passwort lautet ", PASSWORD),
        ("my api key: ", KEY),
        ("password -> ", PASSWORD),
        ('password = """', f'{PASSWORD}"""'),
        ("master_password              = ", f'"{PASSWORD}"'),
        ('["password"]=>\n  string(14) ', f'"{PASSWORD}"'),
        ("DB_PASSWORD:\n    secure: ", PASSWORD),
        ("ENV DB_PASSWORD ", PASSWORD),
        ("client_secret is ", MIXED),
        ("password for till: ", PASSWORD),
        ("The password has been changed to ", PASSWORD),
        ("run --shop.token ", f"{KEY} --fast"),
        ('<entry key="db.password">', f"{PASSWORD}</entry>"),
        ('<token type="plain">', f"{KEY}</token>"),
        ("token=", f"{KEY}{{{{/is_alert}}}} @ops"),
        ("INSERT INTO u (id, name, password) VALUES (1, 'till', '", f"{PASSWORD}'), (2, 'a', NULL)"),
        ("kind: Secret\nmetadata:\n  name: s\ndata:\n  a.txt: ", f"{KEY}\n"),
        ("SET PASSWORD FOR till = '", f"{PASSWORD}'"),
        ("use token ", MIXED),
    )
]
LEFT = (
    "password: [FILTERED]",
    "password => [FILTERED]",
    "password = random_password.db.result",
    'password = System.getenv("DB")',
    "self.password = make_password(raw)",
    "ADD COLUMN password varchar(255)",
    "tests pass = 14",
    "PWD=/srv/app OLDPWD=/tmp",
    "PASSWORD_FILE=/run/secrets/db",
    "token bucket rate limiter allowed 12 requests",
    "password changed by an administrator",
    "INSERT INTO u (email_hash, password) VALUES ($1, $2)",
    "kind: ConfigMap\ndata:\n  a.txt: 428d1b5e7c0a9f36",
    f"the api key {UUID} was removed",
    "http://localhost:8080/a:b@c",
    f"/x?key={KEY}&session_id={UUID}",
)


@pytest.mark.parametrize("text", ANNOUNCED)
@pytest.mark.parametrize("is_json", [False, True])
def test_what_is_announced_is_gone(text: str, is_json: bool) -> None:
    body = json.dumps({"m": f"notes\n{text}"}) if is_json else f"notes\n{text}\nmore\n"
    masked = SCRUBBER.scrub_body(body.encode(), "application/json" if is_json else "text/plain").data
    assert not any(secret.encode() in masked for secret in (PASSWORD, KEY, MIXED))
    assert b"[REDACTED:" in masked
    assert b"notes" in masked
    assert b"{{/is_alert}} @ops" in masked or "is_alert" not in text


@pytest.mark.parametrize("text", LEFT)
@pytest.mark.parametrize("is_json", [False, True])
def test_what_looks_announced_is_left(text: str, is_json: bool) -> None:
    body = json.dumps({"m": f"notes\n{text}"}) if is_json else f"notes\n{text}\nmore\n"
    media = "application/json" if is_json else "text/plain"
    assert SCRUBBER.scrub_body(body.encode(), media).data == body.encode()


@pytest.mark.parametrize(
    ("document", "secret"),
    [
        ({"api_key": {"created": "2026-01-01", "key": KEY}}, KEY),
        ({"password": {"value": PASSWORD}}, PASSWORD),
        ({"name": "PG", "value": {"secure": True, "value": PASSWORD}}, PASSWORD),
        ({"name": "PG", "value": PASSWORD, "is_secret": True}, PASSWORD),
        ({"value": PASSWORD, "about": {"note": "x" * 200, "n": [1, None]}, "secure" : True}, PASSWORD),
        ({"ParameterKey": "DbPassword", "ParameterValue": PASSWORD}, PASSWORD),
        ({"kty": "EC", "crv": "P-256", "x": "a" * 43, "d": MIXED * 2}, MIXED),
        ({"password": GROUPS}, GROUPS),
        ({"mnemonic": PHRASE}, PHRASE),
        ({"WALMART_KEY": UUID}, UUID),
        ({"client-key-data": MIXED}, MIXED),
        ({"m": "\n".join(f"2026-01-01T00:00:01Z stdout F {line}" for line in (
            "-----BEGIN PRIVATE " + "KEY-----", LINE, LINE, "-----END PRIVATE " + "KEY-----"))}, LINE),
    ],
)  # fmt: skip
def test_a_secret_in_json_that_something_beside_it_tells_of_is_gone(document: object, secret: str) -> None:
    masked = SCRUBBER.scrub_body(json.dumps(document).encode(), "application/json").data
    assert secret.encode() not in masked
    assert json.loads(masked)


@pytest.mark.parametrize(
    "document",
    [
        {"name": "PG", "value": "shop-db", "is_secret": False},
        {"kty": "RSA", "n": MIXED * 12, "e": "AQAB", "kid": MIXED},
        {"name": "TOKEN", "type": "global", "id": UUID, "secure": True},
        [{"name": "PG", "value": "shop_db1"}, {"secure": True}],
        {"name": "PG", "value": "shop_db1", "options": {"secure": True}},
        {"options": {"sensitive": True}, "value": "shop_db1"},
        {"sort_key": MIXED, "cachekey": MIXED, "jira_key": "SHOP-12", "dedup_key": UUID},
        {"schema": {"password": {"type": "string", "minLength": 8}}},
    ],
)
def test_json_that_looks_so_is_left(document: object) -> None:
    body = json.dumps(document).encode()
    assert SCRUBBER.scrub_body(body, "application/json").data == body


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("WALMART_KEY", NameClass.SECRET),
        ("X-Xero-Key", NameClass.SECRET),
        ("DEELKEY", NameClass.WEAK),
        ("cachekey", NameClass.NONE),
        ("pubnub_secret_key", NameClass.SECRET),
        ("public_key", NameClass.NONE),
        ("contraseña", NameClass.PASSWORD),
        ("contraseña".encode().decode("latin-1"), NameClass.PASSWORD),
        ("SECRET_KEY_BASE", NameClass.SECRET),
        ("password_hash", NameClass.SECRET),
    ],
)
def test_a_name_says_how_much_it_says(name: str, expected: NameClass) -> None:
    assert classify(name) is expected


@pytest.mark.parametrize("form", [announced.NAME, *announced.OTHERS])
def test_hyperscan_takes_every_form_of_a_name(form: str) -> None:
    assert translated(form) is not None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('{"card": {"number": "4242424242424242"}}', "4242424242424242"),
        ('{"card_number": "5555-5555-5555-4444"}', "5555-5555-5555-4444"),
        ('{"m": "a\\nbsn: 111222333"}', "111222333"),
        ("tel: +33 6 12 34 56 73", "34 56 73"),
        ("call +49 (0)30 901820", "901820"),
    ],
)
def test_personal_data_in_more_forms_is_gone(text: str, number: str) -> None:
    masker = Scrubber(Masker(b"k" * 16), pii=True)
    assert number.encode() not in masker.scrub_body(text.encode(), None).data
