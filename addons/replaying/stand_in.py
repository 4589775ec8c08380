"""A recording as Datadog: it answers recorded calls, and what it doesn't know with 404.

What comes in is masked as the recording was before it is compared, so that a client with other keys and other
secrets finds its answer. No key is checked: whoever reaches it may read the recording.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from addons.core import hosts
from addons.core.model import Json
from addons.replaying.asked import Asked, Asking
from addons.replaying.exchange import Fields
from addons.replaying.stand_in_calls import Group, KnownCall, StandInCalls
from addons.replaying.stand_in_nearest import cut, nearest

_NOT_FOUND = 404
# RFC 9110 section 7.6.1: for one hop. The length is that of what is sent now, and ddgate's own fields are
# those of the gateway in between, if there is one.
_NOT_GIVEN = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"trailer", b"upgrade"}
    | {b"proxy-authenticate", b"proxy-connection", b"te"}
)
_OWN = b"x-ddgate-"
# RFC 9110 sections 5.1 and 5.5: anybody may have written the recording.
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]$")


@dataclass(frozen=True, slots=True)
class Given:
    """What is sent back; `body` is under the Content-Encoding that the headers tell. `call` is the recorded
    call whose answer it is, None where there is none.
    """

    status: int
    headers: Fields
    body: bytes = field(repr=False)
    call: str | None = None


class StandIn:
    """With `once` each recorded answer is given once; otherwise the last one of a call again and again."""

    def __init__(self, calls: StandInCalls, asking: Asking, *, once: bool = False) -> None:
        self.calls = calls
        self._asking = asking
        self._once = once

    def answer(self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes) -> Given:
        """`headers` as they came. A Host on loopback stands for every recorded one."""
        fields = {name.lower(): value for name, value in headers}
        asked = self._asking.incoming(method, _host(fields.get("host", "")), target, fields, body)
        groups, _ = self.calls.find(asked)
        if not groups:
            return self._unknown(asked)
        group = next((each for each in groups if each.given < len(each.calls)), groups[-1])
        known = group.next_call(once=self._once)
        if known is None:
            return _not_found(
                f"the answers of {cut(asked.shown)} were given already: {len(group.calls)} recorded, "
                "each is given once",
                reason="given_already",
            )
        return _given(known, asked)

    def _unknown(self, asked: Asked) -> Given:
        found = nearest(self.calls, asked)
        text = f"no recorded call is {cut(asked.shown)}"
        if found is None:
            return _not_found(f"{text}; the recording is empty", reason="not_recorded")
        differs = list[Json](found.differs)
        near = found.group.asked().shown
        text = f"{text}; the nearest is {cut(near)}: {'; '.join(found.differs) or 'it differs in its form'}"
        return _not_found(text, reason="not_recorded", nearest=_told(found.group), differs=differs)


def _told(group: Group) -> Json:
    return {
        "call": group.calls[0].call,
        "method": group.method,
        "host": group.host,
        "path": cut(group.path),
        "query": [[cut(name), cut(value)] for name, value in group.query[:50]],
    }


def _given(known: KnownCall, asked: Asked) -> Given:
    answer = known.answer()
    if answer.body is None:
        return _not_found(
            f"the answer of {cut(asked.shown)} was too large or too deep to be stored, so that only its "
            f"status is known: {answer.status}",
            reason="not_stored",
        )
    headers = tuple(field for field in answer.headers if _is_given(*field))
    return Given(answer.status, headers, answer.body, known.call)


def _is_given(name: bytes, value: bytes) -> bool:
    lower = name.lower()
    if lower in _NOT_GIVEN or lower.startswith(_OWN):
        return False
    return _NAME.fullmatch(name) is not None and _CONTROL.search(value) is None


def _not_found(text: str, *, reason: str, **more: Json) -> Given:
    """Datadog's form of an error: every client of it looks for `errors`."""
    body = {"errors": [f"ddgate recordings serve: {text}"], "ddgate": {"reason": reason, **more}}
    return Given(_NOT_FOUND, ((b"Content-Type", b"application/json"),), json.dumps(body).encode())


def _host(authority: str) -> str | None:
    """Give the host of a Host field; None where it is this machine, or isn't told."""
    name = authority.strip()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    if not name or name.lower() == "localhost":
        return None
    try:
        return None if ipaddress.ip_address(name).is_loopback else name
    except ValueError:
        return hosts.normalise_host(name) or name.lower()
