"""What of a recorded call may be sent again, and what may not."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from addons.core import hosts
from addons.core.agent_keys import DROPPED_HEADERS, without_key_in_path, without_keys_in_query
from addons.core.body import BodyTooLarge, UndecodableBody, decode_body
from addons.core.catalogue import Catalogue
from addons.core.model import Operation, Risk
from addons.core.redact.masking.mask import contains_mask
from addons.core.request_target import BadTarget, normalise
from addons.replaying.exchange import Exchange, Fields

_LIMIT = 64 * 1024 * 1024
_READS = frozenset({Risk.READ, Risk.SENSITIVE_READ})
# Who the recorded caller was, what he asked a proxy for, and how his connection went: all that is the
# replaying person's own now.
_LEFT_OUT = DROPPED_HEADERS | {
    *(b"connection", b"content-length", b"expect", b"host", b"http2-settings", b"keep-alive"),
    *(b"prefer", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer"),
    *(b"transfer-encoding", b"upgrade", b"x-ddgate-identity", b"x-ddgate-intent", b"x-ddgate-call"),
}


# A signed token, under whatever name: somebody else's identity is not sent as one's own.
_TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]")


class NotSendable(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """A recorded call that is not sent again; the text says why."""


@dataclass(frozen=True, slots=True)
class Resent:
    """What is sent: through the gateway, to `host` over TLS, `authority` being its Host field.

    `operation` is what the catalogue takes the call for now, whatever the recording says.
    """

    method: str
    host: str
    port: int
    authority: str
    target: str
    headers: Fields = field(repr=False)
    body: bytes = field(repr=False)
    operation: Operation | None

    @property
    def is_read(self) -> bool:
        return self.operation is not None and self.operation.risk in _READS

    @property
    def shown(self) -> str:
        return f"{self.method} {self.host}{self.target}"


def resent(exchange: Exchange, catalogue: Catalogue, identity_headers: Collection[str] = ()) -> Resent:
    """Make what is sent: without recorded credentials and identity (`identity_headers` are the names of more
    fields that carry one), whatever recorded it.

    Raises NotSendable: the recording doesn't hold the call whole, holds masks in place of secrets, or it
    isn't one that goes through the gateway.
    """
    if exchange.scheme != "https":
        raise NotSendable("it was recorded over plain HTTP, and the gateway reaches Datadog by https alone")
    if exchange.body is None:
        what = f", only `{exchange.unstored}`" if exchange.unstored else ""
        raise NotSendable(f"the recording doesn't hold its body{what}")
    dropped = _LEFT_OUT | {name.lower().encode() for name in identity_headers}
    headers = tuple(
        (name, value)
        for name, value in exchange.headers
        if name.lower().replace(b"_", b"-") not in dropped and not _TOKEN.search(value)
    )
    target = _without_keys(exchange.target)
    for what, data in (("path or query", target.encode("utf-8", "surrogateescape")), *_named(headers)):
        if contains_mask(data):
            raise NotSendable(_masked(what))
    body = _decoded(exchange.body, exchange.values(b"content-encoding"))
    if contains_mask(body) or contains_mask(body.replace(b"\0", b"")):  # UTF-16 and UTF-32, too
        raise NotSendable(_masked("body"))
    if not target.isascii() or not target.isprintable() or " " in target:
        raise NotSendable("its path or query has characters that no request line can have")
    named = exchange.values(b"host")
    return Resent(
        method=exchange.method,
        host=exchange.host,
        port=exchange.port,
        authority=named[0] if named else exchange.host,
        target=target,
        headers=headers,
        body=exchange.body,
        operation=_operation(exchange, target, catalogue),
    )


def _masked(what: str) -> str:
    return f"its {what} holds a mask in place of a secret that the recording doesn't have"


def _named(headers: Fields) -> list[tuple[str, bytes]]:
    return [(f"header {name.decode('latin-1')[:60]!r}", value) for name, value in headers]


def _without_keys(target: str) -> str:
    path, _, query = target.partition("?")
    path, query = without_key_in_path(path), without_keys_in_query(query)
    return f"{path}?{query}" if query else path


def _decoded(body: bytes, encodings: list[str]) -> bytes:
    """Give what a mask could stand in; the body as it is where it can't be decoded, as nobody else can."""
    try:
        return decode_body(body, ", ".join(encodings), limit=_LIMIT)
    except (UndecodableBody, BodyTooLarge):
        return body


def _operation(exchange: Exchange, target: str, catalogue: Catalogue) -> Operation | None:
    name = hosts.normalise_host(exchange.host)
    host = hosts.lookup(name) if name else None
    try:
        return None if host is None else catalogue.resolve(exchange.method, normalise(target).segments, host)
    except BadTarget:
        return None
