"""A decision on a body is the same in the worker's process as in this one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from addons.core.policy.request import PolicyRequest, Seen
from addons.store.policy.decision_child import evidence_of
from addons.store.policy.decision_worker import DecisionWorker
from tests.core.policy import test_policy_properties as generated
from tests.core.policy.policy_making import CATALOGUE, policy, principal, request

SETS = (
    """
- {id: allow, effect: allow, who: {groups: [agents]}}
- {id: prod, effect: deny, op: {name: CreateMonitor}, body: {tags: {any: ["env:prod"]}}, reason: not prod}
""",
    """
- {id: allow, effect: allow, credential: rw, log: info, record: hash, mask: {forward: {detect: [secrets]}}}
- {id: ask, effect: require_approval, body: {type: {in: [a, 1]}}, approval: {need: [{group: leads}]}}
- {id: shadow, effect: deny, mode: shadow, body: {"deep.er": {absent: false}}}
""",
    """
- {id: allow, effect: allow, when: 'has(body.type) && body.type == "a"'}
- {id: errs, effect: deny, when: 'body.tags.exists(t, t == "env:prod") || body.n > 10'}
""",
    """
- {id: a, effect: allow, body: {tags: {all: ["env:*"]}}, credential: ro}
- {id: b, effect: allow, body: {type: ["a*", b]}, credential: rw}
- {id: c, effect: deny, op: {name: DeleteMonitor}, target: {tags: {any: [x]}}, body: {n: {is: 1}}}
""",
    """version: 1
profile: observe
observe_until: 2030-01-01
limits: {few: {key: [identity.subject, identity.claims.team], rate: 3/1m, quota: 9/1d}}
rules:
- {id: a, effect: allow, body: {type: a}, limit: few}
""",
)
JSON_TEXTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["a", "env:prod"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "tags", "n", "deep", "er", "TYPE"]), inner, max_size=3)
    ),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["a", "abc", "b", 1, True, None]),
        "tags": st.lists(st.sampled_from(["env:prod", "env:dev", "x"]), max_size=2),
        "n": st.sampled_from([1, 1.0, "1", 11, 2**70]),
        "deep": st.fixed_dictionaries({}, optional={"er": st.none() | st.just(1)}),
    },
).map(lambda value: json.dumps(value).encode())
BODIES = (
    DOCUMENTS | JSON_TEXTS | st.binary(max_size=20) | st.sampled_from([b"", b'{"a":1,"a":2}', b"[" * 999])
)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[asyncio.Runner, DecisionWorker]]:
    with asyncio.Runner() as runner:
        worker = DecisionWorker(CATALOGUE)
        yield runner, worker
        worker.close()


@pytest.mark.parametrize("text", SETS, ids=range(len(SETS)))
def test_the_verdict_is_the_one_of_this_process(
    running: tuple[asyncio.Runner, DecisionWorker], text: str
) -> None:
    """Over bodies, good and bad, operations, groups and claims."""
    runner, worker = running
    rules = policy(text)

    async def ready() -> None:
        worker.prepare(rules)

    runner.run(ready())

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        BODIES,
        st.sampled_from(["CreateMonitor", "DeleteMonitor", "GetMonitor", None]),
        st.sampled_from([("agents",), (), ("sre", "agents")]),
        st.sampled_from([None, "application/json", "multipart/form-data"]),
        st.sampled_from([None, Seen({"tags": ["x"]}), Seen({})]),
        st.sampled_from([0.0, 4e9]),
    )
    def same(
        body: bytes,
        name: str | None,
        groups: tuple[str, ...],
        kind: str | None,
        target: Seen | None,
        at: float,
    ) -> None:
        asked: PolicyRequest = request(
            name, principal(*groups, claims={"team": "t", "odd": {"a": [1]}}), target=target, at=at
        )
        here = replace(asked, body=evidence_of(body, kind))
        expected = rules.wants(here) or rules.decide(here)
        assert runner.run(worker.judge(rules, asked, body, kind)) == expected

    same()


def test_the_verdict_is_the_one_of_this_process_whatever_the_rules() -> None:
    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(generated.rules(), min_size=1, max_size=8),
        st.lists(st.tuples(generated.requests(), BODIES), min_size=5),
    )
    def same(found: list[generated.Rule], asked: list[tuple[PolicyRequest, bytes]]) -> None:
        policy_set, worker = generated.made([generated.named(found)]), DecisionWorker(CATALOGUE)

        async def compare() -> None:
            for request_, body in asked:
                here = replace(request_, body=evidence_of(body, None))
                answer = await worker.judge(policy_set, replace(request_, body=None), body, None)
                assert answer == (policy_set.wants(here) or policy_set.decide(here))
            worker.close()

        asyncio.run(compare())

    same()
