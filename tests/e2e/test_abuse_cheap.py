"""Abuse cases 23 and 28: what a client can make the gateway do or keep is bounded, and least of all for a
client without an identity."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import raw_client
from tests.e2e.gateway_process import Gateway, wait_until
from tests.e2e.raw_upstream import RawUpstream, gateway_before
from tests.sandbox_processes import Issuer

API = "api.datadoghq.com"
HOST = ("Host", API)
URL = f"https://{API}/api/v1/x"
KIB, MIB = 1024, 1024 * 1024
STORED_FOR_A_REFUSAL = 4000  # bytes
CALLS = 20
MANY_FIELDS = [(f"x{number}", "1") for number in range(7000)]
MANY_PARAMETERS = "?" + "&".join(["a=%41"] * 12_000)
SECRET_FIELDS = [("X-A", "password=a; " * 4000)]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawUpstream]:
    with RawUpstream(tmp_path_factory.mktemp("upstream")) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, upstream: RawUpstream
) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("cheap")
    limits = {"body": "1MiB", "head": "128KiB"}
    gateway = gateway_before(directory, issuer.url, upstream, limits=limits).start()
    yield gateway
    gateway.stop()
    assert "Traceback" not in gateway.log.read_text()


@pytest.fixture
def tunnel(gateway: Gateway, issuer: Issuer) -> Iterator[raw_client.Tunnel]:
    token = raw_client.basic(issuer.token("demo-agent"))
    opened = raw_client.tunnel(gateway.port, gateway.ca, headers=[token], timeout=10)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def nothing_goes_upstream(upstream: RawUpstream) -> Iterator[None]:
    yield
    assert upstream.paths() in ([], ["/after"])
    upstream.seen.clear()


def _stored(gateway: Gateway) -> int:
    """Bytes of all records and recordings."""
    records = sum(len(str(record)) for record in gateway.records())
    return records + sum(path.stat().st_size for path in (gateway.state / "recordings").rglob("*"))


def _memory(gateway: Gateway) -> int:
    assert gateway.process is not None
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * KIB for line in lines if line.startswith("VmRSS"))


@pytest.mark.parametrize(
    ("start", "fields"),
    [
        (f"GET {URL}", MANY_FIELDS),
        (f"GET {URL}{MANY_PARAMETERS}", []),
        (f"GET {URL}", SECRET_FIELDS),
        (f"GET {URL}/{'a' * 60_000}", []),
        (f"GET /{chr(0xDCFF) * 60_000}", []),
        (f"{'G' * 60_000} {URL}", []),
        (f"GET {URL}", [("Proxy-Authorization", "Bearer " + "a" * 60_000)]),
        (f"GET {URL}", [("User-Agent", "a" * 60_000)]),
    ],
    ids=[
        "many fields",
        "many parameters",
        "what looks like secrets",
        "a long path",
        "a long path of raw bytes",
        "a long method",
        "a long token",
        "a long field",
    ],
)
def test_abuse_28_a_request_without_identity_costs_little_to_refuse(
    gateway: Gateway, start: str, fields: list[tuple[str, str]]
) -> None:
    client = raw_client.plain(gateway.port)
    before = _stored(gateway)
    assert gateway.process is not None
    spent = -_processor_seconds(gateway.process.pid)
    for _ in range(CALLS):
        answer = client.send(raw_client.head(f"{start} HTTP/1.1", [HOST, *fields]))
        assert answer.status == 407, answer
    spent += _processor_seconds(gateway.process.pid)
    assert (_stored(gateway) - before) / CALLS < STORED_FOR_A_REFUSAL
    assert spent / CALLS < 0.05, f"{spent / CALLS:.3f} s of the processor for one refusal"


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100  # proc(5): utime and stime, in ticks


@pytest.mark.parametrize(
    ("target", "fields"),
    [("/x", MANY_FIELDS), ("/x" + MANY_PARAMETERS, [])],
    ids=["many fields", "many parameters"],
)
def test_too_many_fields_or_parameters_are_431(
    gateway: Gateway, tunnel: raw_client.Tunnel, target: str, fields: list[tuple[str, str]]
) -> None:
    answer = tunnel.request("GET", target, [HOST, *fields])
    assert (answer.status, answer.json()["ddgate"]["reason"]) == (431, "malformed_request")
    assert answer.json()["ddgate"]["identity"] == "demo-agent"
    (refused,) = [one for one in gateway.records() if one.get("call") == answer.json()["ddgate"]["call"]]
    assert (refused["kind"], refused["http_response"]["status"]) == ("refused", 431)
    assert tunnel.request("GET", "/after", [HOST]).status == 200


def _unread(gateway: Gateway) -> int:
    """Bytes that wait in the system for the gateway to read them (proc(5), /proc/net/tcp)."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    ours = f":{gateway.port:04X}"
    sizes = (row[4].split(":") for row in rows if row[1].endswith(ours) or row[2].endswith(ours))
    return sum(int(size, 16) for pair in sizes for size in pair)


def _chunks(size: int, count: int) -> bytes:
    return (b"%x\r\n" % size + b"a" * size + b"\r\n") * count


def test_abuse_23_the_body_of_a_refused_request_is_read_but_not_kept(gateway: Gateway) -> None:
    """In chunks no length could have refused it at once."""
    clients = [raw_client.plain(gateway.port) for _ in range(20)]
    before = _memory(gateway)
    for client in clients:
        chunked = raw_client.head(f"POST {URL} HTTP/1.1", [HOST, ("Transfer-Encoding", "chunked")])
        client.connection.sendall(chunked + _chunks(64 * KIB, 15))
    wait_until(lambda: not _unread(gateway), what="the gateway to read it all")
    grown = _memory(gateway) - before
    for client in clients:
        assert client.send(b"0\r\n\r\n").status == 407
    assert grown < 10 * MIB, f"{grown / MIB:.1f} MiB for 19 MiB of refused bodies"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_connection_goes_on_after_a_refused_body(
    gateway: Gateway, tunnel: raw_client.Tunnel, chunked: bool
) -> None:
    inner = b"GET /smuggled HTTP/1.1\r\nHost: api.datadoghq.com\r\n\r\n"
    fields = [HOST, ("X-DDGate-Identity", "Bearer wrong")]
    if chunked:
        coded = raw_client.head("POST /x HTTP/1.1", [*fields, ("Transfer-Encoding", "chunked")])
        refused = tunnel.send(coded + b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner))
    else:
        refused = tunnel.request("POST", "/x", fields, inner)
    assert refused.status == 401
    call = refused.json()["ddgate"]["call"]
    (record,) = [one for one in gateway.records() if one.get("call") == call]
    assert record["http_request"]["length"] == len(inner)
    assert "sha256" not in record["http_request"]
    assert tunnel.request("GET", "/after", [HOST]).status == 200


ENDLESS = {
    "a chunk's extension": b"5;" + b"x" * (300 * KIB),
    "a chunk's size": b"0" * (300 * KIB),
    "one trailer": b"2\r\n{}\r\n0\r\nX-T: " + b"x" * (300 * KIB),
    "many trailers": b"2\r\n{}\r\n0\r\n" + b"X-T: 1\r\n" * (40 * KIB),
}


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("known", [False, True])
def test_framing_without_end_closes_the_connection(
    gateway: Gateway, issuer: Issuer, name: str, known: bool
) -> None:
    client = raw_client.plain(gateway.port)
    who = [raw_client.bearer(issuer.token("demo-agent"))] if known else []
    coded = raw_client.head(f"POST {URL} HTTP/1.1", [HOST, *who, ("Transfer-Encoding", "chunked")])
    before = len(gateway.records())
    try:
        client.connection.sendall(coded + ENDLESS[name])
        answer = raw_client.read_answer(client.connection)
    except ConnectionError:  # closed while this side was sending
        pass
    else:
        assert answer.status in {0, 400}, answer
    records = wait_until(lambda: gateway.records()[before:], what="the record")
    assert [record["kind"] for record in records] == ["refused"]
    if known:
        assert records[0]["decision"]["reason"] == "malformed_request"


def test_abuse_28_many_refusals_at_once_slow_nobody_much(gateway: Gateway, tunnel: raw_client.Tunnel) -> None:
    attackers = [raw_client.plain(gateway.port) for _ in range(4)]
    attack = raw_client.head(f"GET {URL + MANY_PARAMETERS} HTTP/1.1", [HOST, *MANY_FIELDS[:1000]])
    for one in attackers:
        one.connection.sendall(attack)
    began = time.monotonic()
    assert tunnel.request("GET", "/after", [HOST]).status == 200
    assert time.monotonic() - began < 2
    for one in attackers:
        assert raw_client.read_answer(one.connection).status == 407
