"""`ddgate approvals` on a real gateway with its control: a person decides, an agent hears of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.e2e import forked
from tests.e2e.agent_run import Agent, Ran
from tests.e2e.approving import AUDIENCE, MONITOR, Control, calling, create_monitor, kinds, running, settings
from tests.e2e.conftest import MakeGateway
from tests.e2e.gateway_process import ROOT, Gateway, curl
from tests.sandbox_processes import Issuer, StandIn

COMMAND = f"{sys.executable} -m addons.cli.main approvals"
ASK = f"{COMMAND} request"
CURL = f"curl -sS -o answer -w '%{{http_code}}\\n' -H 'Content-Type: application/json' -d @body {MONITOR}"


@dataclass
class Place:
    gateway: Gateway
    control: Control
    issuer: Issuer
    directory: Path

    def person(self, *arguments: str, name: str = "alice") -> Ran:
        """One command of a person, at another machine: an address and a token are all there is."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DDGATE_")}
        more = {
            "PYTHONPATH": str(ROOT),
            "DDGATE_CONTROL": f"http://127.0.0.1:{self.control.port}",
            "DDGATE_TOKEN": self.issuer.token(name, audience=AUDIENCE),
        }
        done = forked.run(["approvals", *arguments], env={**kept, **more}, timeout=60)
        assert more["DDGATE_TOKEN"] not in done.stdout + done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def agent(self, script: str, client_id: str = "demo-agent") -> Ran:
        """A shell script under `ddgate run`."""
        agent = Agent(self.gateway, self.issuer, self.directory, client_id)
        shell = f"cd {self.directory} && PYTHONPATH=$PYTHONPATH:{ROOT} && export PYTHONPATH && {script}"
        return agent.run("sh", "-c", shell, timeout=90)

    def asked(self, name: str) -> str:
        """The id of a request that nobody waits for any more."""
        call = curl(
            self.gateway, "-H", "Prefer: wait=0", *create_monitor(name), token=self.issuer.token("demo-agent")
        )
        assert call.status == 429, call.body
        return str(call.json()["ddgate"]["approval"])


@pytest.fixture
def place(make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path, fresh: StandIn) -> Iterator[Place]:
    gateway = make_gateway(config=settings(tmp_path, issuer)).start()
    with running(gateway, issuer) as control:
        yield Place(gateway, control, issuer, tmp_path)
    gateway.stop()


def test_a_person_approves_what_was_shown_and_the_held_call_runs(place: Place, datadog: StandIn) -> None:
    call = partial(curl, place.gateway, token=place.issuer.token("demo-agent"), timeout=60)
    with calling(lambda: call(*create_monitor("by hand"))) as answer:
        (pending,) = place.control.wait_for("pending")
        digest = json.loads(place.person("show", pending["id"][-6:], "--json").out)["digest"]
        done = place.person("approve", pending["id"], "--yes", "--digest", digest, "-m", "looks right")
        assert done.exit_code == 0, done.err
    assert (answer.result().exit_code, answer.result().status) == (0, 200)
    assert len([one for one in datadog.requests() if one.method == "POST"]) == 1
    assert place.person("list").out == ""
    ended = place.person("show", pending["id"]).out
    assert "State  succeeded" in ended
    assert "looks right" in ended


def test_a_word_that_does_not_count_is_refused_with_its_reason_and_is_on_record(
    place: Place, datadog: StandIn
) -> None:
    one = place.asked("not by these")
    (line,) = place.person("list", "--mine").out.splitlines()
    assert line.startswith(f"{one}\tpending\t")
    assert "not by these" in line
    refused = place.person("approve", one, "--yes", name="bob")
    assert (refused.exit_code, "not_in_group" in refused.err) == (1, True)
    other = place.person("approve", one, "--yes", "--digest", "0" * 64)
    assert (other.exit_code, "changed" in other.err) == (1, True)
    assert kinds(place.gateway, one).count("approval_vote_refused") == 2
    assert not datadog.requests()


def test_an_agent_under_ddgate_run_waits_for_the_answer_and_repeats_its_call(
    place: Place, datadog: StandIn
) -> None:
    (place.directory / "body").write_text(
        json.dumps({"name": "waited", "type": "metric alert", "query": "q"})
    )
    script = (
        f"{CURL} -H 'Prefer: wait=0'; "
        'id=$(sed \'s/.*"approval": *"\\([0-9a-f]*\\)".*/\\1/\' answer); '
        f"{ASK} $id; {ASK} $id wait --timeout 60 && {CURL}"
    )
    with ThreadPoolExecutor(1) as threads:
        ran = threads.submit(place.agent, script)
        (pending,) = place.control.wait_for("pending")
        assert place.person("approve", pending["id"], "--yes").exit_code == 0
        done = ran.result()
    assert done.exit_code == 0, done.err
    first, *said, last = done.out.splitlines()
    assert (first, last) == ("429", "200")
    assert any(line.startswith(("pending", "approved")) for line in said)
    assert any(line.startswith("approved") for line in said)
    assert len([one for one in datadog.requests() if one.method == "POST"]) == 1


def test_an_agent_hears_of_a_denial_takes_a_request_back_and_sees_no_others(place: Place) -> None:
    denied, taken_back = place.asked("denied"), place.asked("taken back")
    assert place.person("deny", denied, "--yes", "-m", "not now").exit_code == 0
    told = place.agent(f"{ASK} {denied} wait")
    assert (told.exit_code, "by alice" in told.out, "not now" in told.out) == (4, True, True)
    assert place.agent(f"{ASK} {taken_back} wait --timeout 0").exit_code == 6
    assert place.agent(f"{ASK} {taken_back} cancel").out.startswith("cancelled")
    assert place.agent(f"{ASK} {taken_back} wait").exit_code == 5
    assert place.control.show(taken_back)["state"] == "cancelled"
    stranger = place.agent(f"{ASK} {denied}", client_id="sre-agent")
    assert (stranger.exit_code, stranger.out) == (1, "")
    assert "you have no approval of this id" in stranger.err


def test_an_agents_token_decides_nothing_on_the_command_line(place: Place) -> None:
    one = place.asked("mine")
    token = place.issuer.token("demo-agent")
    ran = place.agent(
        f"DDGATE_TOKEN={token} {COMMAND} approve {one} --yes --control http://127.0.0.1:{place.control.port}"
    )
    assert (ran.exit_code, "bad_token" in ran.err) == (1, True)
    assert place.control.show(one)["state"] == "pending"
