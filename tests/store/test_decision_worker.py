"""Decisions on large bodies in another process: the same as in this one, and no verdict where it fails."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from addons.core.model import Reason
from addons.core.policy import Decision, PolicyRequest, PolicySet
from addons.core.policy.request import Reads, Seen
from addons.store.decision_child import evidence_of
from addons.store.decision_frames import Failed, Ready, dump, load_answer
from addons.store.decision_worker import DecisionWorker, WorkerLimits, WorkerUnavailable
from tests.core.policy.policy_making import CATALOGUE, policy, principal, request
from tests.e2e.gateway_process import wait_until

ROOT = Path(__file__).resolve().parents[2]
DENIES_PROD = """
- {id: allow, effect: allow, who: {groups: [agents]}}
- {id: prod, effect: deny, op: {name: CreateMonitor}, body: {tags: {any: ["env:prod"]}}, reason: not prod}
"""
PROD = json.dumps({"tags": ["env:prod"]}).encode()
DEV = json.dumps({"tags": ["env:dev"]}).encode()
CREATE = request("CreateMonitor")

type MakeWorker = Callable[..., DecisionWorker]


@pytest.fixture
async def make_worker() -> AsyncIterator[MakeWorker]:
    made: list[DecisionWorker] = []

    def make(**limits: Any) -> DecisionWorker:
        made.append(DecisionWorker(CATALOGUE, WorkerLimits(**limits)))
        return made[-1]

    yield make
    for worker in made:
        worker.close()


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int) -> None:
    """Returns once the process has ended."""
    wait_until(lambda: not is_running(pid), what=f"the end of {pid}")


async def judged(worker: DecisionWorker, policy_set: PolicySet, body: bytes) -> Decision:
    answer = await worker.judge(policy_set, CREATE, body, "application/json")
    assert isinstance(answer, Decision)
    return answer


async def test_a_body_is_judged_by_what_it_says(make_worker: MakeWorker) -> None:
    worker, rules = make_worker(), policy(DENIES_PROD)
    assert (await judged(worker, rules, DEV)).permitted
    denied = await judged(worker, rules, PROD)
    assert (denied.rule, denied.message, denied.revision) == ("prod", "not prod", rules.revision)
    assert len(worker.processes()) == 1


SETS = (
    DENIES_PROD,
    """
- {id: allow, effect: allow, credential: rw, log: info, mask: {forward: {detect: [secrets]}}}
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


async def test_a_resource_that_has_to_be_read_is_asked_for(make_worker: MakeWorker) -> None:
    worker = make_worker()
    rules = policy("""
- {id: allow, effect: allow}
- {id: deny, effect: deny, body: {type: a}, target: {tags: {any: ["env:prod"]}}}
""")
    assert await worker.judge(rules, CREATE, b'{"type":"a"}', None) is Reads.TARGET
    seen = replace(CREATE, target=Seen({"tags": ["env:prod"]}))
    answer = await worker.judge(rules, seen, b'{"type":"a"}', None)
    assert isinstance(answer, Decision)
    assert answer.rule == "deny"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"n": ' + b"9" * 1_000_000 + b"}",
        rb'{"tags": ["\ud800"]}',
        b"\xff" * 100_000,
    ],
)
async def test_abuse_22_a_hostile_body_is_denied_and_the_worker_lives(
    make_worker: MakeWorker, body: bytes
) -> None:
    worker, rules = make_worker(), policy(DENIES_PROD)
    assert (await judged(worker, rules, body)).reason is Reason.UNREADABLE_BODY
    (pid,) = worker.processes()
    assert (await judged(worker, rules, DEV)).permitted
    assert worker.processes() == (pid,)


async def test_a_document_that_takes_too_much_memory_is_denied(make_worker: MakeWorker) -> None:
    worker, rules = make_worker(memory=64 << 20), policy(DENIES_PROD)
    hungry = b"[" + b"[]," * 2_000_000 + b"[]]"
    assert (await judged(worker, rules, hungry)).reason is Reason.UNREADABLE_BODY
    assert (await judged(worker, rules, DEV)).permitted


async def stopped(worker: DecisionWorker, rules: PolicySet) -> int:
    """The id of the worker's process, which answers nothing any more."""
    await judged(worker, rules, DEV)
    (pid,) = worker.processes()
    os.kill(pid, signal.SIGSTOP)
    return pid


async def test_a_worker_that_crashes_gives_no_verdict_and_the_next_call_gets_another(
    make_worker: MakeWorker,
) -> None:
    worker, rules = make_worker(), policy(DENIES_PROD)
    pid = await stopped(worker, rules)
    call = asyncio.create_task(judged(worker, rules, PROD))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerUnavailable, match="ended"):
        await call
    assert not (await judged(worker, rules, PROD)).permitted
    assert worker.processes() != (pid,)


async def test_a_worker_that_ended_between_two_calls_is_replaced(make_worker: MakeWorker) -> None:
    worker, rules = make_worker(), policy(DENIES_PROD)
    await judged(worker, rules, DEV)
    (pid,) = worker.processes()
    os.kill(pid, signal.SIGKILL)
    gone(pid)
    assert not (await judged(worker, rules, PROD)).permitted


async def test_a_worker_that_hangs_is_killed(make_worker: MakeWorker) -> None:
    worker, rules = make_worker(seconds=0.3), policy(DENIES_PROD)
    pid = await stopped(worker, rules)
    with pytest.raises(WorkerUnavailable, match=r"took over 0\.3 s"):
        await judged(worker, rules, PROD)
    gone(pid)
    assert not (await judged(worker, rules, PROD)).permitted


async def test_a_call_that_is_given_up_takes_no_other_calls_verdict(make_worker: MakeWorker) -> None:
    worker, rules = make_worker(), policy(DENIES_PROD)
    pid = await stopped(worker, rules)
    call = asyncio.create_task(judged(worker, rules, DEV))
    await asyncio.sleep(0)
    call.cancel()
    os.kill(pid, signal.SIGCONT)
    assert not (await judged(worker, rules, PROD)).permitted


async def test_more_calls_than_may_wait_get_no_verdict(make_worker: MakeWorker) -> None:
    worker, rules = make_worker(queue=3), policy(DENIES_PROD)
    pid = await stopped(worker, rules)
    calls = [asyncio.create_task(judged(worker, rules, PROD)) for _ in range(4)]
    done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(WorkerUnavailable, match="too many"):
        await done.pop()
    os.kill(pid, signal.SIGCONT)
    assert [decision.rule for decision in await asyncio.gather(*waiting)] == ["prod"] * 3


async def test_a_call_waits_for_its_turn_only_so_long(make_worker: MakeWorker) -> None:
    worker, rules = make_worker(waiting=0.1), policy(DENIES_PROD)
    pid = await stopped(worker, rules)
    first = asyncio.create_task(judged(worker, rules, PROD))
    await asyncio.sleep(0)
    with pytest.raises(WorkerUnavailable, match="busy"):
        await judged(worker, rules, PROD)
    os.kill(pid, signal.SIGCONT)
    assert (await first).rule == "prod"


async def test_a_worker_that_made_another_set_decides_nothing(make_worker: MakeWorker) -> None:
    worker = make_worker()
    with pytest.raises(WorkerUnavailable, match="another policy set"):
        await judged(worker, replace(policy(DENIES_PROD), digest="0" * 64), DEV)
    assert worker.processes() == ()


async def test_a_worker_that_can_not_start_is_no_verdict(make_worker: MakeWorker) -> None:
    broken = replace(policy(DENIES_PROD), files=(("a.yaml", "version: 1\nrules: 7"),))
    with pytest.raises(WorkerUnavailable, match="could not start"):
        await judged(make_worker(), broken, DEV)


async def test_calls_of_a_set_that_was_replaced_keep_its_worker_until_they_are_done(
    make_worker: MakeWorker,
) -> None:
    worker, old, new = make_worker(), policy(DENIES_PROD), policy("- {id: new, effect: allow, body: {a: x}}")
    worker.prepare(old)
    pid = await stopped(worker, old)
    call = asyncio.create_task(judged(worker, old, PROD))
    await asyncio.sleep(0)
    worker.prepare(new)
    assert (await judged(worker, new, b'{"a":"x"}')).rule == "new"
    assert pid in worker.processes()
    os.kill(pid, signal.SIGCONT)
    assert (await call).revision == old.revision
    gone(pid)
    assert len(worker.processes()) == 1


async def test_a_set_that_reads_no_bodies_needs_no_worker(make_worker: MakeWorker) -> None:
    worker = make_worker()
    worker.prepare(policy("- {id: a, effect: allow}"))
    assert len(asyncio.all_tasks()) == 1


async def test_close_ends_the_worker(make_worker: MakeWorker) -> None:
    worker, rules = make_worker(), policy(DENIES_PROD)
    await judged(worker, rules, DEV)
    (pid,) = worker.processes()
    worker.close()
    gone(pid)


@pytest.mark.parametrize("busy", [False, True])
def test_a_parent_that_is_killed_leaves_no_worker(busy: bool) -> None:
    """A busy one reads nothing, so it does not see that the other side is gone."""
    script = Path(__file__).with_name("decision_worker_parent.py")
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if busy:
            os.kill(pid, signal.SIGSTOP)
        parent.kill()
    gone(pid)


async def test_the_worker_inherits_neither_descriptors_nor_environment(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DD_API_KEY", "planted")
    worker = make_worker()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        await judged(worker, policy(DENIES_PROD), DEV)
    process = Path(f"/proc/{worker.processes()[0]}")
    assert b"planted" not in (process / "environ").read_bytes()
    opened = {str(each.readlink()).partition(":")[0]: each for each in (process / "fd").iterdir()}
    assert opened.keys() == {"socket", "/dev/null"}
    assert len(list((process / "fd").iterdir())) == 3


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_an_answer_can_name_no_other_class(tmp_path: Path) -> None:
    assert load_answer(dump(Ready("d"))) == Ready("d")
    assert load_answer(dump(Failed("w"))) == Failed("w")
    planted = tmp_path / "planted"
    for bad in (pickle.dumps(Hostile(planted)), pickle.dumps({"a": 1}), b"", b"\x80\x05garbage"):
        with pytest.raises(ValueError, match="not an answer"):
            load_answer(bad)
    assert not planted.exists()
