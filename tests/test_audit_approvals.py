"""What the audit stage says of an approval at the end of its call; and where that can't be said, the record
of the call is written nevertheless, and no approval stays `executing`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time

import pytest
from mitmproxy import http
from mitmproxy.connection import ConnectionState

from addons.audit import Audit, RunSettings
from addons.core.approvals.approval import Approval as Stored
from addons.core.approvals.states import State
from addons.core.model import Reason
from addons.flowstate import REQUEST_STAGES, Call, Grant, Stage, StoredMessage
from addons.store import moment
from addons.store.approvals.reading import Approvals
from addons.store.approvals.requests import Ask
from addons.store.approvals.runs import Consume, Lost
from addons.store.approvals.votes import VoteFor
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal
from tests.calls import make_flow
from tests.store.approval_samples import ALICE, approval

WINDOW = 60.0
DIGEST = "d" * 64
NO_ANSWERS = "BEFORE INSERT ON approval_answers"
NOT_BACK = "BEFORE UPDATE ON approvals WHEN OLD.state = 'executing' AND NEW.state = 'approved'"
NO_END = "BEFORE UPDATE ON approvals WHEN OLD.state = 'executing'"
NO_USE = "BEFORE UPDATE ON approvals WHEN NEW.state = 'executing'"


@dataclass
class Place:
    """A store, and the audit stage on it."""

    state: StateDir
    journal: Journal
    approvals: Approvals
    audit: Audit = field(init=False)

    def __post_init__(self) -> None:
        self.audit = Audit(self.journal, RunSettings("process", WINDOW))

    async def approved(self, digest: str = DIGEST) -> Stored:
        asked = await self.journal.change(Ask(approval(digest), moment.now(), 20))
        await self.journal.change(VoteFor(asked.approval.id, ALICE, True, "because", None, moment.now()))
        return asked.approval

    async def executing(self, digest: str = DIGEST) -> tuple[http.HTTPFlow, Call]:
        """A call that has used its grant, and is about to be sent."""
        one = await self.approved(digest)
        flow, call = make_flow("POST", content=b"{}")
        call.approval, call.grant, call.attempted = one.id, Grant(one.id, digest), True
        await self.journal.change(Consume(one.id, digest, "process", call.id, moment.now()))
        return flow, call

    def of(self, call: Call) -> Stored:
        found = self.approvals.get(call.approval or "")
        assert found is not None
        return found

    def told(self, call: Call) -> Sequence[str]:
        """Every outcome on record, and every step of the approval since it was used."""
        rows = self._sql("SELECT body FROM records WHERE call = ? ORDER BY idx", call.id)
        bodies = [json.loads(str(body)) for (body,) in rows]
        kinds = [
            body["attributes"]["outcome"] if body["kind"] == "outcome" else body["kind"] for body in bodies
        ]
        return [kind for kind in kinds if kind != "approval_consumed"]

    def fail(self, when: str) -> None:
        """Let this one kind of change fail, as by a constraint of the database."""
        self._sql(f"CREATE TRIGGER broken {when} BEGIN SELECT RAISE(ABORT, 'broken'); END")

    def _sql(self, statement: str, *parameters: object) -> Sequence[tuple[object, ...]]:
        with sqlite3.connect(self.state.audit_log) as connection:
            return connection.execute(statement, parameters).fetchall()

    @contextmanager
    def nothing_can_be_written(self) -> Iterator[None]:
        away = self.state.path / "away"
        self.state.recordings.rename(away)
        self.state.recordings.write_text("")
        yield
        self.state.recordings.unlink()
        away.rename(self.state.recordings)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    state = StateDir.open(tmp_path / "state")
    journal = Journal.open(state)
    approvals = Approvals.open(state.audit_log)
    yield Place(state, journal, approvals)
    approvals.close()
    journal.close()


def answered(
    flow: http.HTTPFlow, call: Call, status: int = 200, content: bytes | None = b'{"id": 1}'
) -> None:
    """As after the recorder: the answer of Datadog and what may be stored of it."""
    call.head_sent = True
    call.answer = flow.response = http.Response.make(status, b'{"id": 1, "secret": 2}', {"A": "b"})
    call.stored_answer = StoredMessage(((b"A", b"b"),), content, 9, "sha256:0")
    call.recorded_flow = b"1:a,"


def never_left(_flow: http.HTTPFlow, _call: Call) -> None: ...


def head_left(_flow: http.HTTPFlow, call: Call) -> None:
    call.head_sent = True


def came_back(flow: http.HTTPFlow, call: Call) -> None:
    answered(flow, call)


def failed(flow: http.HTTPFlow, call: Call) -> None:
    answered(flow, call, 500)


@pytest.mark.parametrize(
    ("happened", "outcome", "step", "state"),
    [
        (never_left, "not sent", "approval_not_sent", State.APPROVED),
        (head_left, "unknown", "approval_unknown", State.UNKNOWN),
        (came_back, "answer withheld", "approval_executed", State.SUCCEEDED),
        (failed, "answer withheld", "approval_executed", State.FAILED),
    ],
)
async def test_the_end_of_a_call_is_the_end_of_its_grant(
    place: Place, happened: Callable[[http.HTTPFlow, Call], None], outcome: str, step: str, state: State
) -> None:
    flow, call = await place.executing()
    happened(flow, call)
    await place.audit.settle(flow)
    assert place.told(call) == [outcome, step]
    assert place.of(call).state is state
    assert place.approvals.answer(call.approval or "") is None  # nobody got it, so nobody gets it again


async def test_an_answer_is_kept_redacted_for_the_window(place: Place) -> None:
    flow, call = await place.executing()
    answered(flow, call)
    before = time()
    await place.audit.response(flow)
    assert place.told(call) == ["answered", "approval_executed"]
    assert Stage.AUDIT in call.clearances
    assert (place.of(call).state, place.of(call).status) == (State.SUCCEEDED, 200)
    kept = place.approvals.answer(call.approval or "")
    assert kept is not None
    assert (kept.status, kept.reason, kept.headers) == (200, b"OK", ((b"A", b"b"),))
    assert kept.content == b'{"id": 1}'
    assert before + WINDOW <= kept.expires <= time() + WINDOW


@pytest.mark.parametrize("content", [None, b"x" * (1024 * 1024 + 1)])
async def test_an_answer_that_may_not_be_stored_or_is_too_large_is_not_kept(
    place: Place, content: bytes | None
) -> None:
    flow, call = await place.executing()
    answered(flow, call, content=content)
    await place.audit.response(flow)
    assert place.of(call).state is State.SUCCEEDED
    assert place.approvals.answer(call.approval or "") is None


async def test_a_call_without_a_grant_ends_without_a_word_about_one(place: Place) -> None:
    flow, call = await place.executing()
    call.grant = None
    answered(flow, call)
    await place.audit.response(flow)
    assert place.told(call) == ["answered"]
    assert place.of(call).state is State.EXECUTING


@pytest.mark.parametrize("happened", [never_left, head_left, came_back])
async def test_i2_an_end_that_comes_too_late_is_on_record_nevertheless(
    place: Place, happened: Callable[[http.HTTPFlow, Call], None]
) -> None:
    """Another process took this one for dead."""
    flow, call = await place.executing()
    happened(flow, call)
    await place.journal.change(Lost(call.approval or "", call.id, moment.now()))
    await place.audit.settle(flow)
    assert len(place.told(call)) == 2
    assert place.told(call)[0] == "approval_unknown"
    assert place.of(call).state is State.UNKNOWN


async def test_i2_an_answer_whose_approval_is_lost_is_given_and_on_record(place: Place) -> None:
    flow, call = await place.executing()
    answered(flow, call)
    await place.journal.change(Lost(call.approval or "", call.id, moment.now()))
    await place.audit.response(flow)
    assert place.told(call) == ["approval_unknown", "answered"]
    assert Stage.AUDIT in call.clearances


async def test_i2_a_run_that_cannot_be_written_down_is_unknown_and_not_executing_for_ever(
    place: Place,
) -> None:
    flow, call = await place.executing()
    answered(flow, call)
    place.fail(NO_ANSWERS)
    await place.audit.response(flow)
    assert place.told(call) == ["answered", "approval_unknown"]
    assert place.of(call).state is State.UNKNOWN
    assert Stage.AUDIT in call.clearances


async def test_i2_a_grant_that_cannot_be_given_back_is_unknown_and_not_executing_for_ever(
    place: Place,
) -> None:
    flow, call = await place.executing()
    place.fail(NOT_BACK)
    await place.audit.settle(flow)
    assert place.told(call) == ["not sent", "approval_unknown"]
    assert place.of(call).state is State.UNKNOWN


@pytest.mark.parametrize("happened", [never_left, head_left, came_back])
async def test_i2_where_no_end_can_be_written_the_outcome_is(
    place: Place, happened: Callable[[http.HTTPFlow, Call], None]
) -> None:
    flow, call = await place.executing()
    happened(flow, call)
    place.fail(NO_END)
    await place.audit.settle(flow)
    assert len(place.told(call)) == 1
    assert place.of(call).state is State.EXECUTING  # until this process ends


async def test_i2_what_waited_is_written_with_the_end_of_its_approval(place: Place) -> None:
    flow, call = await place.executing()
    answered(flow, call)
    with place.nothing_can_be_written():
        await place.audit.response(flow)
    assert not place.told(call)
    assert Stage.AUDIT not in call.clearances
    await place.audit.retry()
    assert place.told(call) == ["answer withheld", "approval_executed"]
    assert place.of(call).state is State.SUCCEEDED


async def test_i2_what_waited_is_written_though_its_change_comes_too_late_or_fails(place: Place) -> None:
    (late_flow, late), (broken_flow, broken) = await place.executing(), await place.executing("e" * 64)
    for flow, call in ((late_flow, late), (broken_flow, broken)):
        answered(flow, call)
        with place.nothing_can_be_written():
            await place.audit.response(flow)
    await place.journal.change(Lost(late.approval or "", late.id, moment.now()))
    place.fail(NO_ANSWERS)
    await place.audit.retry()
    assert place.told(late) == ["approval_unknown", "answer withheld"]
    assert place.told(broken) == ["answer withheld", "approval_unknown"]
    assert not place.audit._unwritten


def about_to_leave(one: Stored) -> tuple[http.HTTPFlow, Call]:
    """A call that every other stage has permitted."""
    flow, call = make_flow("POST", content=b"{}")
    call.approval, call.grant = one.id, Grant(one.id, DIGEST)
    call.permits |= REQUEST_STAGES - {Stage.AUDIT}
    call.stored_request = StoredMessage((), b"{}", 2, "sha256:0", "/api/v1/monitor")
    return flow, call


async def test_of_two_calls_that_use_one_grant_one_leaves(place: Place) -> None:
    one = await place.approved()
    (first, call), (second, other) = about_to_leave(one), about_to_leave(one)
    await place.audit.request(first)
    await place.audit.request(second)
    assert Stage.AUDIT in call.permits
    assert Stage.AUDIT not in other.permits
    assert (other.refusal and (other.refusal.status, other.refusal.reason)) == (409, Reason.APPROVAL_RUNNING)
    assert not other.attempted
    assert place.told(call) == ["attempted"]
    assert not place.told(other)


async def test_a_grant_whose_use_cannot_be_written_down_stays_and_nothing_leaves(place: Place) -> None:
    one = await place.approved()
    flow, call = about_to_leave(one)
    place.fail(NO_USE)
    await place.audit.request(flow)
    assert (call.refusal and (call.refusal.status, call.refusal.reason)) == (503, Reason.AUDIT_UNAVAILABLE)
    assert Stage.AUDIT not in call.permits
    assert place.of(call).state is State.APPROVED
    assert not place.told(call)


async def test_a_use_that_was_written_though_it_was_said_to_have_failed_is_taken_back(place: Place) -> None:
    """As when a commit fails at its last moment; one that was not written is taken back in vain."""
    one = await place.approved()
    flow, call = about_to_leave(one)
    lost, other = about_to_leave(one)
    with place.nothing_can_be_written():
        await place.audit.request(flow)
        await place.audit.request(lost)
    assert (call.refusal and call.refusal.status) == 503
    await place.journal.change(Consume(one.id, DIGEST, "process", call.id, moment.now()))
    await place.audit.retry()
    assert place.of(call).state is State.APPROVED
    assert place.told(call) == ["approval_not_sent"]
    assert not place.told(other)
    assert not place.audit._unwritten


async def test_a_client_that_left_uses_no_grant(place: Place) -> None:
    one = await place.approved()
    flow, call = about_to_leave(one)
    flow.client_conn.state = ConnectionState.CLOSED
    await place.audit.request(flow)
    assert (call.refusal and (call.refusal.status, call.refusal.reason)) == (429, Reason.CLIENT_GONE)
    assert place.of(call).state is State.APPROVED


async def test_the_end_of_an_older_call_does_not_end_the_newer_one(place: Place) -> None:
    flow, call = await place.executing()
    await place.audit.settle(flow)  # never left: the grant is there again
    newer, other = about_to_leave(place.of(call))
    await place.audit.request(newer)
    call.closed = False
    answered(flow, call)
    await place.audit.response(flow)
    assert place.told(call)[-1] == "answered"
    assert (place.of(other).state, place.of(other).executing_call) == (State.EXECUTING, other.id)
