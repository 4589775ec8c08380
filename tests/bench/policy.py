"""Microseconds per decision, and what a policy costs to compile, on this machine.

    .venv/bin/python -m tests.bench.policy [--calls 4000] [--rules 10 200 2000]

Policies of six shapes over the real catalogue, each in three sizes, asked about a mix of calls as agents send
them: mostly reads and telemetry, by 40 identities of 12 combinations of groups. The last table lets the rules
that could match grow, in a policy of a fixed size: that is what a decision's cost follows. The end is what
large bodies do to the event loop, in the worker and without it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from addons.core.catalogue import Catalogue
from addons.core.model import Json, Operation, Principal, Risk
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import PolicyRequest, Seen
from addons.store.policy.decision_child import evidence_of
from addons.store.policy.decision_worker import DecisionWorker
from addons.store.policy.files import read_catalogue

GROUPS = [f"team-{number}" for number in range(40)]
BODY: dict[str, Json] = {
    "type": "metric alert",
    "tags": ["env:prod", "service:checkout"],
    "options": {"notify_no_data": False},
}

type Rule = dict[str, Any]
type Shape = Callable[[random.Random, Catalogue, int], Rule]


def _who(choose: random.Random) -> dict[str, Any]:
    return {"groups": ["agents", *choose.sample(GROUPS, 3)]}


def _effect(choose: random.Random) -> str:
    return choose.choices(["allow", "deny"], [4, 1])[0]


def by_name(choose: random.Random, catalogue: Catalogue, number: int) -> Rule:
    names = choose.sample([f"{one.version}.{one.name}" for one in catalogue.operations()], 3)
    return {"effect": _effect(choose), "who": _who(choose), "op": {"name": names}}


def by_tag_and_risk(choose: random.Random, catalogue: Catalogue, number: int) -> Rule:
    risks = choose.sample([risk.value for risk in Risk if risk is not Risk.UNKNOWN], 2)
    op = {"tags": choose.sample(catalogue.tags(), 6), "risk": [*risks, "read"]}
    return {"effect": _effect(choose), "who": _who(choose), "op": op}


def by_group_globs(choose: random.Random, catalogue: Catalogue, number: int) -> Rule:
    """No operation, and groups by globs: the index can leave out by group alone."""
    return {"effect": _effect(choose), "who": {"groups": [f"team-{number % 40}*", f"*-{number}-*"]}}


def by_path(choose: random.Random, catalogue: Catalogue, number: int) -> Rule:
    """Nothing that an index could use: every rule is looked at on every call."""
    template = choose.choice(catalogue.operations()).template
    parts = ["*" if part.startswith("{") else part for part in template.split("/")]
    return {"effect": _effect(choose), "http": {"path": ["/".join(parts), f"/api/v{number}/**/x"]}}


def by_body(choose: random.Random, catalogue: Catalogue, number: int) -> Rule:
    name = choose.choice(["CreateMonitor", "UpdateMonitor", "v2.SubmitLog", "CreateDashboard"])
    body = {"type": {"in": ["metric alert", f"kind-{number}"]}, "options.notify_no_data": {"is": False}}
    return {"effect": _effect(choose), "who": _who(choose), "op": {"name": name}, "body": body}


def by_expression(choose: random.Random, catalogue: Catalogue, number: int) -> Rule:
    name = choose.choice(["CreateMonitor", "UpdateMonitor", "v2.SubmitLog", "CreateDashboard"])
    when = f"body.tags.exists(t, t in lists.prod) && size(body.tags) > {number % 3}"
    return {"effect": _effect(choose), "who": _who(choose), "op": {"name": name}, "when": when}


SHAPES: dict[str, Shape] = {
    "operation names": by_name,
    "tags and risks": by_tag_and_risk,
    "group globs, no op": by_group_globs,
    "http.path, no op": by_path,
    "body matchers": by_body,
    "CEL": by_expression,
}


def mixed(choose: random.Random, catalogue: Catalogue, number: int) -> Rule:
    shapes = [by_name, by_tag_and_risk, by_group_globs, by_path, by_body, by_expression]
    return choose.choices(shapes, [10, 6, 1, 1, 2, 1])[0](choose, catalogue, number)


def policy_text(shape: Shape, rules: int, catalogue: Catalogue) -> str:
    choose = random.Random(1)
    made = [{"id": f"r{number}", **shape(choose, catalogue, number)} for number in range(rules)]
    lists = {"prod": ["env:prod", "env:production"]}
    return json.dumps({"version": 1, "lists": lists, "rules": made}, indent=1)


def calls(catalogue: Catalogue, count: int, *, bodies: bool) -> list[PolicyRequest]:
    choose = random.Random(2)
    by_risk: dict[Risk, list[Operation]] = {}
    for operation in catalogue.operations():
        by_risk.setdefault(operation.risk, []).append(operation)
    writes = [catalogue.by_name(name)[0] for name in ("CreateMonitor", "UpdateMonitor", "v2.SubmitLog")]
    groups = [frozenset({"agents", *choose.sample(GROUPS, 2)}) for _ in range(12)]
    people = [
        Principal("https://issuer.example", f"agent-{number}", choose.choice(groups), 1e12, "a@example.com")
        for number in range(40)
    ]
    risks = choose.choices([Risk.READ, Risk.INGEST, Risk.WRITE, Risk.DESTRUCTIVE], [60, 30, 8, 2], k=count)
    made = []
    for risk in risks:
        operation = choose.choice(writes) if bodies else choose.choice(by_risk[risk])
        made.append(_call(choose, operation, choose.choice(people), bodies=bodies))
    return made


def _call(choose: random.Random, operation: Operation, who: Principal, *, bodies: bool) -> PolicyRequest:
    path = "/".join("abc-123" if part.startswith("{") else part for part in operation.template.split("/"))
    return PolicyRequest(
        principal=who,
        operation=operation,
        host="api.datadoghq.com",
        method=operation.method,
        path=path,
        query=(("page[size]", "100"), ("filter", "env:prod")) if choose.random() < 0.5 else (),
        headers=tuple((f"x-header-{number}", "some value") for number in range(10)),
        size=400,
        body=Seen({**BODY}) if bodies else None,
        at=1_780_000_000.0,
    )


@dataclass(frozen=True)
class Measured:
    median: float
    p99: float
    first: float
    candidates: float

    def __str__(self) -> str:
        return f"{self.median:8.1f} {self.p99:8.1f} {self.first:9.1f} {self.candidates:8.1f}"


def measure(policy_set: PolicySet, asked: Sequence[PolicyRequest]) -> Measured:
    """Microseconds for `wants` and `decide`, on calls the like of which were seen; `first` is the median of
    the first time, when nothing is remembered. `candidates` are the rules looked at for a call.
    """
    gc.collect()
    gc.disable()
    first = statistics.median(_each(policy_set, asked))
    taken = sorted(_each(policy_set, asked))
    gc.enable()
    looked = statistics.mean(
        len(policy_set._index.candidates(each.operation, each.principal.groups).uncertain) for each in asked
    )
    return Measured(statistics.median(taken), taken[len(taken) * 99 // 100], first, looked)


def _each(policy_set: PolicySet, asked: Sequence[PolicyRequest]) -> Iterator[float]:
    clock = time.thread_time_ns  # of this thread alone, whatever else the machine does
    for request in asked:
        start = clock()
        policy_set.wants(request)
        policy_set.decide(request)
        yield (clock() - start) / 1000


def compiled(text: str, catalogue: Catalogue) -> tuple[PolicySet, float, float]:
    """The set, the seconds that it took, and those of them that PyYAML alone takes."""
    start = time.thread_time()
    policy_set = PolicySet.from_files([("bench.yaml", text)], catalogue)
    taken = time.thread_time() - start
    start = time.thread_time()
    yaml.compose(text, Loader=yaml.SafeLoader)
    return policy_set, taken, time.thread_time() - start


def by_shape(catalogue: Catalogue, sizes: Sequence[int], count: int) -> None:
    plain, with_bodies = (calls(catalogue, count, bodies=bodies) for bodies in (False, True))
    print("                                     us per decision           rules")
    print("shape                  rules   median      p99     first  looked at   compile s  (yaml)")
    for name, shape in {**SHAPES, "mixed": mixed}.items():
        for rules in sizes:
            policy_set, seconds, reading = compiled(policy_text(shape, rules, catalogue), catalogue)
            asked = with_bodies if name in {"body matchers", "CEL"} else plain
            print(f"{name:20} {rules:7} {measure(policy_set, asked)} {seconds:11.2f} {reading:8.2f}")


def by_matching(catalogue: Catalogue, rules: int, count: int) -> None:
    """Of `rules` rules by operation name, let 0 to 200 more name the one operation that is asked for."""
    print(f"\n{rules} rules, of which so many name the operation that is called and the group that calls")
    print("                   us per decision           rules")
    print("naming it      median      p99     first  looked at")
    operation = catalogue.by_name("GetMonitor")[0]
    choose = random.Random(3)
    people = [each.principal for each in calls(catalogue, 100, bodies=False)]
    asked = [_call(choose, operation, choose.choice(people), bodies=False) for _ in range(count)]
    for naming in (1, 10, 50, 100, 200):
        choose = random.Random(4)
        made: list[Rule] = [
            {"effect": "allow", "who": {"groups": ["agents"]}, "op": {"name": "GetMonitor"}}
            for _ in range(naming)
        ]
        made += [
            rule
            for rule in (by_name(choose, catalogue, number) for number in range(rules))
            if "v1.GetMonitor" not in rule["op"]["name"]
        ]
        numbered = [{"id": f"r{number}", **rule} for number, rule in enumerate(made)]
        text = json.dumps({"version": 1, "rules": numbered})
        print(f"{naming:9}     {measure(compiled(text, catalogue)[0], asked)}")


async def _longest_pause(work: Awaitable[object]) -> tuple[float, float]:
    """Milliseconds: the longest piece of work (in CPU time, whatever else the machine does) for which the
    event loop did nothing else, and how long all took.
    """
    longest = 0.0
    done = asyncio.ensure_future(work)
    start, last = time.perf_counter(), time.thread_time()
    while not done.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    return longest * 1000, (time.perf_counter() - start) * 1000


async def pauses(catalogue: Catalogue, bodies: int) -> None:
    rules = [by_body(random.Random(1), catalogue, 1), {"effect": "allow", "op": {"name": "CreateMonitor"}}]
    rules[0]["op"] = {"name": "CreateMonitor"}
    text = json.dumps({"version": 1, "rules": [{"id": f"r{n}", **rule} for n, rule in enumerate(rules)]})
    policy_set = PolicySet.from_files([("bench.yaml", text)], catalogue)
    request = replace(calls(catalogue, 1, bodies=False)[0], operation=catalogue.by_name("CreateMonitor")[0])
    body = json.dumps([{**BODY, "name": f"monitor {number}"} for number in range(8000)]).encode()
    worker = DecisionWorker(catalogue)
    worker.prepare(policy_set)
    await worker.judge(policy_set, request, b"{}", None)

    async def here() -> None:
        for _ in range(bodies):
            policy_set.decide(replace(request, body=evidence_of(body, None)))
            await asyncio.sleep(0)

    there = [worker.judge(policy_set, request, body, None) for _ in range(bodies)]
    print(f"\n{bodies} bodies of {len(body) / 1e6:.1f} MB                 longest pause      in all")
    for name, work in (("parsed here", here()), ("in the worker", asyncio.gather(*there))):
        longest, whole = await _longest_pause(work)
        print(f"{name:32} {longest:8.1f} ms {whole:11.0f} ms")
    worker.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--rules", type=int, nargs="+", default=[10, 200, 2000])
    chosen = parser.parse_args()
    catalogue = read_catalogue()
    by_shape(catalogue, chosen.rules, chosen.calls)
    by_matching(catalogue, 200, chosen.calls)
    asyncio.run(pauses(catalogue, 20))


if __name__ == "__main__":
    main()
