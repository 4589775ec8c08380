"""The approval stage on a real store, with what surrounds it played."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from mitmproxy import http

from addons import flowstate
from addons.answers import NOT_PERMITTED, refuse
from addons.approval import Approval, Surroundings
from addons.core.approvals.approval import Approval as Stored
from addons.core.approvals.approval import CallAsked, Person
from addons.core.approvals.needs import Needs
from addons.core.approvals.states import State
from addons.core.approvals.voting import requester_of
from addons.core.config_approvals import Approvals as Settings
from addons.core.model import Effect, Reason, Refusal
from addons.core.policy.request import Decision
from addons.core.request_target import normalise
from addons.flowstate import Call, Stage
from addons.store import moment
from addons.store.approvals.reading import Approvals
from addons.store.approvals.requests import ExpireDue, Withdraw
from addons.store.approvals.votes import VoteFor
from addons.store.approvals.watch import ApprovalWatch
from addons.store.audit.changes import Change
from addons.store.audit.record import new_id
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal
from tests.calls import PRINCIPAL, make_flow

NEEDS = Needs((("leads", 1),), reason_required=False, pending=600, grant=600, hold=30)
ASK = Decision(
    *(Effect.REQUIRE_APPROVAL, Reason.APPROVAL_REQUIRED, False, "rule", ("rule",), "ask", "sha256:1"),
    needs=NEEDS,
)
ALLOW = Decision(Effect.ALLOW, Reason.ALLOWED, True, "rule", ("rule",), "yes", "sha256:2")
FROZEN = Refusal(403, Reason.IDENTITY_FROZEN, "frozen")
ALICE = Person("https://people", "alice", frozenset({"leads"}), frozenset({"alice"}), "alice")


@dataclass
class Played:
    """What surrounds the stage, and what it was asked."""

    decision: Decision = ASK
    holds: bool = True
    draining: bool = False
    frozen: bool = False
    drafts: int = 0
    then: Decision | None = None  # what policy says after somebody looked at the resource
    seen: list[str] = field(default_factory=list)

    async def draft(self, flow: http.HTTPFlow, digest: str) -> Stored | None:
        self.drafts += 1
        asked = CallAsked(
            *("CALL", "CreateMonitor", "v1", "write", flow.request.method, "api.datadoghq.com", "/x"),
            *("default", "rule", ("rule",), (), "sha256:1", "create monitor"),
        )
        return Stored(
            id=new_id(),
            state=State.PENDING,
            digest=digest,
            thread="t" * 64,
            basis="",
            requester=requester_of(PRINCIPAL),
            asked=asked,
            needs=NEEDS,
            preview={},
            requested_at=0,
            pending_until=0,
        )

    async def count(self, _flow: http.HTTPFlow) -> bool:
        self.seen.append("counted")
        return True

    async def still_holds(self, _flow: http.HTTPFlow, _approval: Stored) -> bool:
        self.seen.append("looked")
        self.decision, self.then = self.then or self.decision, None
        return self.holds

    def check_blocked(self, flow: http.HTTPFlow) -> bool:
        if self.frozen:
            refuse(flow, flowstate.call_of(flow), FROZEN)
        return self.frozen

    def is_current(self, call: Call) -> bool:
        return call.decision is self.decision


@dataclass
class Place:
    stage: Approval
    played: Played
    journal: Journal
    approvals: Approvals

    async def approve(self, approval: str) -> None:
        await self.journal.change(VoteFor(approval, ALICE, True, "", None, moment.now()))

    async def pending(self) -> str:
        while not (found := self.approvals.list(frozenset({State.PENDING}))):  # noqa: ASYNC110 - a store is silent
            await asyncio.sleep(0.01)
        return found[0].id


type MakePlace = Callable[..., Awaitable[Place]]


@pytest.fixture
async def make_place(tmp_path: Path) -> AsyncIterator[MakePlace]:
    state = StateDir.open(tmp_path / "state")
    journal = Journal.open(state)
    approvals = Approvals.open(state.audit_log)

    async def make(played: Played | None = None, **settings: object) -> Place:
        play = played or Played()

        async def decide_again(flow: http.HTTPFlow) -> bool:
            call = flowstate.call_of(flow)
            call.decision = play.decision
            if play.decision.effect is Effect.DENY:
                refuse(flow, call, NOT_PERMITTED)
            return call.refusal is None

        around = Surroundings(
            draft=play.draft,
            still_holds=play.still_holds,
            decide_again=decide_again,
            check_again=lambda _flow: None,
            check_blocked=play.check_blocked,
            is_current=play.is_current,
            count=play.count,
            is_draining=lambda: play.draining,
            process="process",
        )
        watch = ApprovalWatch(approvals.data_version, approvals.states, interval=0.01)
        stage = Approval(Settings.model_validate(settings), around, journal, approvals, watch, b"k" * 32)
        return Place(stage, play, journal, approvals)

    yield make
    approvals.close()
    journal.close()


def asking(body: bytes = b"{}") -> tuple[http.HTTPFlow, Call]:
    """A call that policy wants somebody to approve, of a client that is there."""
    flow, call = make_flow("POST", content=body)
    call.body = body
    call.target = normalise("/api/v1/monitor")
    call.decision = ASK
    call.permits.add(Stage.POLICY)
    return flow, call


async def test_a_call_that_needs_nobody_passes_and_asks_nobody(make_place: MakePlace) -> None:
    place = await make_place()
    flow, call = asking()
    call.decision = ALLOW
    await place.stage.request(flow)
    assert Stage.APPROVAL in call.permits
    assert call.grant is None
    assert not place.played.drafts


async def test_an_approved_call_goes_on_with_its_grant_and_the_listed_headers(make_place: MakePlace) -> None:
    place = await make_place()
    flow, call = asking()
    held = asyncio.create_task(place.stage.request(flow))
    approval = await place.pending()
    async with asyncio.timeout(10):
        while place.stage.holding != 1:  # noqa: ASYNC110 - on record a moment before it is held, untold
            await asyncio.sleep(0.01)
    await place.approve(approval)
    await held
    assert call.grant is not None
    assert call.grant.approval == call.approval == approval
    assert Stage.APPROVAL in call.permits
    assert "X-A" not in flow.request.headers
    assert place.played.seen == ["looked"]
    assert place.stage.holding == 0


async def test_two_held_calls_use_one_grant_one_by_one(make_place: MakePlace) -> None:
    """The second goes on only when the first is done with, whatever became of it."""
    place = await make_place()
    (first, call), (second, other) = asking(), asking()
    tasks = [asyncio.create_task(place.stage.request(flow)) for flow in (first, second)]
    await place.approve(await place.pending())
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert [Stage.APPROVAL in each.permits for each in (call, other)].count(True) == 1
    done = first if Stage.APPROVAL in call.permits else second
    place.stage.response(done)
    await asyncio.gather(*tasks)
    assert Stage.APPROVAL in call.permits
    assert Stage.APPROVAL in other.permits
    assert call.approval == other.approval


async def test_a_call_that_no_longer_needs_anybody_passes_though_its_credential_is_another(
    make_place: MakePlace,
) -> None:
    place = await make_place(Played(decision=replace(ALLOW, credential="other")))
    flow, call = asking()
    held = asyncio.create_task(place.stage.request(flow))
    await place.approve(await place.pending())
    await held
    assert Stage.APPROVAL in call.permits
    assert call.grant is None


async def test_a_call_that_would_go_out_with_another_credential_is_asked_for_anew(
    make_place: MakePlace,
) -> None:
    place = await make_place(Played(decision=replace(ASK, credential="other")))
    flow, call = asking()
    held = asyncio.create_task(place.stage.request(flow))
    first = await place.pending()
    await place.approve(first)
    second = await place.pending()
    assert second != first
    place.played.draining = True
    await held
    assert (call.refusal and call.refusal.reason) is Reason.APPROVAL_PENDING
    assert call.approval == second


async def test_what_no_longer_holds_is_withdrawn_and_asked_for_anew(make_place: MakePlace) -> None:
    place = await make_place(Played(holds=False))
    flow, call = asking()
    held = asyncio.create_task(place.stage.request(flow))
    first = await place.pending()
    await place.approve(first)
    second = await place.pending()
    place.played.draining = True
    await held
    found = place.approvals.get(first)
    assert found is not None
    assert (found.state, second == first) == (State.CANCELLED, False)
    assert call.grant is None


async def test_a_freeze_ends_a_held_call_and_leaves_its_approval(make_place: MakePlace) -> None:
    place = await make_place()
    flow, call = asking()
    held = asyncio.create_task(place.stage.request(flow))
    approval = await place.pending()
    place.played.frozen = True
    async with asyncio.timeout(20):
        await held
    assert call.refusal is FROZEN
    assert place.stage.holding == 0
    found = place.approvals.get(approval)
    assert found is not None
    assert found.state is State.PENDING


def _withdrawn(approval: str) -> Change[object]:
    return Withdraw(approval, "enough", moment.now())


def _denied(approval: str) -> Change[object]:
    return VoteFor(approval, ALICE, approves=False, reason="no", expected_digest=None, at=moment.now())


def _expired(_approval: str) -> Change[object]:
    now = moment.now()
    return ExpireDue(replace(now, wall=now.wall + NEEDS.pending + 1, boot=now.boot + NEEDS.pending + 1))


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (_withdrawn, Reason.APPROVAL_CANCELLED),
        (_denied, Reason.APPROVAL_DENIED),
        (_expired, Reason.APPROVAL_EXPIRED),
    ],
)
async def test_an_end_while_a_call_is_held_is_its_answer(
    make_place: MakePlace, end: Callable[[str], Change[object]], reason: Reason
) -> None:
    place = await make_place()
    flow, call = asking()
    held = asyncio.create_task(place.stage.request(flow))
    await place.journal.change(end(await place.pending()))
    await held
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (403, reason)


async def test_a_denial_is_what_a_repetition_hears(make_place: MakePlace) -> None:
    place = await make_place(default_wait="0s")
    (first, call), (second, again) = asking(), asking()
    await place.stage.request(first)
    assert call.refusal is not None
    assert call.refusal.reason is Reason.APPROVAL_PENDING
    assert call.approval is not None
    await place.journal.change(_denied(call.approval))
    await place.stage.request(second)
    assert again.refusal is not None
    assert (again.refusal.status, again.refusal.reason) == (403, Reason.APPROVAL_DENIED)
    assert place.played.drafts == 1


async def test_a_call_that_no_longer_needs_anybody_passes_though_what_was_seen_has_changed(
    make_place: MakePlace,
) -> None:
    place = await make_place(Played(decision=ALLOW, holds=False))
    flow, call = asking()
    held = asyncio.create_task(place.stage.request(flow))
    await place.approve(await place.pending())
    await held
    assert Stage.APPROVAL in call.permits
    assert call.grant is None


async def test_held_bodies_add_up_and_are_given_back(make_place: MakePlace) -> None:
    place = await make_place(held_memory="2000B", default_wait="30s")
    flows = [asking(b"%d" % number + b" " * 150) for number in range(4)]
    held = [asyncio.create_task(place.stage.request(flow)) for flow, _ in flows]
    await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
    assert sum(task.done() for task in held) == 1  # 4 times twice 151 bytes is over half of it
    await asyncio.gather(*(place.approve(one.id) for one in place.approvals.list()))
    await asyncio.gather(*held)
    assert place.stage.holding == 0
    flow, call = asking(b"another" + b" " * 150)
    last = asyncio.create_task(place.stage.request(flow))
    await place.pending()
    assert not last.done()
    place.played.draining = True
    await last
    assert (call.refusal and call.refusal.reason) is Reason.APPROVAL_PENDING


async def test_what_one_identity_holds_leaves_half_of_the_memory_to_others(make_place: MakePlace) -> None:
    place = await make_place(held_memory="2000B", default_wait="30s")
    mine = [asking(b"%d" % number + b" " * 150) for number in range(4)]
    tasks = [asyncio.create_task(place.stage.request(flow)) for flow, _ in mine]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    flow, call = asking(b" " * 150)
    call.principal = replace(PRINCIPAL, subject="another")
    tasks.append(asyncio.create_task(place.stage.request(flow)))
    async with asyncio.timeout(10):
        while place.stage.holding < 4:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.01)
    place.played.draining = True
    await asyncio.gather(*tasks)


async def test_policy_that_changes_while_the_resource_is_looked_at_is_asked_again(
    make_place: MakePlace,
) -> None:
    newer = replace(ASK, revision="sha256:3")
    place = await make_place(Played(then=newer))
    flow, call = asking()
    held = asyncio.create_task(place.stage.request(flow))
    await place.approve(await place.pending())
    await held
    assert call.grant is not None
    assert call.decision is newer
    assert place.played.seen == ["looked", "looked"]
    assert place.played.drafts == 1


async def test_a_denial_by_policy_while_the_resource_is_looked_at_beats_the_grant(
    make_place: MakePlace,
) -> None:
    place = await make_place(Played(then=replace(ASK, effect=Effect.DENY)))
    flow, call = asking()
    held = asyncio.create_task(place.stage.request(flow))
    await place.approve(await place.pending())
    await held
    assert call.refusal is NOT_PERMITTED
    assert call.grant is None
    assert Stage.APPROVAL not in call.permits


async def test_i1_a_store_that_fails_once_somebody_was_asked_is_no_5xx(
    make_place: MakePlace, tmp_path: Path
) -> None:
    """Clients repeat that blindly; what they hear has them repeat it in time."""
    place = await make_place(default_wait="30s")
    flow, call = asking()
    held = asyncio.create_task(place.stage.request(flow))
    await place.pending()
    with sqlite3.connect(StateDir.open(tmp_path / "state").audit_log) as connection:
        connection.execute("UPDATE approvals SET fixed = 'x', version = version + 1")
    await held
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (429, Reason.APPROVAL_PENDING)
    assert call.refusal.retry_after == 5.0
    assert Stage.APPROVAL not in call.permits


async def test_i1_a_store_that_fails_refuses_the_call(make_place: MakePlace) -> None:
    place = await make_place()
    flow, call = asking()
    place.journal.close()
    await place.stage.request(flow)
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (503, Reason.APPROVALS_UNAVAILABLE)
    assert Stage.APPROVAL not in call.permits


async def test_a_call_that_was_refused_while_it_was_held_stays_refused(make_place: MakePlace) -> None:
    """A drain does that."""
    place = await make_place()
    flow, call = asking()
    held = asyncio.create_task(place.stage.request(flow))
    approval = await place.pending()
    refuse(flow, call, NOT_PERMITTED)
    await place.approve(approval)
    await held
    assert call.refusal is NOT_PERMITTED
    assert Stage.APPROVAL not in call.permits
    assert call.grant is None
