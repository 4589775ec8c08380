"""No record, no forward: `attempted` is durable before a request leaves, `outcome` before the agent has the
whole answer, and every refusal is a record too.
"""

from __future__ import annotations

import base64
import logging
from collections import Counter
from collections.abc import Mapping
from time import time

from mitmproxy import http

from addons import flowstate
from addons.answers import NOT_PERMITTED, refuse
from addons.core.model import Json, Reason, Refusal
from addons.flowstate import Call, Stage, StoredMessage
from addons.store.audit_record import AuditRecord, CallFacts, RecordKind
from addons.store.journal import Journal, JournalUnavailable

logger = logging.getLogger(__name__)

_UNAVAILABLE = Refusal(
    503,
    Reason.AUDIT_UNAVAILABLE,
    "the call can't be put on record, so it was not forwarded",
    "try again later; `/readyz` says what is wrong",
)
_FAILED = NOT_PERMITTED.reason


class Audit:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        """A tunnel that opens is recorded by the calls in it; one that is refused is recorded here."""
        call = flowstate.call_of(flow)
        if call.refusal is not None:
            record = AuditRecord(
                RecordKind.TUNNEL_REFUSED, call.started, call.id, _facts(flow, call), call.refusal.message
            )
            await self._append_refusal(record, None)
            return
        call.permits.add(Stage.AUDIT)

    async def request(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is not None or call.stages_missing - {Stage.AUDIT}:
            return
        request = call.stored_request
        assert request is not None  # noqa: S101 - the redaction stage has permitted
        record = AuditRecord(
            RecordKind.ATTEMPTED,
            call.started,
            call.id,
            _facts(flow, call),
            attributes={"request": _as_json(request), "credential": call.credential},
        )
        try:
            await self._journal.append([record])
        except JournalUnavailable as error:
            logger.error("a call was refused, because it can't be put on record: %s", error)  # noqa: TRY400 - no traceback
            refuse(flow, call, _UNAVAILABLE)
            return
        call.attempted = True
        call.permits.add(Stage.AUDIT)

    async def response(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if not call.attempted:
            call.closed = True
            message = call.refusal.message if call.refusal else NOT_PERMITTED.message
            record = AuditRecord(RecordKind.REFUSED, call.started, call.id, _facts(flow, call), message)
            await self._append_refusal(record, call.recorded_flow)
            return
        if call.refusal is None and call.recorded_flow is None:
            return
        record = self._outcome(flow, call, "answered" if call.refusal is None else "answer withheld")
        try:
            await self._journal.append([record], call.recorded_flow)
        except JournalUnavailable as error:
            logger.error("an answer is withheld, because it can't be put on record: %s", error)  # noqa: TRY400 - no traceback
            return
        call.closed = True
        call.clearances.add(Stage.AUDIT)

    async def error(self, flow: http.HTTPFlow) -> None:
        """The call ended without an answer: refused by mitmproxy itself, broken off, or left by its client."""
        call = flowstate.call_of(flow)
        if call.closed:
            return
        call.closed = True
        if call.attempted:
            record = self._outcome(flow, call, "unknown" if call.head_sent else "not sent")
        else:
            message = "the call ended before it was decided on"
            record = AuditRecord(RecordKind.REFUSED, call.started, call.id, _facts(flow, call), message)
        await self._append_refusal(record, None)

    def _outcome(self, flow: http.HTTPFlow, call: Call, outcome: str) -> AuditRecord:
        attributes: dict[str, Json] = {"outcome": outcome, "seconds": round(time() - call.started, 6)}
        if (answer := call.stored_answer) is not None:
            attributes["response_digest"] = answer.digest
        return AuditRecord(RecordKind.OUTCOME, time(), call.id, _facts(flow, call), attributes=attributes)

    async def _append_refusal(self, record: AuditRecord, recorded: bytes | None) -> None:
        """A refusal stands whether or not it can be recorded: it forwards nothing."""
        try:
            await self._journal.append([record], recorded)
        except JournalUnavailable as error:
            logger.error("a %s record is lost: %s", record.kind, error)  # noqa: TRY400 - no traceback


def _facts(flow: http.HTTPFlow, call: Call) -> CallFacts:
    request, answer, decision = call.stored_request, call.stored_answer, call.decision
    findings: Mapping[str, int] = {}
    for stored in (request, answer):
        if stored is not None and stored.findings:
            findings = Counter(findings) + Counter(stored.findings)
    reason = call.refusal.reason if call.refusal else decision.reason if decision else None
    if reason is None and flow.response is not None:
        reason = _FAILED
    response = call.answer if call.answer is not None and call.refusal is None else flow.response
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
        method=flow.request.method,
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


def _as_json(stored: StoredMessage) -> Json:
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
        form["body_base64"] = base64.b64encode(stored.content).decode("ascii")
    return form
