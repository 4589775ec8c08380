"""Secrets to plant, and the ways to write MessagePack and protobuf that the tests of forms share."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from urllib.parse import quote

import zstandard

from addons.core.redact.detectors.vendors import fill, hex_

PASSWORD = "Tr0ub4dor-" + fill(4)
GITHUB = "ghp_" + fill(36)
SECRETS = (
    GITHUB,
    "glpat-" + fill(20),
    "sk_live_" + fill(24),
    "https://hooks.slack.com/services/T0" + fill(8).upper() + "/B0" + fill(8).upper() + "/" + fill(24),
    "ddapp_" + fill(34),
    f"password={PASSWORD}",
    f"Authorization: Bearer {fill(40)}",
    f"postgres://app:{PASSWORD}@db:5432/x",
)


def sought(secret: str) -> str:
    """The part of it that may be in no outcome."""
    return next((part for part in (PASSWORD, fill(40)) if part in secret), secret)


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


LAYERS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "base64": lambda text: base64_of(text.encode()),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 in text": lambda text: f"payload {base64_of(f'use {text} now'.encode())} end",
    "base64 in lines": lambda text: base64.encodebytes(f"{'x' * 50} {text} {'y' * 50}".encode()).decode(),
    "base64 of utf-16": lambda text: base64_of(f"$p = '{text}'".encode("utf-16-le")),
    "base64 of gzip": lambda text: base64_of(gzip.compress(f"use {text} now".encode(), mtime=0)),
    "base64 of zlib": lambda text: base64_of(zlib.compress(f"use {text} now".encode())),
    "base64 of zstd": lambda text: base64_of(zstandard.compress(f"use {text} now".encode())),
    "base64 of gzip of gzip": lambda text: base64_of(
        gzip.compress(gzip.compress(text.encode(), mtime=0), mtime=0)
    ),
    "hex of gzip": lambda text: gzip.compress(text.encode(), mtime=0).hex(),
    "percent": lambda text: quote(text, safe=""),
    "percent all": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "json": lambda text: json.dumps({"note": f"use {text} now"}),
    "unicode": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "coloured": lambda text: f"\x1b[32mINFO\x1b[0m {text}\x1b[0m",
}


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, text: bytes | str) -> bytes:
    """A protobuf field with a length."""
    data = text.encode() if isinstance(text, str) else text
    return varint(number << 3 | 2) + varint(len(data)) + data


def form_data(*parts: tuple[str, bytes | str]) -> bytes:
    """A multipart body with the boundary BB, of heads and bodies."""
    out = b""
    for head, body in parts:
        data = body.encode() if isinstance(body, str) else body
        out += b"--BB\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"
    return out + b"--BB--\r\n"


KEY = hex_(32)
