"""No record, no forward: `attempted` is durable before a request leaves, `outcome` before the agent has the
whole answer, and every refusal is a record too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import time

from mitmproxy import http

from addons import flowstate
from addons.answers import NOT_PERMITTED, refuse
from addons.core.model import Json, Reason, Refusal
from addons.flowstate import MAX_METHOD, Call, Stage, StoredMessage
from addons.store import moment
from addons.store.approvals import runs as approval_runs
from addons.store.approvals.answers import KeptAnswer
from addons.store.audit.changes import Change, ChangeRefused, RefusedBecause
from addons.store.audit.record import AuditRecord, Base64Text, CallFacts, RecordKind, RecordRefused
from addons.store.writing.journal import Journal, JournalUnavailable

logger = logging.getLogger(__name__)

_UNAVAILABLE = Refusal(
    503,
    Reason.AUDIT_UNAVAILABLE,
    "the call can't be put on record, so it was not forwarded",
    "try again later; `/readyz` says what is wrong",
)
_TOO_LARGE = Refusal(413, Reason.BODY_TOO_LARGE, "the body is over the gateway's limit")
_MALFORMED = Refusal(400, Reason.MALFORMED_REQUEST, "the request is not well-formed HTTP")
_CLIENT_GONE = Refusal(0, Reason.CLIENT_GONE, "the client left before the call was decided on")
_CLIENT_LEFT = Refusal(429, Reason.CLIENT_GONE, "the client left while its call was held")
_FAILED = NOT_PERMITTED.reason
_ANSWERED = frozenset({Reason.GATEWAY_ANSWERED, Reason.ANSWERED_AGAIN})  # by the gateway, and no refusal
# How mitmproxy begins what it says of a client that left in the middle of a body.
_BROKEN_OFF = "HTTP/1 protocol error: peer closed connection"
_LEFT = "Client disconnected."  # mitmproxy's word for it, in the middle of an answer
_MAX_UNWRITTEN = 10_000
_GRANT_GONE = Refusal(
    409,
    Reason.APPROVAL_RUNNING,
    "the approval of this call was used, or taken back, a moment ago",
    "repeat the same request to hear what became of it",
    retry_after=1.0,
)
_IN_THREAD = 64 * 1024
_MAX_KEPT_ANSWER = 1024 * 1024
_END_FAILED = "its end could not be written down"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What approved calls need: the name of this process, and for how many seconds their answers are kept."""

    process: str
    replay_window: float


class Audit:
    """What can't be written when it is due is kept, as far as memory allows, and written by `retry`.

    The grant of an approved call is used up in the transaction of its `attempted` record, and what became of
    the call is put beside its outcome.
    """

    def __init__(self, journal: Journal, runs: RunSettings) -> None:
        self._journal = journal
        self._runs = runs
        self._unwritten: deque[tuple[AuditRecord | None, Change[object] | None]] = deque()

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        """A tunnel that opens is recorded by the calls in it; one that is refused is recorded here."""
        call = flowstate.call_of(flow)
        if call.refusal is not None:
            await self.settle(flow)
            return
        call.permits.add(Stage.AUDIT)

    async def request(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is not None or call.stages_missing - {Stage.AUDIT}:
            return
        request = call.stored_request
        assert request is not None  # noqa: S101 - the redaction stage has permitted
        as_sent = await _as_json(request)
        if call.refusal is not None or call.closed:
            return  # by a drain, or its client left, while a large body was put into the record's form
        record = AuditRecord(
            RecordKind.ATTEMPTED,
            call.started,
            call.id,
            _facts(flow, call),
            attributes={
                "request": as_sent,
                "credential": call.credential,
                "process": self._runs.process,
                **_verdict(call),
            },
        )
        if call.grant is not None and not flow.client_conn.connected:
            refuse(flow, call, _CLIENT_LEFT)  # its next identical call is executed for
            return
        call.attempted = True  # from here on what ends it, a drain above all, owes an outcome
        try:
            await self._journal.append([record], change=self._consumption(call))
        except ChangeRefused as refused:
            call.attempted = False
            gone = refused.reason is RefusedBecause.NOT_APPROVED
            refuse(flow, call, _GRANT_GONE if gone else _UNAVAILABLE)
            return
        except JournalUnavailable as error:
            logger.error("a call was refused, because it can't be put on record: %s", error)  # noqa: TRY400 - no traceback
            if call.grant is not None:  # it may have been written nevertheless
                self._keep(None, approval_runs.NotSent(call.grant.approval, call.id, moment.now()))
            call.attempted = False
            refuse(flow, call, _UNAVAILABLE)
            return
        if not call.closed:  # or its outcome is on record, and it must not run after that
            call.permits.add(Stage.AUDIT)

    async def response(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        is_whole = call.stream is None or call.stream.is_whole
        is_open = call.attempted and not call.closed and call.refusal is None
        if not (is_open and is_whole and call.recorded_flow is not None):
            await self.settle(flow)
            return
        call.closed = True
        record, change = self._outcome(flow, call, "answered"), self._end(call, "answered")
        try:
            await self._write(record, call.recorded_flow, change)
        except JournalUnavailable as error:
            logger.error("an answer is withheld, because it can't be put on record: %s", error)  # noqa: TRY400 - no traceback
            # With the same id: what failed at the last moment may be on the disk, and a call has one outcome.
            self._keep(replace(self._outcome(flow, call, _end_of(call)), id=record.id), change)
            return
        call.clearances.add(Stage.AUDIT)

    async def error(self, flow: http.HTTPFlow) -> None:
        """The call ended without an answer: refused by mitmproxy, broken off, or left by its client."""
        await self.settle(flow)

    async def settle(self, flow: http.HTTPFlow) -> None:
        """Records the end of a call that Datadog did not answer, once. A refusal stands whether or not it can
        be recorded: it forwards nothing.
        """
        call = flowstate.call_of(flow)
        if call.closed:
            return
        call.closed = True
        change = None
        if call.attempted:
            outcome = _end_of(call)
            record, change = self._outcome(flow, call, outcome), self._end(call, outcome)
        else:
            refusal = call.refusal or _told_by(flow)
            kind = RecordKind.TUNNEL_REFUSED if call.method == "CONNECT" else RecordKind.REFUSED
            if refusal.reason in _ANSWERED:
                kind = RecordKind.READ
            facts = replace(_facts(flow, call), reason=refusal.reason, status=refusal.status or None)
            record = AuditRecord(kind, call.started, call.id, facts, refusal.message, _verdict(call))
        try:
            await self._write(record, call.recorded_flow, change)
        except JournalUnavailable as error:
            logger.error("a %s record waits: %s", record.kind, error)  # noqa: TRY400 - no traceback
            self._keep(record, change)

    def keep(self, record: AuditRecord) -> None:
        """Hold a record that can't be written now, for `retry`."""
        self._keep(record, None)

    def _keep(self, record: AuditRecord | None, change: Change[object] | None) -> None:
        """Outcomes come first: refusals anyone can cause, in any number, and so push nothing out."""
        if record is None or record.kind is RecordKind.OUTCOME:
            self._unwritten.appendleft((record, change))
            if len(self._unwritten) > _MAX_UNWRITTEN:
                self._unwritten.pop()
        elif len(self._unwritten) < _MAX_UNWRITTEN:
            self._unwritten.append((record, change))

    async def retry(self) -> None:
        """Writes what could not be written when it was due."""
        while self._unwritten:
            record, change = self._unwritten.popleft()  # first: others may retry meanwhile
            try:
                await self._write(record, None, change)
            except JournalUnavailable:
                self._unwritten.appendleft((record, change))
                return
            except RecordRefused:
                # An append that fails at the last moment may have been written nevertheless.
                logger.warning("a record that waited is on record already: %s", record and record.kind)

    async def _write(
        self, record: AuditRecord | None, flow: bytes | None, change: Change[object] | None
    ) -> None:
        """Append the record even where the change beside it comes too late: it was made already, or what it
        is about went another way. One that fails leaves a call of which nobody can tell whether it ran.
        """
        records = [record] if record is not None else []
        for each in _ways_to_end(change):
            try:
                await self._journal.append(records, flow, change=each)
            except ChangeRefused as refused:
                logger.warning("the end of an approved call is told without its approval: %s", refused)
                if refused.reason is not RefusedBecause.FAILED:
                    break
            else:
                return
        if records:
            await self._journal.append(records, flow)

    def _consumption(self, call: Call) -> Change[object] | None:
        grant = call.grant
        if grant is None:
            return None
        return approval_runs.Consume(grant.approval, grant.digest, self._runs.process, call.id, moment.now())

    def _end(self, call: Call, outcome: str) -> Change[object] | None:
        """What becomes of the approval whose grant the call used up."""
        grant = call.grant
        if grant is None:
            return None
        at = moment.now()
        if outcome == "not sent":
            return approval_runs.NotSent(grant.approval, call.id, at)
        if call.answer is None:
            return approval_runs.Lost(grant.approval, call.id, at)
        kept = self._kept_answer(call) if outcome == "answered" else None
        return approval_runs.Ran(grant.approval, call.id, call.answer.status_code, kept, at)

    def _kept_answer(self, call: Call) -> KeptAnswer | None:
        """The answer for whoever repeats the call, as it is stored: redacted."""
        stored, answer = call.stored_answer, call.answer
        if stored is None or answer is None or stored.content is None:
            return None
        if len(stored.content) > _MAX_KEPT_ANSWER:
            return None
        return KeptAnswer(
            status=answer.status_code,
            reason=answer.data.reason,
            headers=stored.headers,
            content=stored.content,
            expires=time() + self._runs.replay_window,
        )

    def _outcome(self, flow: http.HTTPFlow, call: Call, outcome: str) -> AuditRecord:
        attributes: dict[str, Json] = {"outcome": outcome, "seconds": round(time() - call.started, 6)}
        if (answer := call.stored_answer) is not None:
            attributes["response_digest"] = answer.digest
        if outcome == "answered in part":
            attributes["because"] = _why_in_part(flow, call)
        return AuditRecord(RecordKind.OUTCOME, time(), call.id, _facts(flow, call), attributes=attributes)


def _ways_to_end(change: Change[object] | None) -> Sequence[Change[object]]:
    """The change, and what to do where it fails: an approval must not stay `executing` for ever."""
    if isinstance(change, (approval_runs.Ran, approval_runs.NotSent)):
        return (change, approval_runs.Lost(change.id, change.call, change.at, _END_FAILED))
    return () if change is None else (change,)


def _end_of(call: Call) -> str:
    if call.stream is not None:
        return "answered in part"
    if call.answer is not None:
        return "answer withheld"
    return "unknown" if call.head_sent else "not sent"


def _why_in_part(flow: http.HTTPFlow, call: Call) -> str:
    if call.refusal is not None:
        return call.refusal.message
    if flow.error is None:
        return "a stage of the gateway failed, or its end could not be put on record"
    if not flow.client_conn.connected or flow.error.msg == _LEFT:
        return "the client left"
    return "the upstream broke off"


def _told_by(flow: http.HTTPFlow) -> Refusal:
    """What mitmproxy's own error, if there is one, says of a call that no stage has refused."""
    if flow.error is None:
        return NOT_PERMITTED
    if flow.error.msg.startswith("Request body exceeds"):
        return _TOO_LARGE
    if flow.error.msg.startswith(_BROKEN_OFF):
        return _CLIENT_GONE
    if flow.error.msg.startswith(("Received ", "Invalid ", "mitmproxy received", "HTTP/1 protocol error")):
        return _MALFORMED
    return _CLIENT_GONE


def _facts(flow: http.HTTPFlow, call: Call) -> CallFacts:
    request, answer, decision = call.stored_request, call.stored_answer, call.decision
    findings: Mapping[str, int] = {}
    for stored in (request, answer):
        if stored is not None and stored.findings:
            findings = Counter(findings) + Counter(stored.findings)
    reason = call.refusal.reason if call.refusal else decision.reason if decision else None
    if reason is None and flow.response is not None:
        reason = _FAILED
    is_upstream = call.answer is not None and (call.refusal is None or call.stream is not None)
    response = call.answer if is_upstream else flow.response
    status = response.status_code if response is not None and answer is not None else None
    if status is None and call.refusal is not None:
        status = call.refusal.status
    peer = flow.client_conn.peername
    return CallFacts(
        principal=call.principal,
        operation=call.operation,
        effect=decision.effect if decision else None,
        reason=reason,
        rule=decision.rule if decision else None,
        reasons=decision.rules if decision else (),
        policy_revision=decision.revision if decision else None,
        approval=call.approval,
        method=flow.request.method[:MAX_METHOD],
        host=call.host.name if call.host else None,
        path=request.target if request is not None else None,
        request_length=request.length if request is not None else None,
        request_sha256=request.digest.removeprefix("sha256:")
        if request is not None and request.content is not None
        else None,
        status=status,
        response_length=answer.length if answer is not None else None,
        client=(str(peer[0]), int(peer[1])) if peer else None,
        findings=findings,
    )


def _verdict(call: Call) -> dict[str, Json]:
    """What else the decision says: shadow rules, the verdict that observing withholds, limits, whether bodies
    are left out of the record, and what was seen of the resource.
    """
    decision = call.decision
    said: dict[str, Json] = {}
    if call.resource is not None:
        said["target"] = call.resource
    if decision is None:
        return said
    if decision.shadow:
        said["shadow"] = [
            {"rule": hit.rule, "effect": hit.effect.value} | ({"error": True} if hit.is_error else {})
            for hit in decision.shadow
        ]
    if (withheld := decision.withheld) is not None:
        said["withheld"] = {
            "effect": withheld.effect.value,
            "reason": withheld.reason.value,
            "rule": withheld.rule,
        }
    if not call.stores_bodies:
        said["record"] = decision.record.value
    if decision.limits:
        said["limits"] = [use.name for use in decision.limits]
    return said


async def _as_json(stored: StoredMessage) -> Json:
    """The redacted request as it will be sent, less the credential: enough to say later what ran, even if
    the recording of its answer never came to be.
    """
    headers: list[Json] = [
        [name.decode("latin-1"), value.decode("latin-1")] for name, value in stored.headers
    ]
    form: dict[str, Json] = {"headers": headers}
    if stored.content is None:
        form["not_stored"] = {"length": stored.length, "digest": stored.digest}
    elif stored.content:
        form["body_base64"] = (
            await asyncio.to_thread(Base64Text, stored.content)
            if len(stored.content) > _IN_THREAD
            else Base64Text(stored.content)
        )
    return form
