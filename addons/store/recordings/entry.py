"""What the index keeps of one recorded call: who, what, what became of it, and where its bytes lie."""

from __future__ import annotations

from dataclasses import dataclass

from addons.store.audit.record import SegmentRef
from addons.store.recordings.flows import StoredFlow, body_size
from addons.store.sqlite_text import storable

_LAST_TIME = 253_402_300_800.0  # the year 10000
_LONGEST = 4096  # characters of any text that is kept here; the flow has it whole
_HIGHEST_STATUS = 999


@dataclass(frozen=True, slots=True)
class Entry:
    """One recorded call.

    `call` is ddgate's call id, or the flow's id where another program recorded it. `time` is when the request
    came in, in seconds since the epoch, `duration` how many seconds it took until its answer was complete.
    Sizes are of bodies as they travelled, in bytes. `refused` says that ddgate answered it itself. `ref` is
    where the flow lies, with the digest of its bytes as they were when they were indexed.
    """

    call: str
    flow: str
    time: float
    duration: float | None
    issuer: str | None
    subject: str | None
    on_behalf_of: str | None
    session: str | None
    operation: str | None
    rule: str | None
    effect: str | None
    reason: str | None
    refused: bool
    approval: str | None
    method: str
    host: str
    path: str
    query: str
    status: int | None
    findings: int
    request_size: int
    answer_size: int
    ref: SegmentRef


def entry_of(stored: StoredFlow, ref: SegmentRef) -> Entry | None:
    """Make the entry of a flow that lies at `ref`; None where the flow isn't HTTP.

    Raises one of `NOT_A_FLOW`: what is in a recording may be anybody's.
    """
    recorded = stored.read()
    sent, facts = recorded.request, recorded.metadata
    if sent is None:
        return None
    at = _seconds(sent.timestamp_start)
    path, _, query = sent.path.partition("?")
    host = sent.host
    if not isinstance(host, str):
        raise TypeError("no host")
    return Entry(
        call=_text(facts.get("ddgate.call")) or recorded.id[:_LONGEST],
        flow=recorded.id[:_LONGEST],
        time=at,
        duration=None if recorded.answered is None else max(0.0, _seconds(recorded.answered) - at),
        issuer=_text(facts.get("ddgate.issuer")),
        subject=_text(facts.get("ddgate.principal")),
        on_behalf_of=_text(facts.get("ddgate.on_behalf_of")),
        session=_text(facts.get("ddgate.session")),
        operation=_text(facts.get("ddgate.operation")),
        rule=_text(facts.get("ddgate.rule")),
        effect=_text(facts.get("ddgate.effect")),
        reason=_text(facts.get("ddgate.reason")),
        refused=facts.get("ddgate.refused") is True,
        approval=_text(facts.get("ddgate.approval")),
        method=_storable(sent.method),
        host=_storable(host),
        path=_storable(path),
        query=_storable(query),
        status=_status(recorded.status),
        findings=_count(facts.get("ddgate.findings")),
        request_size=body_size(sent.raw_content),
        answer_size=recorded.answer_size,
        ref=ref,
    )


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value < _LAST_TIME:  # nor is NaN
        raise ValueError("no time")
    return float(value)


def _status(status: int | None) -> int | None:
    if status is not None and not 0 <= status <= _HIGHEST_STATUS:
        raise ValueError("no status")
    return status


def _count(value: object) -> int:
    return int(value) if isinstance(value, int) and 0 <= value < 2**63 else 0


def _text(value: object) -> str | None:
    return _storable(value) if isinstance(value, str) and value else None


def _storable(text: str) -> str:
    return storable(text[:_LONGEST]) or ""
