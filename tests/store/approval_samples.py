"""Approvals, people and moments for tests of the store."""

from __future__ import annotations

import itertools
import json
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from addons.core.approvals.approval import Approval, CallAsked, Person, Requester
from addons.core.approvals.needs import BreakGlass, Needs
from addons.core.approvals.states import State
from addons.core.model import Json
from addons.store.approvals.reading import Approvals
from addons.store.approvals.requests import Ask
from addons.store.approvals.runs import Consume
from addons.store.approvals.votes import VoteFor
from addons.store.audit.changes import Change
from addons.store.audit.record import AuditRecord, new_id
from addons.store.moment import Moment
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog, Wish, Written

_NUMBERS = itertools.count(1)
START = Moment(1_763_870_592.0, 5_000.0, "boot-1")
NEEDS = Needs(
    groups=(("sre", 1),),
    reason_required=False,
    pending=600.0,
    grant=120.0,
    hold=60.0,
    break_glass=BreakGlass(("breakers",), 3600.0),
)
PREVIEW: Json = {"summary": "set monitor 7", "changes": [["options.thresholds.critical", 500, 900]]}


def later(seconds: float, at: Moment = START) -> Moment:
    return replace(at, wall=at.wall + seconds, boot=at.boot + seconds)


def person(name: str, *groups: str) -> Person:
    return Person(
        "https://people",
        name,
        frozenset(groups),
        frozenset({name, f"{name}@example.com"}),
        f"{name}@example.com",
    )


ALICE = person("alice", "sre", "staff")
BOB = person("bob", "sre", "secops")
CAROL = person("carol", "breakers")


def requester(name: str = "agent-1", on_behalf_of: str | None = None) -> Requester:
    names = {name} | ({on_behalf_of} if on_behalf_of else set())
    return Requester("https://agents", name, on_behalf_of, "run-1", frozenset(names))


def approval(
    digest: str = "d1", *, thread: str = "t1", needs: Needs = NEEDS, by: Requester | None = None
) -> Approval:
    return Approval(
        id=f"{next(_NUMBERS):012x}{secrets.token_hex(10)}",  # as new_id, and in order always
        state=State.PENDING,
        digest=digest,
        thread=thread,
        basis="b1",
        requester=by or requester(),
        asked=CallAsked(
            call=new_id(),
            operation="UpdateMonitor",
            version="v1",
            risk="write",
            method="PUT",
            host="api.datadoghq.com",
            target="/api/v1/monitor/7",
            credential="default",
            rule="monitors",
            rules=("monitors", "production"),
            why=("it is production",),
            policy_revision="r1",
            summary="set monitor 7",
            intent="quieten it",
        ),
        needs=needs,
        preview=PREVIEW,
        requested_at=0.0,
        pending_until=0.0,
    )


class Store:
    """A log, driven without a journal: every change is one transaction of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = AuditLog.open(path, busy_seconds=5.0, create=True)

    def do[T](self, change: Change[T], *records: AuditRecord) -> T:
        """Raises what the change was refused with."""
        wish = Wish([(record, record.encode()) for record in records], change)
        (outcome,) = self.log.append_with_changes([wish])
        if not isinstance(outcome, Written):
            raise outcome
        return cast(T, outcome.changed)

    def sql(self, statement: str, *parameters: object) -> Sequence[tuple[object, ...]]:
        """Look, or damage."""
        connection = sqlite3.connect(self.path)
        try:
            with connection:
                return connection.execute(statement, parameters).fetchall()
        finally:
            connection.close()

    def kinds(self) -> list[str]:
        return [str(kind) for (kind,) in self.sql("SELECT kind FROM records ORDER BY idx")]

    def events(self) -> list[str]:
        return [str(event) for (event,) in self.sql("SELECT event FROM outbox ORDER BY number")]

    def last(self) -> dict[str, Any]:
        """The newest audit record."""
        ((body,),) = self.sql("SELECT body FROM records ORDER BY idx DESC LIMIT 1")
        found: dict[str, Any] = json.loads(str(body))
        return found

    def ask(self, digest: str = "d1", at: Moment = START, **more: Any) -> Approval:
        return self.do(Ask(approval(digest, **more), at, 20)).approval

    def vote(self, one: Approval, by: Person = ALICE, at: Moment = START, *, yes: bool = True) -> Approval:
        voted = self.do(VoteFor(one.id, by, yes, "because", one.digest, at))
        assert isinstance(voted, Approval), voted
        return voted

    def approved(self, digest: str = "d1", at: Moment = START, **more: Any) -> Approval:
        return self.vote(self.ask(digest, at, **more), at=at)

    def executing(self, digest: str = "d1", call: str = "c1", process: str = "p1") -> Approval:
        return self.do(Consume(self.approved(digest).id, digest, process, call, START))


@pytest.fixture
def store(state: StateDir) -> Iterator[Store]:
    opened = Store(state.audit_log)
    yield opened
    opened.log.close()


@pytest.fixture
def reader(state: StateDir) -> Iterator[Approvals]:
    opened = Approvals.open(state.audit_log)
    yield opened
    opened.close()
