"""`ddgate approvals watch` as a process, and `messages`, against a real control process."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from addons.store.approvals.outbox import Outbox, Target
from tests.cli.approvals_desk import Desk, open_desk


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    read = process.stdout.readline()
    assert read, process.stderr.read() if process.stderr is not None else ""
    return read


def lines_about(process: subprocess.Popen[str], approval: str) -> Any:
    """The next object about that approval."""
    while True:
        told = json.loads(line(process))
        if told["id"] == approval:
            return told


def test_what_waits_is_told_first_and_then_every_change(desk: Desk) -> None:
    first = desk.ask()
    with desk.running("watch", "--json") as process:
        told = lines_about(process, first.id)
        assert (told["state"], told["may_approve"]) == ("pending", True)
        second = desk.ask()
        assert lines_about(process, second.id)["state"] == "pending"
        assert desk.run("deny", second.id, "--yes").status == 0
        assert desk.run("approve", first.id, "--yes", person="carol").status == 0
        assert lines_about(process, second.id)["state"] == "denied"
        assert lines_about(process, first.id)["state"] == "approved"


def test_watching_is_not_seeing(desk: Desk) -> None:
    with desk.running("watch", "--json") as process:
        one = desk.ask()
        lines_about(process, one.id)
    assert desk.kinds(one) == ["approval_requested"]


def test_for_a_person_it_is_a_line_each(desk: Desk) -> None:
    one = desk.ask(intent="x", summary="evil\x1b[2J\nline")
    with desk.running("watch") as process:
        read = line(process)
        while one.id[-8:] not in read:
            read = line(process)
    assert "you can approve it" in read
    assert "waits for 1 of sre-leads" in read
    assert "\x1b" not in read
    assert "line" in read


def test_ctrl_c_ends_it_without_a_word(desk: Desk) -> None:
    desk.ask()
    with desk.running("watch") as process:
        line(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_it_holds_on_while_control_restarts_and_misses_nothing(tmp_path: Path) -> None:
    with open_desk(tmp_path) as desk:
        first = desk.ask()
        with desk.running("watch", "--json") as process:
            assert lines_about(process, first.id)["state"] == "pending"
            desk.stop()
            meanwhile = desk.ask()
            desk.start()
            assert lines_about(process, meanwhile.id)["state"] == "pending"
            assert desk.run("approve", first.id, "--yes").status == 0
            assert lines_about(process, first.id)["state"] == "approved"


def test_a_token_that_is_not_taken_ends_it(desk: Desk) -> None:
    ran = desk.run("watch", person=None, DDGATE_TOKEN="aaaa.bbbb.cccc")
    assert (ran.status, "bad_token" in ran.err) == (1, True)


@pytest.fixture
def dead_letter(desk: Desk) -> int:
    desk.stop()  # it has nobody to tell, and would settle, now and then first, that nobody is told
    one = desk.ask()
    outbox = Outbox.open(desk.state.audit_log)
    try:
        outbox.plan([Target("ops", None)], 1e9)
        deliveries = outbox.claim("ops", 1e10, 30.0, 10_000)
        for delivery in deliveries:
            outbox.failed(delivery, "answered 410: it wants\x1b[2J no more", None)
        number = next(letter.id for letter in outbox.dead() if letter.approval == one.id)
    finally:
        outbox.close()
    desk.start()
    return number


def test_messages_that_nobody_took_are_listed_and_sent_again(desk: Desk, dead_letter: int) -> None:
    ran = desk.run("messages")
    assert ran.status == 0
    (row,) = [line.split("\t") for line in ran.lines if line.startswith(f"{dead_letter}\t")]
    assert row[1:3] == ["ops", "requested"]
    assert "410" in row[-1]
    assert "\x1b" not in ran.out
    assert "given up" in ran.err
    again = desk.run("messages", "--retry", str(dead_letter))
    assert (again.status, again.err) == (0, "")
    assert dead_letter not in [one["id"] for one in desk.run("messages", "--json").json()["dead"]]
    refused = desk.run("messages", "--retry", "999999")
    assert (refused.status, "no_such_message" in refused.err) == (1, True)
