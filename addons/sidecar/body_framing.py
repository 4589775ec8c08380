"""Where a request's body ends (RFC 9112 section 6), so that no more than one request is handed on."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from addons.sidecar.heads import MalformedHeadError, RequestHead

_CHUNK = 65536
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_MAX_TRAILERS = 100
_MAX_LENGTH_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Framing:
    """`length` in bytes; None with `is_chunked`."""

    length: int | None
    is_chunked: bool


def framing_of(head: RequestHead) -> Framing:
    """Say where the body ends. Raises MalformedHeadError where two readers could see two different ends."""
    lengths, codings = head.values("content-length"), head.values("transfer-encoding")
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != "chunked" or head.version == "HTTP/1.0":
            raise MalformedHeadError("the length of the body is ambiguous")
        return Framing(None, is_chunked=True)
    if not lengths:
        return Framing(0, is_chunked=False)
    if len(lengths) > 1 or not re.fullmatch(rf"[0-9]{{1,{_MAX_LENGTH_DIGITS}}}", lengths[0]):
        raise MalformedHeadError("the length of the body is ambiguous")
    return Framing(int(lengths[0]), is_chunked=False)


async def copy_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, framing: Framing) -> None:
    """Hand on exactly one body as it comes.

    Raises MalformedHeadError for a chunk that isn't one, asyncio.IncompleteReadError where the sender stops
    early, and OSError.
    """
    if framing.length is not None:
        await _copy(reader, writer, framing.length)
        return
    while True:
        line = await _line(reader)
        if (match := _CHUNK_SIZE.fullmatch(line)) is None:
            raise MalformedHeadError("a chunk of the body is malformed")
        writer.write(line)
        size = int(match[1], 16)
        if size == 0:
            break
        await _copy(reader, writer, size)
        if (end := await reader.readexactly(2)) != b"\r\n":
            raise MalformedHeadError("a chunk of the body is malformed")
        writer.write(end)
    for _ in range(_MAX_TRAILERS):
        line = await _line(reader)
        writer.write(line)
        if line == b"\r\n":
            await writer.drain()
            return
    raise MalformedHeadError("the body has too many trailers")


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n")
    except asyncio.LimitOverrunError:
        raise MalformedHeadError("a chunk of the body is malformed") from None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int) -> None:
    while length:
        data = await reader.read(min(length, _CHUNK))
        if not data:
            raise asyncio.IncompleteReadError(b"", length)
        writer.write(data)
        await writer.drain()
        length -= len(data)
