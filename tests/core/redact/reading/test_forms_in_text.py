"""Secrets in the forms that programs, tables, protocols and people write them in; and what looks alike. Each
is read with the gate that has its database and with the one that has none.
"""

from __future__ import annotations

import json

import pytest

from addons.core.redact.detectors.names import NameClass, classify
from addons.core.redact.detectors.vendors import fill
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber

SECRET = fill(18)
SLOW = Scrubber(Masker(b"k" * 16))  # its gate begins with RE2
ID = "5c1e0b7a-42d9-4f63-8b1e-7d20c9a6f314"

NAMED = [
    "sessionid={}; theme=dark",
    "JSESSIONID: {}",
    "connect.sid: {}",
    "totp_seed={}",
    "oldpass={}",
    "userpw={}",
    "community_string: {}",
    "unlock_code: {}",
    "X-JFrog-Art-Api: {}",
    "X-Honeycomb-Team: {}",
    "\u041f\u0430\u0440\u043e\u043b\u044c: {}",
    "\u043f\u0430\u0440\u043e\u043b\u044c = {}",
    "\u30d1\u30b9\u30ef\u30fc\u30c9: {}",
    "\u5bc6\u7801\uff1a{}",
    "mot de passe : {}",
    "Contrase\u00f1a: {}",
]
TOLD = [
    'let secret_key: &str = "{}";',
    'let token: &\'static str = "{}"',
    'val password: String = "{}"',
    "exec sp_addlogin @loginame=N'till', @passwd=N'{}'",
    'a:1:{{s:8:"password";s:18:"{}";}}',
    '<property name="password"><value>{}</value></property>',
    "Password:\n{}",
    "mysql \\\n  --user till \\\n  --password \\\n  {} stock",
    "your new password is: {}",
    "set password for 'till' to '{}'",
    "password changed from {} to ****",
    "dn: cn=till\nuserPassword:: {}",
    'Authorization: Digest username="till", realm="r", nonce="abc", response="{}"',
]
TABLES = [
    "| password | {} |",
    "| setting | value |\n|---|---|\n| password | {} |",
    "\u2502 password \u2502 {} \u2502",
    "| user | password |\n|---|---|\n| till | {} |",
    "| user  | password |\n+-------+----------+\n| till  | {} |\n| ines | |",
    "id,user,password,role\n1,till,{},admin",
    "user\tdb_password\trole\r\ntill\t{}\tadmin\r\n",
]
LEFT = [
    "| password | string | required |",
    "| token | version-2024-canary |",
    "| password | varchar(255) | NO |",
    "curl | password-reset2",
    "user, password, and role\none, two2words, three",
    f"id,token,count\n1,{ID},2",
    "name,key,value\na,orders-v2,3",
    f"id,password,role\n1,{SECRET}",
    'password: str = ""',
    "token: Optional[str] = None",
    "password:\nuser: till",
    "password:\nversion2",
    "password changed from old to new",
    "set password for 'till' to 'required'",
    's:8:"password";s:0:"";',
    's:10:"page_token";s:18:"' + SECRET + '";',
    f"session_id={SECRET}",
    f"sessionid={ID}",
    "community_string: public",
    "security_answer: required",
    "\u5bc6\u7801\uff1awrong",
]


def _bodies(text: str) -> list[tuple[bytes, str]]:
    in_json = {"m": f"notes\n{text}\nmore", "n": 1}
    return [
        (text.encode(), "text/plain"),
        (json.dumps([in_json]).encode(), "application/json"),
        (json.dumps([in_json], ensure_ascii=False).encode(), "application/json"),
    ]


@pytest.mark.parametrize("text", [*NAMED, *TOLD, *TABLES])
def test_what_a_form_of_text_tells_of_is_gone(quick: Scrubber, text: str) -> None:
    for body, media in _bodies(text.format(SECRET)):
        for scrubber in (quick, SLOW):
            masked = scrubber.scrub_body(body, media).data
            assert SECRET.encode() not in masked
            assert b"[REDACTED:" in masked


@pytest.mark.parametrize("text", LEFT)
def test_what_looks_like_such_a_form_stays(quick: Scrubber, text: str) -> None:
    for body, media in _bodies(text):
        for scrubber in (quick, SLOW):
            assert scrubber.scrub_body(body, media).data == body


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("passwordAgain", NameClass.PASSWORD),
        ("PHPSESSID", NameClass.WEAK),
        ("sessionid", NameClass.WEAK),
        ("session_id", NameClass.NONE),
        ("sessionId", NameClass.NONE),
        ("otpSeed", NameClass.SECRET),
        ("snmp_community", NameClass.SECRET),
        ("X-Stock-Api", NameClass.WEAK),
        ("stock-api", NameClass.NONE),
        ("\u30d1\u30b9\u30ef\u30fc\u30c9", NameClass.PASSWORD),
    ],
)
def test_a_name_in_other_words_says_the_same(name: str, expected: NameClass) -> None:
    assert classify(name) is expected
