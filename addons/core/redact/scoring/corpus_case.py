"""A labelled message of a corpus that redaction is scored on: one line of JSON each.

Of each message: `id`, `url`, `headers` (an object), `body` with `body_encoding` (`utf-8` or `base64`), still
under `content_encoding` (`identity`, `gzip`, `deflate`, `deflate-raw`, `br`, `zstd`), `content_type`, and for
a stream `chunk_at`, the offsets at which its body is cut. One that hides something has `secret` (and `parts`,
where each of several strings is one), the strings to `keep`, `policy` (`secret` or `pii`), `tier` and
`family`; one that hides nothing has a `category`.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from itertools import pairwise

from addons.core.body import BodyTooLarge, UndecodableBody, decode_body

_MAX_DECODED = 64 * 1024 * 1024
_CODINGS = frozenset(("identity", "gzip", "deflate", "deflate-raw", "br", "zstd", "zstd1"))
_POLICIES = frozenset(("secret", "pii"))


class CaseInvalid(ValueError):  # noqa: N818 - named for what the caller is told
    """A line is no case; the text says what is wrong with it, and shows nothing of its content."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What a message hides, and what must stay: `pieces` are the secret, or its parts."""

    pieces: tuple[str, ...] = field(repr=False)
    keep: tuple[str, ...] = field(repr=False)
    pii: bool
    tier: str
    family: str


@dataclass(frozen=True, slots=True)
class Case:
    """One message. `body` is decoded; `hidden` is None for one that has to stay as it is."""

    id: str
    url: str
    headers: tuple[tuple[str, str], ...]
    content_type: str
    body: bytes = field(repr=False)
    hidden: Hidden | None
    category: str


def read_case(line: str, *, clean: bool) -> Case:
    """Read a line of `positives.jsonl`, or with `clean` of `negatives.jsonl`. Raises `CaseInvalid`."""
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        raise CaseInvalid("it is not JSON") from None
    if not isinstance(read, dict):
        raise CaseInvalid("it is no JSON object")
    fields: dict[str, object] = read
    headers = fields.get("headers")
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise CaseInvalid("`headers` is missing, or no object of strings")
    return Case(
        id=_text(fields, "id"),
        url=_text(fields, "url"),
        headers=tuple(headers.items()),
        content_type=_text(fields, "content_type").lower(),
        body=_body(fields),
        hidden=None if clean else _hidden(fields),
        category=_text(fields, "category") if clean else "",
    )


def _hidden(fields: dict[str, object]) -> Hidden:
    pieces = _texts(fields, "parts") if fields.get("parts") else (_text(fields, "secret"),)
    if not all(pieces):
        raise CaseInvalid("`secret`, or one of its `parts`, is empty")
    policy = _text(fields, "policy")
    if policy not in _POLICIES:
        raise CaseInvalid("`policy` is neither secret nor pii")
    tier, family = _text(fields, "tier"), _text(fields, "family")
    return Hidden(pieces, _texts(fields, "keep"), policy == "pii", tier, family)


def _body(fields: dict[str, object]) -> bytes:
    """What is no valid body of its coding is taken as it is."""
    text, encoding = _text(fields, "body"), _text(fields, "body_encoding")
    if encoding == "base64":
        try:
            raw = base64.b64decode(text)
        except (binascii.Error, ValueError):
            raise CaseInvalid("`body` is not base64, as its `body_encoding` says") from None
    elif encoding == "utf-8":
        raw = text.encode("utf-8", "surrogatepass")
    else:
        raise CaseInvalid("`body_encoding` is neither utf-8 nor base64")
    _check_cuts(fields.get("chunk_at", []), len(raw))
    coding = _text(fields, "content_encoding").lower()
    if coding not in _CODINGS:
        raise CaseInvalid("`content_encoding` is none that is known")
    try:
        return decode_body(raw, "deflate" if coding == "deflate-raw" else coding, limit=_MAX_DECODED)
    except (UndecodableBody, BodyTooLarge):
        return raw


def _check_cuts(cuts: object, size: int) -> None:
    """A stream is put together before it is masked, so where it is cut says nothing but that it is one."""
    good = isinstance(cuts, list) and all(isinstance(cut, int) and 0 <= cut <= size for cut in cuts)
    if not good or not isinstance(cuts, list) or any(one >= other for one, other in pairwise(cuts)):
        raise CaseInvalid("`chunk_at` is no list of rising offsets into the body")


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise CaseInvalid(f"`{name}` is missing, or no string")
    return value


def _texts(fields: dict[str, object], name: str) -> tuple[str, ...]:
    value = fields.get(name)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise CaseInvalid(f"`{name}` is missing, or no list of strings")
    return tuple(value)
