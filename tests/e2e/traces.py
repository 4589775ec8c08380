"""Everything that a gateway left behind, as its finder could read it: compressed and encoded parts too."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import zstandard
from mitmproxy import http

from addons.core.body import decode_body
from tests.e2e.gateway_process import Gateway
from tests.e2e.test_abuse_credential import assert_absent

_LIMIT = 64 * 1024 * 1024
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
_ESCAPE = re.compile(rb"\\u00([0-7][0-9A-Fa-f])|%([2-7][0-9A-Fa-f])")
_PACKED = re.compile(rb"\x1f\x8b\x08|\x28\xb5\x2f\xfd")
_STANDARD = bytes.maketrans(b"-_", b"+/")


def decoded(message: http.Message | None) -> bytes:
    """The body of a recorded message without its content encoding, `zstd1` included."""
    if message is None or not message.raw_content:
        return b""
    return decode_body(message.raw_content, message.headers.get("content-encoding"), limit=_LIMIT)


def readable(gateway: Gateway) -> Iterator[tuple[str, bytes]]:
    """(where, bytes): every file, and what is encoded or compressed in it; every value of every database;
    every recorded body decoded, every audit record with its bodies decoded."""
    for path, data in gateway.files():
        for inner in opened(data):
            yield str(path), inner
        if data.startswith(b"SQLite format 3"):
            for inner in opened(_values(path)):
                yield f"values in {path}", inner
    for flow in gateway.flows():
        yield f"state of {flow.comment}", repr(flow.get_state()).encode()
        yield f"request of {flow.comment}", decoded(flow.request)
        yield f"answer of {flow.comment}", decoded(flow.response)
    for record in gateway.records():
        yield f"record {record['kind']}", json.dumps(record).encode()
        yield f"request in {record['kind']}", _audited_body(record)


def opened(data: bytes, depth: int = 2) -> Iterator[bytes]:
    """`data`, and what base64, gzip, zstd, JSON's and percent escapes hide in it, one inside another."""
    yield data
    if not depth:
        return
    for inner in (_unescaped(data), _from_base64(data), _unpacked(data)):
        if inner:
            yield from opened(inner, depth - 1)


def _from_base64(data: bytes) -> bytes:
    texts = (run.translate(_STANDARD).rstrip(b"=") for run in set(_BASE64.findall(data)))
    return b"\n".join(base64.b64decode((text[:-1] if len(text) % 4 == 1 else text) + b"==") for text in texts)


def _unpacked(data: bytes) -> bytes:
    found: list[bytes] = []
    for start in _PACKED.finditer(data):
        stream = zlib.decompressobj(31) if start[0].startswith(b"\x1f") else _zstd()
        with suppress(zlib.error, zstandard.ZstdError):
            found.append(stream.decompress(data[start.start() :]))
    return b"\n".join(found)


def _zstd() -> zstandard.ZstdDecompressionObj:
    return zstandard.ZstdDecompressor().decompressobj()


def _unescaped(data: bytes) -> bytes:
    if _ESCAPE.search(data) is None:
        return b""
    return _ESCAPE.sub(lambda found: bytes.fromhex((found[1] or found[2]).decode()), data)


def _values(path: Path) -> bytes:
    """Every text and blob in every table, as SQL gives it."""
    found: list[bytes] = []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = connection.execute(f'SELECT * FROM "{name.decode()}"')  # noqa: S608 - the database's own
            found += [value for row in rows for value in row if isinstance(value, bytes)]
    return b"\n".join(found)


def _audited_body(record: dict[str, Any]) -> bytes:
    request = record.get("attributes", {}).get("request", {})
    fields = {name.lower(): value for name, value in request.get("headers", [])}
    raw = base64.b64decode(request.get("body_base64", ""))
    return decode_body(raw, fields.get("content-encoding"), limit=_LIMIT) if raw else b""


def assert_nothing_readable(gateway: Gateway, secrets: Iterable[str]) -> None:
    kept = list(secrets)
    for where, data in readable(gateway):
        assert_absent(data, kept, where)
