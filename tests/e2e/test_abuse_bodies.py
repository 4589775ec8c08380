"""I5 and abuse cases 21 to 24 on the wire: bodies that bite, bodies over the limits, and masked bodies that
still are what their head says."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import brotli
import pytest
import zstandard

from tests.e2e import raw_client
from tests.e2e.gateway_process import Curled, Gateway
from tests.e2e.open_policy import write_open_policy
from tests.sandbox_processes import Issuer, Received, StandIn

API = "api.datadoghq.com"
HOST = ("Host", API)
ECHO = "/_sandbox/echo"
JSON = ("Content-Type", "application/json")
KIB = 1024
LIMIT = 256 * KIB
DECODED_LIMIT = 4 * KIB * KIB

type Headers = Sequence[tuple[str, str]]


def _compressed_by_zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def _expanded_by_zstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


CODINGS: Mapping[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "identity": (bytes, bytes),
    "gzip": (gzip.compress, gzip.decompress),
    "deflate": (zlib.compress, zlib.decompress),
    "zstd": (_compressed_by_zstd, _expanded_by_zstd),
    "zstd1": (_compressed_by_zstd, _expanded_by_zstd),
    "br": (brotli.compress, brotli.decompress),
}


def _gateway(directory: Path, issuer: Issuer, datadog: StandIn, **rule: object) -> Gateway:
    limits = {"body": f"{LIMIT // KIB}KiB", "decoded_body": f"{DECODED_LIMIT // KIB}KiB"}
    policy = write_open_policy(directory, **rule)
    return Gateway(
        directory / "gateway",
        issuer.url,
        datadog.port,
        datadog.ca,
        datadog.keys,
        config={"policy": [policy], "limits": limits},
    ).start()


def _stopped(gateway: Gateway) -> None:
    gateway.stop()
    said = gateway.log.read_text()
    assert "Traceback" not in said
    assert "crashed" not in said


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    """Permits everything and masks nothing on the way."""
    gateway = _gateway(tmp_path_factory.mktemp("plain"), issuer, datadog)
    yield gateway
    _stopped(gateway)


@pytest.fixture(scope="module")
def masking(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    """Masks secrets in both directions."""
    detect = {"detect": ["secrets"]}
    mask = {"forward": detect, "response": detect}
    gateway = _gateway(tmp_path_factory.mktemp("masking"), issuer, datadog, mask=mask)
    yield gateway
    _stopped(gateway)


def _tunnel(gateway: Gateway, issuer: Issuer) -> raw_client.Tunnel:
    token = raw_client.basic(issuer.token("demo-agent"))
    return raw_client.tunnel(gateway.port, gateway.ca, headers=[token], timeout=30)


@pytest.fixture
def tunnel(plain: Gateway, issuer: Issuer, fresh: StandIn) -> Iterator[raw_client.Tunnel]:
    opened = _tunnel(plain, issuer)
    yield opened
    opened.close()


@pytest.fixture
def masked(masking: Gateway, issuer: Issuer, fresh: StandIn) -> Iterator[raw_client.Tunnel]:
    opened = _tunnel(masking, issuer)
    yield opened
    opened.close()


def chunked(body: bytes, size: int = 1000) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _post(tunnel: raw_client.Tunnel, body: bytes, headers: Headers, *, in_chunks: bool = False) -> Curled:
    if not in_chunks:
        return tunnel.request("POST", ECHO, [HOST, *headers], body)
    fields = [HOST, *headers, ("Transfer-Encoding", "chunked")]
    return tunnel.send(raw_client.head(f"POST {ECHO} HTTP/1.1", fields) + chunked(body))


def assert_refused(answer: Curled, fresh: StandIn, status: int, reason: str) -> None:
    assert (answer.status, answer.json()["ddgate"]["reason"]) == (status, reason), answer
    assert answer.errors
    assert fresh.requests() == []


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("zstd1", _compressed_by_zstd(b'{"a": 1}'), 200),
        ("ZSTD1", _compressed_by_zstd(b'{"a": 1}'), 200),
        ("GZip", gzip.compress(b'{"a": 1}'), 200),
        ("x-gzip", gzip.compress(b'{"a": 1}'), 200),
        ("gzip, zstd", _compressed_by_zstd(gzip.compress(b'{"a": 1}')), 200),
        ("identity", b'{"a": 1}', 200),
        ("gzip", b'{"a": 1}', 400),
        ("gzip", gzip.compress(b'{"a": 1}')[:-9], 400),
        ("gzip", gzip.compress(b'{"a": 1}') + b"more", 400),
        ("zstd", gzip.compress(b'{"a": 1}'), 400),
        ("deflate", b"\x00\x01", 400),
        ("br", b'{"a": 1}', 400),
        ("compress", b'{"a": 1}', 400),
        ("gzip;q=1", gzip.compress(b'{"a": 1}'), 400),
        ("gzip, gzip, gzip, gzip", b"{}", 400),
        ("aes128gcm", b"{}", 400),
        ("utf-8", b"{}", 400),
        ("*", b"{}", 400),
    ],
)
def test_abuse_21_a_coding_is_undone_or_refused(
    tunnel: raw_client.Tunnel, fresh: StandIn, encoding: str, body: bytes, status: int
) -> None:
    answer = _post(tunnel, body, [JSON, ("Content-Encoding", encoding)])
    if status == 200:
        assert answer.status in {200, 400}, answer  # the stand-in knows fewer names
        (received,) = fresh.requests()
        assert received.body == body
        return
    assert_refused(answer, fresh, 400, "unreadable_body")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_abuse_22_a_decompression_bomb_is_413_and_bounded(
    tunnel: raw_client.Tunnel, plain: Gateway, fresh: StandIn, coding: str
) -> None:
    bomb = CODINGS[coding][0](b"\0" * (100 * KIB * KIB))
    assert len(bomb) < LIMIT
    before = _peak_kib(plain)
    answer = _post(tunnel, bomb, [JSON, ("Content-Encoding", coding)])
    assert_refused(answer, fresh, 413, "body_too_large")
    assert _peak_kib(plain) - before < 60 * KIB


def _peak_kib(gateway: Gateway) -> int:
    """The most memory that the process ever held."""
    assert gateway.process is not None
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
        b"[" * 100_000,
        b'{"n": ' + b"9" * 200_000 + b"}",
        b'{"n": 1e999999999}',
        b'{"n": -0.' + b"1" * 200_000 + b"}",
        rb'{"a": "\ud800", "\udfff": 1}',
        b'{"a": "\xff\xfe\xc0\xaf"}',
        b'{"a": 1, "a": 2, "password": "x", "password": "hunter2hunter2"}',
        b'{"a": NaN, "b": Infinity}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b'{"a": "' + b"\\" * 50_001,
        b"",
    ],
)
@pytest.mark.parametrize("which", ["plain", "masking"])
def test_abuse_22_a_hostile_document_crashes_nothing(
    request: pytest.FixtureRequest, issuer: Issuer, fresh: StandIn, which: str, body: bytes
) -> None:
    gateway: Gateway = request.getfixturevalue(which)
    answer = _post(_tunnel(gateway, issuer), body, [JSON])
    received = fresh.requests()
    if answer.status == 403:
        assert_refused(answer, fresh, 403, "unreadable_body")
    else:
        assert answer.status == 200, answer
        assert len(received) == 1
        assert b"hunter2hunter2" not in received[0].body or which == "plain"


@pytest.mark.parametrize("in_chunks", [False, True])
def test_abuse_23_a_body_exactly_at_the_limit_passes_whole(
    tunnel: raw_client.Tunnel, fresh: StandIn, in_chunks: object
) -> None:
    body = json.dumps({"a": "b" * (LIMIT - 9)}).encode()
    assert len(body) == LIMIT
    assert _post(tunnel, body, [JSON], in_chunks=bool(in_chunks)).status == 200
    (received,) = fresh.requests()
    assert received.body == body


@pytest.mark.parametrize("in_chunks", [False, True])
def test_abuse_23_a_body_over_the_limit_is_413_and_nothing_goes_upstream(
    tunnel: raw_client.Tunnel, fresh: StandIn, in_chunks: object
) -> None:
    body = json.dumps({"a": "b" * (LIMIT - 8)}).encode()
    answer = _post(tunnel, body, [JSON], in_chunks=bool(in_chunks))
    assert (answer.status, dict(answer.headers)["content-type"]) == (413, "application/json")
    assert answer.errors
    assert fresh.requests() == []


def test_abuse_23_a_length_over_the_limit_is_413_before_the_body_comes(
    tunnel: raw_client.Tunnel, fresh: StandIn
) -> None:
    length = ("Content-Length", str(10**12))
    answer = tunnel.send(raw_client.head(f"POST {ECHO} HTTP/1.1", [HOST, JSON, length]))
    assert answer.status == 413
    assert answer.errors
    assert fresh.requests() == []


def test_abuse_23_nothing_goes_upstream_before_the_whole_body_is_decided_on(
    tunnel: raw_client.Tunnel, fresh: StandIn
) -> None:
    accepted = fresh.connections()["accepted"]
    head = raw_client.head(f"POST {ECHO} HTTP/1.1", [HOST, JSON, ("Content-Length", "20")])
    tunnel.connection.sendall(head + b'{"a": ')
    other = tunnel.connection
    other.settimeout(0.5)
    with pytest.raises(TimeoutError):
        other.recv(1)
    assert fresh.requests() == []
    assert fresh.connections()["accepted"] == accepted


@pytest.mark.parametrize("query", [f"size={LIMIT + 1}", f"size={LIMIT + 1}&chunked=1"])
def test_an_answer_over_the_limit_is_withheld_and_not_a_5xx(
    tunnel: raw_client.Tunnel, fresh: StandIn, query: str
) -> None:
    answer = tunnel.request("GET", f"{ECHO}?{query}", [HOST])
    assert answer.status == 409, answer
    assert answer.errors
    assert len(fresh.requests()) == 1


SECRET = "hunter2-hunter2-hunter2"


def _framed_rightly(received: Received) -> bytes:
    """The body, decoded; fails where Content-Length or Content-Encoding don't fit it."""
    lengths = received.values("content-length")
    if received.values("transfer-encoding"):
        assert (received.values("transfer-encoding"), lengths) == (["chunked"], [])
    else:
        assert lengths == [str(len(received.body))]
    (coding,) = received.values("content-encoding") or ["identity"]
    return CODINGS[coding][1](received.body)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize("padding", [0, 200_000])
def test_abuse_24_a_masked_body_keeps_its_coding_fits_its_length_and_parses(
    masked: raw_client.Tunnel, fresh: StandIn, coding: str, in_chunks: object, padding: int
) -> None:
    document = {"password": SECRET, "n": 1, "pad": "x " * (padding // 2), "list": ["é", {"token": None}]}
    body = CODINGS[coding][0](json.dumps(document).encode())
    answer = _post(masked, body, [JSON, ("Content-Encoding", coding)], in_chunks=bool(in_chunks))
    assert answer.status == 200, answer
    (received,) = fresh.requests()
    arrived = json.loads(_framed_rightly(received))
    assert arrived["password"].startswith("[REDACTED:")
    assert {**arrived, "password": SECRET} == document


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("in_chunks", [False, True])
def test_abuse_24_a_body_without_a_finding_goes_on_byte_for_byte(
    masked: raw_client.Tunnel, fresh: StandIn, coding: str, in_chunks: object
) -> None:
    body = CODINGS[coding][0](b'{ "a" :1.50,"a":2 , "e":1E2}\n')
    _post(masked, body, [JSON, ("Content-Encoding", coding)], in_chunks=bool(in_chunks))
    (received,) = fresh.requests()
    assert received.body == body


@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("cut", ["", "&chunked=1"])
def test_abuse_24_a_masked_answer_fits_its_head_and_parses(
    masked: raw_client.Tunnel, fresh: StandIn, coding: str, cut: str
) -> None:
    encoding = "" if coding == "identity" else f"&encoding={coding}"
    fields = [HOST, ("Accept-Encoding", "gzip, deflate, br, zstd"), ("X-Password", SECRET)]
    answer = masked.request("GET", f"{ECHO}?form=json{encoding}{cut}", fields)
    assert answer.status == 200, answer
    headers = dict(answer.headers)
    body = answer.body
    if headers.get("transfer-encoding") == "chunked":
        body = _unchunked(body)
    else:
        assert headers["content-length"] == str(len(body))
    assert headers.get("content-encoding", "identity") == coding
    shown = json.loads(CODINGS[coding][1](body))
    assert SECRET not in str(shown)
    assert "[REDACTED:" in str(shown)


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return whole


MASK = b"[REDACTED:password:0123abcd]"


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(
    "body",
    [
        b'{"password": "%s"}' % MASK,
        b'{"password": "\\u005bREDACTED:password:0123abcd]"}',
        b"password=%5BREDACTED%3Apassword%3A0123abcd%5D",
        b"the password is %s" % MASK,
    ],
)
def test_i5_a_mask_in_the_body_of_a_write_is_denied(
    tunnel: raw_client.Tunnel, fresh: StandIn, coding: str, body: bytes
) -> None:
    answer = _post(tunnel, CODINGS[coding][0](body), [JSON, ("Content-Encoding", coding)])
    assert_refused(answer, fresh, 403, "masked_value")


def test_i5_a_mask_in_the_body_of_a_read_passes(tunnel: raw_client.Tunnel, fresh: StandIn) -> None:
    body = json.dumps({"filter": {"query": MASK.decode()}}).encode()
    answer = tunnel.request("POST", "/api/v2/logs/events/search", [HOST, JSON], body)
    assert answer.status == 200, answer
    (received,) = fresh.requests()
    assert received.body == body
