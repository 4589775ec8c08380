import base64
import contextlib
import json
import re
import struct
import time
from collections.abc import Callable
from urllib.parse import quote

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.model import Json
from addons.core.redact.decoding import packed
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber

SCRUBBER = Scrubber(Masker(b"k" * 16))
PERSONAL = Scrubber(Masker(b"k" * 16), pii=True)
GITHUB = "ghp_" + "x7Kq2Zp9Lw4Vb1Tn6Rd8Mc3Jf5Hs0Gy2Wa4E"
PASSWORD = "Tr0ub4dor&Zebra"
HEX_KEY = "9e1b4c0d7a3f52e8b6d1409c7f3a8e25"
SECRETS = [
    GITHUB,
    "glpat-" + "x7Kq2Zp9Lw4Vb1Tn6Rd8",
    "sk-ant-api03-" + "x7Kq2Zp9Lw4Vb1Tn6Rd8" * 4,
    "sk_live_" + "x7Kq2Zp9Lw4Vb1Tn6Rd8Mc3J",
    "https://hooks.slack.com/services/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",
]


def scrub_json(value: Json, content_type: str = "application/json", scrubber: Scrubber = SCRUBBER) -> str:
    done = scrubber.scrub_body(json.dumps(value).encode(), content_type)
    json.loads(done.data)
    return done.data.decode()


@pytest.mark.parametrize(
    "body",
    [
        {"password": PASSWORD},
        {"a": [{"dbPassword": PASSWORD, "user": "app"}]},
        {"env": [{"name": "REGION", "value": "north"}, {"name": "DB_PASSWORD", "value": PASSWORD}]},
        {"attributes": [{"key": "password", "value": {"stringValue": PASSWORD}}]},
        {"argv": ["run", "--password", PASSWORD]},
        {"headers": [["X-Auth-Token", PASSWORD]]},
        {"secrets": {"a": PASSWORD, "b": "other"}},
        {"message": f"login password={PASSWORD}"},
        {"message": f'config: {{"user": "svc", "passwd": "{PASSWORD}"}}'},
        {"message": json.dumps({"payload": json.dumps({"password": PASSWORD})})},
        {"message": f"<password>{PASSWORD}</password>"},
        {"message": f"postgres://app:{PASSWORD}@db:5432/x"},
        {"url": f"https://shop.example.com/l?user=a&password={quote(PASSWORD)}&next=1"},
        {"message": f"first password={PASSWORD} then", "other": f"it was {PASSWORD}!"},
        {"message": "Authorization: Bearer " + "x7Kq2Zp9Lw4Vb1Tn6Rd8" + f" password: '{PASSWORD}'"},
    ],
)
def test_a_password_is_gone_wherever_structure_or_text_announces_it(body: Json) -> None:
    text = scrub_json(body)
    for shown in (PASSWORD, quote(PASSWORD), PASSWORD[:10]):
        assert shown not in text
    assert "[REDACTED:" in text


@pytest.mark.parametrize(
    "body",
    [
        {"password_max_age": 90, "password_set_on": "2024-05-02", "is_password_set": True},
        {"api_key": "", "token": None, "secret": False, "DD_API_KEY": "null", "key": "region"},
        {
            "key_name": "billing-main",
            "routing_key": "stock.moved.v1",
            "foreign_key": "stock_site_id_fkey",
        },
        {"usage": {"input_tokens": 81, "max_tokens": 4096}, "next_token": "x7Kq2Zp9Lw4Vb1Tn6Rd8Mc3J"},
        {"message": "Password change is due; secret: unavailable; auth: done; token counts are low"},
        {"message": 'set WEB_SECRET=<removed> API_KEY=${API_KEY} password=***** token=""'},
        {"message": "key file is /opt/tls/edge.key and no secret is in it"},
        {"trace_id": HEX_KEY, "span": "5172930461820394857", "id": "5c1e0b7a-42d9-4f63-8b1e-7d20c9a6f314"},
        {"message": "build 0c3f7e1d9b5a2846e0c3f7e1d9b5a2846e0c3f7e of 7b1d9e3f5a0c2846b7d1e9f3a50c8264"},
        {"meta": {"page": {"after": base64.b64encode(b'{"page": 2, "site": "north", "size": 25}').decode()}}},
        {"token": {"type": "string", "title": "Where to go on from"}},
        {"query": "@scheme:Bearer host:edge-router-canary"},
        {"image": "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 8).decode()},
        {"message": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2mWq8Zt5Yv1Kx7Rb4Ls0Hd build"},
        {"message": "See [REDACTED] for the answer"},
    ],
)
def test_a_look_alike_comes_out_byte_for_byte(body: Json) -> None:
    data = json.dumps(body).encode()
    done = SCRUBBER.scrub_body(data, "application/json")
    assert done.data is data, done.data
    assert not done.changed
    assert not done.findings


_LAYERS: dict[str, Callable[[str], str]] = {
    "none": lambda s: s,
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 in text": lambda s: "payload " + base64.b64encode(f"key={s} end".encode()).decode(),
    "percent": lambda s: "".join(f"%{ord(c):02X}" for c in s),
    "json": lambda s: json.dumps({"note": f"use {s} now"}),
    "unicode": lambda s: "".join(f"\\u{ord(c):04x}" for c in s),
    "hex": lambda s: s.encode().hex(),
}


@given(
    secret=st.sampled_from(SECRETS),
    outer=st.sampled_from(sorted(_LAYERS)),
    inner=st.sampled_from(sorted(_LAYERS)),
    place=st.sampled_from(["value", "list", "text"]),
)
@settings(max_examples=250, deadline=None)
def test_a_planted_secret_is_gone_under_any_two_encodings(
    secret: str, outer: str, inner: str, place: str
) -> None:
    shown = _LAYERS[outer](_LAYERS[inner](secret))
    bodies: dict[str, Json] = {"value": {"data": shown}, "list": [1, [shown, "x"]], "text": f"got {shown}"}
    body = bodies[place]
    text = scrub_json(body)
    assert json.dumps(shown)[1:-1] not in text
    assert "[REDACTED:" in text
    assert scrub_json(json.loads(text)) == json.dumps(json.loads(text))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    value=_JSON,
    secret=st.sampled_from([*SECRETS, f"password={PASSWORD}", f"token: '{GITHUB}'"]),
    text=st.text(max_size=12),
)
@settings(max_examples=200, deadline=None)
def test_json_keeps_its_shape_and_a_second_pass_changes_nothing(value: Json, secret: str, text: str) -> None:
    body = {"before": value, "message": f"{text} {secret}", "password": text}
    data = json.dumps(body).encode()
    done = SCRUBBER.scrub_body(data, "application/json")
    after = json.loads(done.data)
    assert list(after) == list(body)
    assert after["before"] == value or "REDACTED" in json.dumps(after["before"])
    assert secret not in json.dumps(after)
    again = SCRUBBER.scrub_body(done.data, "application/json")
    assert again.data is done.data


@given(_JSON)
@settings(max_examples=200, deadline=None)
def test_any_json_survives(value: Json) -> None:
    data = json.dumps(value).encode()
    done = PERSONAL.scrub_body(data, "application/json")
    json.loads(done.data)
    if not done.changed:
        assert done.data is data


@given(
    st.binary(max_size=200),
    st.sampled_from(
        [
            "application/json",
            "application/msgpack",
            "application/x-protobuf",
            "text/event-stream",
            None,
            "text/plain; charset=utf-16",
        ]
    ),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_of_any_type_neither_crash_nor_grow_masks(data: bytes, content_type: str | None) -> None:
    try:
        done = SCRUBBER.scrub_body(data, content_type)
    except TooComplex:
        assert packed.may_be(data)  # Hypothesis knows what an archive begins with
        return
    if not done.changed:
        assert done.data is data


@pytest.mark.parametrize(
    "around",
    [
        ("[" * 100_000, "]" * 100_000),
        ('{"a":' * 50_000, "}" * 50_000),
        ('{"n":' + "9" * 1_000_000 + ',"a":', "}"),
        ('{"lone":"\\ud800","a":', "}"),
        ('{"a":1,"a":2,"a":', "}"),
        ('{"a":\t\r\n ', " }\n"),
        ("not json at all {", "}"),
    ],
)
def test_hostile_json_neither_hangs_nor_loses_content(around: tuple[str, str]) -> None:
    data = f'{around[0]}"key {GITHUB}"{around[1]}'.encode()
    done = SCRUBBER.scrub_body(data, "application/json")
    assert GITHUB.encode() not in done.data
    mask = re.search(rb"\[REDACTED:github-token:[0-9a-f]{8}\]", done.data)
    assert mask is not None
    assert done.data.replace(mask.group(), GITHUB.encode()) == data


def test_a_message_of_too_many_secrets_is_too_complex() -> None:
    with pytest.raises(TooComplex):
        SCRUBBER.scrub_text(" ".join(f"password=abc{number}x" for number in range(12_000)))


@pytest.mark.parametrize(
    "unit",
    [
        'password="',
        "-----BEGIN PRIVATE KEY-----",
        "cGFzc3dvcmQ9aHVudGVy",
        "password=[REDACTED:x:12345678]",
        '{"a":"',
        "%2541",
    ],
)
def test_no_text_costs_more_than_its_length(unit: str) -> None:
    def seconds(size: int) -> float:
        data = (unit * (size // len(unit))).encode()
        start = time.process_time()
        with contextlib.suppress(TooComplex):
            SCRUBBER.scrub_body(data, "text/plain")
        return time.process_time() - start

    seconds(1000)
    small, large = max(seconds(20_000), 1e-3), seconds(320_000)
    assert large < small * 16 * 6


def test_an_escaped_key_is_read() -> None:
    done = SCRUBBER.scrub_body(b'{"pass\\u0077ord": "Hunter2"}', "application/json")
    assert b"Hunter2" not in done.data
    assert done.data.startswith(b'{"pass\\u0077ord": "[REDACTED:password:')


def test_a_number_under_a_password_becomes_a_string_and_parses() -> None:
    assert json.loads(scrub_json({"pin_code": 1, "password": 48151623, "n": 48151623}))["n"] == 48151623
    assert "48151623" not in json.dumps(json.loads(scrub_json({"password": 48151623})))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_ndjson_events_and_text_are_masked_line_by_line(ending: str) -> None:
    lines = ending.join([json.dumps({"a": 1}), json.dumps({"password": PASSWORD}), "plain " + GITHUB])
    for content_type in ("application/x-ndjson", "text/plain", None):
        done = SCRUBBER.scrub_body(lines.encode(), content_type)
        assert PASSWORD.encode() not in done.data
        assert GITHUB.encode() not in done.data
        assert done.data.count(ending.encode()) == 2
    pieces = [{"delta": "glpat-x7Kq2Zp9"}, {"delta": "Lw4Vb1Tn6Rd8"}, {"password": PASSWORD}]
    events = "event: m\n" + "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces)
    done = SCRUBBER.scrub_body(events.encode(), "text/event-stream")
    assert b"Lw4Vb1Tn6Rd8" not in done.data
    assert PASSWORD.encode() not in done.data
    assert done.data.count(b"\n") == events.count("\n")


def test_a_secret_cut_into_a_list_is_gone_with_all_its_pieces() -> None:
    text = scrub_json({"chunks": [GITHUB[:9], GITHUB[9:20], GITHUB[20:] + " tail", "last"]})
    assert GITHUB[9:20] not in text
    assert json.loads(text)["chunks"][3] == "last"
    assert json.loads(text)["chunks"][2].endswith(" tail")


def test_a_private_key_is_gone_whole_cut_and_in_a_list_of_lines() -> None:
    lines = [
        "-----BEGIN EC PRIVATE KEY-----",
        "x7Kq2Zp9Lw4Vb1Tn" * 4,
        "6Rd8Mc3Jf5Hs0Gy2" * 2,
        "-----END EC PRIVATE KEY-----",
    ]
    bodies: list[Json] = [
        {"private_key": "\n".join(lines)},
        {"m": "dump " + "\n".join(lines[:2])},
        {"pem": [*lines]},
        {"m": "\\n".join(lines)},
    ]
    for body in bodies:
        text = scrub_json(body)
        assert "x7Kq2Zp9" not in text
        assert "6Rd8Mc3J" not in text


def test_forms_are_masked_by_field_and_multipart_as_text() -> None:
    for name in ("client_secret", "client%5Fsecret", "%63lient_%73ecret"):
        form = f"grant_type=refresh_token&{name}={quote(PASSWORD)}+and+more&x=1".encode()
        done = SCRUBBER.scrub_body(form, "application/x-www-form-urlencoded")
        assert done.data.startswith(f"grant_type=refresh_token&{name}=[REDACTED:".encode())
        assert done.data.endswith(b"]&x=1")
    part = f'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n{PASSWORD}\r\n--b--\r\n'.encode()
    done = SCRUBBER.scrub_body(part, "multipart/form-data; boundary=b")
    assert PASSWORD.encode() not in done.data
    assert done.data.endswith(b"\r\n--b--\r\n")


def test_msgpack_keeps_parsing_with_its_types() -> None:
    value = [
        {
            "service": "shop",
            "meta": {"password": PASSWORD, "note": f"use {GITHUB}"},
            "n": 7,
            "raw": b"\x00\x01",
        }
    ]
    done = SCRUBBER.scrub_body(msgpack.packb(value), "application/msgpack")
    after = msgpack.unpackb(done.data)
    assert after[0]["n"] == 7
    assert after[0]["raw"] == b"\x00\x01"
    assert after[0]["meta"]["password"].startswith("[REDACTED:password:")
    assert after[0]["meta"]["note"].startswith("use [REDACTED:github-token:")
    clean = msgpack.packb([{"service": "shop" * 20, "n": -1}])
    assert SCRUBBER.scrub_body(clean, "application/msgpack").data is clean


def test_protobuf_keeps_parsing_with_lengths_rewritten() -> None:
    tag = f"arg:{GITHUB}".encode()
    inner = b"\x0a" + bytes([len(tag)]) + tag + b"\x11" + struct.pack("<d", 1.5)
    data = b"\x0a" + bytes([len(inner)]) + inner + b"\x10\x96\x01"
    done = SCRUBBER.scrub_body(data, "application/x-protobuf")
    assert GITHUB.encode() not in done.data
    assert done.data[0] == 0x0A
    assert done.data[1] == len(done.data) - 5
    assert done.data[2] == 0x0A
    assert done.data[4:].startswith(b"arg:[REDACTED:github-token:")
    assert done.data[3] == len(done.data) - 5 - 2 - 9
    assert done.data.endswith(struct.pack("<d", 1.5) + b"\x10\x96\x01")


def test_utf16_keeps_its_encoding() -> None:
    data = json.dumps({"password": PASSWORD}).encode("utf-16")
    done = SCRUBBER.scrub_body(data, "application/json; charset=utf-16")
    assert json.loads(done.data.decode("utf-16"))["password"].startswith("[REDACTED:")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (f"/api/v1/query?api_key={HEX_KEY}&from=1700000000", "&from=1700000000"),
        (f"/api/v1/query?application_key={HEX_KEY}&x=1", "&x=1"),
        (f"/x?dd-api-key={HEX_KEY}&token={GITHUB}", "/x?dd-api-key="),
        (f"/v1/input/{HEX_KEY}?ddsource=nginx", "?ddsource=nginx"),
        (f"/api/v1/application_key/{HEX_KEY}", "/api/v1/application_key/"),
        (f"https://ines:{HEX_KEY}@edge.internal:8443/api", "@edge.internal:8443/api"),
        ("/cb?t=" + "".join(f"%{ord(c):02x}" for c in GITHUB), "/cb?t="),
        (f"/in?access_token={quote('Zt5Yv1Kx7Rb+Ls0HdWq8m' + HEX_KEY)}", "/in?access_token="),
    ],
)
def test_a_key_in_a_url_is_gone(url: str, kept: str) -> None:
    done = SCRUBBER.scrub_url(url)
    assert done.changed
    assert HEX_KEY not in done.text
    assert GITHUB not in done.text
    assert kept in done.text


@pytest.mark.parametrize(
    "url",
    [
        "/api/v2/logs?ddsource=edge&service=stock",
        "/api/v1/dashboard/abc-def-ghi",
        "/x?page%5Bcursor%5D=eyJwYWdlIjoyfQ%3D",
        "/x?next_token=x7Kq2Zp9Lw4Vb1Tn6Rd8",
    ],
)
def test_a_clean_url_stays(url: str) -> None:
    assert SCRUBBER.scrub_url(url).text is url


def test_credential_headers_are_masked_whole_and_others_scanned() -> None:
    names = [
        "Authorization",
        "proxy-authorization",
        "Cookie",
        "Set-Cookie",
        "DD-API-KEY",
        "dd_application_key",
        "X-Amz-Firehose-Access-Key",
        "X-Vault-Token",
        "X-Shop-Api-Key",
        "X-Team",
    ]
    pairs = [(name.encode(), b"plain words here") for name in names]
    pairs += [
        (b"Referer", f"https://x/?t={GITHUB}".encode()),
        (b"Content-Type", b"application/json"),
        (b"X-Datadog-Trace-Id", b"904817263549180273"),
    ]
    out, findings = SCRUBBER.scrub_headers(pairs, sensitive=["x_team"])
    assert [name for name, _ in out] == [name for name, _ in pairs]
    assert all(value.startswith(b"[REDACTED:") and value.endswith(b"]") for _, value in out[: len(names)])
    assert GITHUB.encode() not in out[len(names)][1]
    assert out[len(names) + 1 :] == pairs[len(names) + 1 :]
    assert findings["header"] == len(names)
    assert SCRUBBER.scrub_headers(out, sensitive=["x_team"])[0] == out


def test_personal_data_has_its_own_switch() -> None:
    body: Json = {
        "message": "ines@mail.example.net card 4242 4242 4242 4242 DE89370400440532013000 ssn 219-09-9981"
    }
    assert "REDACTED" not in scrub_json(body)
    done = PERSONAL.scrub_body(json.dumps(body).encode(), "application/json")
    assert dict(done.findings) == {"email": 1, "card": 1, "iban": 1, "us-ssn": 1}
    assert (
        json.loads(scrub_json({"pan": 4242424242424242, "span_id": 4242424242424242}, scrubber=PERSONAL))[
            "span_id"
        ]
        == 4242424242424242
    )
    assert "4242" not in scrub_json({"pan": 4242424242424242}, scrubber=PERSONAL)


@pytest.mark.parametrize(
    "text", ["4242424242424242", " 4242424242424242.0", "[4242424242424242, 1]", "-4242424242424242"]
)
def test_a_bare_number_keeps_being_json(text: str) -> None:
    done = PERSONAL.scrub_body(text.encode(), "application/json")
    json.loads(done.data)
    assert done.changed == (text in {"4242424242424242", "[4242424242424242, 1]"})


def test_findings_count_by_detector_and_hold_no_value() -> None:
    done = SCRUBBER.scrub_text(f"a {GITHUB} b {GITHUB} password={PASSWORD}")
    assert dict(done.findings) == {"github-token": 2, "pair-password": 1}
    assert GITHUB not in repr(done)
    assert PASSWORD not in repr(done)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_number_that_is_masked_inside_of_json_strings_leaves_json(depth: int) -> None:
    document: object = {"pan": [4242424242424242], "password": 471100, "n": 7}
    for _ in range(depth):
        document = {"message": json.dumps(document)}
    done = PERSONAL.scrub_body(json.dumps(document).encode(), "application/json")
    told = json.loads(done.data)
    for _ in range(depth):
        told = json.loads(told["message"])
    assert told["n"] == 7
    assert told["pan"][0].startswith("[REDACTED:card:")
    assert told["password"].startswith("[REDACTED:password:")


def test_a_number_in_json_under_base64_is_masked_with_all_of_it() -> None:
    hidden = base64.b64encode(b'{"user": "ines roth", "password": 471100, "note": "none"}').decode()
    done = SCRUBBER.scrub_body(json.dumps({"m": hidden}).encode(), None)
    assert json.loads(done.data)["m"].startswith("[REDACTED:")
