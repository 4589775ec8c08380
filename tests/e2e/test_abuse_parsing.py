"""Abuse cases 16 and 18 to 25 on the wire: whatever can be read in two ways is refused, and what goes on is
what was decided on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e import raw_client
from tests.e2e.gateway_process import Curled, Gateway, curl
from tests.e2e.open_policy import write_open_policy
from tests.sandbox_processes import Issuer, StandIn

API = "api.datadoghq.com"
HOST = ("Host", API)
ECHO = "/_sandbox/echo"
JSON = ("Content-Type", "application/json")
KIB = 1024


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    """A gateway that permits everything and has little room."""
    directory = tmp_path_factory.mktemp("parsing")
    limits = {"body": "64KiB", "decoded_body": "1MiB", "head": "8KiB"}
    gateway = Gateway(
        directory / "gateway",
        issuer.url,
        datadog.port,
        datadog.ca,
        datadog.keys,
        config={"policy": [write_open_policy(directory)], "limits": limits},
    ).start()
    yield gateway
    gateway.stop()
    said = gateway.log.read_text()
    assert "Traceback" not in said
    assert "crashed" not in said


@pytest.fixture
def tunnel(small: Gateway, issuer: Issuer, fresh: StandIn) -> Iterator[raw_client.Tunnel]:
    token = raw_client.basic(issuer.token("demo-agent"))
    opened = raw_client.tunnel(small.port, small.ca, headers=[token], timeout=15)
    yield opened
    opened.close()


def assert_refused(answer: Curled, fresh: StandIn, *statuses: int) -> None:
    assert answer.status in (statuses or (400, 403)), answer
    assert answer.errors
    assert dict(answer.headers)["content-type"] == "application/json"
    assert fresh.requests() == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/../v2/api_keys",
        "/api/v1/./monitor",
        "/api/v1/%2e%2e/monitor",
        "/api/v1/.%2E/monitor",
        "/api/v1/monitor/..",
        "/api/v1%2fmonitor",
        "/api/v1%252fmonitor",
        "/api/v1//monitor",
        "//api/v1/monitor",
        "/api/v1/monitor;/../x",
        "/api/v1/monitor;a=b",
        "/api/v1\\monitor",
        "/api/v1%5cmonitor",
        "/api/v1/monitor%00",
        "/api/v1/monitor%0d%0aX-A:%20b",
        "/api/v1/%c0%af/monitor",
        "/api/v1/%c0%ae%c0%ae/monitor",
        "/api/v1/%ef%bc%8f/monitor",
        "/api/v1/monitor%",
        "/api/v1/monitor%zz",
        "/api/v1/monitor#x",
        "/api/v1/monitor?a=%00",
        "/api/v1/monitor?a=b;c=d",
        "/api/v1/monitor?_method=DELETE",
        "/api/v1/monitor\x00",
        "/api/v1/mon\xefitor",
        "*",
        "api/v1/monitor",
        "",
    ],
)
def test_abuse_18_a_path_of_two_readings_is_refused(
    tunnel: raw_client.Tunnel, fresh: StandIn, path: str
) -> None:
    assert_refused(tunnel.request("GET", path, [HOST]), fresh)


@pytest.mark.parametrize(
    ("sent", "decided"),
    [
        ("/api/v1/m%6fnitor", "/api/v1/monitor"),
        ("/api/v1/monitor/%7e", "/api/v1/monitor/~"),
        ("/api/v1/tags/hosts/%c3%a9", "/api/v1/tags/hosts/%C3%A9"),
        ("/api/v1/monitor/", "/api/v1/monitor/"),
        ("/api/v1/monitor/a%20b", "/api/v1/monitor/a%20b"),
    ],
)
def test_abuse_18_what_reaches_datadog_is_the_normal_form(
    tunnel: raw_client.Tunnel, fresh: StandIn, sent: str, decided: str
) -> None:
    tunnel.request("GET", f"{sent}?q=%7e", [HOST])
    (received,) = fresh.requests()
    assert (received.path, received.query) == (decided, "q=%7e")


CHUNKED = b"2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 2"],
        ["Content-Length: 2", "Content-Length: 2"],
        ["Content-Length: 2", "Content-Length: 3"],
        ["Content-Length: 2, 2"],
        ["Content-Length: +2"],
        ["Content-Length: 0x2"],
        ["Content-Length: -2"],
        ["Content-Length : 2"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding : chunked"],
        ["X-A: b\r\n Content-Length: 2"],
        ["X-A: b\r\n\tc: d"],
        ["X-A: b\nContent-Length: 2"],
        ["X-A: b\rContent-Length: 2"],
        ["X-A: b\x00c"],
        ["no colon here"],
        [": empty name"],
        ["X A: b"],
    ],
)
def test_abuse_19_an_ambiguous_or_malformed_head_is_refused(
    tunnel: raw_client.Tunnel, fresh: StandIn, fields: list[str]
) -> None:
    lines = ["POST /api/v1/monitor HTTP/1.1", f"Host: {API}", *fields]
    raw = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    bare_lf = any("\n" in line.replace("\r\n", "") for line in fields)
    answer = tunnel.send(raw + CHUNKED)
    if bare_lf:
        # RFC 9112 section 2.2 lets a bare LF end a line; then it must do so for Datadog, too.
        assert answer.status != 0
        assert all("\n" not in value for one in fresh.requests() for _, value in one.headers)
        return
    assert_refused(answer, fresh, 400)


def test_abuse_19_one_connection_carries_no_second_request_inside_the_first(
    tunnel: raw_client.Tunnel, fresh: StandIn
) -> None:
    smuggled = b"DELETE /api/v1/monitor/1 HTTP/1.1\r\nHost: api.datadoghq.com\r\n\r\n"
    first = raw_client.head(f"POST {ECHO} HTTP/1.1", [HOST, ("Content-Length", str(len(smuggled)))])
    assert tunnel.send(first + smuggled).status == 200
    (received,) = fresh.requests()
    assert (received.method, received.body) == ("POST", smuggled)


@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "http/1.1", "FTP/1.1"])
def test_abuse_19_another_version_is_refused(tunnel: raw_client.Tunnel, fresh: StandIn, version: str) -> None:
    answer = tunnel.send(raw_client.head(f"GET /api/v1/monitor {version}", [HOST]))
    assert_refused(answer, fresh, 400)


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "x-http-method", "X-Method-Override"])
def test_abuse_20_method_overrides_are_stripped(tunnel: raw_client.Tunnel, fresh: StandIn, name: str) -> None:
    assert tunnel.request("POST", ECHO, [HOST, (name, "DELETE")], b"{}").status == 200
    (received,) = fresh.requests()
    assert not received.values(name)
    assert "DELETE" not in str(received.headers)


def test_abuse_25_no_header_or_field_exempts(gateway: Gateway, issuer: Issuer, fresh: StandIn) -> None:
    claims = {"admin": True, "bypass": True, "user": "admin", "ddgate": {"allow": True}}
    for name, value in {
        "User-Agent": "ddgate/1.0 (admin)",
        "X-DDGate-Allow": "true",
        "X-DDGate-Principal": "admin",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-User": "admin",
        "X-Original-URL": "/api/v1/validate",
        "X-Rewrite-URL": "/api/v1/validate",
        "Forwarded": "for=127.0.0.1;host=localhost",
        "X-Datadog-Trace-Id": "1",
        "Prefer": "wait=0",
    }.items():
        answer = curl(
            gateway,
            f"https://{API}/api/v2/api_keys",
            *("-H", f"{name}: {value}", "-d", json.dumps(claims)),
            token=issuer.token("demo-agent"),
        )
        assert_refused(answer, fresh, 403)


@pytest.mark.parametrize(
    "fields",
    [
        [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ],
        [("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABk")],
        [("upgrade", "TLS/1.3")],
    ],
)
def test_abuse_16_upgrades_are_refused(
    tunnel: raw_client.Tunnel, fresh: StandIn, fields: list[tuple[str, str]]
) -> None:
    answer = tunnel.request("GET", ECHO, [HOST, ("Sec-WebSocket-Version", "13"), *fields])
    assert_refused(answer, fresh, 403)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"\x81\x85\x00\x00\x00\x00hello",
        b"EHLO me\r\n",
        b"\x16\x03\x01\x00\x64\x01\x00\x00\x60" + b"\x00" * 96,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00" * 64,
    ],
)
@pytest.mark.parametrize("in_tls", [True, False])
def test_abuse_16_bytes_that_are_no_http_go_nowhere(
    small: Gateway, issuer: Issuer, fresh: StandIn, data: bytes, in_tls: object
) -> None:
    token = raw_client.basic(issuer.token("demo-agent"))
    before = fresh.connections()["accepted"]
    if in_tls:
        opened = raw_client.tunnel(small.port, small.ca, headers=[token])
    else:
        opened = raw_client.connect(small.port, f"{API}:443", [token])
    answer = opened.send(data + b"\r\n\r\n")
    assert answer.status in {0, 400, 403}, answer
    assert answer.status == 0 or answer.errors
    assert fresh.requests() == []
    assert fresh.connections()["accepted"] == before


def test_abuse_16_plain_http_inside_the_tunnel_is_refused(
    small: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    opened = raw_client.connect(small.port, f"{API}:443", [raw_client.basic(issuer.token("demo-agent"))])
    answer = opened.request("GET", "/api/v1/monitor", [HOST])
    assert_refused(answer, fresh, 403)
    assert answer.json()["ddgate"]["reason"] == "not_tls"


def test_a_connect_inside_a_tunnel_is_refused(tunnel: raw_client.Tunnel, fresh: StandIn) -> None:
    answer = tunnel.request("CONNECT", f"{API}:443", [("Host", f"{API}:443")])
    assert answer.status in {0, 400, 403}, answer
    assert fresh.requests() == []


@pytest.mark.parametrize("shape", ["many", "one", "line", "slow"])
def test_a_head_over_the_limit_is_431(tunnel: raw_client.Tunnel, fresh: StandIn, shape: str) -> None:
    filler = {
        "many": [(f"X-{n}", "a" * 100) for n in range(90)],
        "one": [("X-A", "a" * 9 * KIB)],
        "line": [],
        "slow": [("X-A", "a" * 9 * KIB)],
    }[shape]
    target = "/api/v1/monitor?q=" + ("a" * 9 * KIB if shape == "line" else "")
    raw = raw_client.head(f"GET {target} HTTP/1.1", [HOST, *filler])
    if shape == "slow":
        for start in range(0, 6 * KIB, KIB):
            tunnel.connection.sendall(raw[start : start + KIB])
        raw = raw[6 * KIB :]
    assert_refused(tunnel.send(raw), fresh, 431)


def test_an_answer_whose_head_is_over_the_limit_is_withheld(
    tunnel: raw_client.Tunnel, fresh: StandIn
) -> None:
    fields = [(f"X-{n:03}", "a" * 30) for n in range(180)]  # the echo's names are longer
    answer = tunnel.request("GET", f"{ECHO}?form=header", [HOST, *fields])
    assert (answer.status, answer.json()["ddgate"]["reason"]) == (409, "answer_withheld")
    assert answer.errors
    assert len(fresh.requests()) == 1


def test_trailers_are_dropped_and_hang_nothing(tunnel: raw_client.Tunnel, fresh: StandIn) -> None:
    raw = raw_client.head(
        f"POST {ECHO} HTTP/1.1", [HOST, ("Transfer-Encoding", "chunked"), ("Trailer", "X-T")]
    )
    answer = tunnel.send(raw + b"2\r\n{}\r\n0\r\nX-T: deadbeef\r\nDD-API-KEY: deadbeef\r\n\r\n")
    assert answer.status == 200
    (received,) = fresh.requests()
    assert received.body == b"{}"
    assert "deadbeef" not in str(received.headers)
    assert tunnel.request("GET", ECHO, [HOST]).status == 200


@pytest.mark.parametrize(
    "body",
    [b"g\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"2;a\r\n{}X0\r\n\r\n", b"f" * 21 + b"\r\n", b"2\r\n{}0\r\n\r\n"],
)
def test_abuse_19_malformed_chunks_reach_nobody(
    tunnel: raw_client.Tunnel, fresh: StandIn, body: bytes
) -> None:
    raw = raw_client.head(f"POST {ECHO} HTTP/1.1", [HOST, ("Transfer-Encoding", "chunked")])
    answer = tunnel.send(raw + body)
    assert answer.status in {0, 400}, answer
    assert fresh.requests() == []


def test_a_head_within_the_limit_passes(tunnel: raw_client.Tunnel, fresh: StandIn) -> None:
    assert tunnel.request("GET", ECHO, [HOST, ("X-A", "a" * 6 * KIB)]).status == 200
    assert len(fresh.requests()) == 1


def test_a_head_over_the_limit_on_the_way_to_the_proxy_is_431(small: Gateway, fresh: StandIn) -> None:
    answer = raw_client.connect(small.port, f"{API}:443", [("X-A", "a" * 9 * KIB)]).connected
    assert answer is not None
    assert_refused(answer, fresh, 431)


MASK = "[REDACTED:password:0123abcd]"


@pytest.mark.parametrize(
    "target",
    [f"{ECHO}?a={MASK}", f"{ECHO}?a={quote(MASK)}", f"{ECHO}?a={quote(quote(MASK))}"],
)
def test_i5_a_mask_in_the_url_of_a_write_is_denied(
    tunnel: raw_client.Tunnel, fresh: StandIn, target: str
) -> None:
    answer = tunnel.request("POST", target, [HOST, JSON], b"{}")
    assert_refused(answer, fresh, 403)
    assert answer.json()["ddgate"]["reason"] == "masked_value"


def test_i5_a_mask_in_a_read_passes(tunnel: raw_client.Tunnel, fresh: StandIn) -> None:
    target = f"/api/v1/monitor?name={quote(MASK)}"
    assert tunnel.request("GET", target, [HOST]).status == 200
    (received,) = fresh.requests()
    assert received.query == f"name={quote(MASK)}"


def peak_kib(gateway: Gateway) -> int:
    """The most memory that the process ever held."""
    assert gateway.process is not None
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def test_a_client_that_never_stops_sending_during_its_call_costs_no_memory(
    small: Gateway, tunnel: raw_client.Tunnel, fresh: StandIn
) -> None:
    before = peak_kib(small)
    tunnel.connection.sendall(raw_client.head(f"GET {ECHO}?delay=3 HTTP/1.1", [HOST]))
    fresh.wait_for_requests(1)
    sent = 0
    try:
        while sent < 200 << 20:
            tunnel.connection.sendall(b"a" * 65536)
            sent += 65536
    except OSError:
        pass  # cut off, or no longer read
    assert peak_kib(small) - before < 40 << 10
