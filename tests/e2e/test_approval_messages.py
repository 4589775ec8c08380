"""People are told of calls that wait for them: by control, from the outbox that gateways fill."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from standardwebhooks import Webhook

from tests.control.messages.webhook_receiver import PATH, WebhookReceiver, status
from tests.core.approvals.messages_made import assert_slack_takes
from tests.e2e.approving import DASHBOARD, Control, calling, create_monitor, running, settings
from tests.e2e.conftest import MakeGateway
from tests.e2e.gateway_process import Curled, Gateway, curl, free_port, wait_until
from tests.sandbox_processes import Issuer, StandIn
from tests.store.loopback_issuer import make_certificate

KEY = f"whsec_{base64.b64encode(b'what the receiver of this test knows').decode()}"
NOW = ("-H", "Prefer: wait=0")
PASSWORD = "hunter2-hunter2-hunter2"


class Place:
    """A gateway whose configuration names receivers, which take messages from the start."""

    def __init__(self, make_gateway: MakeGateway, issuer: Issuer, directory: Path) -> None:
        self.make_gateway, self.issuer, self.directory = make_gateway, issuer, directory
        self.notify: list[dict[str, Any]] = []

    def tell(self, hook: WebhookReceiver, name: str, **changed: Any) -> None:
        """A receiver of standard messages, unless `changed` says `format: slack`."""
        (self.directory / f"{name}.url").write_text(hook.url)
        (self.directory / f"{name}.key").write_text(KEY)
        one = {"name": name, "url": {"file": str(self.directory / f"{name}.url")}, **changed}
        if one.get("format") != "slack":
            one["secret"] = {"file": str(self.directory / f"{name}.key")}
        self.notify.append(one)

    def start(self) -> Gateway:
        config = settings(self.directory, self.issuer)
        config["control"]["notify"] = self.notify
        self.gateway = self.make_gateway(config=config).start()
        return self.gateway

    def call(self, *arguments: str) -> Curled:
        return curl(self.gateway, *arguments, token=self.issuer.token("demo-agent"))


@pytest.fixture
def place(make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path, fresh: StandIn) -> Place:
    return Place(make_gateway, issuer, tmp_path)


@pytest.fixture
def hooks() -> Iterator[Callable[..., WebhookReceiver]]:
    with ExitStack() as stack:
        yield lambda *answers, **options: stack.enter_context(WebhookReceiver(*answers, **options))


type Hooks = Callable[..., WebhookReceiver]


def verified(hook: WebhookReceiver, count: int) -> list[dict[str, Any]]:
    return [dict(Webhook(KEY).verify(one.body, one.headers)) for one in hook.wait_for(count)]


def test_people_are_told_of_a_held_call_and_of_what_became_of_it(
    place: Place, hooks: Hooks, issuer: Issuer, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path / "hook.pem")
    standard, slack = hooks(certificate=certificate), hooks()
    place.tell(standard, "pager", ca=str(certificate))
    place.tell(slack, "channel", format="slack")
    gateway = place.start()
    with running(gateway, issuer) as control:
        wanted = create_monitor("held", message=f"password={PASSWORD} <!channel>")
        with calling(lambda: place.call(*wanted)) as answer:
            (requested,) = verified(standard, 1)
            assert requested["type"] == "approval.requested"
            assert requested["data"]["requester"]["subject"] == "demo-agent"
            assert requested["data"]["still_needed"] == {"sre-leads": 1}
            assert (
                requested["data"]["url"]
                == f"http://127.0.0.1:{control.port}/approvals/{requested['data']['id']}"
            )
            assert control.decide(requested["data"]["id"], reason="fine").status_code == 200
        assert answer.result().status == 200
        _, approved, executed = verified(standard, 3)
        assert [approved["type"], executed["type"]] == ["approval.approved", "approval.executed"]
        assert approved["data"]["by"].startswith("alice")
        assert executed["data"]["status"] == 200
        for message in slack.wait_for(3):
            assert_slack_takes(message.message)
        text = b"".join(one.body for one in (*standard.got, *slack.got)).decode()
        for secret in (PASSWORD, *gateway.keys.values(), "<!channel>"):
            assert secret not in text
    assert PATH not in control.log.read_text() + gateway.log.read_text()


def test_what_was_asked_while_no_control_ran_is_told_when_it_does(
    place: Place, hooks: Hooks, issuer: Issuer
) -> None:
    hook = hooks()
    place.tell(hook, "pager")
    gateway = place.start()
    pending = place.call(*NOW, *create_monitor("early"))
    assert pending.status == 429
    with running(gateway, issuer):
        (requested,) = verified(hook, 1)
    assert requested["data"]["state"] == "pending"


def test_a_message_that_nobody_took_is_shown_and_sent_again(
    place: Place, hooks: Hooks, issuer: Issuer
) -> None:
    hook = hooks(status(410), status(204))
    place.tell(hook, "pager")
    gateway = place.start()
    with running(gateway, issuer) as control:
        place.call(*NOW, *create_monitor("unheard"))

        def letters() -> list[dict[str, Any]]:
            answer = control.ask("GET", "messages", control.token("alice"))
            assert answer.status_code == 200, answer.text
            return list(answer.json()["dead"])

        (letter,) = wait_until(letters, what="a dead letter")
        assert (letter["receiver"], letter["event"], letter["attempts"]) == ("pager", "requested", 1)
        assert letter["error"].startswith("answered 410")
        assert metrics(control)["ddgate_messages_dead",] == 1
        again = control.ask("POST", f"messages/{letter['id']}/retry", control.token("alice"), {})
        assert again.status_code == 200, again.text
        first, second = hook.wait_for(2)
        assert first.id == second.id == letter["message"]
        wait_until(lambda: not letters(), what="no dead letters")
    log = control.log.read_text()
    assert "Receiver pager did not take message" in log
    assert hook.url not in log


def test_two_control_processes_tell_each_thing_once(place: Place, hooks: Hooks, issuer: Issuer) -> None:
    hook = hooks()
    place.tell(hook, "pager")
    gateway = place.start()
    with running(gateway, issuer), running(gateway, issuer, port=free_port()) as control:
        for number in range(8):
            assert place.call(*NOW, *create_monitor(f"m{number}")).status == 429
        for one in control.wait_for("pending", 8):
            assert control.decide(one["id"], "deny", reason="no").status_code == 200
        messages = verified(hook, 16)
        wait_until(lambda: metrics(control)["ddgate_messages_queued",] == 0, what="an empty queue")
    assert len(hook.got) == 16
    assert set(Counter((one["type"], one["data"]["id"]) for one in messages).values()) == {1}
    order: dict[str, list[str]] = {}
    for one in messages:
        order.setdefault(one["data"]["id"], []).append(one["type"])
    assert set(map(tuple, order.values())) == {("approval.requested", "approval.denied")}


def test_a_broken_glass_is_told_to_everyone(place: Place, hooks: Hooks, issuer: Issuer) -> None:
    denials, everything = hooks(), hooks()
    place.tell(denials, "denials", events=["denied"])
    place.tell(everything, "everything", format="slack")
    gateway = place.start()
    body = json.dumps({"title": "d", "layout_type": "ordered", "widgets": []})
    wanted = ["-X", "POST", "-H", "Content-Type: application/json", "-d", body, DASHBOARD]
    with running(gateway, issuer) as control:
        assert place.call(*NOW, *wanted).status == 429
        (pending,) = control.wait_for("pending")
        broken = control.decide(
            pending["id"], "break-glass", "erin", "production is down", groups=["incident"]
        )
        assert broken.status_code == 200, broken.text
        (told,) = verified(denials, 1)
        everything.wait_for(2)
    assert told["type"] == "approval.glass_broken"
    assert (told["data"]["by"], told["data"]["reason"]) == ("erin", "production is down")
    assert told["data"]["review_due"] > told["timestamp"]
    assert "production is down" in everything.got[1].body.decode()


def test_figures_of_what_waits(place: Place, issuer: Issuer) -> None:
    gateway = place.start()
    with running(gateway, issuer) as control:
        with calling(lambda: place.call(*create_monitor("counted"))) as answer:
            (pending,) = control.wait_for("pending")
            found = wait_until(
                lambda: (seen := metrics(control)).get(held(gateway)) == 1 and seen, what="the held call"
            )
            assert isinstance(found, dict)
            assert found["ddgate_approvals", "pending"] == 1
            assert found["ddgate_approvals_oldest_pending_seconds",] >= 0
            control.decide(pending["id"], "deny")
        assert answer.result().status == 403
        after = wait_until(
            lambda: not (seen := metrics(control)).get(held(gateway)) and seen, what="none held"
        )
        assert isinstance(after, dict)
        assert (after["ddgate_approvals", "pending"], after["ddgate_approvals", "denied"]) == (0, 1)


def held(gateway: Gateway) -> tuple[str, ...]:
    assert gateway.process is not None
    return ("ddgate_gateway_calls_held", gateway.url, str(gateway.process.pid))


def metrics(control: Control) -> dict[tuple[str, ...], float]:
    answer = control.client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
