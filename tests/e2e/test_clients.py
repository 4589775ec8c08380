"""Every client of the README's table, unmodified: under `ddgate run`, and with what `ddgate env` prints."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from addons.core.body import decode_body
from tests.client_table import CLIENTS, NODE_MODULES, README, Client, in_readme, table
from tests.e2e.agent_run import CLIENTS as SCRIPTS
from tests.e2e.agent_run import Agent, Ran
from tests.e2e.gateway_process import ROOT, Gateway
from tests.e2e.raw_upstream import API_KEY, Exchange, RawUpstream, gateway_before
from tests.e2e.test_abuse_credential import assert_absent
from tests.e2e.traces import assert_nothing_readable
from tests.sandbox_processes import Issuer

HAS_NODE = shutil.which("node") is not None and NODE_MODULES.is_dir()
DUMMIES = ("0" * 32, "0" * 40)

pytestmark = pytest.mark.timeout(300)  # of all clients, two at once, twice
with_node = pytest.mark.skipif(not HAS_NODE, reason="no `node`, or `npm ci --prefix .ci/node` was not run")
every_client = pytest.mark.parametrize(
    "client",
    [pytest.param(client, marks=with_node if client.is_node else (), id=client.key) for client in CLIENTS],
)


def _json(exchange: Exchange, status: str, body: object, *fields: str) -> None:
    content = json.dumps(body).encode()
    head = [
        f"HTTP/1.1 {status}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *fields,
    ]
    exchange.send("\r\n".join(head).encode() + b"\r\n\r\n" + content)


def _monitor(exchange: Exchange) -> None:
    _json(exchange, "200 OK", {"id": 1, **json.loads(exchange.body), "options": {}, "tags": []})


def _accepted(exchange: Exchange) -> None:
    _json(exchange, "202 Accepted", {})


def _mcp(exchange: Exchange) -> None:
    """Datadog's MCP server in short: streamable HTTP, the answers as server-sent events in chunks."""
    if not exchange.head.startswith(b"POST"):
        exchange.send(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
        return
    asked = json.loads(exchange.body)
    if "id" not in asked:
        if asked["method"] == "notifications/progress":
            _seen(exchange).set()
        exchange.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        return
    results = {
        "initialize": {
            "protocolVersion": asked.get("params", {}).get("protocolVersion"),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "datadog", "version": "1"},
        },
        "tools/list": {"tools": [{"name": "search_datadog_monitors", "inputSchema": {"type": "object"}}]},
        # A tool that answers with the very key that it was called with.
        "tools/call": {"content": [{"type": "text", "text": f"one monitor, seen with {API_KEY}"}]},
    }
    session = (
        f"s{next(_SESSIONS)}" if asked["method"] == "initialize" else exchange.fields("mcp-session-id")[0]
    )
    exchange.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nMcp-Session-Id: %b\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" % session.encode()
    )
    if asked["method"] == "tools/call":
        token = asked["params"]["_meta"]["progressToken"]
        params = {"progressToken": token, "progress": 0.5, "message": f"with {API_KEY}"}
        _mcp_event(exchange, {"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        if not _seen(exchange).wait(20):
            return  # no progress arrived while the answer was open: there won't be more
    _mcp_event(exchange, {"jsonrpc": "2.0", "id": asked["id"], "result": results[asked["method"]]})
    exchange.send(b"0\r\n\r\n")


_SESSIONS = itertools.count(1)
_SEEN: dict[str, threading.Event] = {}


def _seen(exchange: Exchange) -> threading.Event:
    """Whether the client of a session has told that it saw progress."""
    return _SEEN.setdefault(exchange.fields("mcp-session-id")[0], threading.Event())


def _mcp_event(exchange: Exchange, message: object) -> None:
    event = f"event: message\r\ndata: {json.dumps(message)}\r\n\r\n".encode()
    for part in (event[:60], event[60:]):
        exchange.send(b"%x\r\n%s\r\n" % (len(part), part))


ANSWERS = {
    "/api/v1/monitor": _monitor,
    "/v1/input": _accepted,
    "/api/v2/ci/pipeline/tags": _accepted,
    "/api/unstable/mcp-server/mcp": _mcp,
}


@dataclass
class Place:
    """What all clients came to, by their keys, and what arrived at Datadog."""

    gateway: Gateway
    agent: Agent
    ran: Mapping[str, Ran]
    seen: list[Exchange]

    def calls_of(self, client: Client) -> list[Exchange]:
        """Told by the name in the body, which some clients compress."""
        return [one for one in self.seen if one.path == client.path and client.mark.encode() in _body(one)]


def _body(exchange: Exchange) -> bytes:
    (coding,) = exchange.fields("content-encoding") or [""]
    return decode_body(exchange.body, coding, limit=1 << 20)


def _plan() -> str:
    chosen = [client for client in CLIENTS if HAS_NODE or not client.is_node]
    return json.dumps({one.key: [one.command, dict(one.environment)] for one in chosen})


def _read(out: str) -> dict[str, Ran]:
    return {key: Ran(*said) for key, said in json.loads(out).items()}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawUpstream]:
    with RawUpstream(tmp_path_factory.mktemp("clients") / "upstream", ANSWERS) as running:
        yield running


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, upstream: RawUpstream) -> Iterator[Agent]:
    directory = tmp_path_factory.mktemp("clients")
    gateway = gateway_before(directory, issuer.url, upstream).start()
    yield Agent(gateway, issuer, directory)
    gateway.stop()


@pytest.fixture(scope="module")
def under_run(agent: Agent, upstream: RawUpstream) -> Place:
    """One `ddgate run` for all of them."""
    before = len(upstream.seen)
    done = agent.client("run_each.py", _plan(), timeout=280)
    assert done.exit_code == 0, done.err
    return Place(agent.gateway, agent, _read(done.out), upstream.seen[before:])


@pytest.fixture(scope="module")
def with_env(
    agent: Agent, issuer: Issuer, upstream: RawUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    """A shell that evaluates what `ddgate env` prints, and starts them all."""
    directory = tmp_path_factory.mktemp("with-env")
    token = directory / "token"
    token.write_text(issuer.token("sre-agent", ttl=600))
    tokens = directory / "tokens"
    tokens.write_text(token.read_text())
    before = len(upstream.seen)
    print_it = [sys.executable, "-m", "addons.cli.main", "env", "--gateway", agent.gateway.url]
    print_it += ["--ca", str(agent.gateway.ca), "--token-file", str(token), "--state", str(directory)]
    script = 'variables=$("$@") && eval "$variables" && cd / && exec "$PYTHON" "$RUN_EACH" "$PLAN"'
    kept = {"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}
    more = {"PYTHON": sys.executable, "RUN_EACH": str(SCRIPTS / "run_each.py"), "PLAN": _plan()}
    done = subprocess.run(
        ["sh", "-c", script, "sh", *print_it],
        env={**kept, **more},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    used = Agent(agent.gateway, issuer, directory)
    return Place(agent.gateway, used, _read(done.stdout), upstream.seen[before:])


def assert_arrived(place: Place, client: Client) -> None:
    ran = place.ran[client.key]
    assert ran.exit_code == 0, ran.err + ran.out
    assert "Traceback" not in ran.err
    (call,) = place.calls_of(client)
    keys = call.fields("dd-api-key")
    assert keys == [API_KEY]
    assert not call.fields("proxy-authorization")
    assert_absent(call.head + call.body, [*place.agent.tokens, *DUMMIES], client.key)
    if client.path == "/api/v1/monitor":
        assert client.mark in ran.out
    assert_absent((ran.out + ran.err).encode(), [API_KEY, *place.agent.tokens], client.key)


@every_client
def test_a_client_needs_under_ddgate_run_what_the_readme_says(under_run: Place, client: Client) -> None:
    assert_arrived(under_run, client)


@pytest.mark.long
@every_client
def test_a_client_needs_without_ddgate_run_what_the_readme_says(with_env: Place, client: Client) -> None:
    assert_arrived(with_env, client)


def test_every_call_is_the_verified_identitys(under_run: Place) -> None:
    attempted = under_run.gateway.records_of("attempted")
    assert {record["actor"]["subject"] for record in attempted} == {"sre-agent"}
    assert_nothing_readable(under_run.gateway, under_run.agent.tokens)


def test_i3_an_mcp_tool_that_answers_with_the_key_is_scrubbed_in_the_events(under_run: Place) -> None:
    said = json.loads(under_run.ran["mcp"].out)
    assert said["tools"] == ["search_datadog_monitors"]
    assert said["answer"].startswith("one monitor, seen with [REDACTED:")
    # It arrived while the answer was still open: the server said no more until it was seen.
    ((done, message),) = said["progress"]
    assert done == 0.5
    assert message.startswith("with [REDACTED:")


def test_the_readmes_table_is_the_tests() -> None:
    assert in_readme(Path(README).read_text()) == table(), "run: python -m tests.client_table"
