"""I2, I3, I5 and I12 under `kill -9`: two gateways that write one log are killed again and again while eight
clients send through them, and each time what they left is held against what their upstream and their clients
got, and the log is verified. In every other round the process that commits for one of them is killed before.

Two rounds always run, fifty with `--long`. DDGATE_CRASH_ROUNDS gives another number.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from addons.core.redact.detectors.vendors import fill
from addons.core.redact.masking.mask import contains_mask
from addons.store.audit.check import own_trust
from addons.store.audit.verify import verify_log
from addons.store.state_dir import StateDir
from tests.committers import committer_of
from tests.e2e.gateway_process import Gateway, wait_until
from tests.e2e.open_policy import write_open_policy
from tests.long.caller import Answer, Caller
from tests.long.evidence import (
    Search,
    Trail,
    assert_log_is_calm,
    assert_only_the_gateways_keys,
    audited_body,
    recorded_flow,
)
from tests.sandbox_processes import Issuer, Received, StandIn

CLIENTS = 8
LOGS = "http-intake.logs.datadoghq.com"
PLANTED = "ghp_" + fill(36)
PASSWORD = "Tr0ub4dor-Zebra-77"
JSON = ("Content-Type", "application/json")

type MakeGateway = Callable[..., Gateway]


def log_with_secrets(number: str) -> bytes:
    message = f"login of {number} with password={PASSWORD} and {PLANTED}"
    return json.dumps([{"message": message, "ddsource": "crash", "id": number}]).encode()


class Sender(threading.Thread):
    """Sends logs, each with an id of its own, until the gateway is gone. `answered`: whole answers by id."""

    def __init__(self, caller: Caller, prefix: str) -> None:
        super().__init__(daemon=True)
        self._caller = caller
        self._prefix = prefix
        self.answered: dict[str, Answer] = {}
        self.forwarded = 0

    def run(self) -> None:
        number = 0
        try:
            while True:
                name = f"{self._prefix}-n{number}"
                number += 1
                target = f"/api/v2/logs?ddsource={name}"
                answer = self._caller.call("POST", target, log_with_secrets(name), [JSON])
                if answer is None:
                    return
                self.answered[name] = answer
                self.forwarded += answer.status == 202
        except OSError:
            return
        finally:
            self._caller.close()


def id_of(target: str) -> str:
    return target.partition("ddsource=")[2]


class Rounds:
    """Two gateways, killed and started again on the same state."""

    def __init__(self, gateways: Sequence[Gateway], issuer: Issuer, datadog: StandIn) -> None:
        self.gateways = gateways
        self.gateway = gateway = gateways[0]
        self.datadog = datadog
        self.token = issuer.token("demo-agent", ttl=3600)
        self.trail = Trail(gateway)
        self.search = Search(gateway, [PLANTED, PASSWORD, self.token, *datadog.keys.values()])
        self.forwarded = 0
        self.answered = 0
        self._refusable: set[str] = set()  # whose calls may be refused: their committing process was killed

    def run(self, number: int, seconds: float) -> None:
        for gateway in self.gateways:
            gateway.start()
        for gateway in self.gateways:
            self._assert_it_works(gateway, number)
        senders = [
            Sender(self._caller(self.gateways[client % len(self.gateways)]), f"r{number}-c{client}")
            for client in range(CLIENTS)
        ]
        for sender in senders:
            sender.start()
        began = time.monotonic()
        wait_until(
            lambda: time.monotonic() - began > seconds and all(sender.answered for sender in senders), 30
        )
        self._refusable = set()
        if number % 2:
            self._refusable = {f"r{number}-c{client}" for client in range(0, CLIENTS, len(self.gateways))}
            self._kill_committer(senders[:: len(self.gateways)])
        for gateway in self.gateways:
            gateway.stop(signal.SIGKILL)
        for sender in senders:
            sender.join(30)
            assert not sender.is_alive()
        answered = {name: answer for sender in senders for name, answer in sender.answered.items()}
        self._assert_all_on_record(answered)
        self._assert_verifies()

    def _kill_committer(self, senders: Sequence[Sender]) -> None:
        """Of the first gateway, through which `senders` send; it serves them again."""
        assert self.gateway.process is not None
        os.kill(committer_of(self.gateway.process.pid), signal.SIGKILL)
        before = [sender.forwarded for sender in senders]
        wait_until(
            lambda: all(sender.forwarded > count + 1 for sender, count in zip(senders, before, strict=True)),
            30,
            "calls that are forwarded after the committing process was killed",
        )

    def finish(self) -> None:
        """What was torn off is cut off: after the last start mitmproxy reads every segment to its end. Calls
        that nobody can tell the end of have an outcome that says so.
        """
        self.gateway.start()
        self._assert_it_works(self.gateway, -1)
        wait_until(self.trail.is_settled, 30, "an outcome of every call")
        self._assert_readable()
        assert self.gateway.stop() == 0
        self.search.assert_nothing_found()
        for gateway in self.gateways:
            assert_log_is_calm(gateway)
        self._assert_verifies()

    def _assert_verifies(self) -> None:
        state = StateDir(self.gateway.state)
        verify_log(state.audit_log, own_trust(state))

    def _caller(self, gateway: Gateway) -> Caller:
        return Caller(gateway.port, gateway.ca, LOGS, self.token)

    def _assert_it_works(self, gateway: Gateway, number: int) -> None:
        caller = self._caller(gateway)
        name = f"r{number}-{self.gateways.index(gateway)}-probe"

        def answered() -> bool:
            try:
                answer = caller.call("POST", f"/api/v2/logs?ddsource={name}", b"[]", [JSON])
            except OSError:
                return False
            return answer is not None and answer.status == 202

        wait_until(answered, 20, "a good call after the start")
        caller.close()
        self._assert_readable()

    def _assert_readable(self) -> None:
        self.search.recordings()
        self.search.assert_nothing_found()

    def _assert_all_on_record(self, answered: dict[str, Answer]) -> None:
        self.trail.read()
        attempted = {
            id_of(record["http_request"]["path"]): record for record in self.trail.attempted.values()
        }
        received = self.datadog.requests()
        self.datadog.reset()
        assert_only_the_gateways_keys(received, self.datadog.keys)
        names = [id_of(f"?{one.query}") for one in received]
        assert sorted(set(names) - {n for n in names if n.endswith("probe")}) == sorted(
            n for n in names if not n.endswith("probe")
        ), "a request reached the upstream twice"
        for name, one in zip(names, received, strict=True):
            self._assert_attempted(name, one, attempted)
        for name, answer in answered.items():
            if answer.status != 202:
                assert name.partition("-n")[0] in self._refusable, (name, answer)
                assert answer.is_ddgates, (name, answer)
                continue
            self._assert_outcome(name, answer, attempted[name]["call"])
        self.forwarded += len(received)
        self.answered += len(answered)

    def _assert_attempted(self, name: str, one: Received, attempted: dict[str, dict[str, object]]) -> None:
        assert name in attempted, f"I2: {name} was forwarded without a record"
        body = audited_body(attempted[name])
        if name.endswith("probe"):
            return
        assert name.encode() in body
        assert PLANTED.encode() in one.body, "the policy masks nothing that is forwarded"
        assert contains_mask(body), "what is kept is masked all the same"

    def _assert_outcome(self, name: str, answer: Answer, call: str) -> None:
        assert call in self.trail.outcomes, f"I2: {name} was answered without an outcome"
        outcome = self.trail.outcomes[call]
        assert outcome["http_response"]["status"] == answer.status
        flow = recorded_flow(self.gateway, outcome)
        assert id_of(flow.request.path) == name
        assert flow.response is not None
        assert (flow.response.status_code, flow.response.raw_content) == (answer.status, answer.body)
        assert name.encode() in (flow.request.raw_content or b"")


def run_rounds(
    count: int, make_gateway: MakeGateway, issuer: Issuer, datadog: StandIn, directory: Path
) -> Rounds:
    datadog.reset()
    config = {"policy": [write_open_policy(directory)], "recordings": {"segment_size": "1MiB"}}
    gateways = [make_gateway(name, config=config) for name in ("one", "other")]
    gateways[1].state = gateways[0].state
    rounds = Rounds(gateways, issuer, datadog)
    choose = random.Random(9)  # noqa: S311 - when to kill
    for number in range(count):
        rounds.run(number, choose.uniform(0.2, 0.9))
    rounds.finish()
    assert rounds.forwarded >= rounds.answered >= count * CLIENTS
    return rounds


def test_i2_two_kills_lose_no_record(
    make_gateway: MakeGateway, issuer: Issuer, datadog: StandIn, tmp_path: Path
) -> None:
    run_rounds(2, make_gateway, issuer, datadog, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_i2_fifty_kills_lose_no_record(
    make_gateway: MakeGateway, issuer: Issuer, datadog: StandIn, tmp_path: Path
) -> None:
    count = int(os.environ.get("DDGATE_CRASH_ROUNDS", "50"))
    rounds = run_rounds(count, make_gateway, issuer, datadog, tmp_path)
    print(f"{count} rounds: {rounds.forwarded} requests forwarded, {rounds.answered} answered")  # noqa: T201 - the figures
