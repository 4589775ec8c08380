"""The one normal form of a request target.

What policy decides on is what is forwarded, and there is one way to read it. Where two servers could read a
spelling differently it is refused, not repaired. What is left to normalise are two spellings that every
server must take for one (RFC 3986 section 6.2.2): escaped unreserved characters are decoded, and other
escapes are in upper case.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

METHOD_OVERRIDE_HEADERS = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
"""Field names, lower case, that make some servers run another method than the one decided on."""

METHOD_OVERRIDE_KEYS = METHOD_OVERRIDE_HEADERS | {"_method"}
"""The same as query keys; `normalise` refuses them."""


class BadTarget(ValueError):  # noqa: N818 - says what it is, as DESIGN's words do
    """The target can be read in more than one way.

    The text is for the agent and shows no value of the request.
    """


@dataclass(frozen=True, slots=True)
class Target:
    """`path` is normalised and begins with `/`; `query` is as sent, without `?`.

    `segments` are the path's, decoded, the empty one after a trailing slash left out: `/intake/` and
    `/intake` are one operation, and only `path` keeps the slash.
    """

    path: str
    query: str
    segments: tuple[str, ...]


# RFC 3986 pchar and `/`, without `;` (parameters that some servers cut off) and without escapes.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,=:@/]*", re.ASCII)
_PATH = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,=:@/]|%[0-9A-Fa-f]{2})*", re.ASCII)
# Visible ASCII but `#`, and but `;`, which some servers take for `&`. Clients do send [, ], {, }, | raw.
_QUERY = re.compile(r"(?:[!\"$&-:<-~]|%[0-9A-Fa-f]{2})*", re.ASCII)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})", re.ASCII)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Escaped, these change the structure of the target for a server that decodes before it splits, or twice.
_STRUCTURAL = frozenset("/\\;?#%")
_FIRST_PRINTABLE, _DELETE = 0x20, 0x7F


def normalise(unverified_target: str | bytes) -> Target:
    """Give the normal form of an origin-form target (RFC 9112 section 3.2.1).

    Normalising what comes out again changes nothing.

    Raises:
        BadTarget: not origin-form; a character or escape that doesn't belong there; dot or empty segments;
            path parameters; an escaped delimiter or control character; a query that overrides the method.

    """
    target = _ascii(unverified_target)
    if not target.startswith("/"):
        raise BadTarget("the request target must begin with /")
    path, _, query = target.partition("?")
    if not _PLAIN_PATH.fullmatch(path):
        path = _normal_escapes(path)
    segments = path[1:].split("/")
    if segments[-1] == "":
        segments.pop()
    for segment in segments:
        if segment == "":
            raise BadTarget("the path has an empty segment (//)")
        if not segment.strip("."):
            raise BadTarget("the path has a dot segment")
    if query and any(key.lower() in METHOD_OVERRIDE_KEYS for key, _ in query_pairs(query)):
        raise BadTarget("the query overrides the method")
    return Target(path, query, tuple(_decoded(segment) for segment in segments))


def query_pairs(query: str) -> tuple[tuple[str, str], ...]:
    """Split a query into keys and values, in order and decoded as forms are (WHATWG URL section 5.1).

    `+` is a space, a key without `=` has an empty value, empty pieces between `&` are skipped.

    Raises:
        BadTarget: `#`, `;`, a control character, non-ASCII, an invalid escape, or escapes that aren't UTF-8.

    """
    if not _QUERY.fullmatch(query):
        raise BadTarget("the query has a character that must be escaped, or an invalid escape")
    pairs = []
    for piece in query.split("&"):
        if piece:
            key, _, value = piece.partition("=")
            pairs.append((_form_decoded(key), _form_decoded(value)))
    return tuple(pairs)


def duplicate_keys(query: str) -> tuple[str, ...]:
    """List the keys that stand more than once, in lower case, in order of first sight.

    Keys that differ only in case are one key: servers disagree on it. Some operations do repeat a key, for a
    list: `Traits.repeatable` in the catalogue names those.

    Raises:
        BadTarget: as `query_pairs`.

    """
    counts = Counter(key.lower() for key, _ in query_pairs(query))
    return tuple(key for key, count in counts.items() if count > 1)


def _ascii(unverified_target: str | bytes) -> str:
    try:
        if isinstance(unverified_target, bytes):
            return unverified_target.decode("ascii")
        unverified_target.encode("ascii")
    except UnicodeError:
        raise BadTarget("the request target has bytes that must be escaped") from None
    return unverified_target


def _normal_escapes(path: str) -> str:
    if not _PATH.fullmatch(path):
        raise BadTarget("the path has a character that must be escaped, or an invalid escape")
    return _ESCAPE.sub(_normal_escape, path)


def _normal_escape(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    character = chr(code)
    if character in _UNRESERVED:
        return character
    if character in _STRUCTURAL:
        raise BadTarget("the path has an escaped delimiter")
    if code < _FIRST_PRINTABLE or code == _DELETE:
        raise BadTarget("the path has an escaped control character")
    return match[0].upper()


def _decoded(segment: str) -> str:
    if "%" not in segment:
        return segment
    text = _utf8(segment)
    if text != text.strip():
        raise BadTarget("the path has a segment that begins or ends with a space")
    if text.isascii():
        return text
    for character in text:
        # FULLWIDTH SOLIDUS and its like turn into ASCII, a slash among it, on servers that fold Unicode.
        if not character.isascii() and any(c.isascii() for c in unicodedata.normalize("NFKC", character)):
            raise BadTarget("the path has a character that some servers take for an ASCII one")
        if unicodedata.category(character) == "Cc":
            raise BadTarget("the path has an escaped control character")
    return text


def _form_decoded(piece: str) -> str:
    if "%" not in piece:
        return piece.replace("+", " ")
    text = _utf8(piece.replace("+", " "))
    if "\0" in text:
        raise BadTarget("the query has an escaped NUL")
    return text


def _utf8(escaped: str) -> str:
    # Strict: overlong forms and surrogates (RFC 3629 section 3) are errors here, and slashes elsewhere.
    try:
        return unquote_to_bytes(escaped).decode("utf-8")
    except UnicodeDecodeError:
        raise BadTarget("the request target has escapes that are not UTF-8") from None
