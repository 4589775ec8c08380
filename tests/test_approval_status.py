"""What the gateway answers inside a tunnel about approvals, on a real store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.connection import ConnectionState

from addons import flowstate
from addons.answers import refuse
from addons.approval_status import ApprovalStatus
from addons.core.approvals.states import State
from addons.core.approvals.voting import requester_of
from addons.core.model import Principal, Reason, Refusal
from addons.flowstate import Call, Stage
from addons.store import moment
from addons.store.approvals.reading import Approvals
from addons.store.approvals.requests import Ask
from addons.store.approvals.votes import VoteFor
from addons.store.approvals.watch import ApprovalWatch
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal
from tests.calls import PRINCIPAL, make_flow
from tests.store.approval_samples import ALICE, approval

AT_ONCE = 32
LONG = 20.0  # seconds, after which a test has failed
ANOTHER = replace(PRINCIPAL, subject="another")


@dataclass
class Place:
    journal: Journal
    approvals: Approvals
    watch: ApprovalWatch
    draining: bool = False
    frozen: bool = False

    def __post_init__(self) -> None:
        self.stage = ApprovalStatus(
            self.approvals,
            self.watch,
            self.journal,
            longest_wait=60.0,
            is_draining=lambda: self.draining,
            check_blocked=self._check_blocked,
        )

    def _check_blocked(self, flow: http.HTTPFlow) -> bool:
        if self.frozen:
            refuse(flow, flowstate.call_of(flow), Refusal(403, Reason.IDENTITY_FROZEN, "frozen"))
        return self.frozen

    async def ask(self, digest: str, who: Principal = PRINCIPAL) -> str:
        wanted = approval(digest, by=requester_of(who))
        return (await self.journal.change(Ask(wanted, moment.now(), 100))).approval.id

    async def decide(self, one: str) -> None:
        await self.journal.change(VoteFor(one, ALICE, True, "because", None, moment.now()))

    async def waiting(self, count: int) -> None:
        async with asyncio.timeout(LONG):
            while self.watch.waiting < count:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    state = StateDir.open(tmp_path / "state")
    journal = Journal.open(state)
    approvals = Approvals.open(state.audit_log)
    yield Place(journal, approvals, ApprovalWatch(approvals.data_version, approvals.states, interval=0.01))
    approvals.close()
    journal.close()


def asking(
    one: str, query: str = "", method: str = "GET", who: Principal = PRINCIPAL
) -> tuple[http.HTTPFlow, Call]:
    flow, call = make_flow(method, f"/.ddgate/approvals/{one}{query}")
    call.principal = who
    call.permits |= {Stage.IDENTITY, Stage.DESTINATION}
    return flow, call


def state_in(flow: http.HTTPFlow) -> str:
    assert flow.response is not None
    assert flow.response.status_code == 200
    return str(json.loads(flow.response.content or b"")["approval"]["state"])


async def test_an_identity_waits_at_most_32_times_at_once_and_others_not_less(place: Place) -> None:
    mine, theirs = await place.ask("d1"), await place.ask("d2", ANOTHER)
    waiting = [asking(mine, "?wait=60")[0] for _ in range(AT_ONCE)]
    tasks = [asyncio.create_task(place.stage.request(flow)) for flow in waiting]
    await place.waiting(AT_ONCE)

    one_more, refused = asking(mine, "?wait=60")
    await place.stage.request(one_more)
    assert refused.refusal is not None
    assert (refused.refusal.status, refused.refusal.reason) == (429, Reason.TOO_MANY_APPROVALS)
    assert one_more.response is not None
    assert one_more.response.headers["Retry-After"] == "5"

    look, _ = asking(mine)
    await place.stage.request(look)
    assert state_in(look) == "pending"
    other, _ = asking(theirs, "?wait=60", who=ANOTHER)
    tasks.append(asyncio.create_task(place.stage.request(other)))
    await place.waiting(AT_ONCE + 1)

    await asyncio.gather(place.decide(mine), place.decide(theirs))
    await asyncio.gather(*tasks)
    assert {state_in(flow) for flow in (*waiting, other)} == {"approved"}
    assert not place.stage._waiting


async def test_who_has_waited_makes_room_also_by_leaving_and_by_a_drain(place: Place) -> None:
    one = await place.ask("d1")
    gone = [asking(one, "?wait=60")[0] for _ in range(AT_ONCE // 2)]
    staying = [asking(one, "?wait=60")[0] for _ in range(AT_ONCE // 2)]
    tasks = [asyncio.create_task(place.stage.request(flow)) for flow in (*gone, *staying)]
    await place.waiting(AT_ONCE)
    for flow in gone:
        flow.client_conn.state = ConnectionState.CLOSED
    await asyncio.gather(*tasks[: len(gone)])
    assert place.stage._waiting.total() == len(staying)
    place.draining = True
    async with asyncio.timeout(LONG):  # and not as long as they would wait
        await asyncio.gather(*tasks)
    assert {state_in(flow) for flow in staying} == {"pending"}
    assert not place.stage._waiting


async def test_who_is_frozen_waits_no_longer(place: Place) -> None:
    flow, call = asking(await place.ask("d1"), "?wait=60")
    waiting = asyncio.create_task(place.stage.request(flow))
    await place.waiting(1)
    place.frozen = True
    async with asyncio.timeout(LONG):
        await waiting
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (403, Reason.IDENTITY_FROZEN)
    assert flow.response is not None
    assert flow.response.status_code == 403


async def test_a_wait_that_fails_makes_room_too(place: Place) -> None:
    one = await place.ask("d1")
    flow, call = asking(one, "?wait=60")
    waiting = asyncio.create_task(place.stage.request(flow))
    await place.waiting(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not place.stage._waiting
    assert call.approval == one


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_approval_of_somebody_else_is_as_unknown_as_none(place: Place, method: str) -> None:
    one = await place.ask("d1")
    for path in (one, "f" * 32, one.upper(), f"{one}/x", "", "x"):
        flow, call = asking(path, method=method, who=ANOTHER)
        await place.stage.request(flow)
        assert flow.response is not None
        assert flow.response.status_code == 404
        assert (call.refusal and call.refusal.reason) is Reason.GATEWAY_ANSWERED
    found = place.approvals.get(one)
    assert found is not None
    assert found.state is State.PENDING


async def test_the_answer_tells_nothing_of_what_a_person_sees(place: Place) -> None:
    """The agent may not be allowed to read it."""
    one = await place.ask("d1")
    flow, _ = asking(one)
    await place.stage.request(flow)
    assert flow.response is not None
    text = flow.response.text or ""
    assert "pending" in text
    for hidden in ("options.thresholds.critical", "set monitor 7", "preview"):
        assert hidden not in text


async def test_i1_a_store_that_fails_tells_nothing(place: Place) -> None:
    one = await place.ask("d1")
    flow, call = asking(one, method="DELETE")
    place.journal.close()
    await place.stage.request(flow)
    assert (call.refusal and (call.refusal.status, call.refusal.reason)) == (
        503,
        Reason.APPROVALS_UNAVAILABLE,
    )


async def test_what_no_stage_before_has_permitted_is_not_answered(place: Place) -> None:
    one = await place.ask("d1")
    flow, call = asking(one)
    call.permits.discard(Stage.IDENTITY)
    await place.stage.request(flow)
    assert flow.response is None
    assert call.refusal is None  # the last stage refuses it
