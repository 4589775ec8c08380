"""Where a decision on a body is made, and what is left when it can't be."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from addons.core import hosts
from addons.core.model import Effect, Principal, Reason
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Decision, PolicyRequest, ShadowHit
from addons.store.policy.decider import Decider, read_body
from addons.store.policy.decision_worker import DecisionWorker, WorkerUnavailable
from addons.store.policy.files import read_catalogue
from addons.store.targets.reader import Subject, TargetReader
from tests.calls import API

CATALOGUE = read_catalogue()
RULES = """
version: 1
rules:
  - {id: all, effect: allow, op: {risk: [write]}}
"""
DENY = (
    RULES + "  - {id: no, effect: deny, op: {name: CreateMonitor}, body: {type: {is: bad, absent: false}}}\n"
)
SHADOW = DENY.replace("effect: deny,", "effect: deny, mode: shadow,")
LARGE = b'{"type": "good", "text": "%s"}' % (b"x" * 200_000)


class Worker:
    """Holds each call until `go` is set; counts how many are with it at once, by agent."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.here: list[str] = []
        self.is_gone = False

    async def judge(
        self, policy_set: PolicySet, request: PolicyRequest, body: bytes, content_type: str | None
    ) -> Decision:
        if self.is_gone:
            raise WorkerUnavailable("it is gone")
        self.here.append(request.principal.subject)
        await self.go.wait()
        self.here.remove(request.principal.subject)
        return policy_set.decide(replace(request, body=read_body(body, content_type)))


class Judging:
    def __init__(self, rules: str) -> None:
        self.policy_set = PolicySet.from_files([("p.yaml", rules)], CATALOGUE)
        self.worker = Worker()
        self.decider = Decider(cast("DecisionWorker", self.worker), cast("TargetReader", None))

    async def decide(self, body: bytes, subject: str = "a") -> Decision:
        host = hosts.lookup(API)
        assert host is not None
        operation = CATALOGUE.by_name("CreateMonitor")[0]
        who = Principal("https://issuer", subject, frozenset(), expires=2e9)
        request = PolicyRequest(who, operation, API, "POST", "/api/v1/monitor", size=len(body))
        call = Subject("C", host, body, "application/json")
        return (await self.decider.decide(self.policy_set, request, call))[0]


async def test_one_agent_s_large_bodies_go_one_at_a_time_and_a_few_may_wait() -> None:
    judging = Judging(DENY)
    calls = [asyncio.create_task(judging.decide(LARGE)) for _ in range(10)]
    others = [asyncio.create_task(judging.decide(LARGE, "b"))]
    refused, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_EXCEPTION)
    assert all(isinstance(call.exception(), WorkerUnavailable) for call in refused)
    assert sorted(judging.worker.here) == ["a", "b"]
    judging.worker.go.set()
    done = await asyncio.gather(*calls, *others, return_exceptions=True)
    assert sum(isinstance(one, WorkerUnavailable) for one in done) == 2


@pytest.mark.parametrize(
    ("rules", "body", "reason"),
    [
        (DENY, b'{"type": "good"}', Reason.ALLOWED),
        (DENY, b'{"type": "bad"}', Reason.DENIED_BY_RULE),
        (DENY, b'{"text": "%s"}' % (b"x" * (8 << 20)), Reason.UNREADABLE_BODY),
        (RULES, b"%PDF" * (4 << 20), Reason.ALLOWED),
    ],
)
async def test_what_is_small_is_judged_here_and_what_is_too_large_is_not_read(
    rules: str, body: bytes, reason: Reason
) -> None:
    judging = Judging(rules)
    judging.worker.is_gone = True
    assert (await judging.decide(body)).reason is reason


async def test_a_shadow_rule_refuses_nobody_for_waiting_too_long() -> None:
    judging = Judging(SHADOW)
    calls = [asyncio.create_task(judging.decide(LARGE)) for _ in range(10)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    judging.worker.go.set()
    done = await asyncio.gather(*calls)
    assert all(decision.permitted for decision in done)
    assert sum(bool(decision.shadow) for decision in done) == 2  # which could not be told


async def test_i1_without_a_judge_only_a_shadow_rule_goes_without_its_answer() -> None:
    judging = Judging(SHADOW)
    judging.worker.is_gone = True
    decision = await judging.decide(LARGE)
    assert decision.permitted
    assert decision.shadow == (ShadowHit("no", Effect.DENY, is_error=True),)
    judging = Judging(DENY)
    judging.worker.is_gone = True
    with pytest.raises(WorkerUnavailable):
        await judging.decide(LARGE)
