"""What the other ends know: the stand-in, the audit log, the recording. The demo believes nothing else."""

from __future__ import annotations

import base64
import http.client
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mitmproxy import exceptions
from mitmproxy import http as mitmproxy_http
from mitmproxy.io import FlowReader

from addons.cli.demo.teller import ClaimFailed
from addons.core.model import Json, Reason
from addons.store.audit.record import RecordKind, SegmentRef
from addons.store.recordings.segment_reader import read_flow
from addons.store.state_dir import StateDir
from addons.store.trail import reader

_PERMITTED = {"allow": "allowed", "require_approval": "approved"}
_OWN_READ = "the gateway's own look"


@dataclass(frozen=True, slots=True)
class Received:
    """One request as the stand-in got it, and what it answered."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int | None
    answer: bytes

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name]

    @property
    def everything(self) -> bytes:
        return f"{self.path} {self.headers}".encode() + self.body


@dataclass(frozen=True, slots=True)
class Entry:
    """One audit record, less what the demo doesn't look at. Words that a record doesn't have are empty."""

    kind: str
    call: str
    approval: str
    who: str
    on_behalf_of: str
    token_id: str
    groups: tuple[str, ...]
    operation: str
    effect: str
    reason: str
    rule: str
    status: int | None
    findings: Mapping[str, int]
    segment: SegmentRef | None
    text: str = field(repr=False)

    @property
    def is_end(self) -> bool:
        """The last word on a call: how it ended, or that it was refused."""
        return self.kind in {RecordKind.OUTCOME, RecordKind.REFUSED, RecordKind.TUNNEL_REFUSED}

    @property
    def verdict(self) -> str:
        if not self.is_refused:
            return f"{_PERMITTED.get(self.effect, self.effect)}: {self.rule}" if self.rule else _OWN_READ
        return f"denied: {self.rule if self.reason == Reason.DENIED_BY_RULE else self.reason}"

    @property
    def is_refused(self) -> bool:
        return self.kind != RecordKind.OUTCOME


class Evidence:
    """Asks the stand-in's admin port, and reads the state directory as anybody with the right to could."""

    def __init__(self, admin_port: int, state: StateDir) -> None:
        self._admin_port = admin_port
        self._state = state

    def received(self, method: str = "", path: str = "") -> list[Received]:
        """All requests in the order of their arrival, or those of one kind."""
        connection = http.client.HTTPConnection("127.0.0.1", self._admin_port, timeout=10)
        try:
            connection.request("GET", "/requests")
            entries = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        everything = [
            Received(
                entry["method"],
                entry["path"],
                tuple((name, value) for name, value in entry["headers"]),
                base64.b64decode(entry["body_b64"]),
                entry["status"],
                base64.b64decode(entry["answer_b64"]),
            )
            for entry in entries
        ]
        return [one for one in everything if one.method.startswith(method) and one.path.startswith(path)]

    def forget_received(self) -> None:
        """What has come so far isn't part of the story."""
        connection = http.client.HTTPConnection("127.0.0.1", self._admin_port, timeout=10)
        try:
            connection.request("DELETE", "/requests")
            connection.getresponse().read()
        finally:
            connection.close()

    def steps_of(self, approval: str) -> list[Entry]:
        """What is on record of one approval, in order."""
        return [entry for entry in self.entries() if entry.approval == approval]

    def entries(self) -> list[Entry]:
        """The whole trail."""
        records = reader.tail(self._state.audit_log, 0, follow=False)
        return [_entry(stored.to_json(), stored.body) for stored in records]

    def ends(self, after: int = 0) -> list[Entry]:
        """How each call ended, without the first `after`."""
        return [entry for entry in self.entries() if entry.is_end][after:]

    def end_of(self, operation: str, after: int = 0) -> Entry:
        """How the only call of an operation ended. Raises ClaimFailed where it isn't on record just once."""
        found = [entry for entry in self.ends(after) if entry.operation == operation]
        if len(found) != 1:
            raise ClaimFailed(f"{operation} is on the audit trail once; found: {len(found)} times")
        return found[0]

    def recorded(self, entry: Entry) -> mitmproxy_http.HTTPFlow:
        """The recorded flow that a record points to, checked against its digest. Raises ClaimFailed."""
        if entry.segment is None:
            raise ClaimFailed(f"{entry.operation} is recorded; its audit record names no recording")
        flows = read_flows(read_flow(self._state.recordings, entry.segment))
        if len(flows) != 1:
            raise ClaimFailed(f"{entry.operation} is recorded as one flow; found: {len(flows)}")
        return flows[0]

    def recording(self) -> bytes:
        """All segments in one: a segment is a row of flows, and so is this."""
        return b"".join(path.read_bytes() for path in sorted(self._state.recordings.glob("*.mitm*")))

    def readable(self) -> Iterator[tuple[str, bytes]]:
        """(where, bytes) of everything that the gateway stored, and of the bodies in it, decoded."""
        for path in sorted(self._state.path.rglob("*")):
            if path.is_file() and "sandbox" not in path.relative_to(self._state.path).parts:
                yield str(path.relative_to(self._state.path)), path.read_bytes()
        for flow in read_flows(self.recording()):
            yield f"the recorded {flow.request.path}", _without_coding(flow)
        for entry in self.entries():
            body = json.loads(entry.text).get("attributes", {}).get("request", {}).get("body_base64", "")
            yield f"the audit record of {entry.operation}", base64.b64decode(body)


def read_flows(data: bytes) -> list[mitmproxy_http.HTTPFlow]:
    """As stock mitmproxy reads them. Raises ClaimFailed where it can't."""
    try:
        found = list(FlowReader(io.BytesIO(data)).stream())
    except exceptions.FlowReadException as error:
        raise ClaimFailed(f"mitmproxy reads the recording; found: {error}") from None
    return [flow for flow in found if isinstance(flow, mitmproxy_http.HTTPFlow)]


def first_place(secrets: Iterable[str], places: Iterable[tuple[str, bytes]]) -> str | None:
    """Where the first of the secrets stands, or None."""
    sought = [secret.encode() for secret in secrets]
    return next((where for where, data in places if any(secret in data for secret in sought)), None)


def file_places(directory: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield path.name, path.read_bytes()


def _without_coding(flow: mitmproxy_http.HTTPFlow) -> bytes:
    answer = b"" if flow.response is None else flow.response.get_content(strict=False) or b""
    return (flow.request.get_content(strict=False) or b"") + answer


def _entry(record: Mapping[str, Json], text: str) -> Entry:
    actor, decision = _part(record, "actor"), _part(record, "decision")
    status, findings = _part(record, "http_response").get("status"), _part(record, "findings")
    groups = actor.get("groups")
    return Entry(
        kind=_word(record, "kind"),
        call=_word(record, "call"),
        approval=_word(record, "approval"),
        who=_word(actor, "subject"),
        on_behalf_of=_word(record, "on_behalf_of"),
        token_id=_word(actor, "token_id"),
        groups=tuple(str(group) for group in groups) if isinstance(groups, list) else (),
        operation=_word(_part(record, "api"), "operation"),
        effect=_word(decision, "effect"),
        reason=_word(decision, "reason"),
        rule=_word(decision, "rule"),
        status=status if isinstance(status, int) else None,
        findings={name: count for name, count in findings.items() if isinstance(count, int)},
        segment=_segment(_part(record, "recording")),
        text=text,
    )


def _segment(part: Mapping[str, Json]) -> SegmentRef | None:
    match part:
        case {"segment": str(name), "offset": int(offset), "length": int(length), "sha256": str(digest)}:
            return SegmentRef(name, offset, length, digest)
    return None


def _part(record: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    part = record.get(name)
    return part if isinstance(part, dict) else {}


def _word(record: Mapping[str, Json], name: str) -> str:
    word = record.get(name)
    return word if isinstance(word, str) else ""
