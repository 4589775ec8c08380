"""Frames of gRPC in a body: messages behind a byte of flags and a length, as gRPC and gRPC-Web send them
(https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and PROTOCOL-WEB.md).

A stream is thousands of small messages, so those of protobuf are read as one document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from addons.core.redact.binary.document import Document
from addons.core.redact.binary.protobuf_reader import read_framed
from addons.core.redact.binary.strings import protobuf_strings
from addons.core.redact.decoding import packed
from addons.core.redact.masking.findings import TooComplex

MEDIA = "application/grpc"
PROTOBUF = "application/protobuf"
_HEAD = 5
_COMPRESSED = 1
_TRAILERS = 0x80
_TEXT = f"{MEDIA}-web-text"


@dataclass(frozen=True, slots=True)
class Frame:
    """`message` as it came; `inside`: what it holds, where it is compressed."""

    flags: int
    message: bytes = field(repr=False)
    inside: packed.Packed | None = field(repr=False)

    @property
    def text(self) -> bytes:
        return self.message if self.inside is None else self.inside.text

    @property
    def is_trailers(self) -> bool:
        return bool(self.flags & _TRAILERS)

    def holding(self, text: bytes) -> bytes:
        """Write the frame with another text in it."""
        return self.written(text if self.inside is None else self.inside.packed(text))

    def written(self, message: bytes) -> bytes:
        return bytes([self.flags]) + len(message).to_bytes(_HEAD - 1) + message


def media_of(media: str) -> str:
    """Give what the messages of a body of media type `media` (in lower case) are read as. Raises `TooComplex`
    for messages in base64.
    """
    if media.startswith(_TEXT):
        raise TooComplex("gRPC in base64 is not read")
    subtype = media.partition(";")[0].partition("+")[2].strip()
    return PROTOBUF if subtype in {"", "proto", "protobuf"} else f"application/{subtype}"


def frames(data: bytes, limit: int) -> Iterator[Frame]:
    """Give the frames of a body. Raises `TooComplex` for what is not well-formed, compressed in a way that
    can't be undone, or holds more than `limit` bytes: what is in it is not known.
    """
    position = 0
    while position < len(data):
        start = position + _HEAD
        position = start + int.from_bytes(data[position + 1 : start])
        if position > len(data) or start > len(data):
            raise TooComplex("the body is not made of gRPC's frames")
        flags, message = data[start - _HEAD], data[start:position]
        if flags & ~(_COMPRESSED | _TRAILERS):
            raise TooComplex("a frame of gRPC is of an unknown kind")
        inside = None
        if flags & _COMPRESSED and message:
            inside = packed.unpack(message, limit)
            if inside is None or inside.header:
                raise TooComplex("a frame of gRPC is compressed in a way that is not undone")
            limit -= len(inside.text)
        yield Frame(flags, message, inside)


def strings(those: Sequence[Frame]) -> list[bytes]:
    """Give at least every string that is in the messages of protobuf in `those`."""
    out: list[bytes] = []
    for frame in those:
        inner = protobuf_strings(frame.text) if _is_message(frame) else None
        out += (frame.text,) if inner is None else inner
    return out


def document(those: Sequence[Frame]) -> Document:
    """Read all messages, of protobuf, as one document of frames that are not compressed."""
    texts: list[bytes] = []
    spans: list[tuple[int, int, bool]] = []
    position = 0
    for frame in those:
        text = frame.written(frame.text)
        texts.append(text)
        spans.append((position + _HEAD, position + len(text), _is_message(frame)))
        position += len(text)
    return read_framed(b"".join(texts), spans)


def rebuilt(those: Sequence[Frame], data: bytes, *, anew: bool) -> bytes:
    """Write the frames with what `data`, written like `document`, has in them. With `anew` what is compressed
    is written anew where nothing in it is other than before, too.
    """
    out: list[bytes] = []
    position = 0
    for frame in those:
        start = position + _HEAD
        position = start + int.from_bytes(data[position + 1 : start])
        text = data[start:position]
        same = text == frame.text and not anew
        out.append(frame.written(frame.message) if same else frame.holding(text))
    return b"".join(out)


def _is_message(frame: Frame) -> bool:
    return not frame.is_trailers and not packed.may_be(frame.text)
