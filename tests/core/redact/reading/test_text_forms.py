"""Forms of text in which a name and the secret that it announces stand apart; and their look-alikes."""

from __future__ import annotations

import json

import pytest

from addons.core.redact.detectors.vendors import fill
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber
from tests.core.redact.planted import PASSWORD

SCRUBBER = Scrubber(Masker(b"k" * 16), pii=True)
TOKEN = fill(24)
ENCODED = "VHIwdWI0" + "ZG9yLXg3S3E="

TEXTS = (
    f"db:\n  password: >-\n    {PASSWORD}\n  user: till\n",
    f"password: |\n  {PASSWORD}\n",
    f"password: !!str {PASSWORD}\nuser: till",
    f"password: &pw {PASSWORD}\n",
    f"password:\n  {PASSWORD}\nuser: till\n",
    f"tokens:\n  - {TOKEN}\n  - {TOKEN}x\nother: 1\n",
    f'api_keys = ["{TOKEN}", "{TOKEN}x"]',
    f"<password><![CDATA[{PASSWORD}]]></password>",
    f"<key>password</key>\n<string>{PASSWORD}</string>",
    f"<entry><string>db.password</string><string>{PASSWORD}</string></entry>",
    f'<input name="password" type="password" value="{PASSWORD}">',
    f"[('user', 'till'), ('password', '{PASSWORD}')]",
    f"{{b'password': b'{PASSWORD}'}}",
    f'Config {{ password: Some("{PASSWORD}") }}',
    f"CREATE USER till IDENTIFIED BY '{PASSWORD}'",
)
DOCUMENTS = (
    {"argv": ["/usr/bin/curl", "-u", f"till:{PASSWORD}", "https://x.example.net"]},
    {"argv": ["mysql", "-u", "till", f"-p{PASSWORD}", "stock"]},
    {"rawHeaders": ["Host", "a", "X-Api-Key", TOKEN, "Accept", "*/*"]},
    {"kind": "Secret", "metadata": {"name": "till"}, "data": {"dsn": ENCODED}},
    {"items": [{"stringData": {"dsn": PASSWORD}, "kind": "Secret"}] * 30},
    {"cvv": "735"},
)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_secret_below_or_beside_its_name_is_gone(text: str, as_json: bool) -> None:
    body = json.dumps({"message": text}) if as_json else text
    done = SCRUBBER.scrub_body(body.encode(), "application/json" if as_json else "text/plain")
    shown = json.loads(done.data)["message"] if as_json else done.data.decode()
    assert PASSWORD not in shown
    assert TOKEN not in shown
    assert SCRUBBER.scrub_body(done.data, None).data == done.data


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_secret_among_arguments_headers_and_data_of_a_secret_is_gone(document: dict[str, object]) -> None:
    done = SCRUBBER.scrub_body(json.dumps(document).encode(), "application/json")
    assert done.changed
    assert not any(value in done.data.decode() for value in (PASSWORD, TOKEN, ENCODED, "735"))
    json.loads(done.data)
    assert SCRUBBER.scrub_body(done.data, "application/json").data == done.data


@pytest.mark.parametrize(
    "text",
    [
        "password:\n  min_length: 8\n  required: true\n",
        "tokens:\n  - read\n  - write-all\n",
        "The token:\n  it was there\n",
        'scopes = ["tokens", "keys"], tokens = ["read", "write"]',
        "<key>CFBundleName</key><string>till 3.1</string><key>password</key><string></string>",
        "('password', 'required')",
        "raise KeyError('sort_key', 'x7Kq2Zp9')",
        "errors for password: |\n  too short\n",
        "was identified by 'till-3'",
        '{"argv": ["docker", "run", "-p", "8080:80", "-w", "/srv", "image"]}',
        '{"argv": ["curl", "-s", "-u", "$USER", "https://x.example.net"]}',
        '{"kind": "ConfigMap", "data": {"dsn": "Ab3dE5fG7h"}}',
        '{"kind": "token", "value": "x7Kq2Zp9Lw4V"}',
        '{"cvv": "ok", "cvv_result": "735", "code": 735, "count": 123}',
        "user,score\ntill,3\n",
    ],
)
def test_what_looks_alike_stays(text: str) -> None:
    media = "application/json" if text.startswith("{") else "text/plain"
    assert SCRUBBER.scrub_body(text.encode(), media).data == text.encode()


def test_an_at_sign_in_a_password_leaves_nothing_of_it() -> None:
    done = Scrubber(Masker(b"k" * 16)).scrub_text("amqp://till:ab1@Cd9Xefg@mq.example.net/x and a@b").text
    assert "Cd9Xefg" not in done
    assert "@mq.example.net/x" in done


def test_a_plus_is_a_space_in_a_query_without_percent() -> None:
    assert PASSWORD not in SCRUBBER.scrub_url(f"/x?q=password+is+{PASSWORD}&b=a+b").text
    assert SCRUBBER.scrub_url("/x?q=the+key+is+old&b=a+b").text == "/x?q=the+key+is+old&b=a+b"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_of_a_table_the_columns_of_secrets_are_masked(delimiter: str, quote: str) -> None:
    rows = [["user", "db_password", "note"], ["till", PASSWORD, "a b"], ["ines", "", "c"]]
    text = "\r\n".join(delimiter.join(f"{quote}{field}{quote}" for field in row) for row in rows)
    media = "text/tab-separated-values" if delimiter == "\t" else "text/csv; charset=utf-8"
    done = SCRUBBER.scrub_body(text.encode(), media)
    mask = Masker(b"k" * 16).mask("password", PASSWORD)
    assert done.data.decode() == text.replace(PASSWORD, mask)
    assert not SCRUBBER.is_clean(text.encode(), media)
    clean = text.replace("password", "passwords_count").replace(PASSWORD, "3")
    assert SCRUBBER.scrub_body(clean.encode(), media).data == clean.encode()
