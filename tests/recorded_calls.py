"""Calls written as recordings by the recorder's own hand, for tests of what reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mitmproxy import http
from mitmproxy.test import tflow

from addons import flowstate
from addons.core import hosts
from addons.core.body import encode_body
from addons.core.catalogue import Catalogue
from addons.core.model import Actor, Effect, Json, Principal, Reason, Refusal
from addons.core.policy.request import Decision
from addons.core.request_target import BadTarget, normalise
from addons.flowstate import Stage, StoredMessage
from addons.recorder import Recorder
from addons.store.recordings.segments import SegmentLimits, SegmentWriter

ISSUER = "https://issuer.example"
API = "api.datadoghq.com"
MONDAY = 1772409600.0  # 2026-03-02, midnight in UTC
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class MadeCall:
    """One call as it went. `path` has the query; `rule` and `reason` are what was decided; `refused` why
    ddgate answered itself; `stored` is False where the body was not kept."""

    method: str
    path: str
    subject: str | None = "agent"
    groups: tuple[str, ...] = ("agents",)
    at: float = MONDAY
    body: bytes = b""
    content_type: str = "application/json"
    encoding: str = ""
    host: str = API
    issuer: str = ISSUER
    on_behalf_of: str | None = None
    claims: Mapping[str, Json] = field(default_factory=dict)
    actors: tuple[Actor, ...] = ()
    effect: Effect | None = Effect.ALLOW
    reason: Reason = Reason.ALLOWED
    rule: str | None = "all"
    refused: Reason | None = None
    status: int = 200
    request_findings: Mapping[str, int] = field(default_factory=dict)
    answer_findings: Mapping[str, int] = field(default_factory=dict)
    stored: bool = True
    id: str = ""


class CallMaker:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._recorder = Recorder("http://127.0.0.1:8080")
        self._client, self._server = tflow.tclient_conn(), tflow.tserver_conn()

    def serialised(self, made: MadeCall) -> tuple[str, bytes]:
        """The call's id, and the flow's bytes as the gateway records them."""
        flow = http.HTTPFlow(self._client, self._server)
        raw = encode_body(made.body, made.encoding)
        fields = [(b"Host", made.host.encode())]
        if raw:
            fields += [(b"Content-Type", made.content_type.encode()), (b"Content-Length", b"%d" % len(raw))]
        if made.encoding:
            fields.append((b"Content-Encoding", made.encoding.encode()))
        flow.request = http.Request.make(
            made.method, f"https://{made.host}{made.path}", raw, http.Headers(fields)
        )
        flow.request.path = made.path
        flow.request.timestamp_start = made.at
        flow.request.timestamp_end = made.at + 0.01
        call = flowstate.call_of(flow)
        call.id = made.id or call.id
        self._fill(call, made, fields, raw)
        flow.response = http.Response.make(made.status, b"{}", {"Content-Type": "application/json"})
        flow.response.timestamp_start = flow.response.timestamp_end = made.at + 0.1
        call.answer = flow.response
        call.stored_answer = StoredMessage(
            tuple(flow.response.headers.fields), b"{}", 2, "sha256:", findings=made.answer_findings
        )
        self._recorder.response(flow)
        assert call.recorded_flow is not None
        return call.id, call.recorded_flow

    def _fill(
        self, call: flowstate.Call, made: MadeCall, fields: list[tuple[bytes, bytes]], raw: bytes
    ) -> None:
        call.host = hosts.lookup(made.host)
        if made.subject is not None:
            call.principal = Principal(
                issuer=made.issuer,
                subject=made.subject,
                groups=frozenset(made.groups),
                expires=made.at + 600,
                on_behalf_of=made.on_behalf_of,
                claims=made.claims,
                actors=made.actors,
            )
        try:
            call.target = normalise(made.path)
        except BadTarget:
            call.target = None
        if call.target is not None and call.host is not None:
            call.operation = self._catalogue.resolve(made.method, call.target.segments, call.host)
        if made.effect is not None:
            permitted = made.effect is Effect.ALLOW
            call.decision = Decision(
                made.effect, made.reason, permitted, made.rule, (), "", "sha256:0123456789abcdef"
            )
        if made.refused is not None:
            call.refusal = Refusal(403, made.refused, "", rule=made.rule)
        call.body_size = len(made.body)
        call.permits.add(Stage.BODY)
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        call.stored_request = StoredMessage(
            tuple(fields),
            raw if made.stored else None,
            len(raw),
            digest,
            made.path,
            made.request_findings,
        )


def write_recording(directory: Path, calls: Iterable[MadeCall], catalogue: Catalogue) -> list[str]:
    """Write the calls as segments; gives their ids in order."""
    directory.mkdir(parents=True, exist_ok=True)
    writer, maker = SegmentWriter(directory, SegmentLimits(min_free_bytes=0)), CallMaker(catalogue)
    identifiers = []
    for made in calls:
        identifier, flow = maker.serialised(made)
        identifiers.append(identifier)
        writer.append(flow)
    writer.rotate()
    return identifiers
