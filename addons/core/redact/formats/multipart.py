"""Where the parts of a multipart body stand (RFC 2046, RFC 7578)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_BOUNDARY = re.compile(r'(?i)\bboundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))')
_DISPOSITION = re.compile(rb"(?i)^content-disposition[ \t]*:([^\r\n]*)", re.MULTILINE)
_TYPE = re.compile(rb"(?i)^content-type[ \t]*:[ \t]*([^\r\n]*)", re.MULTILINE)
_NAME = re.compile(
    rb"(?i);[ \t]*name(?:\*[ \t]*=[ \t]*[\w\-]*'[\w\-]*'([^\s;]*)"
    rb'|[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+)))'
)
_FOLD = re.compile(rb"\r?\n[ \t]+")
_MAX_HEAD = 16 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """The body of one part at `start:end`, the name of its form field, and its media type if it has one."""

    start: int
    end: int
    name: str
    media: str


def parts(data: bytes, content_type: str) -> Iterator[Part]:
    """Find the parts. None where the media type names no boundary or none is in the body."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        return
    delimiter = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
    position = data.find(delimiter)
    while position >= 0:
        start = position + len(delimiter)
        position = data.find(b"\n" + delimiter, start)
        end = len(data) if position < 0 else position - (data[position - 1 : position] == b"\r")
        if data[start : start + 2] != b"--":
            yield _part(data, start, end)
        position += position >= 0


def _part(data: bytes, start: int, end: int) -> Part:
    limit = min(end, start + _MAX_HEAD)
    ends = [data.find(blank, start, limit) + len(blank) for blank in (b"\r\n\r\n", b"\n\n")]
    body = min((place for place, blank in zip(ends, (4, 2), strict=True) if place >= blank), default=start)
    head = _FOLD.sub(b" ", data[start:body])
    disposition = _DISPOSITION.search(head)
    name = _NAME.search(disposition[1]) if disposition is not None else None
    media = _TYPE.search(head)
    return Part(
        body,
        end,
        _text(name) if name is not None else "",
        media[1].decode("latin-1").strip().lower() if media is not None else "",
    )


def _text(name: re.Match[bytes]) -> str:
    """The name of a field, percent-decoded where it is an extended one (RFC 8187)."""
    plain = name[2] or name[3] or b""
    return unquote_to_bytes(name[1]).decode("latin-1") if name[1] else plain.decode("latin-1")
