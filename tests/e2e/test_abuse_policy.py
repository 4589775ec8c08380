"""Abuse cases 18 and 20 against rules: however the head of a call is spelt, it meets the rule that names it,
or is refused; nothing of it reaches Datadog. And 30: nobody is left to judge."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import raw_client
from tests.e2e.gateway_process import Gateway
from tests.e2e.hostile_paths import HOSTILE, SAME
from tests.e2e.strict_policy import (
    BULK,
    DASHBOARDS,
    DEV,
    HOST,
    JSON,
    KIB,
    MONITOR,
    PROD,
    Headers,
    assert_denied_by,
    assert_refused_or_denied_by,
    open_tunnel,
    strict_gateway,
)
from tests.sandbox_processes import Issuer, StandIn


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    with strict_gateway(tmp_path_factory.mktemp("strict"), issuer, datadog) as gateway:
        yield gateway


@pytest.fixture
def tunnel(strict: Gateway, issuer: Issuer, fresh: StandIn) -> Iterator[raw_client.Tunnel]:
    opened = open_tunnel(strict, issuer)
    yield opened
    opened.close()


CALLS = {
    "PUT": ("PUT", MONITOR, PROD, "no-prod"),
    "DELETE with a body": ("DELETE", DASHBOARDS, BULK, "no-bulk"),
    "GET": ("GET", "/api/v1/tags/hosts/prod-1", b"", "no-prod-hosts"),
}


@pytest.mark.parametrize("spelling", SAME)
@pytest.mark.parametrize("call", CALLS)
def test_abuse_18_another_spelling_of_the_same_path_meets_the_same_rule(
    tunnel: raw_client.Tunnel, fresh: StandIn, call: str, spelling: str
) -> None:
    method, path, body, rule = CALLS[call]
    answer = tunnel.request(method, SAME[spelling](path), [HOST, JSON], body)
    assert_denied_by(rule, answer, fresh)


@pytest.mark.parametrize("spelling", HOSTILE)
@pytest.mark.parametrize("call", CALLS)
def test_abuse_18_a_hostile_spelling_of_a_path_meets_the_rule_or_is_refused(
    tunnel: raw_client.Tunnel, fresh: StandIn, call: str, spelling: str
) -> None:
    method, path, body, rule = CALLS[call]
    answer = tunnel.request(method, HOSTILE[spelling](path), [HOST, JSON], body)
    assert_refused_or_denied_by(rule, answer, fresh)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", MONITOR, DEV),
        ("PUT", MONITOR, b'{"name": "without tags"}'),
        ("DELETE", DASHBOARDS, b'{"data": [{"id": "a-b-c", "type": "dashboard"}]}'),
        ("GET", "/api/v1/tags/hosts/dev-1", b""),
        ("GET", "/api/v1/monitor/7", b""),
    ],
)
def test_what_no_rule_names_passes(
    tunnel: raw_client.Tunnel, fresh: StandIn, method: str, path: str, body: bytes
) -> None:
    tunnel.request(method, path, [HOST, JSON], body)
    (received,) = fresh.requests()
    assert (received.method, received.path, received.body) == (method, path, body)


@pytest.mark.parametrize(
    "query",
    [
        "force=true",
        "force=false&force=true",
        "force=true&force=false",
        "Force=true",
        "force=false&FORCE=true",
        "%66orce=true",
        "force=%74rue",
        "force=tru%65&",
        "a=b&&force=true",
        "a=b;force=true",
        "force=true;a=b",
        "force=true#x",
        "force=true%00",
        "force=%ff&force=true",
        "_method=GET&force=true",
        "f%6Frce=true?a",
    ],
)
def test_abuse_20_a_query_key_meets_its_rule_however_it_is_spelt_and_repeated(
    tunnel: raw_client.Tunnel, fresh: StandIn, query: str
) -> None:
    answer = tunnel.request("DELETE", f"{MONITOR}?{query}", [HOST])
    if query == "f%6Frce=true?a":  # another value, and so no match
        (received,) = fresh.requests()
        assert received.query == query
        return
    assert_refused_or_denied_by("no-force", answer, fresh)


@pytest.mark.parametrize(
    "fields",
    [
        [("X-Intent", "danger")],
        [("x-intent", "danger")],
        [("X-INTENT", "  danger  ")],
        [("X-Intent", "fine"), ("X-Intent", "danger")],
        [("X-Intent", "danger"), ("x-intent", "fine")],
        [("X-Intent", "danger\t")],
    ],
)
def test_abuse_20_a_header_meets_its_rule_in_any_case_and_place(
    tunnel: raw_client.Tunnel, fresh: StandIn, fields: Headers
) -> None:
    answer = tunnel.request("GET", f"{DASHBOARDS}/a-b-c", [HOST, *fields])
    assert_refused_or_denied_by("no-intent", answer, fresh)


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "x-http-method", "X-Method-Override"])
@pytest.mark.parametrize(("sent", "overridden"), [("PUT", "GET"), ("PUT", "PATCH"), ("PUT", "put")])
def test_abuse_20_an_override_of_the_method_changes_neither_the_decision_nor_the_call(
    tunnel: raw_client.Tunnel, fresh: StandIn, name: str, sent: str, overridden: str
) -> None:
    answer = tunnel.request(sent, MONITOR, [HOST, JSON, (name, overridden)], PROD)
    assert_denied_by("no-prod", answer, fresh)
    tunnel.request("GET", MONITOR, [HOST, (name, "DELETE")])
    (received,) = fresh.requests()
    assert received.method == "GET"
    assert not received.values(name)


def test_abuse_20_head_is_decided_as_the_get_that_it_is(tunnel: raw_client.Tunnel, fresh: StandIn) -> None:
    tunnel.connection.sendall(raw_client.head("HEAD /api/v1/monitor/666 HTTP/1.1", [HOST]))
    head = tunnel.connection.recv(65536)
    assert head.startswith(b"HTTP/1.1 403 ")
    assert fresh.requests() == []


@pytest.mark.parametrize("method", ["put", "Put", "PUT ", "PUT\t", "P%55T", "PUT\x00", "PUT/", "X-PUT"])
def test_abuse_20_a_method_in_another_spelling_is_not_sent_on_as_that_method(
    tunnel: raw_client.Tunnel, fresh: StandIn, method: str
) -> None:
    """What is none of HTTP's methods is an unknown operation, which this policy allows; Datadog gets it as it
    was spelt, never as the method that a rule names."""
    tunnel.request(method, MONITOR, [HOST, JSON], PROD)
    assert [received.method for received in fresh.requests()] in ([], [method])


def workers_of(gateway: Gateway) -> list[int]:
    """The processes in which the gateway judges large bodies."""
    assert gateway.process is not None
    children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"decision_child" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_abuse_30_a_large_body_that_nobody_judges_goes_nowhere_and_the_next_one_is_judged(
    strict: Gateway, tunnel: raw_client.Tunnel, fresh: StandIn
) -> None:
    large = b'{"name": "' + b"x" * (256 * KIB) + b'", "tags": ["env:%s"]}'
    assert_denied_by("no-prod", tunnel.request("PUT", MONITOR, [HOST, JSON], large % b"prod"), fresh)
    (pid,) = workers_of(strict)
    os.kill(pid, signal.SIGSTOP)
    answer = tunnel.request("PUT", MONITOR, [HOST, JSON], large % b"dev")
    assert (answer.status, answer.json()["ddgate"]["reason"]) == (503, "policy_unavailable")
    assert fresh.requests() == []
    assert_denied_by("no-prod", tunnel.request("PUT", MONITOR, [HOST, JSON], large % b"prod"), fresh)
    tunnel.request("PUT", MONITOR, [HOST, JSON], large % b"dev")
    assert len(fresh.requests()) == 1
    assert workers_of(strict) != [pid]
