"""A sender that dies between sending and marking: the message comes again, and is known as the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.control.messages.message_office import KEY, Office, got
from tests.control.messages.webhook_receiver import WebhookReceiver

ROOT = Path(__file__).resolve().parents[3]

type Start = Callable[[float], subprocess.Popen[bytes]]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    opened = Office(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a sender, whose claims last so many seconds."""
    started: list[subprocess.Popen[bytes]] = []

    def start_one(lease: float) -> subprocess.Popen[bytes]:
        program = str(Path(__file__).with_name("messages_worker.py"))
        command = [sys.executable, program, str(tmp_path), str(lease)]
        started.append(subprocess.Popen(command, env={"PYTHONPATH": str(ROOT)}))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.wait()


async def test_a_sender_killed_between_sending_and_marking_is_followed_by_another(
    office: Office, start: Start
) -> None:
    office.ask()
    with WebhookReceiver() as hook:
        hook.answers = [hook.hold, hook.hold]
        office.receiver(hook.url)
        first = start(0.5)
        await got(hook, 1)
        first.kill()
        first.wait()
        (left,) = office.deliveries()
        assert (left["state"], left["attempts"]) == ("queued", 1)
        hook.answers.clear()
        start(0.5)
        one, two = await got(hook, 2)
        (delivery,) = await office.settled(1)
    assert one.id == two.id
    assert one.body == two.body
    for message in (one, two):
        Webhook(KEY).verify(message.body, message.headers)
    assert (delivery["state"], delivery["attempts"]) == ("sent", 2)


async def test_two_processes_deliver_each_message_once(office: Office, start: Start) -> None:
    with WebhookReceiver() as hook:
        office.receiver(hook.url)
        processes = [start(30) for _ in range(2)]
        for number in range(30):
            office.approve(office.ask(f"d{number}"))
        await office.settled(60)
        assert len({message.id for message in hook.got}) == len(hook.got) == 60
        assert [process.poll() for process in processes] == [None, None]
