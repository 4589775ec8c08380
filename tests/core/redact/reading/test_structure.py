"""Secrets that show by where they stand: beside a name, under one, among arguments, in pieces."""

from __future__ import annotations

import json

import pytest

from addons.core.redact.detectors.vendors import fill
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber
from tests.core.redact.planted import KEY, PASSWORD

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None

SCRUBBER = Scrubber(Masker(b"k" * 16))
RANDOM = fill(24)
OF_PEOPLE = Scrubber(Masker(b"k" * 16), pii=True)


def scrubbed(value: Json, scrubber: Scrubber = SCRUBBER) -> str:
    """Give `value` after masking, among clean messages, as JSON text with the usual spaces."""
    clean: Json = {"message": "GET /orders 200", "ddtags": "env:prod"}
    done = scrubber.scrub_body(json.dumps([clean, value, clean]).encode(), "application/json")
    return json.dumps(json.loads(done.data)[1])


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ({"payment": {"card_number": 4242424242424242}}, "4242424242424242"),
        ({"card": {"number": 4242424242424242}}, "4242424242424242"),
        ({"payment": {"card": "3056 930902 5904"}}, "3056 930902 5904"),
        ({"user": {"phone": "212-555-0147"}}, "212-555-0147"),
        ({"user": {"homePhone": 2125550147}}, "2125550147"),
        ({"message": "no answer, phone: 212 555 0147"}, "212 555 0147"),
        ({"message": "Numéro de sécurité sociale 269054958815780"}, "269054958815780"),
    ],
)
def test_personal_data_that_a_name_makes_sure_goes(body: Json, value: str) -> None:
    assert value not in scrubbed(body, OF_PEOPLE)


@pytest.mark.parametrize(
    "body",
    [
        {"order": {"number": 4242424242424242}},
        {"payment": {"id": 4242424242424242}},
        {"message": "call 212-555-0147 took 3 ms"},
        {"phone_id": 2125550147, "headphones": 2125550147},
        {"message": "action sociale 269054958815781"},
    ],
)
def test_a_number_that_nothing_makes_personal_stays(body: Json) -> None:
    assert scrubbed(body, OF_PEOPLE) == json.dumps(body)


@pytest.mark.parametrize(
    "body",
    [
        [{"OptionName": "PORT", "Value": "8080"}, {"OptionName": "AUTH_TOKEN", "Value": KEY}],
        {"option_value": PASSWORD, "option_name": "MYSQL_PWD"},
        {"envVar": "DB_PASSWORD", "value": PASSWORD},
        {"type": "password", "value": PASSWORD},
        {"input": {"label": "Password", "value": PASSWORD}},
        {"name": "password", "type": "string", "value": {"string": PASSWORD}},
        {"key": "password", "value": {"type": "plain", "value": PASSWORD}},
        {"field": "password", "old_value": "", "new_value": PASSWORD},
        [{"op": "replace", "path": "/config/db_password", "value": PASSWORD}],
        {"value": PASSWORD, "path": "/spec/password", "op": "add"},
        {"address": "server.request.body", "key_path": ["user", "password"], "value": PASSWORD},
        {"detail": [{"loc": ["body", "password"], "msg": "too short", "input": PASSWORD}]},
        {"columns": ["id", "name", "password"], "rows": [[1, "till", PASSWORD], [2, "ines", None]]},
        {"schema": [{"name": "id"}, {"name": "api_key"}], "data": [[7, KEY]]},
        {"output": ["Username:", "till", "Password:", PASSWORD]},
        {"message": json.dumps({"patch": [{"path": "/password", "value": PASSWORD}]})},
    ],
)
def test_a_secret_goes_by_the_name_beside_it(body: Json) -> None:
    out = scrubbed(body)
    assert PASSWORD not in out
    assert KEY not in out


@pytest.mark.parametrize(
    "body",
    [
        {"credentials": {"db": {"primary": {"x": RANDOM}}}},
        {"password": {"a": {"b": {"c": RANDOM}}}},
        {"tokens": {"ci": {"runners": [{"value": RANDOM}]}}},
        {"kind": "SecretList", "items": [{"data": {"cred": RANDOM}}]},
    ],
)
def test_a_secret_goes_levels_below_what_says_so(body: Json) -> None:
    assert RANDOM not in scrubbed(body)


@pytest.mark.parametrize(
    "body",
    [
        {"credentials": {"db": {"primary": {"zone": "eu-west-1a", "pool": "checkout-pool-7f"}}}},
        {"tokens": {"schema": {"input": {"default": RANDOM}}}},
        {"tokens": {"a": {"b": {"c": {"d": {"e": RANDOM}}}}}},
        {"usage": {"tokens": {"input": {"cached": {"count": 182734}}}}},
        {"kind": "ConfigMapList", "items": [{"data": {"cred": RANDOM}}]},
    ],
)
def test_schemas_counters_and_far_levels_stay(body: Json) -> None:
    assert scrubbed(body) == json.dumps(body)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "password", "value": "required"},
        {"type": "token", "value": "identifier"},
        {"path": "/oauth/token", "status": "200"},
        {"op": "test", "path": "/password/min_length", "value": "AtLeast12Letters"},
        {"key_path": ["user", "name"], "value": KEY},
        {"loc": ["body", "password"], "msg": "too short", "ctx": {"min_length": 8}},
        {"columns": ["id", "token_count", "city"], "rows": [[1, "12 x9", KEY]]},
        {"columns": ["password", "city"], "rows": [["", KEY]]},
        {"output": ["Password:", "required", "Port:", "54321a"]},
    ],
)
def test_what_no_name_beside_it_announces_stays(body: Json) -> None:
    assert scrubbed(body) == json.dumps(body)


ARGUMENTS: list[list[Json]] = [
    ["az", "login", "--service-principal", "-u", "till", "-p", PASSWORD],
    ["vault", "login", PASSWORD],
    ["7z", "x", f"-p{PASSWORD}", "b.7z"],
    ["htpasswd", "-b", "users", "till", PASSWORD],
    ["rabbitmqctl", "change_password", "till", PASSWORD],
    ["aws", "configure", "set", "aws_secret_access_key", PASSWORD],
    ["npm", "config", "set", "//npm.example.net/:_authToken", PASSWORD],
    ["mongo", "-u", "till", "-p", PASSWORD],
    ["curl", "-u", f"till:{PASSWORD}", "https://x.example.net"],
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=lambda each: str(each[0]))
def test_a_password_among_arguments_goes_in_any_spelling(arguments: list[Json]) -> None:
    in_json = json.dumps(arguments)
    nested = json.dumps({"note": f"exec {in_json}"})
    for text in (f"CMD {in_json}", f"run({arguments!r})", nested, [*arguments]):
        body: Json = {"message": text}
        out = scrubbed(body)
        assert PASSWORD not in out, body
        assert str(arguments[0]) in out


@pytest.mark.parametrize(
    "body",
    [
        {"argv": ["docker", "run", "-p", "8080:80", "img-7f3a"]},
        {"message": "CMD ['npm', 'config', 'set', 'registry', 'https://npm.example.net']"},
        {"message": "tags ['a', 'b-17'], zones [\"eu-1a\", \"eu-1b\"]"},
        {"argv": ["vault", "login", "-method=oidc"]},
    ],
)
def test_arguments_that_are_no_passwords_stay(body: Json) -> None:
    assert scrubbed(body) == json.dumps(body)


SPLIT = "glpat-" + RANDOM[:20]
BYTES = SPLIT.encode()


@pytest.mark.parametrize(
    "text",
    [
        *(
            f"token = {quote}{SPLIT[:12]}{quote}{sign}{quote}{SPLIT[12:]}{quote};"
            for quote in "\"'`"
            for sign in (" + ", " ++ ", ".", " . ", " & ", " || ", " +\n    ")
        ),
        *(f"bytes {BYTES.hex(sign)} sent" for sign in ":- "),
        "char k[] = {" + ", ".join(f"0x{code:02x}" for code in BYTES) + "};",
    ],
)
def test_a_secret_in_pieces_goes_with_all_of_them(text: str) -> None:
    out = scrubbed({"message": text})
    assert SPLIT[:12] not in out
    assert SPLIT[12:] not in out
    assert BYTES.hex()[-8:] not in out.replace(":", "").replace("-", "").replace(" ", "")


def test_a_secret_cut_into_parts_of_a_message_goes() -> None:
    parts: Json = [
        {"type": "text", "text": f"use {SPLIT[:12]}"},
        {"type": "text", "text": f"{SPLIT[12:]} now"},
    ]
    out = scrubbed({"parts": parts})
    assert SPLIT[:12] not in out
    assert SPLIT[12:] not in out
    assert " now" in out


@pytest.mark.parametrize(
    "text",
    [
        'throw "no user " + "was given"; token_count = 3',
        "fingerprint 5e:41:3b:62:7f:20:19:aa:43:5d:61:70:22:31:4e",
        "levels 45 47 48 51 52 53 54 55 56 57 58 59 60 61",
        "{0x41, 0x42, 0x43}",
    ],
)
def test_what_only_looks_cut_stays(text: str) -> None:
    assert scrubbed({"message": text}) == json.dumps({"message": text})
