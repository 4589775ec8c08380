"""Frames of gRPC in a body: messages behind a byte of flags and a length, as gRPC and gRPC-Web send them
(https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and PROTOCOL-WEB.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from addons.core.redact.decoding import packed
from addons.core.redact.masking.findings import TooComplex

MEDIA = "application/grpc"
_HEAD = 5
_COMPRESSED = 1
_TRAILERS = 0x80
_TEXT = f"{MEDIA}-web-text"


@dataclass(frozen=True, slots=True)
class Frame:
    """`media`: what its message is read as."""

    flags: int
    message: bytes = field(repr=False)
    media: str

    def holding(self, message: bytes) -> bytes:
        """Write the frame with another message in it."""
        return bytes([self.flags]) + len(message).to_bytes(_HEAD - 1) + message


def frames(data: bytes, media: str) -> Iterator[Frame]:
    """Give the frames of a body of media type `media` (in lower case). Raises `TooComplex` for what is not
    well-formed, in base64, or compressed in a way that can't be undone: what is in it is not known.
    """
    if media.startswith(_TEXT):
        raise TooComplex("gRPC in base64 is not read")
    subtype = media.partition(";")[0].partition("+")[2].strip()
    inner = "application/protobuf" if subtype in {"", "proto", "protobuf"} else f"application/{subtype}"
    position = 0
    while position < len(data):
        start = position + _HEAD
        position = start + int.from_bytes(data[position + 1 : start])
        if position > len(data) or start > len(data):
            raise TooComplex("the body is not made of gRPC's frames")
        flags, message = data[start - _HEAD], data[start:position]
        if flags & ~(_COMPRESSED | _TRAILERS):
            raise TooComplex("a frame of gRPC is of an unknown kind")
        if flags & _COMPRESSED and message and not packed.may_be(message):
            raise TooComplex("a frame of gRPC is compressed in a way that is not undone")
        yield Frame(flags, message, "text/plain" if flags & _TRAILERS else inner)
