"""`upstream.timeout`: whatever an upstream leaves undone, there is an answer and an outcome."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e import raw_client
from tests.e2e.gateway_process import Curled, Gateway, wait_until
from tests.e2e.raw_upstream import Exchange, RawUpstream, gateway_before, ok, records_of_call
from tests.sandbox_processes import Issuer

API = "api.datadoghq.com"
NO_HANDSHAKE = "api.datadoghq.eu"  # accepts a connection and says nothing
NO_ANSWER_TO_SYN = "api.us3.datadoghq.com"
SECONDS = 1.0
PATIENCE = 12.0  # how long the clients here wait


def _says_nothing(exchange: Exchange) -> None:
    exchange.hold()


def _stops_in_the_head(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nX-Half:")
    exchange.hold()


def _stops_after_the_head(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    exchange.hold()


def _stops_in_the_body(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    exchange.hold()


def _never_ends(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not exchange.released.wait(0.05):
        exchange.send(b"1\r\nx\r\n")


def _never_gets_to_the_answer(exchange: Exchange) -> None:
    while not exchange.released.wait(0.05):
        exchange.send(b"HTTP/1.1 102 Processing\r\n\r\n")


def _is_within_time(exchange: Exchange) -> None:
    exchange.released.wait(SECONDS / 2)
    exchange.send(ok(b'{"late": "but in time"}'))


HANGING = {
    "/says-nothing": _says_nothing,
    "/stops-in-the-head": _stops_in_the_head,
    "/stops-after-the-head": _stops_after_the_head,
    "/stops-in-the-body": _stops_in_the_body,
    "/never-ends": _never_ends,
    "/never-gets-to-the-answer": _never_gets_to_the_answer,
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("timeouts")
    with (
        RawUpstream(directory / "speaking", {**HANGING, "/in-time": _is_within_time}) as speaking,
        RawUpstream(directory / "silent", speaks_tls=False) as silent,
        RawUpstream(directory / "absent", accepts=False) as absent,
    ):

        def route(to: RawUpstream) -> dict[str, str | int]:
            return {"address": "127.0.0.1", "port": to.port, "ca": str(to.ca)}

        routes = {"*": route(speaking), NO_HANDSHAKE: route(silent), NO_ANSWER_TO_SYN: route(absent)}
        upstream = {"connect_to": routes, "timeout": f"{SECONDS:g}s"}
        gateway = gateway_before(directory, issuer.url, speaking, upstream=upstream).start()
        yield gateway
        gateway.stop()
        assert "Traceback" not in gateway.log.read_text()


def _tunnel(gateway: Gateway, issuer: Issuer, host: str = API) -> raw_client.Tunnel:
    token = raw_client.basic(issuer.token("demo-agent"))
    return raw_client.tunnel(gateway.port, gateway.ca, host, [token], timeout=PATIENCE)


def _ended(gateway: Gateway, answer: Curled, outcome: str) -> None:
    said = answer.json()["ddgate"]
    assert said["reason"] == "upstream_failed"
    assert records_of_call(gateway, said["call"]) == [("attempted", None), ("outcome", outcome)]


@pytest.mark.parametrize(("method", "status"), [("GET", 502), ("POST", 409)])
@pytest.mark.parametrize("path", HANGING)
def test_an_answer_that_does_not_come_ends_the_call_with_outcome_unknown(
    gateway: Gateway, issuer: Issuer, path: str, method: str, status: int
) -> None:
    tunnel = _tunnel(gateway, issuer)
    began = time.monotonic()
    answer = tunnel.request(method, path, [("Host", API)], b"{}" if method == "POST" else b"")
    assert SECONDS * 0.9 <= time.monotonic() - began < PATIENCE / 2
    assert answer.status == status, answer
    _ended(gateway, answer, "unknown")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("host", [NO_HANDSHAKE, NO_ANSWER_TO_SYN])
def test_a_connection_that_does_not_come_about_ends_the_call_as_not_sent(
    gateway: Gateway, issuer: Issuer, host: str, method: str
) -> None:
    tunnel = _tunnel(gateway, issuer, host)
    answer = tunnel.request(method, "/api/v1/x", [("Host", host)], b"{}" if method == "POST" else b"")
    assert answer.status == 502, answer  # nothing was sent: a repetition does no harm
    _ended(gateway, answer, "not sent")


def test_a_call_that_times_out_disturbs_no_other(gateway: Gateway, issuer: Issuer) -> None:
    hanging, working = _tunnel(gateway, issuer), _tunnel(gateway, issuer)
    hanging.connection.sendall(raw_client.head("GET /says-nothing HTTP/1.1", [("Host", API)]))
    for _ in range(3):  # longer, together, than the other's time
        answer = working.request("GET", "/in-time", [("Host", API)])
        assert (answer.status, answer.json()) == (200, {"late": "but in time"})
    assert raw_client.read_answer(hanging.connection).status == 502


def test_time_runs_for_each_call_anew(gateway: Gateway, issuer: Issuer) -> None:
    """And a timer whose call has ended does nothing to the next one on the same connection."""
    tunnel = _tunnel(gateway, issuer)
    for _ in range(4):
        assert tunnel.request("GET", "/in-time", [("Host", API)]).status == 200


def test_a_call_whose_client_left_ends_in_one_outcome(gateway: Gateway, issuer: Issuer) -> None:
    leaving = _tunnel(gateway, issuer)
    attempted = len(gateway.records_of("attempted"))
    leaving.connection.sendall(raw_client.head("POST /says-nothing HTTP/1.1", [("Host", API)]))
    wait_until(lambda: len(gateway.records_of("attempted")) > attempted, what="the attempt")
    call = gateway.records_of("attempted")[-1]["call"]
    leaving.close()
    wait_until(lambda: len(records_of_call(gateway, call)) > 1, what="the outcome")
    working = _tunnel(gateway, issuer)
    for _ in range(3):  # longer than its time
        assert working.request("GET", "/in-time", [("Host", API)]).status == 200
    attempt, end = records_of_call(gateway, call)
    assert attempt == ("attempted", None)
    assert end in {("outcome", "unknown"), ("outcome", "not sent")}  # it may have left before it was sent
