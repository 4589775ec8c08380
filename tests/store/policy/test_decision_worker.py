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
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from addons.core.hosts import DatadogHost, HostRole
from addons.core.model import Reason
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Decision, Reads, Seen
from addons.store.policy.decider import Decider
from addons.store.policy.decision_frames import Failed, Ready, dump, load_answer
from addons.store.policy.decision_worker import DecisionWorker, WorkerLimits, WorkerUnavailable
from addons.store.targets.reader import Subject, TargetReader
from tests.core.policy.policy_making import CATALOGUE, policy, request
from tests.e2e.gateway_process import wait_until

ROOT = Path(__file__).resolve().parents[3]
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


NESTED = 'body.tags.exists(a, body.tags.exists(b, a + b == "x"))'


@pytest.mark.parametrize(
    ("rule", "body", "in_worker"),
    [
        ("body: {type: x}", b'{"type":"x"}', False),
        ("body: {type: x}", b'{"type":"%s"}' % (b"x" * 70_000), True),
        # a small body can keep nested loops busy
        (f"when: '{NESTED}'", b'{"tags":["x"]}', True),
        ("when: 'body.type == \"x\"'", b'{"type":"x"}', False),
    ],
)
async def test_what_would_hold_up_other_calls_is_judged_elsewhere(
    make_worker: MakeWorker, rule: str, body: bytes, in_worker: bool
) -> None:
    worker = make_worker()
    no_targets = cast(TargetReader, None)  # no rule reads one
    decider = Decider(worker, no_targets)
    host = DatadogHost("api.datadoghq.com", "datadoghq.com", HostRole.API)
    policy_set = policy(f"- {{id: a, effect: allow}}\n- {{id: d, effect: deny, {rule}}}")
    await decider.decide(policy_set, CREATE, Subject("call", host, body, "application/json"))
    assert bool(worker.processes()) is in_worker


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
