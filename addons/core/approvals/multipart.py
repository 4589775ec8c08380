"""The parts of a `multipart/form-data` body (RFC 7578), where no two readers can differ over them.

Mail allows much that forms don't need: a preamble, folded fields, blanks after a boundary. A body with any of
it has no parts here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from addons.core.approvals.media_type import MediaType

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}", re.ASCII)  # RFC 2046 section 5.1.1, without blanks
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_MOST_PARTS = 1000
_MOST_HEADERS = 16
_MOST_HEAD_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Part:
    """Names in lower case, values as sent without the blanks around them, both in order."""

    headers: tuple[tuple[bytes, bytes], ...]
    content: bytes


def parts_of(body: bytes, media: MediaType) -> tuple[Part, ...] | None:
    """In order; None for a body that is not exactly a form of at most 1,000 parts."""
    boundary = _boundary(media)
    if boundary is None:
        return None
    line = b"--" + boundary
    # Anywhere else, in any case of letters, another reader could take it for a boundary.
    delimiters = body.count(b"\r\n" + line) + 1
    if not body.startswith(line + b"\r\n") or body.lower().count(line.lower()) != delimiters:
        return None
    first, *rest = (b"\r\n" + body).split(b"\r\n" + line, _MOST_PARTS + 1)
    if first or not rest or rest.pop() not in {b"--", b"--\r\n"}:
        return None
    parts = [_part(one) for one in rest]
    return tuple(part for part in parts if part is not None) if None not in parts else None


def _boundary(media: MediaType) -> bytes | None:
    named = [(name, value) for name, value in media.parameters if name.startswith("boundary")]
    if len(named) != 1 or named[0][0] != "boundary":  # RFC 2231 has `boundary*` and `boundary*0`
        return None
    value = named[0][1]
    boundary = value[1:-1] if value.startswith('"') else value
    return boundary.encode() if _BOUNDARY.fullmatch(boundary) else None


def _part(piece: bytes) -> Part | None:
    """`piece` is what stands between two boundaries: a line's end, the head, an empty line, the content."""
    head, empty_line, content = piece.partition(b"\r\n\r\n")
    if not empty_line or not head.startswith(b"\r\n") or len(head) > _MOST_HEAD_BYTES:
        return None
    fields = [_FIELD.fullmatch(line) for line in head[2:].split(b"\r\n")]
    headers = tuple((one[1].lower(), one[2].rstrip(b" \t")) for one in fields if one is not None)
    if len(headers) != len(fields) or len(headers) > _MOST_HEADERS:
        return None
    if [name for name, _ in headers].count(b"content-disposition") != 1:
        return None
    return Part(headers, content)
