"""HTTP/1 heads as the listener reads and writes them (RFC 9112), and the answers it makes itself.

Only what can be read in one way is read: no folded lines, no bare line feeds, no two lengths.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}) ([\x21-\x7e]+) (HTTP/1\.[01])")
_STATUS_LINE = re.compile(r"HTTP/1\.[01] ([1-5][0-9]{2})(?: .*)?")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_PORT_LIMIT = 65536
_HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "proxy-authenticate",
        "te",
        "upgrade",
    )
)


class MalformedHeadError(ValueError):
    """The text says what is wrong and repeats nothing of what was sent."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """`fields` in the order and spelling they came in."""

    method: str
    target: str
    version: str
    fields: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name]

    def end_to_end(self) -> list[tuple[str, str]]:
        """List what a proxy hands on: no field for this connection alone (RFC 9110 section 7.6.1)."""
        named = {part.strip().lower() for value in self.values("connection") for part in value.split(",")}
        # Framing can't be switched off by naming it in Connection.
        dropped = _HOP_BY_HOP | (named - {"transfer-encoding", "content-length", "host"})
        return [(key, value) for key, value in self.fields if key.lower() not in dropped]


@dataclass(frozen=True, slots=True)
class Authority:
    """`host` without brackets, in ASCII; not looked up anywhere yet."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_request_head(raw: bytes) -> RequestHead:
    """Read a head up to and with its empty line. Raises MalformedHeadError."""
    first, fields = _lines(raw)
    if (match := _REQUEST_LINE.fullmatch(first)) is None:
        raise MalformedHeadError("the request line is malformed")
    return RequestHead(match[1], match[2], match[3], fields)


def parse_status(raw: bytes) -> tuple[int, tuple[tuple[str, str], ...]]:
    """Status and fields of an answer's head. Raises MalformedHeadError."""
    first, fields = _lines(raw)
    if (match := _STATUS_LINE.fullmatch(first)) is None:
        raise MalformedHeadError("the status line is malformed")
    return int(match[1]), fields


def parse_authority(text: str, default_port: int | None = None) -> Authority:
    """`host:port` (RFC 9110 section 7.2), or a host alone if there is a default. Raises MalformedHeadError.

    Host names are ASCII letters, digits, `.`, `-` and `_`: what a resolver could turn into another name
    (percent escapes, full-width dots) is refused.
    """
    host, colon, port = text.rpartition(":") if re.search(r":[0-9]*\Z", text) else (text, "", "")
    number = int(port) if port.isdecimal() and len(port) <= len("65535") else default_port
    if not _HOST.fullmatch(host) or (colon and not port) or number is None or not 0 < number < _PORT_LIMIT:
        raise MalformedHeadError("the target must be host:port")
    return Authority(host.strip("[]"), number)


def split_absolute(target: str) -> tuple[str, Authority, str]:
    """Scheme, authority and origin form of an absolute-form target (RFC 9112 section 3.2.2).

    Raises MalformedHeadError, for user information in it too.
    """
    match = re.fullmatch(r"(https?)://([^/?#]+)([^#]*)", target, re.IGNORECASE)
    if match is None:
        raise MalformedHeadError("this is a proxy: send CONNECT host:port, or a whole http:// URL")
    scheme = match[1].lower()
    authority = parse_authority(match[2], 443 if scheme == "https" else 80)
    path = match[3]
    return scheme, authority, path if path.startswith("/") else f"/{path}"


def request_head(method: str, target: str, fields: Iterable[tuple[str, str]]) -> bytes:
    lines = (f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields))
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def json_answer(status: int, message: str) -> bytes:
    """Make an answer of the listener's own, in the form that Datadog's clients read: `{"errors": [...]}`."""
    body = json.dumps({"errors": [f"ddgate run: {message}"]}).encode()
    fields = ["Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        fields.append('Proxy-Authenticate: Basic realm="ddgate run"')
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n" + "".join(f"{field}\r\n" for field in fields)
    return head.encode() + b"\r\n" + body


def _lines(raw: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    first, *rest = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    fields = []
    for line in rest:
        if (match := _FIELD.fullmatch(line)) is None:
            raise MalformedHeadError("a header line is malformed")
        fields.append((match[1], match[2]))
    return first, tuple(fields)
