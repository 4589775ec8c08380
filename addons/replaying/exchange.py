"""One recorded call with its answer, whole: for a replay, and for a stand-in to answer by.

What a recording says of who called and what was decided then is for people and for choosing among calls.
Nothing is ever let through by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mitmproxy import http

from addons.core import hosts
from addons.store.recordings.flows import NOT_STORED, StoredFlow

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_LAST_TIME = 253_402_300_800.0  # the year 10000

type Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """As it is stored: `body` under its Content-Encoding, None where the recording doesn't hold it."""

    status: int
    headers: Fields = field(repr=False)
    body: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Exchange:
    """`call` is ddgate's call id, or the flow's where another program recorded it. `target` is path and
    query; `body` is under its Content-Encoding, None where the recording doesn't hold it, and then
    `unstored` says what it holds in its place. `refused` is why ddgate itself answered, if it did.
    """

    call: str
    at: float
    method: str
    scheme: str
    host: str
    port: int
    target: str
    headers: Fields = field(repr=False)
    body: bytes | None = field(repr=False)
    answer: RecordedAnswer | None
    unstored: str = ""
    by_ddgate: bool = False
    refused: str = ""
    who: str | None = None
    session: str | None = None
    operation: str | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}{self.target}"

    def values(self, name: bytes) -> list[str]:
        return values_of(self.headers, name)


def values_of(headers: Fields, name: bytes) -> list[str]:
    """Give the values of a field, `name` in lower case."""
    return [value.decode("latin-1") for each, value in headers if each.lower() == name]


def exchange_of(stored: StoredFlow) -> Exchange | None:
    """Read a flow; None where it is no HTTP call, or opens a tunnel.

    Raises one of `NOT_A_FLOW`: what is in a recording may be anybody's.
    """
    flow = stored.whole()
    if flow is None or flow.request.method.upper() == "CONNECT":
        return None
    request, facts = flow.request, flow.metadata
    body, unstored = _held(request.raw_content)
    at = request.timestamp_start
    if not isinstance(at, int | float) or not 0 <= at < _LAST_TIME:  # nor is NaN
        raise ValueError("no time")
    call = _identifier(facts.get("ddgate.call"))
    refused = _text(facts, "ddgate.reason") or "refused" if facts.get("ddgate.refused") is True else ""
    return Exchange(
        call=call or _identifier(flow.id) or "without an id",
        at=float(at),
        method=request.method,
        scheme=request.scheme.lower(),
        host=_host(request, by_ddgate=call is not None),
        port=int(request.port),
        target=request.path,
        headers=_fields(request),
        body=body,
        answer=_answer(flow.response),
        unstored=unstored,
        by_ddgate=call is not None,
        refused=refused,
        who=_text(facts, "ddgate.principal"),
        session=_text(facts, "ddgate.session"),
        operation=_text(facts, "ddgate.operation"),
    )


def _answer(response: http.Response | None) -> RecordedAnswer | None:
    if response is None:
        return None
    return RecordedAnswer(int(response.status_code), _fields(response), _held(response.raw_content)[0])


def _held(raw: object) -> tuple[bytes | None, str]:
    """Give the body, and what stands in its place where it was not stored."""
    if raw is None:
        return None, ""
    if not isinstance(raw, bytes):
        raise TypeError("no bytes")
    if NOT_STORED.fullmatch(raw) is not None:
        return None, raw.decode("ascii")
    return raw, ""


def _fields(message: http.Message) -> Fields:
    fields = tuple(message.headers.fields)
    if not all(isinstance(name, bytes) and isinstance(value, bytes) for name, value in fields):
        raise TypeError("no headers")
    return fields


def _host(request: http.Request, *, by_ddgate: bool) -> str:
    name = hosts.normalise_host(request.host) or request.host
    if hosts.lookup(name) is None and not by_ddgate:  # in a transparent proxy's recording it is an address
        shown = hosts.normalise_host(request.pretty_host)
        if shown is not None and hosts.lookup(shown) is not None:
            return shown
    return name


def _identifier(value: object) -> str | None:
    """It goes into a header and into the audit log, and anybody may have written the recording."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def _text(facts: dict[str, object], name: str) -> str | None:
    value = facts.get(name)
    return value if isinstance(value, str) and value else None
