"""A Content-Type field (RFC 9110 section 8.3), read without leniency."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word, not a password
_TYPE = re.compile(rf"({_TOKEN})/({_TOKEN})", re.ASCII)
_PARAMETER = re.compile(
    rf'[ \t]*;[ \t]*({_TOKEN})=({_TOKEN}|"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*")', re.ASCII
)
_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class MediaType:
    """`type`, `subtype` and the parameters' names are in lower case; values stand as they were sent, quotes
    and all, because not every reader takes both spellings for the same.
    """

    type: str
    subtype: str
    parameters: tuple[tuple[str, str], ...]


def media_type(field: str) -> MediaType | None:
    """None for what RFC 9110 doesn't allow, a parameter that occurs twice, and over 1024 characters."""
    text = field.strip(" \t")
    found = _TYPE.match(text)
    if found is None or len(text) > _LONGEST:
        return None
    parameters: dict[str, str] = {}
    at = found.end()
    while at < len(text):
        parameter = _PARAMETER.match(text, at)
        if parameter is None or parameter[1].lower() in parameters:
            return None
        parameters[parameter[1].lower()] = parameter[2]
        at = parameter.end()
    return MediaType(found[1].lower(), found[2].lower(), tuple(parameters.items()))
