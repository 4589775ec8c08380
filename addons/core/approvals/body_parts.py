"""The parts of a form with files (multipart/form-data, RFC 7578) as a person reads them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from addons.core.approvals.media_type import media_type
from addons.core.approvals.multipart import Part, parts_of

_DISPOSITION = re.compile(r"[ \t]*form-data[ \t]*(;.*)?", re.IGNORECASE | re.DOTALL)
# No backslash and no `filename*`: what readers undo in different ways.
_PARAMETER = re.compile(r';[ \t]*([A-Za-z]+)=(?:"([^"\\]*)"|([^\s";\\]+))[ \t]*')
_TEXT = bytes({*range(0x20, 0x100), 0x09, 0x0A, 0x0D} - {0x7F})


@dataclass(frozen=True, slots=True)
class ShownPart:
    """`headers` are all of its own, as they are; `name`, `filename` and `content_type` are read off them, and
    None where they aren't there or could be read in more than one way. `text` is None where the content isn't
    text; `size` is in bytes, `sha256` is of them, in hex.
    """

    name: str | None
    filename: str | None
    content_type: str | None
    headers: tuple[tuple[str, str], ...]
    size: int
    text: str | None
    sha256: str


def read_parts(body: bytes, content_type: str) -> tuple[ShownPart, ...] | None:
    """In order; None where it can't be told for certain where one ends."""
    media = media_type(content_type)
    parts = parts_of(body, media) if media is not None else None
    return tuple(map(_shown, parts)) if parts is not None else None


def plain_text(content: bytes) -> str | None:
    """Give what is text to a person: UTF-8 without control characters, but for tabs and ends of lines."""
    if content.translate(None, _TEXT):
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _shown(part: Part) -> ShownPart:
    headers = tuple(
        (name.decode("ascii"), value.decode("utf-8", "backslashreplace")) for name, value in part.headers
    )
    parameters = _parameters(_only(headers, "content-disposition") or "")
    return ShownPart(
        name=parameters.get("name"),
        filename=parameters.get("filename"),
        content_type=_only(headers, "content-type"),
        headers=headers,
        size=len(part.content),
        text=plain_text(part.content),
        sha256=hashlib.sha256(part.content).hexdigest(),
    )


def _only(headers: tuple[tuple[str, str], ...], wanted: str) -> str | None:
    found = [value for name, value in headers if name == wanted]
    return found[0] if len(found) == 1 else None


def _parameters(disposition: str) -> dict[str, str]:
    found = _DISPOSITION.fullmatch(disposition)
    text = (found[1] or "") if found is not None else ""
    parameters: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None or match[1].lower() in parameters:
            return {}
        parameters[match[1].lower()] = match[3] if match[2] is None else match[2]
        position = match.end()
    return parameters
