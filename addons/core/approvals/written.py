"""JSON with its numbers as they are written, so that a person sees `1.0` where `1.0` is sent, and no digit of
a long one is lost on the way to the eye.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from json.encoder import encode_basestring

from addons.core.json_document import parse_document
from addons.core.model import Json

_ONE_LINE = 100
_INDENT = "  "


@dataclass(frozen=True, slots=True)
class Number:
    """`text` is JSON's for it."""

    text: str


type Written = bool | str | Number | list[Written] | dict[str, Written] | None


def parse_written(body: bytes, content_type: str | None) -> Written:
    """Read what `parse_document` reads, and refuse what it refuses. Raises UnreadableDocument."""
    document = parse_document(body, content_type)
    if not body:
        return written(document)
    # It was bounded and found to be unambiguous just now.
    read: Written = json.loads(body, parse_int=Number, parse_float=Number)
    return read


def written(document: Json) -> Written:
    """Write the numbers of a document that was parsed before, at most 64 levels deep."""
    if isinstance(document, dict):
        return {key: written(value) for key, value in document.items()}
    if isinstance(document, list):
        return [written(value) for value in document]
    if isinstance(document, int | float) and not isinstance(document, bool):
        return Number(repr(document))
    return document


def text_of(value: Written) -> str:
    """Give JSON's text for it: in one line if that is short, else indented."""
    if isinstance(value, list | dict):
        line = _text(value, None) if leaves(value) <= _ONE_LINE else ""
        return line if 0 < len(line) <= _ONE_LINE else indented(value)
    return _text(value, None)


def indented(value: Written) -> str:
    return _text(value, "\n")


def leaves(value: Written) -> int:
    """Count the values that hold no others."""
    if isinstance(value, list):
        return sum(map(leaves, value)) or 1
    if isinstance(value, dict):
        return sum(map(leaves, value.values())) or 1
    return 1


def values(value: object) -> int:
    """Count the values in it, objects and lists and itself among them."""
    if isinstance(value, list):
        return 1 + sum(map(values, value))
    if isinstance(value, dict):
        return 1 + sum(map(values, value.values()))
    return 1


def _text(value: Written, margin: str | None) -> str:
    pieces: list[str] = []
    _write(value, margin, pieces)
    return "".join(pieces)


def _write(value: Written, margin: str | None, pieces: list[str]) -> None:
    """`margin` is the line break before the value's own line, None for one line without any."""
    match value:
        case str():
            pieces.append(encode_basestring(value))
        case Number(text):
            pieces.append(text)
        case dict():
            inner, between = _inside(margin)
            for number, (key, item) in enumerate(value.items()):
                pieces += ("," if number else "{", between if number else inner or "")
                pieces += (encode_basestring(key), ": ")
                _write(item, inner, pieces)
            pieces.append((margin or "") + "}" if value else "{}")
        case list():
            inner, between = _inside(margin)
            for number, item in enumerate(value):
                pieces += ("," if number else "[", between if number else inner or "")
                _write(item, inner, pieces)
            pieces.append((margin or "") + "]" if value else "[]")
        case _:
            pieces.append("null" if value is None else "true" if value else "false")


def _inside(margin: str | None) -> tuple[str | None, str]:
    """The margin of what is inside, and what stands between two of it, after the comma."""
    inner = None if margin is None else margin + _INDENT
    return inner, " " if inner is None else inner


class Prints:
    """Fingerprints of values: the same for two of them iff they say the same, whatever the order of their
    keys and the spelling of their numbers. What it has seen must stay as it is while this is used.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Written, bytes]] = {}

    def of(self, value: Written) -> bytes:
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = (value, self._made(value))  # held: its id is nobody else's
        return known[1]

    def _made(self, value: Written) -> bytes:
        if isinstance(value, list):
            return _digest(b"[" + b"".join(map(self.of, value)))
        if isinstance(value, dict):
            named = sorted((_digest(key.encode()), self.of(item)) for key, item in value.items())
            return _digest(b"{" + b"".join(key + item for key, item in named))
        return _digest(_leaf(value))


def print_of(text: str) -> str:
    """Give the fingerprint, in hex, of what a text says that `text_of` made."""
    return Prints().of(json.loads(text, parse_int=Number, parse_float=Number)).hex()


def _leaf(value: Written) -> bytes:
    match value:
        case str():
            return b'"' + value.encode()
        case Number(text):
            return b"0" + _number(text).encode()
        case _:
            return repr(value).encode()


def _number(text: str) -> str:
    """One spelling of all that are the same number, exactly: no two digits are taken for one."""
    mantissa, _, power = text.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    plain = digits.rstrip("0")
    if not plain:
        return "0"
    sign = "-" if mantissa.startswith("-") else ""
    return f"{sign}{plain}e{int(power or 0) - len(fraction) + len(digits) - len(plain)}"


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
