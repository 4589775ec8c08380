"""The sender, with real receivers on loopback and the real outbox."""

from __future__ import annotations

import base64
import logging
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from addons.store.approvals.requests import Ask
from addons.store.audit.changes import ChangeRefused
from tests.control.messages.message_office import KEY, Office, eventually, got, link, moment, running, slower
from tests.control.messages.webhook_receiver import PATH, WebhookReceiver, garbage, hang_up, status
from tests.core.approvals.messages_made import assert_slack_takes
from tests.store.approval_samples import approval
from tests.store.loopback_issuer import make_certificate


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    opened = Office(tmp_path)
    yield opened
    opened.close()


async def test_a_request_reaches_its_receiver_signed_and_with_the_way_to_its_page(office: Office) -> None:
    with WebhookReceiver() as hook:
        asked = office.ask()
        async with running(office.sender(office.receiver(hook.url))):
            (message,) = await got(hook, 1)
            (delivery,) = await office.settled(1)
    told = Webhook(KEY).verify(message.body, message.headers)
    assert told["type"] == "approval.requested"
    assert (told["data"]["id"], told["data"]["url"]) == (asked.id, link(asked.id))
    assert message.headers["content-type"] == "application/json"
    assert (delivery["state"], delivery["attempts"], delivery["last_error"]) == ("sent", 1, None)


async def test_slack_gets_its_own_form_and_no_signature(office: Office) -> None:
    with WebhookReceiver() as hook:
        office.ask()
        async with running(office.sender(office.receiver(hook.url, key=None))):
            (message,) = await got(hook, 1)
    assert_slack_takes(message.message)
    assert not [name for name in message.headers if name.startswith("webhook-")]


async def test_a_receiver_with_a_ca_of_its_own_is_reached_over_tls(office: Office, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "hook.pem")
    with WebhookReceiver(certificate=certificate) as hook:
        office.ask()
        async with running(office.sender(office.receiver(hook.url, ca=str(certificate)))):
            (message,) = await got(hook, 1)
    assert Webhook(KEY).verify(message.body, message.headers)


@pytest.mark.parametrize("other", [True, False], ids=["another CA", "the public ones"])
async def test_a_receiver_that_cannot_prove_itself_gets_nothing(
    office: Office, tmp_path: Path, *, other: bool
) -> None:
    ca = {"ca": str(make_certificate(tmp_path / "other.pem"))} if other else {}
    with WebhookReceiver(certificate=make_certificate(tmp_path / "hook.pem")) as hook:
        office.ask()
        async with running(office.sender(office.receiver(hook.url, retries=(), **ca))):
            (delivery,) = await office.settled(1)
        assert hook.got == []
    assert delivery["state"] == "dead"
    assert delivery["last_error"] == "its certificate is not trusted, or is another host's"


async def test_a_key_that_is_changed_signs_the_next_message(office: Office) -> None:
    private = Ed25519PrivateKey.generate()
    new = f"whsk_{base64.b64encode(private.private_bytes_raw()).decode()}"
    with WebhookReceiver() as hook:
        async with running(office.sender(office.receiver(hook.url))):
            office.ask("d1")
            await got(hook, 1)
            (office.directory / "hook.key").write_text(f"{new}\n{KEY}\n")
            office.ask("d2")
            _, message = await got(hook, 2)
    asymmetric, symmetric = message.headers["webhook-signature"].split(" ")
    signed = f"{message.id}.{message.headers['webhook-timestamp']}.".encode() + message.body
    private.public_key().verify(base64.b64decode(asymmetric.removeprefix("v1a,")), signed)
    assert symmetric.startswith("v1,")
    assert Webhook(KEY).verify(message.body, message.headers)


async def test_two_senders_deliver_each_message_once(office: Office) -> None:
    asked = [office.ask(f"d{number}") for number in range(20)]
    with WebhookReceiver() as one, WebhookReceiver() as two:
        receivers = office.receiver(one.url, "one"), office.receiver(two.url, "two")
        async with running(*(office.sender(*receivers) for _ in range(2))):
            found = await office.settled(40)
        for hook in (one, two):
            assert Counter(got.message["data"]["id"] for got in hook.got) == Counter(one.id for one in asked)
        assert {got.id for got in one.got} == {got.id for got in two.got}
    assert {delivery["attempts"] for delivery in found} == {1}


async def test_a_message_that_was_not_taken_is_sent_again_under_its_id_and_signed_anew(
    office: Office,
) -> None:
    now = [time.time() - 100]
    with WebhookReceiver(status(500), garbage, status(204)) as hook:
        office.ask()
        receiver = office.receiver(hook.url, retries=("0s", "10s"))
        async with running(office.sender(receiver, clock=lambda: now[0])):
            await office.until(lambda found: found and found[0]["next_at"] > now[0])
            now[0] += 50
            attempts = await got(hook, 3)
            (delivery,) = await office.settled(1)
    assert len({attempt.id for attempt in attempts}) == 1
    assert len({attempt.body for attempt in attempts}) == 1
    times = [int(attempt.headers["webhook-timestamp"]) for attempt in attempts]
    assert times[-1] == int(now[0])
    for attempt in attempts:
        Webhook(KEY).verify(attempt.body, attempt.headers)
    assert (delivery["state"], delivery["attempts"]) == ("sent", 3)


async def test_what_nobody_takes_is_a_dead_letter_that_a_person_can_send_again(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    with WebhookReceiver(*[status(503)] * 3, status(204)) as hook:
        asked = office.ask()
        async with running(office.sender(office.receiver(hook.url))):
            await office.settled(1)
            (letter,) = office.outbox.dead()
            assert (letter.target, letter.event, letter.approval) == ("hook", "requested", asked.id)
            assert (letter.attempts, letter.error) == (3, "answered 503")
            assert len(hook.got) == 3
            assert office.outbox.retry(letter.id, time.time())
            *_, last = await got(hook, 4)
            await office.settled(1)
    assert last.id == letter.message == hook.got[0].id
    assert office.outbox.dead() == []
    assert not office.outbox.retry(letter.id, time.time())
    assert "ddgate approvals messages" in caplog.text
    assert PATH not in caplog.text


async def test_who_wants_no_more_messages_is_not_asked_again(office: Office) -> None:
    with WebhookReceiver(status(410)) as hook:
        office.ask()
        async with running(office.sender(office.receiver(hook.url))):
            (delivery,) = await office.settled(1)
    assert (delivery["state"], delivery["attempts"]) == ("dead", 1)


async def test_who_asks_for_time_gets_it(office: Office) -> None:
    with WebhookReceiver(status(429, Retry_After="120"), status(204)) as hook:
        office.ask()
        now = [time.time()]
        async with running(office.sender(office.receiver(hook.url), clock=lambda: now[0])):
            (delivery,) = await office.until(lambda found: found and found[0]["last_error"])
            assert delivery["next_at"] == now[0] + 120
            now[0] += 121
            (delivery,) = await office.settled(1)
    assert delivery["state"] == "sent"


async def test_attempts_follow_the_schedule(office: Office) -> None:
    now = [time.time()]
    with WebhookReceiver(status(500)) as hook:
        office.ask()
        receiver = office.receiver(hook.url, retries=("5s", "5m"))
        async with running(office.sender(receiver, clock=lambda: now[0])):
            for attempt, pause in ((1, 5.0), (2, 300.0)):
                await office.until(lambda found: found and found[0]["next_at"] > now[0])
                (delivery,) = office.deliveries()
                assert delivery["attempts"] == attempt
                assert pause <= delivery["next_at"] - now[0] <= pause * 1.2
                now[0] = delivery["next_at"]
            (delivery,) = await office.settled(1)
    assert (delivery["state"], delivery["attempts"]) == ("dead", 3)


async def test_messages_of_one_approval_go_in_order(office: Office) -> None:
    asked = office.ask()
    office.approve(asked)
    with WebhookReceiver(status(500), hang_up, status(204)) as hook:
        async with running(office.sender(office.receiver(hook.url))):
            await office.settled(2)
        assert [one.type for one in hook.got] == [
            *["approval.requested"] * 3,
            "approval.approved",
        ]


async def test_a_slow_receiver_holds_up_nobody_else(office: Office) -> None:
    with WebhookReceiver() as slow, WebhookReceiver() as quick:
        slow.answers = [slow.hold]
        receivers = office.receiver(slow.url, "slow"), office.receiver(quick.url, "quick")
        async with running(office.sender(*receivers)):
            for number in range(12):
                office.ask(f"d{number}")
            await got(quick, 12)
            assert {one["target"] for one in office.deliveries() if one["state"] == "sent"} == {"quick"}
            slow.released.set()
            await office.settled(24)


async def test_receivers_hear_what_they_asked_for_and_of_every_broken_glass(office: Office) -> None:
    with WebhookReceiver() as everything, WebhookReceiver() as denials:
        receivers = (
            office.receiver(everything.url, "everything"),
            office.receiver(denials.url, "denials", events=("denied",)),
        )
        office.break_glass(office.ask())
        async with running(office.sender(*receivers)):
            await office.settled(3)
        assert [one.type for one in everything.got] == ["approval.requested", "approval.glass_broken"]
        assert [one.type for one in denials.got] == ["approval.glass_broken"]
        assert denials.got[0].message["data"]["reason"] == "production is down"


async def test_a_call_that_was_turned_away_makes_no_message(office: Office) -> None:
    office.ask("d1")
    with pytest.raises(ChangeRefused):
        office.store.do(Ask(approval("d2"), moment(), 1))
    with WebhookReceiver() as hook:
        async with running(office.sender(office.receiver(hook.url))):
            await office.settled(1)
        assert len(hook.got) == 1


async def test_a_message_says_what_was_so_when_it_was_made(office: Office) -> None:
    office.approve(office.ask())
    with WebhookReceiver() as hook:
        async with running(office.sender(office.receiver(hook.url))):
            requested, approved = await got(hook, 2)
    assert requested.message["data"]["state"] == "pending"
    assert requested.message["data"]["by"] is None
    assert approved.message["data"]["state"] == "approved"
    assert approved.message["data"]["by"] == "alice@example.com"


async def test_a_secret_that_is_missing_is_told_by_name_and_read_once_it_is_there(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    with WebhookReceiver() as hook:
        receiver = office.receiver(hook.url, retries=("0s",) * 20)
        (office.directory / "hook.key").unlink()
        office.ask()
        limits = slower(pause=0.1)
        async with running(office.sender(receiver, limits=limits)):
            (delivery,) = await office.until(lambda found: found and found[0]["last_error"])
            assert "hook.key: can't be read: No such file or directory" in delivery["last_error"]
            (office.directory / "hook.key").write_text(KEY)
            await got(hook, 1)
    assert "Receiver hook" in caplog.text
    assert PATH not in caplog.text


async def test_an_address_is_in_no_log_not_even_of_the_http_library(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with WebhookReceiver(status(500), status(204)) as hook:
        office.ask()
        async with running(office.sender(office.receiver(hook.url, key=None))):
            await office.settled(1)
    assert "Receiver hook" in caplog.text
    assert PATH not in caplog.text
    assert hook.url.split("/")[2] not in caplog.text


async def test_an_outbox_that_is_away_for_a_while_loses_nothing(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    database, away = office.state.audit_log, office.directory / "away"
    office.ask()
    with WebhookReceiver() as hook:
        hook.answers = [hook.hold]
        async with running(office.sender(office.receiver(hook.url))):
            await got(hook, 1)
            database.rename(away)
            hook.released.set()
            await eventually(lambda: "can't be sent" in caplog.text)
            away.rename(database)
            (delivery,) = await office.settled(1)
    assert (delivery["state"], delivery["attempts"], len(hook.got)) == ("sent", 1, 1)


async def test_a_message_that_cannot_be_read_is_a_dead_letter_and_stops_no_other(office: Office) -> None:
    office.ask("d1")
    office.ask("d2")
    office.damage("UPDATE outbox SET body = 'garbage' WHERE number = 1")
    with WebhookReceiver() as hook:
        async with running(office.sender(office.receiver(hook.url))):
            broken, whole = await office.settled(2)
        assert len(hook.got) == 1
    assert (broken["state"], whole["state"]) == ("dead", "sent")


async def test_an_event_that_nobody_knows_is_a_dead_letter(office: Office) -> None:
    office.ask("d1")
    office.damage("UPDATE outbox SET event = 'exploded' WHERE number = 1")
    with WebhookReceiver() as hook:
        async with running(office.sender(office.receiver(hook.url))):
            (delivery,) = await office.settled(1)
    assert delivery["state"] == "dead"


async def test_a_clock_that_jumped_ahead_and_back_puts_no_message_off(office: Office) -> None:
    now = [time.time() + 400 * 86400]
    with WebhookReceiver(status(500), status(204)) as hook:
        office.ask()
        receiver = office.receiver(hook.url, retries=("5m", "5m"))
        async with running(office.sender(receiver, clock=lambda: now[0])):
            await office.until(lambda found: found and found[0]["last_error"])
            now[0] = time.time()
            (delivery,) = await office.settled(1)
    assert delivery["state"] == "sent"


async def test_without_receivers_the_outbox_stays_empty(office: Office) -> None:
    office.ask()
    async with running(office.sender()):
        await eventually(lambda: not office.outbox.figures().queued)
    assert office.deliveries() == []


async def test_an_outbox_that_is_restored_from_a_backup_is_sent_on(office: Office) -> None:
    backup = Office(office.directory / "backup")
    asked = backup.ask()
    backup.close()
    database = office.state.audit_log
    with WebhookReceiver() as hook:
        office.ask()
        async with running(office.sender(office.receiver(hook.url))):
            await office.settled(1)
            for name in ("-wal", "-shm"):
                database.with_name(f"{database.name}{name}").unlink()
            backup.state.audit_log.replace(database)
            _, message = await got(hook, 2)
    assert message.message["data"]["id"] == asked.id
