"""Which header fields an approved call forwards: none that could change what the call does and is not part of
its digest.
"""

from __future__ import annotations

from collections.abc import Iterable

BOUND = frozenset(
    {
        # conditions (RFC 9110 section 13): a write that was to be made under them alone
        *(b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"),
        # the one parameter of a write that Datadog's API takes as a header of its own
        b"ti_vendor",
        # datadog-ci's uploads say by it which of its commands they are
        *(b"dd-evp-origin", b"dd-evp-origin-version"),
    }
)
"""Fields that are part of the digest as they are."""

FORWARDED = BOUND | frozenset(
    {
        # part of the digest, as themselves or through the body
        *(b"host", b"content-type", b"content-encoding", b"idempotency-key"),
        # how the body travels
        *(b"content-length", b"transfer-encoding"),
        # what the client can read, and which client it is
        *(b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"user-agent"),
    }
)
SINGLE = frozenset({b"content-type", b"idempotency-key"})
"""Fields that mean nothing certain when they are there twice."""

_HARMLESS_CONNECTIONS = frozenset({b"close", b"keep-alive"})


def kept(fields: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """The fields of a request, as (name, value) in order, without those that an approved call may not carry.

    `Connection` stays where it names no other field (RFC 9110 section 7.6.1): whatever it names, somebody on
    the way would take out.
    """
    return tuple((name, value) for name, value in fields if _is_kept(name.lower(), value))


def bound(fields: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """The fields that change what the call does, their names in lower case, in order."""
    return tuple((name.lower(), value) for name, value in fields if name.lower() in BOUND)


def _is_kept(name: bytes, value: bytes) -> bool:
    return name in FORWARDED or (name == b"connection" and value.strip().lower() in _HARMLESS_CONNECTIONS)
