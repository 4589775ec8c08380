"""MessagePack and protobuf rewritten string by string, lengths kept right.

Both are read to the last byte before anything is changed; what is not well-formed gives None, and the caller
scans it as bytes.
"""

# ruff: noqa: PLR2004 - format codes of the MessagePack specification

from __future__ import annotations

from collections.abc import Callable

from addons.core.redact.findings import TooComplex

type Rewrite = Callable[[bytes, bytes], bytes]
"""From the name a string stands under (empty where the format has none) and its bytes to its new bytes."""

_MAX_DEPTH = 64
_MSGPACK_FIXED = (
    {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8}
    | {0xCC + i: 1 << i for i in range(4)}
    | {0xD0 + i: 1 << i for i in range(4)}
)
_MSGPACK_EXT = {0xD4 + i: (1 << i) + 1 for i in range(5)}
_MSGPACK_SIZED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_WIRE_VARINT, _WIRE_I64, _WIRE_LEN, _WIRE_I32 = 0, 1, 2, 5
_MAX_VARINT = 10


class _MalformedError(ValueError):
    pass


def rewrite_msgpack(data: bytes, rewrite: Rewrite) -> bytes | None:
    """Copy `data`, MessagePack values in a row, with every str and bin passed through `rewrite`.
    None if it is not well-formed. Raises `TooComplex` when it nests more than 64 deep.
    """
    out: list[bytes] = []
    position = 0
    try:
        while position < len(data):
            position, _ = _msgpack_value(data, position, b"", rewrite, out, 0)
    except (_MalformedError, IndexError):
        return None
    return b"".join(out)


def _take(data: bytes, start: int, size: int) -> int:
    if start + size > len(data):
        raise _MalformedError
    return start + size


def _msgpack_value(  # noqa: PLR0913, PLR0917 - the state of a recursive descent
    data: bytes,
    position: int,
    name: bytes,
    rewrite: Rewrite,
    out: list[bytes],
    depth: int,
) -> tuple[int, bytes]:
    """Copy one value to `out`; give the place after it and, for a string, its bytes."""
    if depth > _MAX_DEPTH:
        raise TooComplex("MessagePack nests too deep")
    code = data[position]
    start = position + 1
    if code <= 0x7F or code >= 0xE0 or code in _MSGPACK_FIXED or code in _MSGPACK_EXT:
        size = _MSGPACK_FIXED.get(code, 0) or _MSGPACK_EXT.get(code, 0)
        end = _take(data, start, size)
        out.append(data[position:end])
        return end, b""
    if 0xA0 <= code <= 0xBF:
        return _msgpack_string(data, start, code & 0x1F, name, rewrite, out, binary=False)
    if code in _MSGPACK_SIZED:
        width = _MSGPACK_SIZED[code]
        begin = _take(data, start, width)
        size = int.from_bytes(data[start:begin])
        if code in (0xC7, 0xC8, 0xC9):
            end = _take(data, begin, size + 1)
            out.append(data[position:end])
            return end, b""
        return _msgpack_string(data, begin, size, name, rewrite, out, binary=code <= 0xC6)
    if 0x80 <= code <= 0x9F:
        count, is_map, begin = code & 0x0F, code <= 0x8F, start
    elif 0xDC <= code <= 0xDF:
        width = 2 if code in (0xDC, 0xDE) else 4
        begin = _take(data, start, width)
        count, is_map = int.from_bytes(data[start:begin]), code >= 0xDE
    else:
        raise _MalformedError
    out.append(data[position:begin])
    position = begin
    for _ in range(count):
        key = name
        if is_map:
            position, key = _msgpack_value(data, position, b"", rewrite, out, depth + 1)
        position, _ = _msgpack_value(data, position, key, rewrite, out, depth + 1)
    return position, b""


def _msgpack_string(  # noqa: PLR0913, PLR0917 - as above
    data: bytes,
    start: int,
    size: int,
    name: bytes,
    rewrite: Rewrite,
    out: list[bytes],
    *,
    binary: bool,
) -> tuple[int, bytes]:
    end = _take(data, start, size)
    before = data[start:end]
    after = rewrite(name, before)
    length = len(after)
    if binary or length > 31:
        base = 0xC4 if binary else 0xD9
        step = 0 if length < 1 << 8 else 1 if length < 1 << 16 else 2
        head = bytes([base + step]) + length.to_bytes(1 << step)
    else:
        head = bytes([0xA0 | length])
    if after == before:  # the encoder may have used a longer head than needed: kept as it was
        head = data[_head_start(data, start, size) : start]
    out += (head, after)
    return end, before


def _head_start(data: bytes, start: int, size: int) -> int:
    """Where the head of a string that begins at `start` begins, given that the string was just read."""
    for width in (4, 2, 1):
        begin = start - 1 - width
        if (
            begin >= 0
            and _MSGPACK_SIZED.get(data[begin]) == width
            and int.from_bytes(data[begin + 1 : start]) == size
        ):
            return begin
    return start - 1


def rewrite_protobuf(data: bytes, rewrite: Rewrite, depth: int = 0) -> bytes | None:
    """Copy `data`, one protobuf message, with every length-delimited field that holds text passed through
    `rewrite`. Without a schema a field is text if it is printable UTF-8, else a message if it reads as one
    to its last byte, else left. None if `data` is not well-formed. Raises `TooComplex` past 64 levels.
    """
    if depth > _MAX_DEPTH:
        raise TooComplex("protobuf nests too deep")
    out: list[bytes] = []
    position = 0
    try:
        while position < len(data):
            begin = position
            tag, position = _varint(data, position)
            wire = tag & 7
            if not tag >> 3:
                return None
            if wire == _WIRE_LEN:
                size, start = _varint(data, position)
                position = _take(data, start, size)
                before = data[start:position]
                after = _protobuf_field(before, rewrite, depth)
                if after == before:
                    out.append(data[begin:position])
                else:
                    out += (_to_varint(tag), _to_varint(len(after)), after)
                continue
            if wire == _WIRE_VARINT:
                _, position = _varint(data, position)
            elif wire in (_WIRE_I64, _WIRE_I32):
                position = _take(data, position, 8 if wire == _WIRE_I64 else 4)
            else:
                return None
            out.append(data[begin:position])
    except (_MalformedError, IndexError):
        return None
    return b"".join(out)


def _protobuf_field(field: bytes, rewrite: Rewrite, depth: int) -> bytes:
    try:
        printable = field.decode().translate({9: None, 10: None, 13: None}).isprintable()
    except UnicodeDecodeError:
        printable = False
    # A short nested message can be printable too; as text it is scanned as well, and stays if it is clean.
    if printable:
        return rewrite(b"", field)
    nested = rewrite_protobuf(field, rewrite, depth + 1)
    return field if nested is None else nested


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT):
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise _MalformedError


def _to_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
