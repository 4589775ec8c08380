"""The digest that binds an approval to one exact call, and the key of the thread that it stands in.

Both are HMACs (RFC 2104) with SHA-256 under the installation's own key, over a form in which every field is
there, in a fixed order, with its length before it: no two calls have the same form, wherever one field ends
and the next begins, and what is absent is not what is empty.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from addons.core.approvals.approval import Requester
from addons.core.approvals.media_type import MediaType, media_type
from addons.core.approvals.multipart import Part, parts_of
from addons.core.model import Operation

_CALL = b"ddgate call v1"
_THREAD = b"ddgate thread v1"
_ABSENT, _PRESENT = b"\x00", b"\x01"
_FORM = ("multipart", "form-data")


@dataclass(frozen=True, slots=True)
class DigestedCall:
    """What makes a call this one and no other. `query` is as it was sent, without its `?`; `content_type` the
    field's value; `body` is decoded, and not redacted; `bound` are other header fields that change what
    the call does.
    """

    issuer: str
    subject: str
    on_behalf_of: str | None
    credential: str
    method: str
    host: str
    path: str
    query: str
    content_type: str | None
    body: bytes
    idempotency_key: str | None
    bound: tuple[tuple[bytes, bytes], ...] = ()


def call_digest(key: bytes, call: DigestedCall) -> str:
    """The digest, in hex. It is the same for two calls that differ in the case of their media type, or, as
    clients do on every try, in the boundary of a form; otherwise for none.
    """
    return _hmac(key, (_CALL, *_call_fields(call)))


def thread_key(  # noqa: PLR0913, PLR0917 - as many parts as the key has
    key: bytes, requester: Requester, operation: Operation | None, method: str, host: str, path: str
) -> str:
    """What the calls of one agent run to one target share, in hex."""
    fields = (
        *(requester.issuer, requester.subject, requester.on_behalf_of, requester.session),
        *(operation.name if operation else None, operation.version if operation else None),
        *(method, host, path),
    )
    return _hmac(key, (_THREAD, *map(_text, fields)))


def _call_fields(call: DigestedCall) -> Iterator[bytes | None]:
    fields = (call.issuer, call.subject, call.on_behalf_of, call.credential)
    yield from map(_text, (*fields, call.method, call.host, call.path, call.query, call.idempotency_key))
    yield _packed(part for field in call.bound for part in field)
    media = media_type(call.content_type) if call.content_type is not None else None
    parts = parts_of(call.body, media) if media is not None and (media.type, media.subtype) == _FORM else None
    if media is None or (parts is None and media.type == "multipart"):
        # Not understood in all its parts, so it counts as it stands.
        yield from (b"as sent", _text(call.content_type), sha256(call.body).digest())
    elif parts is None:
        yield from (b"body", _packed(_media_fields(media)), sha256(call.body).digest())
    else:
        yield from (b"parts", _packed(_media_fields(media, without="boundary")))
        yield from (_packed(_part_fields(part)) for part in parts)


def _media_fields(media: MediaType, without: str = "") -> Iterator[bytes | None]:
    yield from map(_text, (media.type, media.subtype))
    for name, value in media.parameters:
        if name != without:
            yield from map(_text, (name, value.lower() if name == "charset" else value))


def _part_fields(part: Part) -> Iterator[bytes | None]:
    yield sha256(part.content).digest()
    for name, value in part.headers:
        yield from (name, value)


def _text(value: str | None) -> bytes | None:
    """Every text there is, half a surrogate pair too, has bytes of its own."""
    return None if value is None else value.encode("utf-8", "surrogatepass")


def _packed(fields: Iterable[bytes | None]) -> bytes:
    packed = [_ABSENT if one is None else _PRESENT + len(one).to_bytes(8) + one for one in fields]
    return len(packed).to_bytes(8) + b"".join(packed)


def _hmac(key: bytes, fields: Iterable[bytes | None]) -> str:
    if not key:
        raise ValueError("the key of the digests is empty: give at least 16 random bytes")
    return hmac.digest(key, _packed(fields), "sha256").hex()
