"""A week of agents' calls to Datadog, as an organisation's gateway would record it: several teams' agents
with habits of their own, office hours, a long tail, telemetry in bulk, and abuses planted in it.

The abuses stand in `tests/cli/planted_abuses.py`. Everything comes from one seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from addons.core.catalogue import Catalogue
from addons.core.model import Effect, Reason, Risk
from tests.cli.week_requests import (
    Ask,
    MakeAsk,
    aggregate,
    dashboard,
    dora,
    downtime,
    event,
    get,
    log_search,
    logs,
    monitor,
    monitor_change,
    notebook,
    post,
    series,
    trigger_ci,
)
from tests.recorded_calls import DAY, MONDAY, MadeCall

HOUR = 3600.0
ORDINARY = "ordinary"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A call, and what it is: `ordinary`, or the name of an abuse."""

    call: MadeCall
    label: str = ORDINARY

    @property
    def is_ordinary(self) -> bool:
        return self.label == ORDINARY


@dataclass(frozen=True, slots=True)
class Habit:
    """What an agent does `a_day` times a working day; `always`, at all hours and on every day alike."""

    make: MakeAsk
    a_day: float
    always: bool = False


@dataclass(frozen=True, slots=True)
class Agent:
    name: str
    team: str
    habits: tuple[Habit, ...]
    works_nights: bool = False
    is_program: bool = False  # and so does nothing but what it was written for

    @property
    def groups(self) -> tuple[str, ...]:
        return ("agents", self.team)


VALIDATE = get("/api/v1/validate")
MONITORS = (
    Habit(get("/api/v1/monitor", "", "page=0&page_size=100", "tags=team:sre", "name=latency"), 30),
    Habit(get("/api/v1/monitor/{}", "", "group_states=all"), 25),
    Habit(get("/api/v1/monitor/search", "query=status:alert", "query=tag:sre&page=0&per_page=50"), 12),
)
SRE = (
    *MONITORS,
    Habit(post("/api/v2/logs/events/search", log_search), 15),
    Habit(get("/api/v1/query", "from=1&to=2&query=avg:shop.latency"), 20),
    Habit(post("/api/v1/monitor", monitor), 4),
    Habit(post("/api/v1/monitor/validate", monitor), 4),
    Habit(post("/api/v1/monitor/{}", monitor_change, "PUT"), 9),
    Habit(post("/api/v2/downtime", downtime), 3),
    Habit(get("/api/v2/downtime", "", "current_only=true"), 6),
    Habit(lambda chance: Ask("DELETE", f"/api/v2/downtime/{chance.randrange(1000, 1400)}"), 0.6),
    Habit(get("/api/v2/incidents"), 3),
    Habit(get("/api/v1/dashboard/{}"), 5),
    Habit(VALIDATE, 3),
)
AGENTS = (
    Agent("sre-triage", "sre-agents", SRE, works_nights=True),
    Agent("sre-oncall", "sre-agents", SRE, works_nights=True),
    Agent(
        "sre-tuner",
        "sre-agents",
        (*SRE, Habit(lambda chance: Ask("DELETE", f"/api/v1/monitor/{chance.randrange(1000, 1400)}"), 0.5)),
    ),
    Agent(
        "ci-deploy",
        "ci-agents",
        (
            Habit(post("/api/v1/events", event), 14),
            Habit(post("/api/v2/dora/deployment", dora), 14),
            Habit(get("/api/v1/monitor", "monitor_tags=service:checkout"), 14),
            Habit(get("/api/v2/deployment_gates"), 5),
            Habit(VALIDATE, 14),
        ),
        is_program=True,
    ),
    Agent(
        "ci-tests",
        "ci-agents",
        (
            Habit(post("/api/v1/events", event), 10),
            Habit(get("/api/v1/synthetics/tests"), 10),
            Habit(get("/api/v1/synthetics/tests/{}/results"), 10),
            Habit(post("/api/v1/synthetics/tests/trigger/ci", trigger_ci), 1.5),
            Habit(VALIDATE, 10),
        ),
        is_program=True,
    ),
    Agent(
        "log-shipper",
        "telemetry-agents",
        (Habit(logs, 300, always=True), Habit(VALIDATE, 4, always=True)),
        is_program=True,
    ),
    Agent(
        "metric-pusher",
        "telemetry-agents",
        (Habit(series, 300, always=True), Habit(VALIDATE, 4, always=True)),
        is_program=True,
    ),
    Agent(
        "finops-reporter",
        "data-agents",
        (
            Habit(get("/api/v1/usage/summary", "start_month=2026-02"), 4),
            Habit(get("/api/v2/usage/hourly_usage", "filter[timestamp][start]=x"), 6),
            Habit(get("/api/v1/query", "from=1&to=2&query=sum:shop.orders"), 15),
        ),
    ),
    Agent(
        "product-analyst",
        "data-agents",
        (
            Habit(post("/api/v2/rum/analytics/aggregate", aggregate), 20),
            Habit(post("/api/v2/logs/analytics/aggregate", aggregate), 12),
            Habit(get("/api/v1/query", "from=1&to=2&query=sum:shop.orders"), 15),
            Habit(post("/api/v1/notebooks", notebook), 2.5),
        ),
    ),
    Agent(
        "dash-builder",
        "platform-agents",
        (
            Habit(get("/api/v1/dashboard", "", "filter[shared]=false"), 10),
            Habit(get("/api/v1/dashboard/{}"), 20),
            Habit(post("/api/v1/dashboard/{}", dashboard, "PUT"), 8),
            Habit(post("/api/v1/dashboard", dashboard), 3),
            Habit(get("/api/v1/metrics", "from=1"), 6),
        ),
    ),
    Agent(
        "catalog-sync",
        "platform-agents",
        (
            Habit(get("/api/v2/catalog/entity", "page[limit]=100"), 12, always=True),
            Habit(get("/api/v1/slo", "", "limit=50"), 6),
        ),
        is_program=True,
    ),
    Agent(
        "sec-auditor",
        "security-agents",
        (
            Habit(post("/api/v2/security_monitoring/signals/search", log_search), 24, always=True),
            Habit(get("/api/v2/security_monitoring/signals/{}"), 10, always=True),
            Habit(get("/api/v2/security_monitoring/rules", "page[size]=100"), 4, always=True),
            Habit(post("/api/v2/audit/events/search", log_search), 8, always=True),
        ),
    ),
)  # fmt: skip


@dataclass(slots=True)
class Week:
    """Monday to Sunday. `calls` are in order of time."""

    seed: int
    calls: list[Labelled] = field(default_factory=list)

    def before(self, day: int) -> list[Labelled]:
        return [each for each in self.calls if each.call.at < MONDAY + day * DAY]

    def since(self, day: int) -> list[Labelled]:
        return [each for each in self.calls if each.call.at >= MONDAY + day * DAY]


def ordinary_calls(chance: random.Random, catalogue: Catalogue) -> Iterator[Labelled]:
    tail = _tail(catalogue)
    for day in range(7):
        for agent in AGENTS:
            weekend = day >= 5
            for habit in agent.habits:
                share = 1.0 if habit.always or not weekend else (0.4 if agent.works_nights else 0.05)
                for _ in range(_count(chance, habit.a_day * share)):
                    at = _moment(chance, day, at_night=habit.always or agent.works_nights)
                    yield Labelled(made(agent, habit.make(chance), at, chance))
            # now and then an agent looks at something it has no habit of
            for _ in range(0 if agent.is_program else _count(chance, 0.2 if weekend else 0.8)):
                ask = Ask("GET", chance.choice(tail))
                yield Labelled(made(agent, ask, _moment(chance, day, at_night=agent.works_nights), chance))


def _tail(catalogue: Catalogue) -> list[str]:
    """Paths that somebody might look at once: reads of what agents work with."""
    tags = {"monitors", "dashboards", "metrics", "hosts", "events", "synthetics", "incidents", "notebooks"}
    tags |= {"service-level-objectives", "downtimes", "usage-metering", "spans", "tags", "dashboard-lists"}
    found = []
    for operation in catalogue.operations():
        if operation.method == "GET" and operation.risks == {Risk.READ} and tags & set(operation.tags):
            path = "/".join(
                "1234" if part.startswith("{") else part for part in operation.template.split("/")
            )
            found.append(path)
    return found


def _count(chance: random.Random, mean: float) -> int:
    """How often something of that mean happens (Poisson, as a row of coin tosses)."""
    tosses = 400
    return sum(chance.random() < mean / tosses for _ in range(tosses)) if mean < tosses else round(mean)


def _moment(chance: random.Random, day: int, *, at_night: bool) -> float:
    hour = chance.uniform(0, 24) if at_night else min(max(chance.gauss(13, 2.5), 7), 19.5)
    return MONDAY + day * DAY + hour * HOUR


def made(agent: Agent, ask: Ask, at: float, chance: random.Random) -> MadeCall:
    """The call as it went. All were let through, for the gateway only observed; Datadog refuses a few."""
    call = MadeCall(
        ask.method,
        ask.path,
        subject=agent.name,
        groups=agent.groups,
        at=at,
        body=json.dumps(ask.body).encode() if ask.body is not None else b"",
        encoding=ask.encoding,
        host=ask.host,
        effect=Effect.ALLOW,
        reason=Reason.OBSERVED,
        rule=None,
        status=chance.choices([200, 202, 400, 404, 429, 500], [93, 4, 1, 1, 0.6, 0.4])[0],
    )
    if ask.path == "/api/v2/logs" and chance.random() < 0.01:
        return replace(call, request_findings={"password": 1})
    if ask.method == "GET" and chance.random() < 0.003:
        return replace(call, answer_findings={"password": 1})
    return call
