"""What a reader gets out of a text by undoing common encodings: for judging whether a secret is still there.

It is meant to be no relative of `layers`, which masking goes by: what that overlooks has to show here.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

from addons.core.body import BodyTooLarge, UndecodableBody, decode_body

_DEPTH = 3
_MOST = 400
_MAX_INFLATED = 16 * 1024 * 1024
_GZIP = b"\x1f\x8b"
_URL_SAFE = str.maketrans("-_", "+/")
_IN_QUOTES = r'"(?:[^"\\]|\\.)*"'

_BASE64 = re.compile(r"([A-Za-z0-9+/_-]{12,})={0,2}")
_HEX = re.compile(r"\b(?:[0-9a-fA-F]{2}){8,}\b")
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_STRINGS = re.compile(rf"\[\s*{_IN_QUOTES}(?:\s*,\s*{_IN_QUOTES})+\s*\]")
_DELTA = re.compile(rf'"delta":\s*({_IN_QUOTES})')
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def readings(text: str) -> set[str]:
    """Give `text` and what it says under up to three layers of JSON and HTML escapes, percent, base64 (gzip
    in it too) and hexadecimal; at the top also what lists of strings and the pieces of a stream say joined.
    400 readings at most.
    """
    seen, pending = {text}, [(text, 0)]
    while pending:
        current, depth = pending.pop()
        if depth == _DEPTH:
            continue
        for reading in _undone(current, outermost=not depth):
            if reading not in seen and len(seen) < _MOST:
                seen.add(reading)
                pending.append((reading, depth + 1))
    return seen


def shows(secret: str, texts: set[str]) -> bool:
    """Whether one of `texts` holds `secret`, or as much of it in a row as helps a guess: three fifths of it,
    at least 6 characters and at most 24.
    """
    size = len(secret)
    width = min(24, max(min(size, 6), -(-size * 3 // 5)))
    pieces = {secret[start : start + width] for start in range(size - width + 1)}
    return any(piece in text for text in texts for piece in pieces)


def _undone(text: str, *, outermost: bool) -> Iterator[str]:
    # The order counts: past the most readings there is no more.
    yield from _base64(text)
    yield from _hex(text)
    if "\\" in text:
        yield _unescaped(text)
    if "%" in text:
        yield unquote(text)
        yield unquote_plus(text)
    if "&" in text:
        yield html.unescape(text)
    if outermost:
        yield from _joined(text)


def _base64(text: str) -> Iterator[str]:
    for match in _BASE64.finditer(text):
        run = match[1].translate(_URL_SAFE)
        try:
            data = base64.b64decode(run + "=" * (-len(run) % 4))
            if data.startswith(_GZIP):
                data = decode_body(data, "gzip", limit=_MAX_INFLATED)
            found = data.decode()
        except (binascii.Error, UndecodableBody, BodyTooLarge, UnicodeDecodeError):
            continue
        if found.isprintable() or "\n" in found:
            yield found


def _hex(text: str) -> Iterator[str]:
    for match in _HEX.finditer(text):
        try:
            found = bytes.fromhex(match[0]).decode()
        except UnicodeDecodeError:
            continue
        if found.isprintable():
            yield found


def _joined(text: str) -> Iterator[str]:
    for match in _STRINGS.finditer(text):
        try:
            yield "".join(json.loads(match[0]))
        except ValueError:
            continue
    deltas = [each[1:-1] for each in _DELTA.findall(text)]
    if len(deltas) > 1:
        yield _unescaped("".join(deltas))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(
        lambda found: chr(int(found[1], 16)) if found[1] else _CONTROLS.get(found[2], found[2]), text
    )
