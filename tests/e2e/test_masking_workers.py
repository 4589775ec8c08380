"""Large bodies that hold secrets: masked in another process, both ways, and on record as in this one."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from addons.core.body import decode_body
from addons.core.redact.masking.mask import MASK
from tests.e2e.gateway_process import Gateway, free_port, wait_until
from tests.e2e.open_policy import write_open_policy
from tests.e2e.raw_client import Tunnel, bearer, tunnel
from tests.e2e.raw_upstream import API_KEY, KEYS, Exchange, RawUpstream, ok
from tests.e2e.test_fail_closed import control_of
from tests.e2e.test_policy_metrics import of, scrape
from tests.e2e.traces import assert_nothing_readable
from tests.sandbox_processes import Issuer

SECRET = "Tr0ub4dor-Zebra-4711"
HOST = ("Host", "api.datadoghq.com")
JSON = ("Content-Type", "application/json")
LOGS = [
    {"message": f"GET /api/orders/{n} 200 in {n % 900}ms trace_id={n:018d}", "service": "checkout"}
    for n in range(3000)
]
LOGS[1500]["message"] += f" password={SECRET}"
BODY = json.dumps(LOGS).encode()
MASKS = {"forward": {"detect": ["secrets"]}, "response": {"detect": ["secrets"]}}

type Before = tuple[Gateway, RawUpstream]


def answering(exchange: Exchange) -> None:
    exchange.send(ok(gzip.compress(BODY), "Content-Type: application/json", "Content-Encoding: gzip"))


def answering_with_a_trailer(exchange: Exchange) -> None:
    exchange.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
        b"Trailer: X-Secret\r\n\r\n2\r\n{}\r\n0\r\nX-Secret: password=" + SECRET.encode() + b"\r\n\r\n"
    )


def answering_with_events(exchange: Exchange) -> None:
    """Server-sent events, a secret in one and a key of the gateway in pieces of another."""
    half = len(API_KEY) // 2
    events = (
        b'data: {"text": "password=%s"}\n\n' % SECRET.encode(),
        b'data: {"text": "key %s' % API_KEY[:half].encode(),
        b'%s"}\n\n' % API_KEY[half:].encode(),
    )
    exchange.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events)
        + b"0\r\n\r\n"
    )


@pytest.fixture(scope="module")
def control_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, control_port: int) -> Iterator[Before]:
    directory = tmp_path_factory.mktemp("masking")
    scripts = {
        "/api/v1/monitor": answering,
        "/api/v1/dashboard": answering_with_a_trailer,
        "/api/v1/events": answering_with_events,
    }
    with RawUpstream(directory / "tls", scripts) as upstream:
        config: Mapping[str, object] = {
            "policy": [write_open_policy(directory, mask=MASKS)],
            "control": {"port": control_port},
        }
        gateway = Gateway(
            directory / "gateway", issuer.url, upstream.port, upstream.ca, KEYS, config=config
        ).start()
        yield gateway, upstream
        gateway.stop()


@pytest.fixture
def opened(before: Before, issuer: Issuer) -> Iterator[Tunnel]:
    gateway, _ = before
    made = tunnel(gateway.port, gateway.ca, headers=[bearer(issuer.token("demo-agent"))], timeout=30)
    yield made
    made.close()


def workers_of(gateway: Gateway) -> list[int]:
    assert gateway.process is not None
    pid = gateway.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in children if b"masking.child" in Path(f"/proc/{each}/cmdline").read_bytes()]


def ticks_of(pid: int) -> int:
    """Processor time that a process has taken, in the system's ticks."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def send(opened: Tunnel) -> int:
    return opened.request("POST", "/api/v2/logs", [HOST, JSON], BODY).status


def test_a_large_request_is_forwarded_and_stored_without_its_secret(before: Before, opened: Tunnel) -> None:
    gateway, upstream = before
    assert send(opened) == 200
    forwarded = json.loads(upstream.seen[-1].body)
    assert MASK.search(forwarded[1500]["message"].encode())
    assert [line for n, line in enumerate(forwarded) if n != 1500] == [*LOGS[:1500], *LOGS[1501:]]
    assert len(workers_of(gateway)) == 1
    flow = gateway.flows()[-1]
    assert json.loads(flow.request.raw_content or b"") == forwarded
    assert flow.metadata["ddgate.detectors"] == "pair-password=1"
    assert gateway.records_of("outcome")[-1]["findings"] == {"pair-password": 1}
    assert_nothing_readable(gateway, [SECRET])


def test_a_large_answer_is_handed_over_and_stored_without_its_secret(before: Before, opened: Tunnel) -> None:
    gateway, _ = before
    answer = opened.request("GET", "/api/v1/monitor", [HOST])
    assert answer.status == 200
    handed = decode_body(answer.body, dict(answer.headers)["content-encoding"], limit=1 << 24)
    assert SECRET.encode() not in handed
    assert json.loads(handed)[:1500] == LOGS[:1500]
    assert_nothing_readable(gateway, [SECRET])


def test_a_worker_that_is_killed_costs_nothing_but_itself(before: Before, opened: Tunnel) -> None:
    gateway, upstream = before
    assert send(opened) == 200
    for pid in workers_of(gateway):
        os.kill(pid, signal.SIGKILL)
    assert send(opened) == 200
    assert SECRET.encode() not in upstream.seen[-1].body
    assert_nothing_readable(gateway, [SECRET])


def test_a_body_that_hangs_its_worker_holds_up_no_other_agent(
    before: Before, opened: Tunnel, issuer: Issuer
) -> None:
    gateway, upstream = before
    assert send(opened) == 200
    seen = len(upstream.seen)
    (hanging,) = workers_of(gateway)
    idle = ticks_of(hanging)
    opened.connection.settimeout(60)
    dense = json.dumps([{"password": f"{SECRET}-{n}", "n": n} for n in range(5000)]).encode()
    opened.connection.sendall(
        b"POST /api/v2/logs HTTP/1.1\r\nHost: api.datadoghq.com\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(dense) + dense
    )
    wait_until(lambda: ticks_of(hanging) > idle, what="the worker to take the body up")
    os.kill(hanging, signal.SIGSTOP)
    other = tunnel(gateway.port, gateway.ca, headers=[bearer(issuer.token("sre-agent"))], timeout=30)
    assert send(other) == 200
    assert len(upstream.seen) == seen + 1
    other.close()
    os.kill(hanging, signal.SIGCONT)
    assert opened.connection.recv(15).startswith(b"HTTP/1.1 ")


def test_trailers_reach_neither_the_agent_nor_the_record(before: Before, opened: Tunnel) -> None:
    gateway, _ = before
    answer = opened.request("GET", "/api/v1/dashboard", [HOST])
    assert (answer.status, answer.body) == (200, b"2\r\n{}\r\n0\r\n\r\n")
    chunked = [HOST, JSON, ("Transfer-Encoding", "chunked"), ("Trailer", "X-Secret")]
    head = "POST /api/v2/logs HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in chunked)
    sent = f"{head}\r\n2\r\n[]\r\n0\r\nX-Secret: password={SECRET}\r\n\r\n"
    assert opened.send(sent.encode()).status == 200
    assert_nothing_readable(gateway, [SECRET])


def test_a_stream_of_events_is_masked_as_a_whole(before: Before, opened: Tunnel) -> None:
    """No answer is handed over in part: it is held until its end, and so what is in pieces is found."""
    gateway, _ = before
    answer = opened.request("GET", "/api/v1/events", [HOST])
    assert answer.status == 200
    assert SECRET.encode() not in answer.body
    assert API_KEY.encode() not in answer.body
    assert gateway.records_of("outcome")[-1]["findings"]["gateway-credential"] == 1
    assert_nothing_readable(gateway, [SECRET])


def test_websockets_are_refused(before: Before, opened: Tunnel) -> None:
    """No tunnel of one can be allowed, so no text of one has to be masked."""
    gateway, upstream = before
    seen = len(upstream.seen)
    fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", "A" * 22 + "==")]
    assert opened.request("GET", "/api/v1/monitor", [HOST, *fields]).status == 403
    assert len(upstream.seen) == seen
    assert gateway.records_of("refused")[-1]["decision"]["reason"] == "upgrade_refused"


def test_findings_are_counted_by_detector(before: Before, opened: Tunnel, control_port: int) -> None:
    gateway, _ = before
    assert send(opened) == 200
    with control_of(gateway, control_port):
        counted = wait_until(
            lambda: of(scrape(control_port, gateway), "ddgate_redaction_findings_total"), what="the counts"
        )
    assert isinstance(counted, dict)
    assert counted["pair-password",] >= 1
