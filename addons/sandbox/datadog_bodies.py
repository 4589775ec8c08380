"""Content codings (RFC 9110, section 8.4), among them `zstd1`, as Datadog's own clients call zstd."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping

import brotli
import zstandard

from addons.sandbox.server import Answer, Request


def _zstd(octets: bytes) -> bytes:
    """One frame after the other (RFC 8878); a stream reader would take a truncated one for whole."""
    parts: list[bytes] = []
    while octets:
        frame = zstandard.ZstdDecompressor().decompressobj()
        parts.append(frame.decompress(octets))
        if not frame.eof:
            raise EOFError("truncated frame")
        octets = frame.unused_data
    return b"".join(parts)


_DECODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "zstd": _zstd,
    "zstd1": _zstd,
    "br": brotli.decompress,
    "identity": bytes,
}
_ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "br": brotli.compress,
}


class UnreadableBodyError(Exception):
    """The body isn't what its Content-Encoding says."""


def decoded_body(request: Request) -> bytes:
    """Undo every coding of the body, the last applied first. Raises UnreadableBodyError."""
    octets = request.body
    codings = [
        coding.strip().lower() for value in request.values("Content-Encoding") for coding in value.split(",")
    ]
    for coding in reversed([coding for coding in codings if coding]):
        if coding not in _DECODERS:
            raise UnreadableBodyError(f"Unsupported Content-Encoding: {coding}")
        try:
            octets = _DECODERS[coding](octets)
        except (OSError, EOFError, zlib.error, zstandard.ZstdError, brotli.error) as error:
            raise UnreadableBodyError(f"The body is not {coding}") from error
    return octets


def encoded_answer(answer: Answer, coding: str) -> Answer:
    """Put the answer under `coding`. Raises KeyError for one that isn't known."""
    body = _ENCODERS[coding](answer.body)
    return Answer(answer.status, (*answer.headers, ("Content-Encoding", coding)), body, answer.cuts)


def as_the_client_asked(request: Request, answer: Answer) -> Answer:
    """Encode any answer as `X-Sandbox-Encoding` says, if the client's Accept-Encoding lists that coding."""
    wanted = (request.value("X-Sandbox-Encoding") or "").lower()
    accepted = ",".join(request.values("Accept-Encoding")).lower().split(",")
    listed = {part.split(";")[0].strip() for part in accepted}
    if wanted not in _ENCODERS or wanted not in listed or not answer.body or answer.raw is not None:
        return answer
    if any(name.lower() == "content-encoding" for name, _ in answer.headers):
        return answer
    return encoded_answer(answer, wanted)
