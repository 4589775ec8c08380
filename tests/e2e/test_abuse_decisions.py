"""I1, no permit, no forward: whatever breaks, nothing goes out unseen and no answer comes back unseen."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import raw_client
from tests.e2e.gateway_process import ROOT, Curled, Gateway, curl, wait_until
from tests.e2e.open_policy import write_open_policy
from tests.sandbox_processes import Issuer, StandIn

LISTEN = ("--listen-host", "127.0.0.1", "--listen-port", "PORT")
MITMDUMP = (str(Path(sys.executable).parent / "mitmdump"), *LISTEN)
URL = "https://api.datadoghq.com/api/v1/monitor"


@pytest.fixture(scope="module")
def faulty(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn
) -> Iterator[tuple[Gateway, Path]]:
    directory = tmp_path_factory.mktemp("faulty")
    fault = directory / "fault"
    fault.write_text("")
    gateway = Gateway(
        directory / "gateway",
        issuer.url,
        datadog.port,
        datadog.ca,
        datadog.keys,
        config={"policy": [write_open_policy(directory)]},
        mitmdump=(*LISTEN, "-s", str(ROOT / "tests/e2e/faulty_chain.py")),
        environment={"FAULT_FILE": str(fault)},
    )
    gateway.start()
    yield gateway, fault
    gateway.stop()


def _ask(gateway: Gateway, token: str) -> Curled:
    """The answer to a request in a tunnel, or to the CONNECT if that was refused."""
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, headers=[raw_client.basic(token)])
    assert tunnel.connected is not None
    if tunnel.connected.status != 200:
        return tunnel.connected
    return tunnel.request("GET", "/api/v1/monitor", [("Host", "api.datadoghq.com")])


@pytest.mark.parametrize("hook", ["http_connect", "requestheaders", "request", "server_connect"])
def test_i1_an_exception_in_any_position_before_the_decision_forwards_nothing(
    faulty: tuple[Gateway, Path], issuer: Issuer, fresh: StandIn, hook: str
) -> None:
    gateway, fault = faulty
    token = issuer.token("demo-agent")
    for position in range(int(Path(f"{fault}.count").read_text())):
        fault.write_text(f"{position} {hook}")
        answer = _ask(gateway, token)
        assert answer.status in {502, 503}, (position, answer)
        assert answer.errors
    assert fresh.requests() == []
    fault.write_text("")
    assert curl(gateway, URL, token=token).status == 200


@pytest.mark.parametrize("hook", ["responseheaders", "response"])
def test_i1_an_exception_in_any_position_after_the_call_withholds_the_answer(
    faulty: tuple[Gateway, Path], issuer: Issuer, fresh: StandIn, hook: str
) -> None:
    gateway, fault = faulty
    token = issuer.token("demo-agent")
    count = int(Path(f"{fault}.count").read_text())
    for position in range(count):
        fault.write_text(f"{position} {hook}")
        answer = curl(gateway, URL, token=token)
        assert answer.status == 409, (position, answer)
        assert "withheld" in answer.errors
    assert len(fresh.requests()) == count
    fault.write_text("")


@pytest.mark.parametrize("hook", ["answer_part", "response"])
def test_i1_an_exception_in_any_position_cuts_a_stream(
    faulty: tuple[Gateway, Path], issuer: Issuer, fresh: StandIn, hook: str
) -> None:
    gateway, fault = faulty
    token = [raw_client.basic(issuer.token("sre-agent"))]
    event = b"data: one\n\n"

    def streamed() -> bytes:
        tunnel = raw_client.tunnel(gateway.port, gateway.ca, headers=token)
        fields = [("Host", "api.datadoghq.com"), ("Content-Type", "text/event-stream")]
        return tunnel.request("GET", "/_sandbox/echo?form=body&chunked=1", fields, event).body

    count = int(Path(f"{fault}.count").read_text())
    for position in range(count):
        fault.write_text(f"{position} {hook}")
        body = streamed()
        assert not body.endswith(b"0\r\n\r\n"), (position, body)
        assert hook != "answer_part" or event not in body, (position, body)
    assert len(fresh.requests()) == count
    fault.write_text("")
    assert streamed() == b"b\r\ndata: one\n\n\r\n0\r\n\r\n"
    outcomes = [record["attributes"]["outcome"] for record in gateway.records_of("outcome")[-count - 1 :]]
    on_record = 0 if hook == "answer_part" else 3  # what fails after that can't change it
    parts = count - on_record
    assert outcomes == [*["answered in part"] * parts, *["answered"] * on_record, "answered"]


def _copy_of_the_project(directory: Path) -> Path:
    root = directory / "project"
    shutil.copytree(ROOT / "addons", root / "addons", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "policies", root / "policies", ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.mark.parametrize("damage", ["a syntax error", "deletion"])
def test_abuse_30_a_chain_broken_or_deleted_while_running_forwards_nothing(
    tmp_path: Path, issuer: Issuer, fresh: StandIn, damage: str
) -> None:
    root = _copy_of_the_project(tmp_path)
    script = root / "addons" / "chain.py"
    gateway = Gateway(
        tmp_path / "gateway",
        issuer.url,
        fresh.port,
        fresh.ca,
        fresh.keys,
        command=("/usr/bin/env", f"PYTHONPATH={root}", *MITMDUMP, "-s", str(script)),
    )
    gateway.start()
    try:
        token = issuer.token("demo-agent")
        assert curl(gateway, URL, token=token).status == 200
        fresh.reset()
        if damage == "deletion":
            script.unlink()
        else:
            script.write_text("this is no Python\n")
        answer = wait_until(lambda: (one := _ask(gateway, token)).status == 503 and one, 10, "the guard")
        assert answer.errors
        fresh.reset()
        for _ in range(3):
            assert _ask(gateway, token).status == 503
        assert fresh.requests() == []
    finally:
        gateway.stop()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("save_stream_file", os.devnull),
        ("hardump", os.devnull),
        ("ssl_insecure", "true"),
        ("stream_large_bodies", "1k"),
        ("ignore_hosts", "datadoghq"),
        ("allow_hosts", "example"),
        ("modify_headers", "/~q/X-A/b"),
        ("map_remote", "|a|b"),
        ("proxyauth", "a:b"),
        ("proxy_debug", "true"),
        ("stickyauth", "."),
        ("http2", "true"),
        ("mode", "reverse:https://api.datadoghq.com"),
    ],
)
def test_i1_unsafe_options_of_stock_mitmdump_refuse_the_start(
    tmp_path: Path, issuer: Issuer, datadog: StandIn, option: str, value: str
) -> None:
    gateway = Gateway(
        tmp_path / "gateway",
        issuer.url,
        datadog.port,
        datadog.ca,
        datadog.keys,
        mitmdump=(*LISTEN, "-s", str(ROOT / "addons/chain.py"), "--set", f"{option}={value}"),
    )
    gateway.start(wait=False)
    assert gateway.process is not None
    if option == "http2":
        # Not refused but overruled: the chain sets what it needs.
        wait_until(gateway._is_up, 20)
        assert gateway.stop() == 0
        return
    try:
        assert gateway.process.wait(20) != 0
    finally:
        gateway.process.kill()
    assert option in gateway.log.read_text()
