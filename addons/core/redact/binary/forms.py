"""Tells which of the binary forms a body has.

They are read to the last byte before anything is changed; what is not well-formed gives None, and the caller
reads it as text. Numbers of protobuf stay: a field can't be of another type, and what it is for is not known.
"""

# ruff: noqa: PLR2004 - first bytes of MessagePack and protobuf

from __future__ import annotations

from enum import Enum

from addons.core.redact.binary.document import Document
from addons.core.redact.binary.msgpack_reader import read_msgpack, read_msgpack_start
from addons.core.redact.binary.protobuf_reader import is_printable, read_protobuf
from addons.core.redact.binary.strings import msgpack_strings, payloads, protobuf_strings


class Form(Enum):
    """Which of the two a body is in."""

    MSGPACK = "msgpack"
    PROTOBUF = "protobuf"


def form_of(data: bytes, media: str) -> Form | None:
    """By the media type (in lower case); for one that says nothing, by how the body begins."""
    if "msgpack" in media:
        # A text, sent under this name, reads as MessagePack: each of its characters would be a number.
        return Form.MSGPACK if data[:1] >= b"\x80" or not is_printable(data) else None
    if "protobuf" in media:
        return Form.PROTOBUF
    if (media and "octet-stream" not in media) or not data:
        return None
    if (0x80 <= data[0] <= 0x9F or 0xDC <= data[0] <= 0xDF) and _is_msgpack(data):
        return Form.MSGPACK
    begins = min(data[:16]) < 0x09 or data[0] == 0x0A
    return Form.PROTOBUF if begins and payloads(data) is not None else None


def read_start(data: bytes, form: Form) -> Document:
    """Read a message that is broken as far as it can be: the document is of that much alone. Of protobuf
    nothing, whose parts say nothing of their place.
    """
    return Document(b"") if form is Form.PROTOBUF else read_msgpack_start(data)


def strings(data: bytes, form: Form) -> list[bytes] | None:
    """Give every string of a message, and some that may be one; None where only `read` can tell."""
    return protobuf_strings(data) if form is Form.PROTOBUF else msgpack_strings(data)


def read(data: bytes, form: Form) -> Document | None:
    return read_protobuf(data) if form is Form.PROTOBUF else read_msgpack(data)


def _is_msgpack(data: bytes) -> bool:
    return msgpack_strings(data) is not None or read_msgpack(data) is not None
