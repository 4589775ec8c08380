"""Small parts of how a message is stored."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping

from mitmproxy import http

from addons.flowstate import StoredMessage

# Digests of a body (RFC 9530, RFC 3230, RFC 1864): untrue once it is masked, and good to test guesses with.
_DIGESTS = frozenset({b"content-digest", b"repr-digest", b"digest", b"content-md5"})


def without_digests(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [field for field in fields if field[0].lower() not in _DIGESTS]


def verbatim(response: http.Response | None) -> StoredMessage | None:
    """One of ddgate's own answers: there is nothing in it to mask."""
    if response is None:
        return None
    raw = response.raw_content or b""
    return StoredMessage(tuple(response.headers.fields), raw, len(raw), sha256_of(raw))


def sha256_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def together(*counts: Mapping[str, int]) -> dict[str, int]:
    total = Counter[str]()
    for each in counts:
        total.update(each)
    return dict(total)
