"""A call in the one form in which a stand-in compares calls: masked, its body taken apart."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, quote

from addons.core.agent_keys import without_key_in_path, without_keys_in_query
from addons.core.body import BodyTooLarge, UndecodableBody, decode_body
from addons.core.model import Json
from addons.core.policy.request import Masks
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.mask import UNREAD
from addons.core.redact.message_masks import MessageMasks
from addons.core.request_target import BadTarget, normalise
from addons.replaying.differences import without
from addons.replaying.exchange import Exchange
from addons.replaying.ignored import NOTHING, Ignored

_LIMIT = 64 * 1024 * 1024
_VISIBLE = string.ascii_letters + string.digits + string.punctuation
_JSON_STARTS = tuple(b"%c" % char for char in b'{["-0123456789tfn')
_FORM_OR_JSON = (b"{", b"[")  # curl says it is a form, whatever it sends
_BOUNDARY = re.compile(r"boundary=\"?([^\";,\s]{1,200})", re.IGNORECASE)

type Pairs = tuple[tuple[str, str], ...]


class BodyKind(StrEnum):
    EMPTY = "empty"
    JSON = "json"
    FORM = "form"
    TEXT = "text"
    DIGEST = "digest"  # not stored, or not to be masked: its HMAC alone


@dataclass(frozen=True, slots=True)
class Body:
    """`value` is of the kind: a JSON value, sorted pairs as lists, or text (Latin-1 of the bytes)."""

    kind: BodyKind
    value: Json = field(default=None, repr=False)

    def text(self) -> str:
        """Give its one text, for storing and for telling it from others."""
        return f"{self.kind} {json.dumps(self.value, sort_keys=True, separators=(',', ':'))}"


@dataclass(frozen=True, slots=True)
class Asked:
    """`host` is None where any will do. `query` is sorted: the order of parameters says nothing."""

    method: str
    host: str | None
    path: str
    query: Pairs
    body: Body

    def key(self) -> tuple[Pairs, bytes]:
        return self.query, hashlib.sha256(self.body.text().encode()).digest()

    @property
    def shown(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.query)
        return f"{self.method} {self.host or ''}{self.path}{'?' if query else ''}{query}"


@dataclass(frozen=True, slots=True)
class Asking:
    """Puts calls into that form. `digest_key` is the one under which recordings tell of bodies that they
    don't hold. What `ignored` names is left out of it, a time for instance.
    """

    masks: MessageMasks
    digest_key: bytes = field(repr=False)
    ignored: Ignored = NOTHING

    def recorded(self, exchange: Exchange) -> Asked:
        """What ddgate recorded is masked already."""
        path, query = _split(exchange.target)
        if not exchange.by_ddgate:
            path, query = self._masked_target(exchange.target)
        headers = {
            name: next(iter(exchange.values(name.encode())), "")
            for name in ("content-type", "content-encoding")
        }
        if exchange.body is None:
            digest = _told_digest(exchange.unstored)
            body = Body(BodyKind.DIGEST, digest) if digest else Body(BodyKind.EMPTY)
        else:
            body = self._body(exchange.body, headers, is_masked=exchange.by_ddgate)
        return Asked(exchange.method, exchange.host, path, self._pairs(query), body)

    def incoming(
        self, method: str, host: str | None, target: str, headers: Mapping[str, str], body: bytes
    ) -> Asked:
        """`headers` by lower-case name."""
        path, query = self._masked_target(target)
        return Asked(method, host, path, self._pairs(query), self._body(body, headers, is_masked=False))

    def digest(self, raw: bytes) -> str:
        """Give the digest of a body as it travelled that a recording tells instead of it."""
        return f"hmac-sha256:{hmac.digest(self.digest_key, raw, 'sha256').hex()}"

    def _masked_target(self, target: str) -> tuple[str, str]:
        """As the gateway makes it: in normal form, without keys, masked."""
        path, query = _split(target)
        try:
            normal = normalise(target)
            path, query = normal.path, normal.query
        except BadTarget:
            pass  # the gateway would refuse it; it won't be found
        query = without_keys_in_query(query)
        plain = quote(without_key_in_path(path) + (f"?{query}" if query else ""), safe=_VISIBLE)
        try:
            return _split(self.masks.secrets.scrub_url(plain).text)
        except TooComplex:
            return path, UNREAD

    def _body(self, raw: bytes, headers: Mapping[str, str], *, is_masked: bool) -> Body:
        if not raw:
            return Body(BodyKind.EMPTY)
        content_type = headers.get("content-type", "")
        try:
            decoded = decode_body(raw, headers.get("content-encoding"), limit=_LIMIT)
            if not is_masked:
                decoded = self.masks.apply(Masks(detect=self.masks.stored), decoded, content_type).data
        except (UndecodableBody, BodyTooLarge, TooComplex):
            return Body(BodyKind.DIGEST, self.digest(raw))
        body = parsed(decoded, content_type)
        if body.kind is BodyKind.JSON and self.ignored.paths:
            with contextlib.suppress(RecursionError):
                return Body(BodyKind.JSON, without(body.value, self.ignored.paths))
        return body

    def _pairs(self, query: str) -> Pairs:
        return tuple(pair for pair in _pairs(query) if pair[0] not in self.ignored.query)


def parsed(decoded: bytes, content_type: str) -> Body:
    if decoded.strip() in {b"", b"null"}:  # the second is what the asynchronous API client sends for no body
        return Body(BodyKind.EMPTY)
    is_form = "x-www-form-urlencoded" in content_type.lower()
    if decoded.lstrip()[:1] in (_FORM_OR_JSON if is_form else _JSON_STARTS):
        try:
            return Body(BodyKind.JSON, json.loads(decoded))
        except (ValueError, RecursionError):
            pass  # several in a row, or text
    if is_form:
        pairs = _pairs(decoded.decode("latin-1"))
        return Body(BodyKind.FORM, [[name, value] for name, value in pairs])
    text = decoded.decode("latin-1")
    if (found := _BOUNDARY.search(content_type)) is not None:  # another one each time
        text = text.replace(found[1], "boundary")
    return Body(BodyKind.TEXT, text)


def _split(target: str) -> tuple[str, str]:
    path, _, query = target.partition("?")
    return path, query


def _pairs(query: str) -> Pairs:
    return tuple(sorted(parse_qsl(query, keep_blank_values=True, errors="backslashreplace")))


def _told_digest(unstored: str) -> str:
    """Take the digest out of `[ddgate: N bytes, DIGEST; not stored]`."""
    return unstored.partition(", ")[2].partition(";")[0]
