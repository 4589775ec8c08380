"""Gives the strings of a binary message and nothing else, ten times sooner than it is read for its structure:
most messages hold nothing, and their strings tell.

What is given is at least every string that the reader of the form would give.
"""

# ruff: noqa: PLR2004 - format codes of MessagePack and protobuf

from __future__ import annotations

from addons.core.redact.binary.document import MAX_DEPTH, MalformedError
from addons.core.redact.binary.protobuf_reader import is_printable, varint
from addons.core.redact.decoding import packed

_STRING, _SIZED_STRING, _CONTAINER, _SIZED_CONTAINER, _UNKNOWN = -1, -2, -3, -4, -5
_LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_COUNTS = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_NUMBERS = {0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9, 0xCA: 5, 0xCB: 9}
_WHOLE = frozenset((0xCE, 0xCF, 0xD2, 0xD3))
_FIXED_EXTENSIONS = {0xD4 + power: (1 << power) + 2 for power in range(5)}


def _kind(code: int) -> int:
    """How long the value that `code` begins is in all; one of the kinds above where that has to be read."""
    if code <= 0x7F or code >= 0xE0 or code in (0xC0, 0xC2, 0xC3):
        return 1
    if code <= 0x9F:
        return _CONTAINER
    if code <= 0xBF:
        return _STRING
    if code in _LENGTHS:
        return _SIZED_STRING
    if code in _COUNTS:
        return _SIZED_CONTAINER
    return (_NUMBERS | _FIXED_EXTENSIONS).get(code, _UNKNOWN)


_KINDS = tuple(_kind(code) for code in range(256))


def msgpack_strings(data: bytes) -> list[bytes] | None:
    """Every string of MessagePack values in a row, of bytes and extensions too, and every whole number from
    17 bits up, in decimal; a key before its value. None for what is not well-formed, or may hold MessagePack
    in bytes. How deep it nests is not looked at.
    """
    found: list[bytes] = []
    add = found.append
    end, position = len(data), 0
    due = 0  # values that are still to come, of the containers that are open
    try:
        while position < end:
            code = data[position]
            kind = _KINDS[code]
            if due:  # else it stands at the top
                due -= 1
            if kind > 0:
                if kind >= 5 and code in _WHOLE:
                    number = int.from_bytes(data[position + 1 : position + kind], signed=code >= 0xD0)
                    add(b"%d" % number)
                position += kind
            elif kind == _STRING:
                start = position + 1
                position = start + (code & 0x1F)
                add(data[start:position])
            elif kind == _SIZED_STRING:
                start = position + 1 + _LENGTHS[code]
                size = int.from_bytes(data[position + 1 : start])
                if code <= 0xC6 and size and 0x80 <= data[start] <= 0xDF:
                    return None
                start += 0xC7 <= code <= 0xC9
                position = start + size
                add(data[start:position])
            elif kind in (_CONTAINER, _SIZED_CONTAINER):
                start = position + 1 + _COUNTS.get(code, 0)
                count = int.from_bytes(data[position + 1 : start]) if kind != _CONTAINER else code & 0x0F
                is_map = code <= 0x8F or code >= 0xDE
                due += 2 * count if is_map else count
                position = start
            else:
                return None
    except IndexError:
        return None
    return found if position == end and not due else None


def protobuf_strings(data: bytes) -> list[bytes] | None:
    """Every string of a protobuf message, and some that may be one; the key of a map's entry before a string
    that is its value. None for what is not well-formed, or too deep.
    """
    found: list[bytes] = []
    level = payloads(data)
    if level is None:
        return None
    for _ in range(MAX_DEPTH):
        following: list[bytes] = []
        for text in level:
            # Most are plain text, and most text can't begin with a field that has a length.
            if text.isascii() and text[:1] > b" " and text[0] & 7 != 2 and text.decode().isprintable():
                found.append(text)
                continue
            is_packed = text[:2] in packed.BEGINNINGS and packed.may_be(text[:4])
            inner = None if is_packed else payloads(text)
            if inner is None or (text[:1] >= b" " and is_printable(text)):
                found.append(text)
            following += inner or ()
        if not following:
            return found
        level = following
    return None


def payloads(data: bytes) -> list[bytes] | None:  # noqa: C901 - a call for each number would double its time
    """What the fields with a length of one protobuf message hold, or None where `data` is no message."""
    out: list[bytes] = []
    position, end = 0, len(data)
    try:
        while position < end:
            tag = data[position]
            position += 1
            if tag > 0x7F:
                tag, position = varint(data, position - 1, end)
            if tag < 8:
                return None
            wire = tag & 7
            if wire == 2:
                size = data[position]
                position += 1
                if size > 0x7F:
                    size, position = varint(data, position - 1, end)
                start = position
                position += size
                out.append(data[start:position])
            elif wire == 0:
                last = position + 9
                while data[position] > 0x7F and position < last:
                    position += 1
                if data[position] > 0x7F:
                    return None
                position += 1
            elif wire == 1:
                position += 8
            elif wire == 5:
                position += 4
            else:
                return None
    except (IndexError, MalformedError):
        return None
    return out if position == end else None
