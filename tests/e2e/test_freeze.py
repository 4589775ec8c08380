"""ABUSE 27 and I6: who is frozen, or whose token is revoked, is stopped wherever its calls are on their way,
in every gateway process of one state directory.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from addons.cli.main import app
from tests.e2e import raw_client
from tests.e2e.approving import NOW, Control, calling, create_monitor, kinds, running, settings
from tests.e2e.gateway_process import Curled, Gateway, curl, wait_until
from tests.e2e.raw_client import Tunnel
from tests.e2e.raw_upstream import KEYS, Exchange, RawUpstream, ok
from tests.sandbox_processes import Issuer

API = "api.datadoghq.com"
HOST = ("Host", API)
SLOW = "/api/v1/monitor/7"
READ = "/api/v1/monitor"
STREAM = "/api/v1/monitor/8"
_NUMBERS = itertools.count(1)


def _slow(exchange: Exchange) -> None:
    exchange.hold()
    exchange.send(ok(b'{"slow": true}', "Content-Type: application/json"))


def _stream(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    exchange.send(b"b\r\ndata: one\n\n\r\n")
    exchange.connection.recv(1)  # the end


@dataclass(frozen=True)
class Stage:
    """Two gateways on one state, control, and what they dial."""

    gateways: Sequence[Gateway]
    control: Control
    upstream: RawUpstream
    issuer: Issuer

    def agent(self) -> str:
        """The name of an agent that nobody has frozen."""
        return f"agent-{next(_NUMBERS)}"

    def token(self, subject: str, **claims: Any) -> str:
        return self.issuer.mint(sub=subject, aud="ddgate", groups=["agents"], **claims)

    def tunnels(self, token: str) -> list[Tunnel]:
        """One through each gateway, in which a call has passed."""
        opened = [
            raw_client.tunnel(one.port, one.ca, headers=[raw_client.basic(token)]) for one in self.gateways
        ]
        assert [read(tunnel).status for tunnel in opened] == [200, 200]
        return opened

    def run(self, *arguments: str) -> str:
        state = self.gateways[0].state
        done = CliRunner().invoke(app, [*arguments, "--state", str(state)])
        assert done.exit_code == 0, done.output
        return done.stdout

    def statuses(self, token: str) -> list[int]:
        """What a CONNECT with this token is answered by each."""
        answers = [
            raw_client.connect(one.port, f"{API}:443", [raw_client.basic(token)]).connected
            for one in self.gateways
        ]
        return [answer.status for answer in answers if answer is not None]

    def wait_for(self, token: str, status: int) -> None:
        wait_until(lambda: self.statuses(token) == [status, status], what=f"{status} from both")

    def records(self, kind: str) -> list[dict[str, Any]]:
        return self.gateways[0].records_of(kind)


def read(tunnel: Tunnel, *headers: tuple[str, str]) -> Curled:
    return tunnel.request("GET", READ, [HOST, *headers])


def reason(answer: Curled) -> tuple[int, str]:
    assert answer.errors
    return answer.status, answer.json()["ddgate"]["reason"]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("freeze")
    with RawUpstream(directory / "upstream", {SLOW: _slow, STREAM: _stream}) as upstream:
        trusted = {"issuer": issuer.url, "audience": "ddgate", "algorithms": ["RS256"], "leeway": "0s"}
        config = {**settings(directory, issuer), "issuers": [trusted]}
        first, second = (
            Gateway(directory / name, issuer.url, upstream.port, upstream.ca, KEYS, config=config)
            for name in ("first", "second")
        )
        second.state = first.state
        try:
            for each in (first, second):
                each.start()
            with running(first, issuer) as control:
                yield Stage((first, second), control, upstream, issuer)
        finally:
            for each in (first, second):
                if each.process is not None:
                    each.stop()
        for each in (first, second):
            assert "Traceback" not in each.log.read_text()


def test_abuse_27_a_freeze_acts_in_open_tunnels_of_every_process(stage: Stage) -> None:
    name = stage.agent()
    token, other = stage.token(name), stage.token(stage.agent())
    ours, theirs = stage.tunnels(token), stage.tunnels(other)
    dripping = stage.tunnels(token)[0]
    body = raw_client.head(f"POST {READ} HTTP/1.1", [HOST, ("Content-Length", "40")]) + b"1" * 39
    dripping.connection.sendall(body)
    sent = len(stage.upstream.seen)
    stage.run("freeze", name, "--reason", "a loop")
    stage.wait_for(token, 403)
    for tunnel in ours:
        answer = read(tunnel)
        assert reason(answer) == (403, "identity_frozen")
        assert ("connection", "close") in answer.headers
        assert "a loop" not in answer.errors
    assert reason(dripping.send(b"1")) == (403, "identity_frozen")
    assert len(stage.upstream.seen) == sent
    assert [read(tunnel).status for tunnel in theirs] == [200, 200]
    assert stage.statuses(stage.token(name, jti="another")) == [403, 403]

    (frozen,) = [each for each in stage.records("frozen") if each["attributes"].get("name") == name]
    assert frozen["attributes"]["reason"] == "a loop"
    assert frozen["attributes"]["os_user"]
    refused = [each for each in stage.records("refused") if each["actor"]["subject"] == name]
    assert {each["decision"]["reason"] for each in refused} == {"identity_frozen"}
    assert [each for each in stage.records("tunnel_refused") if each["actor"]["subject"] == name]

    assert [each["name"] for each in _lines(stage.run("freeze", "--list", "--json"))] == [name]
    stage.run("unfreeze", name)
    stage.wait_for(token, 200)
    stage.tunnels(token)


def _lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_abuse_27_a_freeze_ends_a_held_call_and_its_grant_is_not_used(stage: Stage) -> None:
    name = stage.agent()
    token, first = stage.token(name), stage.gateways[0]
    body = create_monitor(name)

    def posts() -> int:
        return sum(1 for each in stage.upstream.seen if each.head.startswith(b"POST"))

    sent = posts()
    with calling(lambda: curl(first, "-H", "Prefer: wait=15", *body, token=token)) as answer:
        (pending,) = stage.control.wait_for("pending")
        stage.run("freeze", name)
        assert reason(answer.result(10)) == (403, "identity_frozen")
    assert stage.control.decide(pending["id"]).status_code == 200
    for gateway in stage.gateways:
        assert curl(gateway, *NOW, *body, token=token).exit_code != 0  # no tunnel for it
    assert stage.control.show(pending["id"])["state"] == "approved"
    assert posts() == sent
    stage.run("unfreeze", name)
    stage.wait_for(token, 200)
    assert curl(first, *NOW, *body, token=token).status == 200
    assert posts() == sent + 1
    assert "approval_consumed" in kinds(first, pending["id"])


def test_a_call_that_datadog_is_answering_comes_to_its_end(stage: Stage) -> None:
    name = stage.agent()
    token, first = stage.token(name), stage.gateways[0]
    with calling(lambda: curl(first, f"https://{API}{SLOW}", token=token)) as answer:
        wait_until(lambda: SLOW in stage.upstream.paths(), what="the call")
        stage.run("freeze", name)
        stage.wait_for(token, 403)
        stage.upstream.released.set()
        assert answer.result(10).json() == {"slow": True}


def test_i6_a_freeze_ends_a_stream_that_says_nothing(stage: Stage) -> None:
    agent = stage.agent()
    tunnel = stage.tunnels(stage.token(agent))[0]
    connection = tunnel.connection
    connection.sendall(raw_client.head(f"GET {STREAM} HTTP/1.1", [HOST]))
    got = b""
    while b"data: one" not in got:
        got += connection.recv(65536)
    stage.run("freeze", agent)
    while piece := connection.recv(65536):
        got += piece
    assert not got.endswith(b"0\r\n\r\n")
    outcomes = [one for one in stage.records("outcome") if one["attributes"]["outcome"] == "answered in part"]
    assert [one["decision"]["reason"] for one in outcomes] == ["identity_frozen"]


def _header(token: str) -> tuple[str, str]:
    return "X-DDGate-Identity", f"Bearer {token}"


def test_abuse_27_a_revoked_token_passes_nowhere_though_it_was_known(stage: Stage) -> None:
    name = stage.agent()
    leaked, good = stage.token(name, jti=f"{name}-leaked"), stage.token(name, jti=f"{name}-good")
    opened_by_leaked, opened_by_good = stage.tunnels(leaked), stage.tunnels(good)
    without = [raw_client.tunnel(one.port, one.ca) for one in stage.gateways]
    assert [read(tunnel, _header(leaked)).status for tunnel in without] == [200, 200]
    stage.run("revoke", "--jti", f"{name}-leaked", "--reason", "in a build log")
    stage.wait_for(leaked, 407)
    for tunnel in opened_by_leaked:
        assert reason(read(tunnel, _header(good))) == (401, "token_revoked")
    for tunnel in without:
        assert reason(read(tunnel, _header(leaked))) == (401, "token_revoked")
    assert [read(tunnel).status for tunnel in opened_by_good] == [200, 200]
    stage.run("revoke", "--jti", f"{name}-leaked", "--undo")
    stage.wait_for(leaked, 200)


def test_to_revoke_a_subjects_tokens_lets_it_go_on_with_new_ones(stage: Stage) -> None:
    name = stage.agent()
    old = stage.token(name)
    stage.tunnels(old)
    stage.run("revoke", "--subject", name, "--issuer", stage.issuer.url)
    stage.wait_for(old, 407)
    wait_until(lambda: stage.statuses(stage.token(name)) == [200, 200], what="a token from later")
    assert stage.statuses(old) == [407, 407]


def test_a_revoked_session_is_ended_with_any_token_of_it(stage: Stage) -> None:
    name = stage.agent()
    run = {"session_id": f"run-of-{name}"}
    old = stage.token(name, **run)
    stage.tunnels(old)
    stage.run("revoke", "--session", run["session_id"], "--for", "1h")
    stage.wait_for(old, 407)
    assert stage.statuses(stage.token(name, **run)) == [407, 407]
    assert stage.statuses(stage.token(name, session_id="another")) == [200, 200]


def test_a_freeze_of_everyone_stops_all_and_is_a_warning(stage: Stage) -> None:
    tokens = [stage.token(stage.agent()) for _ in range(2)]
    opened = [stage.tunnels(token) for token in tokens]
    stage.run("freeze", "--all")
    try:
        for token in tokens:
            stage.wait_for(token, 403)
        for tunnel in itertools.chain(*opened):
            assert reason(read(tunnel)) == (403, "identity_frozen")
        wait_until(lambda: "identity" in stage.gateways[0].status()["warnings"], what="the warning")
    finally:
        stage.run("unfreeze", "--all")
    for token in tokens:
        stage.wait_for(token, 200)


def test_a_freeze_for_a_time_ends_by_itself_and_that_is_on_record(stage: Stage) -> None:
    name = stage.agent()
    token = stage.token(name)
    stage.run("freeze", name, "--for", "4s")
    stage.wait_for(token, 403)
    stage.wait_for(token, 200)

    def ended() -> list[dict[str, Any]]:
        return [each for each in stage.records("unfrozen") if each["attributes"].get("name") == name]

    wait_until(ended, what="the record")
    assert [each["message"] for each in ended()] == [f"{name} is no longer frozen: its time is over"]


def test_i1_while_the_list_cannot_be_read_nobody_passes(stage: Stage) -> None:
    token = stage.token(stage.agent())
    opened = stage.tunnels(token)
    _sql(stage, "ALTER TABLE blocklist RENAME TO hidden")
    try:
        stage.wait_for(token, 503)
        sent = len(stage.upstream.seen)
        for tunnel in opened:
            assert reason(read(tunnel)) == (503, "identity_unavailable")
        assert len(stage.upstream.seen) == sent
        wait_until(lambda: "blocklist" in stage.gateways[0].status()["problems"], what="the problem")
    finally:
        _sql(stage, "ALTER TABLE hidden RENAME TO blocklist")
    stage.wait_for(token, 200)
    assert [read(tunnel).status for tunnel in opened] == [200, 200]


def _sql(stage: Stage, statement: str) -> None:
    path: Path = stage.gateways[0].state / "audit.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
        connection.execute(statement)
