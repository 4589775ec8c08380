"""In every form that traffic has: what is secret goes, what is not comes out byte for byte."""

# ruff: noqa: E501 - a table reads best with one row to a line

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import struct
import zipfile
import zlib
from urllib.parse import quote

import msgpack
import pytest
import zstandard

from addons.core.body import decode_body, encode_body
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.mask import MASK, Masker
from addons.core.redact.scrubber import Scrubber
from tests.core.redact.planted import GITHUB, KEY, PASSWORD, base64_of, field, form_data

SCRUBBER = Scrubber(Masker(b"k" * 16))
JSON = "application/json"
TEXT = "text/plain"
FORM = "application/x-www-form-urlencoded"
EVENTS = "text/event-stream"
PARTS = "multipart/form-data; boundary=BB"
MSGPACK = "application/msgpack"
PROTOBUF = "application/x-protobuf"

ENV = [{"name": "REGION", "value": "north"}, {"name": "DB_PASSWORD", "value": PASSWORD}]
PRETTY = json.dumps({"env": ENV}, indent=2)
LINES = base64.encodebytes(f"user=app password={PASSWORD} host=db port=5432 ".encode() * 3).decode()
POWERSHELL = base64_of(f"$p='{GITHUB}'; login".encode("utf-16-le"))
ZLIB = base64_of(zlib.compress(json.dumps({"password": PASSWORD, "x": "y" * 30}).encode()))
ZSTD = base64_of(zstandard.compress(json.dumps({"password": PASSWORD, "x": "y" * 30}).encode()))
POINT = b"\x09" + struct.pack("<d", 1.5) + b"\x10\x96\x01"
TABLE = ["", "web", "db.password", PASSWORD, "http.url", "note"]
SPAN = [1, 1, 1, 1, 2, 3, 4, 5, 0, {2: 3, 4: 5}, {}, 1]

DIRTY: dict[str, tuple[bytes | str, str | None, tuple[str, ...]]] = {
    "json text": (json.dumps({"m": json.dumps({"b": json.dumps({"c": {"password": PASSWORD}})})}), JSON, (PASSWORD,)),
    "json behind what no browser runs": (")]}',\n" + PRETTY, JSON, (PASSWORD,)),
    "json text sequence": (f'\x1e{{"name": "password", "value": "{PASSWORD}"}}\n\x1e{{"a": 1}}\n', None, (PASSWORD,)),
    "json with a mark": ("\ufeff" + PRETTY, JSON, (PASSWORD,)),
    "json called MessagePack": (PRETTY, MSGPACK, (PASSWORD,)),
    "json called protobuf": (PRETTY, PROTOBUF, (PASSWORD,)),
    "numbers in a list": ('{"password":[1234,5678]}', JSON, ("1234", "5678")),
    "numbers in a list on lines": ('{"password": [\n  1234,\n  5678\n]}', JSON, ("1234", "5678")),
    "a negative number": ('{"password":-48151623}', JSON, ("48151623",)),
    "a number with a fraction": ('{"password":48151623.25}', JSON, ("48151623",)),
    "ndjson": (f'{{"a":1}}\n{{"name":"password","value":"{PASSWORD}"}}', "application/x-ndjson", (PASSWORD,)),
    "an event": (f'data:{{"password":"{PASSWORD}"}}\n\n', EVENTS, (PASSWORD,)),
    "an event on lines": ("event: x\r\n" + "".join(f"data: {line}\r\n" for line in PRETTY.split("\n")) + "\r\n", EVENTS, (PASSWORD,)),
    "yaml": (f"db:\n  password: {PASSWORD}\n", "application/yaml", (PASSWORD,)),
    "yaml of an environment": (f"env:\n- name: DB_PASSWORD\n  value: {PASSWORD}\n", "application/yaml", (PASSWORD,)),
    "xml": (f'<add key="DbPassword" value="{PASSWORD}"/><token>{KEY}</token>', "application/xml", (PASSWORD, KEY)),
    "colours": (json.dumps({"m": f"\x1b[32mpassword\x1b[0m=\x1b[33m{PASSWORD}\x1b[0m"}), JSON, (PASSWORD,)),
    "form": (f"a=1&client%5Fsecret={quote(PASSWORD)}", FORM, (PASSWORD,)),
    "json in a form": (f"a=1&payload={quote(PRETTY)}", FORM, (PASSWORD,)),
    "an address in a form": (f"next={quote('https://x/?client_secret=' + PASSWORD)}", FORM, (PASSWORD,)),
    "a part": (form_data(('name="password"', PASSWORD)), PARTS, (PASSWORD,)),
    "a part on lines": (form_data(("name=client_secret", f"{PASSWORD}\r\n{KEY}")), PARTS, (PASSWORD, KEY)),
    "a json part": (form_data(('name="event"\r\nContent-Type: application/json', PRETTY)), PARTS, (PASSWORD,)),
    "a copy in another part": (form_data(('name="password"', PASSWORD), ('name="note"', f"it was {PASSWORD}!")), PARTS, (PASSWORD,)),
    "a base64 part": (form_data(('name="f"\r\nContent-Transfer-Encoding: base64', LINES)), PARTS, tuple(LINES.split()[:2])),
    "a file's name": (form_data((f'name="f"; filename="{GITHUB}.txt"', "x")), PARTS, (GITHUB,)),
    "a folded part": (form_data(('x=1;\r\n name="password"', PASSWORD)), PARTS, (PASSWORD,)),
    "a part with an extended name": (form_data(("name*=utf-8''pass%77ord", PASSWORD)), PARTS, (PASSWORD,)),
    "what stands after the parts": (form_data(('name="a"', "b")) + f"use {GITHUB}".encode(), PARTS, (GITHUB,)),
    "what stands before the parts": (f"use {GITHUB}\r\n".encode() + form_data(('name="a"', "b")), PARTS, (GITHUB,)),
    "base64 on lines": (json.dumps({"d": LINES}), JSON, tuple(LINES.split()[:2])),
    "base64 of utf-16": (json.dumps({"m": f"powershell -enc {POWERSHELL}"}), JSON, (POWERSHELL[20:-8],)),
    "base64 of zlib": (json.dumps({"d": ZLIB}), JSON, (ZLIB[12:-8],)),
    "base64 of zstd": (json.dumps({"d": ZSTD}), JSON, (ZSTD[12:-8],)),
    "spans": (msgpack.packb([[{"meta": {"db.password": PASSWORD, "url": f"/?token={GITHUB}"}}]]), MSGPACK, (PASSWORD, GITHUB)),
    "spans with a table": (msgpack.packb([TABLE, [[SPAN]]]), MSGPACK, (PASSWORD,)),
    "MessagePack of pairs": (msgpack.packb({"env": ENV}), MSGPACK, (PASSWORD,)),
    "MessagePack of arguments": (msgpack.packb({"argv": ["run", "--password", PASSWORD]}), MSGPACK, (PASSWORD,)),
    "MessagePack of secrets": (msgpack.packb({"secrets": {"a": PASSWORD}}), MSGPACK, (PASSWORD,)),
    "MessagePack with a copy": (msgpack.packb({"password": PASSWORD, "n": f"was {PASSWORD}!"}), MSGPACK, (PASSWORD,)),
    "MessagePack of pieces": (msgpack.packb({"l": [GITHUB[:9], GITHUB[9:20], GITHUB[20:]]}), MSGPACK, (GITHUB[9:20],)),
    "MessagePack of bytes": (msgpack.packb({b"password": PASSWORD.encode()}), MSGPACK, (PASSWORD,)),
    "MessagePack extension": (msgpack.packb({"x": msgpack.ExtType(5, f"use {GITHUB}".encode())}), MSGPACK, (GITHUB,)),
    "MessagePack of json": (msgpack.packb([{"body": PRETTY}]), MSGPACK, (PASSWORD,)),
    "MessagePack without a name": (msgpack.packb([[{"meta": {"password": PASSWORD}}]]), None, (PASSWORD,)),
    "MessagePack in MessagePack": (msgpack.packb({"meta_struct": {"x": msgpack.packb({"password": PASSWORD})}}), MSGPACK, (PASSWORD,)),
    "MessagePack that ends too early": (msgpack.packb({"password": PASSWORD, "b": [f"use {GITHUB}", 1]})[:-1], MSGPACK, (PASSWORD, GITHUB)),
    "MessagePack cut in a string": (msgpack.packb({"password": PASSWORD, "b": f"use {GITHUB} now"})[:-2], MSGPACK, (PASSWORD, GITHUB)),
    "a series": (field(1, field(2, f"shop.{GITHUB}") + field(3, POINT) + field(4, f"token:{KEY}")), PROTOBUF, (GITHUB, KEY)),
    "a message of one string": (field(1, field(1, f"arg:{GITHUB}")), PROTOBUF, (GITHUB,)),
    "an entry of a map": (field(9, b"\x08\x01" + field(5, field(1, "db.password") + field(2, PASSWORD))), PROTOBUF, (PASSWORD,)),
    "an entry of a map with its value first": (field(9, field(2, PASSWORD) + field(1, "db.password")), PROTOBUF, (PASSWORD,)),
    "an attribute of OpenTelemetry": (field(9, field(1, "password") + field(2, field(1, PASSWORD))), PROTOBUF, (PASSWORD,)),
    "arguments in protobuf": (field(4, "run") + field(4, "--password") + field(4, PASSWORD) + b"\x10\x01", PROTOBUF, (PASSWORD,)),
    "a coloured line in protobuf": (field(1, f"\x1b[31mpassword={PASSWORD}\x1b[0m") + b"\x10\x01", PROTOBUF, (PASSWORD,)),
    "protobuf with a copy": (field(1, f"password={PASSWORD}") + field(2, f"it was {PASSWORD}!") + b"\x18\x05", PROTOBUF, (PASSWORD,)),
    "protobuf without a name": (field(1, field(2, f"shop.{GITHUB}") + field(3, POINT)), "application/octet-stream", (GITHUB,)),
}  # fmt: skip


def data_of(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else body


@pytest.mark.parametrize("name", DIRTY)
def test_a_secret_is_gone_and_a_second_pass_changes_nothing(name: str) -> None:
    body, media, secrets = DIRTY[name]
    done = SCRUBBER.scrub_body(data_of(body), media)
    for secret in secrets:
        assert secret.encode() in data_of(body)
        assert secret.encode() not in done.data
    assert done.changed
    assert sum(done.findings.values()) >= 1
    assert MASK.search(done.data)
    again = SCRUBBER.scrub_body(done.data, media)
    assert again.data is done.data, again.findings


CLEAN: dict[str, tuple[bytes | str, str | None]] = {
    "series": (json.dumps({"series": [{"metric": "shop.tokens.used", "points": [[1700000000, 4815.25]], "tags": ["env:prod", "key:none"]}]}), JSON),
    "counts of tokens": ('{"usage": {"tokens": 48151, "prompt_tokens": 4711}, "tokens": [15496, 995, 4815]}', JSON),
    "pretty": (json.dumps({"env": ENV[:1], "tokens": 1234}, indent=1), JSON),
    "ids": (json.dumps({"trace_id": KEY, "next_token": GITHUB[4:], "id": "5c1e0b7a-42d9-4f63-8b1e-7d20c9a6f314"}), JSON),
    "ndjson": ('{"a":1}\n{"name":"region","value":"north"}\n', "application/x-ndjson"),
    "events": ('event: m\ndata: {"delta": "hello "}\ndata:\n\ndata: {"delta": "world"}\n\n', EVENTS),
    "form": (f"a=1&b=two+words&next={quote('https://x/?page=2')}&password=", FORM),
    "parts": (form_data(('name="event"', '{"a": 1}'), ('name="f"; filename="a.gz"', gzip.compress(b"clean" * 50))), PARTS),
    "parts of nothing": (b"--BB--\r\n", PARTS),
    "yaml": ("env:\n- name: REGION\n  value: north\n- name: DB_PASSWORD\n  valueFrom: x\n", "application/yaml"),
    "a zlib picture": (json.dumps({"d": base64_of(zlib.compress(bytes(range(256)) * 8))}), JSON),
    "spans": (msgpack.packb([[{"service": "shop", "meta": {"env": "prod"}, "metrics": {"tokens": 1.5}, "id": 2**63}]]), MSGPACK),
    "spans with a table": (msgpack.packb([["", "web", "env", "prod"], [[[1, 1, 1, 1, 2, 3, 4, 5, 0, {2: 3}, {1: 0.5}, 1]]]]), MSGPACK),
    "long heads in MessagePack": (b"\x81\xdb\x00\x00\x00\x03key\xda\x00\x04word", MSGPACK),
    "sketches": (field(1, field(1, "shop.latency") + field(2, "h1") + field(4, "env:prod") + field(4, "key:none") + field(7, field(7, bytes(range(40))))), PROTOBUF),
    "long lengths in protobuf": (b"\x0a\x84\x00word\x10\x01", PROTOBUF),
    "the name of a secret": (json.dumps({"volumes": [{"secret": {"secretName": "default-token-x7k2p"}}]}), JSON),
    "coloured": (json.dumps({"m": "\x1b[32mpassword\x1b[0m reset by mail"}), JSON),
    "utf-16": ('{"message": "password reset"}'.encode("utf-16"), JSON),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "image/png"),
}  # fmt: skip


@pytest.mark.parametrize("name", CLEAN)
def test_what_is_clean_comes_out_byte_for_byte(name: str) -> None:
    body, media = CLEAN[name]
    data = data_of(body)
    done = SCRUBBER.scrub_body(data, media)
    assert done.data is data, done.data
    assert not done.findings


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("media", [JSON, TEXT, None, MSGPACK, PROTOBUF])
@pytest.mark.parametrize("text", [PRETTY, f"login password={PASSWORD}"])
def test_wide_text_is_read_with_a_mark_and_without(codec: str, media: str | None, text: str) -> None:
    done = SCRUBBER.scrub_body(text.encode(codec), media)
    masked = done.data.decode(codec)
    assert PASSWORD not in masked
    assert MASK.sub(PASSWORD.encode(), masked.encode()) == text.encode()


def test_what_only_begins_like_wide_text_in_base64_is_read_as_it_is() -> None:
    text = b"\xff\xfe\0\0" + b"\xff" * 28 + b"password=" + PASSWORD.encode() + b" and more of it"
    body = b"got " + base64.b64encode(text)
    assert base64.b64encode(text)[60:80] not in SCRUBBER.scrub_body(body, "text/plain").data


def test_a_byte_too_many_hides_nothing_in_wide_text() -> None:
    done = SCRUBBER.scrub_body(f"password={PASSWORD}".encode("utf-16") + b"x", TEXT)
    assert PASSWORD.encode("utf-16-le") not in done.data
    assert done.data.endswith(b"x")


def test_nuls_in_front_hide_nothing_in_other_text() -> None:
    done = SCRUBBER.scrub_body(f"a\0b\0 password={PASSWORD}".encode(), None)
    assert PASSWORD.encode() not in done.data


def zipped(text: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.txt", text)
    return made.getvalue()


@pytest.mark.parametrize(
    "file",
    [
        zipped(f"use {GITHUB}"),
        bz2.compress(GITHUB.encode()),
        lzma.compress(GITHUB.encode()),
        gzip.compress(GITHUB.encode() * 50)[:-9],
        gzip.compress(GITHUB.encode()) + b"more",
        gzip.compress(gzip.compress(gzip.compress(gzip.compress(GITHUB.encode())))),
    ],
    ids=["zip", "bzip2", "xz", "cut", "gone on", "too often"],
)
@pytest.mark.parametrize("around", ["body", "part", "field"])
def test_a_file_that_is_not_read_to_its_end_is_no_message_to_store(file: bytes, around: str) -> None:
    body = {"body": file, "part": form_data(('name="f"', file)), "field": field(3, file)}[around]
    media = {"body": "application/octet-stream", "part": PARTS, "field": PROTOBUF}[around]
    assert not SCRUBBER.is_clean(body, media)
    with pytest.raises(TooComplex):
        SCRUBBER.scrub_body(body, media)


@pytest.mark.parametrize("text", ["BZh9 is how bzip2 begins", "PK", "H\x89llo", "x^2 + y^2", "x\x01"])
def test_a_text_that_begins_like_a_file_stays(text: str) -> None:
    data = text.encode("latin-1")
    assert SCRUBBER.scrub_body(data, TEXT).data == data


AGENT_HEADER = b"\x03\x02\x0c" + bytes(13)


@pytest.mark.parametrize(
    ("coding", "around"),
    [
        *((coding, around) for coding in ("gzip", "deflate", "zstd") for around in ("body", "part", "field")),
        ("zstd", "header"),  # as the Agent's process payloads have it
    ],
)
def test_compressed_files_are_opened_masked_and_closed_again(coding: str, around: str) -> None:
    inner = field(1, f"run --password {PASSWORD}") + b"\x10\x01"
    raw = encode_body(inner, coding)
    before, after = {
        "body": (b"", b""),
        "part": (b'--BB\r\nContent-Disposition: form-data; name="f"\r\n\r\n', b"\r\n--BB--\r\n"),
        "field": (b"", b""),
        "header": (AGENT_HEADER, b""),
    }[around]
    body = field(3, raw) if around == "field" else before + raw + after
    media = {"part": PARTS, "field": PROTOBUF, "header": PROTOBUF}.get(around)
    done = SCRUBBER.scrub_body(body, media)
    assert done.changed
    if around == "field":
        masked = done.data[2:]
        assert done.data[1] == len(masked)
    else:
        assert done.data.startswith(before)
        masked = done.data[len(before) : len(done.data) - len(after)]
    opened = decode_body(masked, coding, limit=1 << 20)
    mask = MASK.search(opened)
    assert mask is not None
    assert opened == field(1, b"run --password " + mask.group()) + b"\x10\x01"


@pytest.mark.parametrize(
    "coding", ["gzip", "x-gzip", "deflate", "br", "zstd", "zstd1", "gzip, br", "identity", "zstd, gzip"]
)
def test_every_content_coding_is_undone_and_kept(coding: str) -> None:
    for body, media, secrets in (DIRTY["a series"], DIRTY["spans"], (PRETTY, JSON, (PASSWORD,))):
        sent = encode_body(data_of(body), coding)
        done = SCRUBBER.scrub_body(decode_body(sent, coding, limit=1 << 20), media)
        arrived = decode_body(encode_body(done.data, coding), coding, limit=1 << 20)
        assert arrived == done.data
        assert not any(secret.encode() in arrived for secret in secrets)


def test_of_cookies_the_values_go_and_names_and_attributes_stay() -> None:
    fields = [
        (b"Cookie", b'sid=abc123; theme="dark" ; empty=; ' + PASSWORD.encode()),
        (b"Set-Cookie", f"sid={KEY}; Path=/; HttpOnly; SameSite=Lax".encode()),
        (b"Set-Cookie", b"sid=; Max-Age=0"),
    ]
    out, findings = SCRUBBER.scrub_headers(fields)
    shown = [MASK.sub(b"M", value) for _, value in out]
    assert shown == [
        b'sid=M; theme="M" ; empty=; M',
        b"sid=M; Path=/; HttpOnly; SameSite=Lax",
        b"sid=; Max-Age=0",
    ]
    assert findings == {"header": 4}
    assert SCRUBBER.scrub_headers(out) == (out, {})
    whole, _ = SCRUBBER.scrub_headers(fields[:1], sensitive=["Cookie"])
    assert MASK.fullmatch(whole[0][1])


def test_zeros_in_front_are_no_sign_of_wide_text_in_messagepack() -> None:
    done = SCRUBBER.scrub_body(msgpack.packb([0, 0, 0, f"use {GITHUB}"]), MSGPACK)
    assert msgpack.unpackb(done.data)[3].startswith("use [REDACTED:github-token:")


def test_padding_in_the_midst_of_lines_of_base64_ends_them() -> None:
    lines = LINES.replace("\n", "=\n", 1)
    done = SCRUBBER.scrub_body(json.dumps({"d": lines}).encode(), JSON)
    assert LINES.split()[0].encode() not in done.data
    assert LINES.split()[1].encode() not in done.data
    json.loads(done.data)
