"""How approvals and their messages stand, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from addons.control.metrics import ApprovalFigures, read_approval_figures, render
from addons.core.approvals.states import State
from addons.store.approvals.outbox import Outbox, Target
from addons.store.approvals.reading import Approvals
from addons.store.approvals.votes import BreakTheGlass
from addons.store.gateway_status import GatewayStatus
from tests.control.messages.message_office import Office
from tests.store.approval_samples import CAROL, START, later


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    opened = Office(tmp_path)
    yield opened
    opened.close()


def figures(office: Office, now: float) -> ApprovalFigures:
    approvals = Approvals.open(office.state.audit_log)
    try:
        return read_approval_figures(approvals, office.outbox, now)
    finally:
        approvals.close()


def samples(text: bytes) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_nothing_yet(office: Office) -> None:
    found = samples(render((), figures(office, START.wall)))
    assert {key[1]: value for key, value in found.items() if key[0] == "ddgate_approvals"} == dict.fromkeys(
        State, 0
    )
    assert {value for key, value in found.items() if key[0] != "ddgate_approvals"} == {0}


def test_approvals_by_state_and_how_long_the_oldest_waits(office: Office) -> None:
    store = office.store
    store.ask("d1")
    store.ask("d2", later(20))
    store.vote(store.ask("d3"), yes=False)
    store.executing("d4")
    found = samples(render((), figures(office, START.wall + 60)))
    assert found["ddgate_approvals", "pending"] == 2
    assert found["ddgate_approvals", "denied"] == 1
    assert found["ddgate_approvals", "executing"] == 1
    assert found["ddgate_approvals", "succeeded"] == 0
    assert found["ddgate_approvals_oldest_pending_seconds",] == 60


def test_reviews_that_are_due_and_those_that_are_late(office: Office) -> None:
    asked = office.store.ask()
    office.store.do(BreakTheGlass(asked.id, CAROL, "production is down", START))
    early = samples(render((), figures(office, START.wall + 3599)))
    late = samples(render((), figures(office, START.wall + 3601)))
    assert (early["ddgate_approvals_reviews_due",], early["ddgate_approvals_reviews_overdue",]) == (1, 0)
    assert (late["ddgate_approvals_reviews_due",], late["ddgate_approvals_reviews_overdue",]) == (1, 1)


def test_messages_that_wait_and_those_that_nobody_took(office: Office) -> None:
    office.store.ask("d1")
    office.store.ask("d2", later(20))
    at = START.wall + 30
    outbox: Outbox = office.outbox
    outbox.plan([Target("hook")], at)
    (first, *_) = outbox.claim("hook", at, 30, 1)
    outbox.failed(first, "answered 410", None)
    found = samples(render((), figures(office, at)))
    assert found["ddgate_messages_queued",] == 1
    assert found["ddgate_messages_dead",] == 1
    assert found["ddgate_messages_oldest_queued_seconds",] == 10


def test_a_clock_that_is_behind_makes_no_negative_age(office: Office) -> None:
    office.store.ask()
    assert figures(office, START.wall - 100).oldest_pending == 0


def test_a_store_that_cannot_be_read_takes_only_its_own_series_away() -> None:
    status = GatewayStatus(7, time.time(), "http://127.0.0.1:8080", "serving", 3, "r1", {}, holding=2)
    found = samples(render([status]))
    process = ("http://127.0.0.1:8080", "7")
    assert found["ddgate_gateway_calls_held", *process] == 2
    assert found["ddgate_gateway_calls_in_flight", *process] == 3
    assert not [key for key in found if key[0].startswith(("ddgate_approvals", "ddgate_messages"))]
