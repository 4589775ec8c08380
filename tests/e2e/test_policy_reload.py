"""I6 and I10, abuse cases 27 and 30: the policy changes under a running gateway, wholly or not at all."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest

from addons.core.catalogue import Catalogue
from addons.store.policy.files import read_catalogue, read_policy
from tests.e2e import raw_client
from tests.e2e.gateway_process import ROOT, Curled, Gateway, free_port, wait_until
from tests.e2e.raw_upstream import Exchange, RawUpstream, gateway_before, ok
from tests.e2e.test_fail_closed import _ready, a_file_for_recordings, a_locked_log, control_of
from tests.e2e.test_up import Up, _all_ended
from tests.sandbox_processes import Issuer, StandIn

API = "api.datadoghq.com"
HOST = ("Host", API)
CREDENTIALS = ("default", "readonly")

OPEN = """\
version: 1
rules:
  - {id: all-for-agents, effect: allow, who: {groups: [agents]}, op: {risk: [read, write, unknown]}}
"""
CLOSED = OPEN + "  - {id: no-monitors, effect: deny, op: {name: [ListMonitors]}}\n"

type MakeGateway = Callable[..., Gateway]


def numbered(n: int) -> str:
    """OPEN, and more: one text and one revision for each number."""
    rules = "".join(f"  - {{id: no-{n}-{i}, effect: deny, op: {{tags: [users]}}}}\n" for i in range(20))
    return OPEN + rules


@cache
def _catalogue() -> Catalogue:
    return read_catalogue()


def revision_of(text: str, directory: Path) -> str:
    path = directory / "another.yaml"
    path.write_text(text)
    return read_policy([path], _catalogue(), CREDENTIALS).revision


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def turn(link: Path, target: str) -> None:
    """As Kubernetes turns `..data`."""
    new = link.with_name(f"{link.name}.turning")
    new.symlink_to(target)
    new.rename(link)


def policy_of(gateway: Gateway, text: str = OPEN) -> Path:
    path = gateway.directory / "policies" / "p.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def until_active(gateway: Gateway, revision: str) -> None:
    """Until the gateway says that it decides by that set."""
    wait_until(lambda: f"-> {revision}" in gateway.log.read_text(), 20, f"{revision} to be active")


def until_swapped(gateway: Gateway, times: int) -> None:
    wait_until(lambda: gateway.log.read_text().count("policy sha256:") == times, 20, "the swap")


def tunnel_of(gateway: Gateway, issuer: Issuer) -> raw_client.Tunnel:
    token = raw_client.basic(issuer.token("demo-agent"))
    return raw_client.tunnel(gateway.port, gateway.ca, headers=[token], timeout=20)


def ask(tunnel: raw_client.Tunnel) -> Curled:
    return tunnel.request("GET", "/api/v1/monitor", [HOST])


def revisions(gateway: Gateway, kind: str) -> list[str]:
    return [record["decision"]["policy_revision"] for record in gateway.records_of(kind)]


CONFIG = {"policy": ["policies/p.yaml"]}


@pytest.fixture
def gateway(make_gateway: MakeGateway) -> Iterator[Gateway]:
    made = make_gateway(config=CONFIG)
    policy_of(made)
    yield made.start()
    made.stop()
    assert "Traceback" not in made.log.read_text()


def test_i6_a_rule_that_is_added_denies_the_next_call_in_the_same_tunnel(
    gateway: Gateway, issuer: Issuer, fresh: StandIn, tmp_path: Path
) -> None:
    tunnel = tunnel_of(gateway, issuer)
    assert ask(tunnel).status == 200
    opened, closed = revision_of(OPEN, tmp_path), revision_of(CLOSED, tmp_path)
    replace(gateway.directory / "policies" / "p.yaml", CLOSED)
    until_active(gateway, closed)
    refused = ask(tunnel)
    assert (refused.status, refused.json()["ddgate"]["rule"]) == (403, "no-monitors")
    assert len(fresh.requests()) == 1
    policy_of(gateway)
    until_swapped(gateway, 2)
    assert ask(tunnel).status == 200
    assert revisions(gateway, "policy_activated") == [opened, closed, opened]
    kinds = [record["kind"] for record in gateway.records()]
    assert kinds[:2] == ["started", "policy_activated"]
    assert revisions(gateway, "refused")[0] == closed


BAD = {
    "syntax": ("version: 1\nrules: [\n", ":3:1: not YAML"),
    "a failing test of its own": (
        OPEN + "tests:\n  - {name: t, given: {op: GetMonitor}, expect: {effect: allow}}\n",
        ":5:5: the test 't' fails",
    ),
    "an unknown credential": (
        OPEN.replace("effect: allow", "effect: allow, credential: no"),
        ":3:10: the rule",
    ),
    "a duplicate key": (OPEN + "version: 1\n", ":4:1: the key 'version' stands twice"),
    "a vanished file": (None, ": no such file"),
}


def test_i10_a_bad_set_is_refused_and_told_while_the_old_one_serves(
    make_gateway: MakeGateway, issuer: Issuer, fresh: StandIn, tmp_path: Path
) -> None:
    port = free_port()
    gateway = make_gateway(config={**CONFIG, "control": {"port": port}})
    path = policy_of(gateway)
    gateway.start()
    opened = revision_of(OPEN, tmp_path)
    tunnel = tunnel_of(gateway, issuer)
    with control_of(gateway, port):
        for text, told in BAD.values():
            if text is None:
                path.unlink()
            else:
                replace(path, text)
            line = _told(port, f"{path}{told}")
            answer = _ready(port)
            assert (answer.status_code, answer.json()["ready"]) == (200, True)
            assert answer.json()["gateways"][0]["policy_revision"] == opened
            assert line in gateway.log.read_text()
            assert _rejected_for(gateway, line)["decision"]["policy_revision"] == opened
            assert ask(tunnel).status == 200
        replace(path, CLOSED)
        until_active(gateway, revision_of(CLOSED, tmp_path))
        assert ask(tunnel).status == 403
        wait_until(lambda: _ready(port).json()["gateways"][0]["warnings"] == {}, what="no warning")
    assert len(fresh.requests()) == len(BAD)
    assert len(gateway.records_of("policy_rejected")) == len(BAD)


def _rejected_for(gateway: Gateway, line: str) -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        rejected = gateway.records_of("policy_rejected")
        return [record for record in rejected if line in record["attributes"]["problems"]]

    return wait_until(found, what="the record")[0]


def _told(port: int, what: str) -> str:
    """The line of `/readyz` that has it, once one does."""

    def lines() -> list[str]:
        warnings = [gateway["warnings"] for gateway in _ready(port).json()["gateways"]]
        return [line for each in warnings for line in each.get("policy", ()) if what in line]

    return wait_until(lines, what=what)[0]


def test_sighup_activates_what_was_renamed_into_place(
    gateway: Gateway, issuer: Issuer, tmp_path: Path
) -> None:
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "say the same" in gateway.log.read_text(), what="the answer to SIGHUP")
    replace(gateway.directory / "policies" / "p.yaml", CLOSED)
    gateway.process.send_signal(signal.SIGHUP)
    until_active(gateway, revision_of(CLOSED, tmp_path))
    assert ask(tunnel_of(gateway, issuer)).status == 403
    assert len(gateway.records_of("policy_activated")) == 2


def test_a_policy_directory_that_is_a_turned_link_is_followed(
    make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path
) -> None:
    gateway = make_gateway(config=CONFIG)
    for name, text in (("..1", OPEN), ("..2", CLOSED)):
        (gateway.directory / name).mkdir()
        (gateway.directory / name / "p.yaml").write_text(text)
    turn(gateway.directory / "policies", "..1")
    gateway.start()
    tunnel = tunnel_of(gateway, issuer)
    for count, (target, text, status) in enumerate((("..2", CLOSED, 403), ("..1", OPEN, 200)), 1):
        turn(gateway.directory / "policies", target)
        until_swapped(gateway, count)
        assert revisions(gateway, "policy_activated")[-1] == revision_of(text, tmp_path)
        assert ask(tunnel).status == status


@dataclass
class Load:
    """Agents that call without a pause, each in a tunnel of its own."""

    gateway: Gateway
    issuer: Issuer
    over: threading.Event = field(default_factory=threading.Event)
    statuses: list[int] = field(default_factory=list)

    def __enter__(self) -> Self:
        tunnels = [tunnel_of(self.gateway, self.issuer) for _ in range(3)]
        self._agents = [threading.Thread(target=self._call, args=(tunnel,)) for tunnel in tunnels]
        for agent in self._agents:
            agent.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for agent in self._agents:
            agent.join()

    def _call(self, tunnel: raw_client.Tunnel) -> None:
        while not self.over.is_set():
            self.statuses.append(ask(tunnel).status)


def test_i10_of_many_rewrites_under_load_each_call_sees_a_whole_set_that_was_on_record(
    gateway: Gateway, issuer: Issuer, tmp_path: Path
) -> None:
    path = gateway.directory / "policies" / "p.yaml"
    whole = {revision_of(OPEN, tmp_path)}
    with Load(gateway, issuer) as load:
        for n in range(50):
            text = numbered(n)
            (replace if n % 2 else Path.write_text)(path, text)
            whole.add(revision_of(text, tmp_path))
            if n % 10 == 9:
                until_active(gateway, revision_of(text, tmp_path))
        before = len(load.statuses)
        wait_until(lambda: len(load.statuses) > before + 20, what="calls by the last set")
    assert set(load.statuses) == {200}
    last = revision_of(numbered(49), tmp_path)
    on_record: set[str] = set()
    decided = []
    for record in gateway.records():
        revision = record.get("decision", {}).get("policy_revision")
        if record["kind"] == "policy_activated":
            on_record.add(revision)
        elif record["kind"] == "attempted":
            assert revision in on_record
            decided.append(revision)
    assert on_record <= whole
    assert revisions(gateway, "policy_activated")[-1] == last == decided[-1]
    assert len(set(decided)) > 1


def _hold(exchange: Exchange) -> None:
    exchange.hold()
    exchange.send(ok(b"held"))


def test_a_call_that_waits_for_its_answer_keeps_the_revision_that_let_it_pass(
    issuer: Issuer, tmp_path: Path
) -> None:
    with RawUpstream(tmp_path / "upstream", {"/api/v1/monitor": _hold}) as upstream:
        gateway = gateway_before(tmp_path, issuer.url, upstream, **CONFIG)
        path = policy_of(gateway)
        gateway.start()
        tunnel = tunnel_of(gateway, issuer)
        tunnel.connection.sendall(raw_client.head("GET /api/v1/monitor HTTP/1.1", [HOST]))
        wait_until(lambda: upstream.seen, what="the call at the upstream")
        replace(path, CLOSED)
        closed = revision_of(CLOSED, tmp_path)
        until_active(gateway, closed)
        upstream.released.set()
        answer = raw_client.read_answer(tunnel.connection)
        assert (answer.status, answer.body) == (200, b"held")
        assert ask(tunnel).status == 403
        gateway.stop()
    opened = revision_of(OPEN, tmp_path)
    assert revisions(gateway, "attempted") == revisions(gateway, "outcome") == [opened]
    assert revisions(gateway, "refused") == [closed]


@pytest.mark.parametrize("fault", [a_file_for_recordings, a_locked_log])
def test_i2_a_set_that_cannot_be_put_on_record_waits_until_it_can(
    gateway: Gateway, issuer: Issuer, tmp_path: Path, fault: Callable[[Gateway], Any]
) -> None:
    closed = revision_of(CLOSED, tmp_path)
    with fault(gateway):
        replace(gateway.directory / "policies" / "p.yaml", CLOSED)
        wait_until(lambda: "the new policy waits" in gateway.log.read_text(), what="the complaint")
        assert f"-> {closed}" not in gateway.log.read_text()
    until_active(gateway, closed)
    assert revisions(gateway, "policy_activated") == [revision_of(OPEN, tmp_path), closed]
    wait_until(lambda: ask(tunnel_of(gateway, issuer)).status == 403, what="service by the new set")


MITMDUMP = (
    *(str(Path(sys.executable).parent / "mitmdump"), "--listen-host", "127.0.0.1", "--listen-port", "PORT"),
    *("-s", str(ROOT / "addons/chain.py")),
)
# A user namespace may have an allowance of its own: here none (inotify(7), user_namespaces(7)).
NO_INOTIFY = ("unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"', "-")


def test_stock_mitmdump_reloads_on_a_change_and_on_sighup(
    make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path
) -> None:
    gateway = make_gateway(config=CONFIG, command=MITMDUMP)
    path = policy_of(gateway)
    gateway.start()
    assert gateway.process is not None
    tunnel = tunnel_of(gateway, issuer)
    assert ask(tunnel).status == 200
    replace(path, CLOSED)
    until_active(gateway, revision_of(CLOSED, tmp_path))
    assert ask(tunnel).status == 403
    gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "say the same" in gateway.log.read_text(), what="the answer to SIGHUP")
    assert gateway.stop() == 0
    assert gateway.records()[-1]["kind"] == "stopped"


def test_a_change_is_found_on_a_machine_that_has_no_inotify_to_give(
    make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path
) -> None:
    probe = subprocess.run([*NO_INOTIFY, "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("this machine lets nobody make a user namespace")
    gateway = make_gateway(
        config=CONFIG, command=(*NO_INOTIFY, sys.executable, "-m", "addons.cli.main", "gateway")
    )
    path = policy_of(gateway)
    gateway.start()
    wait_until(lambda: "not watched" in gateway.log.read_text(), what="the warning")
    replace(path, CLOSED)
    until_active(gateway, revision_of(CLOSED, tmp_path))
    assert ask(tunnel_of(gateway, issuer)).status == 403


def test_sighup_while_a_gateway_starts_or_stops_ends_nothing(
    make_gateway: MakeGateway, issuer: Issuer, fresh: StandIn
) -> None:
    gateway = make_gateway(config=CONFIG)
    policy_of(gateway)
    gateway.start(wait=False)
    assert gateway.process is not None
    process = gateway.process
    wait_until(lambda: _ignores(process.pid, signal.SIGHUP), 20, "the command to begin")
    process.send_signal(signal.SIGHUP)
    wait_until(gateway._is_up, 30, "the gateway")
    tunnel = tunnel_of(gateway, issuer)
    tunnel.connection.sendall(raw_client.head("GET /_sandbox/echo?delay=1 HTTP/1.1", [HOST]))
    fresh.wait_for_requests(1)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGHUP)
    assert raw_client.read_answer(tunnel.connection).status == 200
    assert process.wait(20) == 0
    assert gateway.records()[-1]["kind"] == "stopped"


def _ignores(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigIgn")]
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    policy = tmp_path / "p.yaml"
    policy.write_text(OPEN)
    started = Up(tmp_path, DDGATE__POLICY=f"[{policy}]")
    yield started
    if started.process is not None and started.process.poll() is None:
        started.process.kill()
        started.process.wait()


def test_sighup_on_ddgate_up_makes_the_gateway_reload(up: Up, tmp_path: Path) -> None:
    up.start().wait()
    assert up.process is not None
    children = up.children()
    up.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "say the same" in up.out.read_text(), what="the answer to SIGHUP")
    replace(tmp_path / "p.yaml", CLOSED)
    up.process.send_signal(signal.SIGHUP)
    closed = revision_of(CLOSED, tmp_path)
    wait_until(lambda: f"-> {closed}" in up.out.read_text(), what="the new set")
    assert up.children() == children
    with sqlite3.connect(f"file:{up.state / 'audit.sqlite3'}?mode=ro", uri=True) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM records WHERE kind = 'policy_activated'"
        ).fetchone()
    assert count == 2
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(30) == 0


def test_ddgate_up_ends_with_the_terminal_that_it_was_started_in(up: Up) -> None:
    """Which sends SIGHUP too, but does not ask for a reload."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    said = bytearray()

    def is_up() -> bool:
        with suppress(BlockingIOError):
            said.extend(os.read(ours, 65536))
        return b"Ctrl-C stops it." in said

    up.start(
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    wait_until(is_up, 60, "`ddgate up`")
    assert up.process is not None
    children = up.children()
    os.close(ours)
    assert up.process.wait(30) == 0
    wait_until(lambda: _all_ended(children), 20, "the processes' end")
