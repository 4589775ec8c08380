"""`target:` on the wire: a call is judged by what Datadog holds, which the gateway reads first, on record."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import raw_client
from tests.e2e.conftest import MakeGateway
from tests.e2e.gateway_process import Curled, Gateway, curl, wait_until
from tests.e2e.raw_upstream import API_KEY, KEYS, Exchange, RawUpstream, Script, gateway_before, ok
from tests.sandbox_processes import Issuer, StandIn

API = "https://api.datadoghq.com"
HOST = ("Host", "api.datadoghq.com")
PATH = "/api/v1/monitor/7"
POLICY = """version: 1
lists: {prod: ["env:prod"]}
rules:
  - {id: all, effect: allow, who: {groups: [agents]}, op: {risk: [read, write, destructive]}}
  - id: not-production
    effect: deny
    op: {name: [UpdateMonitor, DeleteMonitor], absent: false}
    target: {tags: {any: lists.prod}}
  - id: no-secret-reads
    effect: deny
    op: {name: GetMonitor, absent: false}
    target: {tags: {any: ["secret"]}}
"""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "target.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn, policy: Path
) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("target")
    config = {"policy": [str(policy)]}
    made = Gateway(directory, issuer.url, datadog.port, datadog.ca, datadog.keys, config=config)
    yield made.start()
    assert made.stop() == 0
    assert "Traceback" not in made.log.read_text()
    for path, content in made.files():
        assert not [key for key in datadog.keys.values() if key.encode() in content], path


def send(gateway: Gateway, issuer: Issuer, method: str, path: str, body: object = None) -> Curled:
    content = [] if body is None else ["-d", json.dumps(body), "-H", "Content-Type: application/json"]
    return curl(gateway, "-X", method, *content, f"{API}{path}", token=issuer.token("demo-agent"))


def made_monitor(gateway: Gateway, issuer: Issuer, *tags: str) -> str:
    """The path of a new one."""
    body = {"type": "metric alert", "query": "q", "name": "x", "tags": tags}
    answer = send(gateway, issuer, "POST", "/api/v1/monitor", body)
    assert answer.status == 200, answer
    return f"/api/v1/monitor/{answer.json()['id']}"


def passed(upstream: StandIn) -> list[tuple[str, str]]:
    return [(each.method, each.path) for each in upstream.requests()]


def record(gateway: Gateway, call: str, kind: str) -> Mapping[str, Any]:
    (found,) = [each for each in gateway.records_of(kind) if each["call"] == call]
    return found


def refused(answer: Curled, reason: str, rule: str | None = "not-production") -> str:
    """The call's id."""
    assert answer.status == 403, answer
    said = answer.json()["ddgate"]
    assert (said["reason"], said.get("rule")) == (reason, rule), answer
    return str(said["call"])


@pytest.mark.parametrize(
    ("tags", "method", "body"),
    [
        (["team:a", "env:prod"], "DELETE", None),
        (["env:prod"], "PUT", {"name": "y"}),
        (["env:prod"], "PUT", {"tags": ["env:dev"]}),  # what the request says is not what is there
        (["env:dev"], "DELETE", None),
        (["env:dev"], "PUT", {"name": "y"}),
        (["env:dev"], "PUT", {"tags": ["env:prod"]}),
    ],
)
def test_a_call_is_judged_by_what_datadog_holds(
    guarded: Gateway, issuer: Issuer, fresh: StandIn, tags: list[str], method: str, body: object
) -> None:
    path = made_monitor(guarded, issuer, *tags)
    fresh.reset()
    answer = send(guarded, issuer, method, path, body)
    if "env:prod" in tags:
        refused(answer, "denied_by_rule")
        assert passed(fresh) == [("GET", path)]
    else:
        assert answer.status == 200, answer
        assert passed(fresh) == [("GET", path), (method, path)]


def test_what_a_call_has_changed_is_seen_by_the_next(
    guarded: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    path = made_monitor(guarded, issuer, "env:dev")
    assert send(guarded, issuer, "PUT", path, {"tags": ["env:prod"]}).status == 200
    refused(send(guarded, issuer, "DELETE", path), "denied_by_rule")


def test_several_calls_in_a_few_seconds_rest_on_one_read(
    guarded: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    path = made_monitor(guarded, issuer, "env:prod")
    fresh.reset()
    calls = [refused(send(guarded, issuer, "DELETE", path), "denied_by_rule") for _ in range(3)]
    assert passed(fresh) == [("GET", path)]
    reads = [record(guarded, call, "refused")["attributes"]["target"] for call in calls]
    assert len({each["read"] for each in reads}) == 1
    assert reads[0]["age"] < reads[1]["age"] < reads[2]["age"]


def test_a_get_and_a_head_are_judged_by_what_they_would_show(
    guarded: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    path = made_monitor(guarded, issuer, "secret")
    fresh.reset()
    refused(send(guarded, issuer, "GET", path), "denied_by_rule", "no-secret-reads")
    tunnel = raw_client.tunnel(
        guarded.port, guarded.ca, headers=[raw_client.basic(issuer.token("demo-agent"))]
    )
    assert tunnel.request("HEAD", path, [HOST, ("Connection", "close")]).status == 403
    assert passed(fresh) == [("GET", path)]
    assert send(guarded, issuer, "GET", made_monitor(guarded, issuer, "open")).status == 200


def test_no_query_and_no_header_of_the_agents_goes_into_the_read(
    guarded: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    path = made_monitor(guarded, issuer, "env:dev")
    fresh.reset()
    extra = ("-H", "X-Mine: 1", "-H", "Cookie: a=b", "-H", "Accept: text/html", "-H", "User-Agent: mine")
    url = f"{API}{path}?force=true"
    assert curl(guarded, "-X", "DELETE", *extra, url, token=issuer.token("demo-agent")).status == 200
    read, delete = fresh.requests()
    assert (read.query, delete.query) == ("", "force=true")
    assert read.values("x-mine") + read.values("cookie") == []
    assert (read.values("accept"), read.values("user-agent")) == (["application/json"], ["ddgate"])
    assert read.values("dd-api-key") == [fresh.keys["api_key"]]


def test_i2_a_read_is_on_record_and_the_call_s_record_names_it(
    guarded: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    path = made_monitor(guarded, issuer, "env:dev", "team:a")
    answer = send(guarded, issuer, "DELETE", path)
    assert answer.status == 200
    served = [each for each in guarded.records_of("attempted") if each["http_request"]["path"] == path][-1]
    seen = served["attributes"]["target"]
    assert (seen["status"], seen["fields"]) == (200, {"tags": ["env:dev", "team:a"]})
    attempted, outcome = (record(guarded, seen["read"], kind) for kind in ("attempted", "outcome"))
    for each in (attempted, outcome):
        assert each["attributes"]["purpose"] == "target"
        assert each["attributes"]["for"] == served["call"]
        assert each["api"]["operation"] == "GetMonitor"
        assert each["http_request"]["path"] == path
        assert each["actor"]["subject"] == "demo-agent"
        assert each["decision"]["policy_revision"] == served["decision"]["policy_revision"]
    assert outcome["attributes"]["outcome"] == "answered"
    assert outcome["http_response"]["status"] == 200


def test_a_resource_that_is_not_there_can_not_be_judged(
    guarded: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    answer = send(guarded, issuer, "DELETE", "/api/v1/monitor/999999999")
    call = refused(answer, "target_unreadable")
    assert "Datadog answered 404" in answer.errors
    assert record(guarded, call, "refused")["attributes"]["target"]["status"] == 404
    assert [method for method, _ in passed(fresh)] == ["GET"]


def test_a_datadog_that_is_down_lets_nothing_through(
    make_gateway: MakeGateway, issuer: Issuer, datadog: StandIn, policy: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        route = {"address": "127.0.0.1", "port": taken.getsockname()[1], "ca": str(datadog.ca)}
        config = {"policy": [str(policy)], "upstream": {"connect_to": {"*": route}}}
        gateway = make_gateway(config=config).start()
        answer = send(gateway, issuer, "DELETE", PATH)
    call = refused(answer, "target_unreadable")
    assert "Datadog can't be reached" in answer.errors
    seen = record(gateway, call, "refused")["attributes"]["target"]
    assert record(gateway, seen["read"], "outcome")["attributes"]["outcome"] == "not sent"
    assert gateway.stop() == 0


type Serve = Callable[[Script], tuple[Gateway, RawUpstream]]


@pytest.fixture
def serve(tmp_path: Path, issuer: Issuer, policy: Path) -> Iterator[Serve]:
    """A gateway before an upstream that does `script` at PATH."""
    gateways: list[Gateway] = []
    upstreams: list[RawUpstream] = []

    def make(script: Script) -> tuple[Gateway, RawUpstream]:
        upstream = RawUpstream(tmp_path / "upstream", {PATH: script})
        upstreams.append(upstream.__enter__())
        route = {"address": "127.0.0.1", "port": upstream.port, "ca": str(upstream.ca)}
        timeout = {"connect_to": {"*": route}, "timeout": "2s"}
        gateway = gateway_before(tmp_path, issuer.url, upstream, policy=[str(policy)], upstream=timeout)
        gateways.append(gateway.start())
        return gateway, upstream

    yield make
    for gateway in gateways:
        gateway.stop()
        assert "Traceback" not in gateway.log.read_text()
        for path, content in gateway.files():
            assert not [key for key in KEYS.values() if key.encode() in content], path
    for upstream in upstreams:
        upstream.__exit__(None, None, None)


def methods(upstream: RawUpstream) -> list[str]:
    return [exchange.head.split()[0].decode() for exchange in upstream.seen]


def _redirect(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")


def _echo(exchange: Exchange) -> None:
    exchange.send(ok(json.dumps({"tags": ["env:dev"], "key": API_KEY}).encode()))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (_redirect, "Datadog answered 302"),
        (_echo, "own keys"),
        (Exchange.hold, "no answer"),
        (lambda exchange: exchange.send(ok(b"<html>")), "JSON"),
        (lambda exchange: exchange.send(ok(b'{"tags": ["env:prod"], "tags": []}')), "JSON"),
        (lambda _exchange: False, "broke off"),
    ],
)
def test_what_can_not_be_read_denies(serve: Serve, issuer: Issuer, script: Script, said: str) -> None:
    gateway, upstream = serve(script)
    answer = send(gateway, issuer, "DELETE", PATH)
    refused(answer, "target_unreadable")
    assert said in answer.errors
    assert methods(upstream) == ["GET"]


def test_a_write_that_broke_off_may_have_changed_what_was_read(serve: Serve, issuer: Issuer) -> None:
    def script(exchange: Exchange) -> bool:
        if exchange.head.startswith(b"GET"):
            changed = len(upstream.seen) > 1
            exchange.send(ok(json.dumps({"tags": ["env:prod" if changed else "env:dev"]}).encode()))
            return True
        return False  # having done what it was told, without a word

    gateway, upstream = serve(script)
    assert send(gateway, issuer, "PUT", PATH, {"tags": ["env:prod"]}).status == 409
    refused(send(gateway, issuer, "DELETE", PATH), "denied_by_rule")
    assert methods(upstream) == ["GET", "PUT", "GET"]


def test_a_write_whose_client_left_may_have_changed_what_was_read(serve: Serve, issuer: Issuer) -> None:
    def script(exchange: Exchange) -> None:
        if exchange.head.startswith(b"PUT"):
            exchange.hold()
        changed = "PUT" in methods(upstream)
        exchange.send(ok(json.dumps({"tags": ["env:prod" if changed else "env:dev"]}).encode()))

    gateway, upstream = serve(script)
    token = raw_client.basic(issuer.token("demo-agent"))
    leaving = raw_client.tunnel(gateway.port, gateway.ca, headers=[token])
    leaving.connection.sendall(
        raw_client.head(f"PUT {PATH} HTTP/1.1", [HOST, ("Content-Length", "2")]) + b"{}"
    )
    wait_until(lambda: "PUT" in methods(upstream), what="the write")
    leaving.close()
    wait_until(lambda: len(gateway.records_of("outcome")) == 2, what="the write's outcome")
    refused(send(gateway, issuer, "DELETE", PATH), "denied_by_rule")
    assert methods(upstream) == ["GET", "PUT", "GET"]


def test_who_leaves_while_the_resource_is_read_is_not_forwarded(serve: Serve, issuer: Issuer) -> None:
    def script(exchange: Exchange) -> None:
        exchange.released.wait(1)
        exchange.send(ok(b'{"tags": ["env:dev"]}'))

    gateway, upstream = serve(script)
    token = raw_client.basic(issuer.token("demo-agent"))
    leaving = raw_client.tunnel(gateway.port, gateway.ca, headers=[token])
    leaving.connection.sendall(raw_client.head(f"DELETE {PATH} HTTP/1.1", [HOST]))
    wait_until(lambda: upstream.seen, what="the read")
    leaving.close()
    wait_until(lambda: gateway.records_of("outcome"), what="the read's outcome")
    assert gateway.records_of("outcome")[0]["attributes"]["purpose"] == "target"
    assert gateway.stop() == 0
    assert methods(upstream) == ["GET"]


def test_a_gateway_that_stops_ends_its_reads_on_record(serve: Serve, issuer: Issuer) -> None:
    gateway, upstream = serve(Exchange.hold)
    token = raw_client.basic(issuer.token("demo-agent"))
    waiting = raw_client.tunnel(gateway.port, gateway.ca, headers=[token])
    waiting.connection.sendall(raw_client.head(f"DELETE {PATH} HTTP/1.1", [HOST]))
    wait_until(lambda: upstream.seen, what="the read")
    assert gateway.stop(signal.SIGTERM) == 0
    kinds = {"attempted", "outcome", "refused"}
    ends = [
        (each["kind"], each["attributes"].get("outcome"))
        for each in gateway.records()
        if each["kind"] in kinds
    ]
    assert ("outcome", "unknown") in ends
    assert methods(upstream) == ["GET"]
