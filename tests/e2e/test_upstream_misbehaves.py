"""I1, I3 and abuse cases 6 and 8: what a broken or hostile upstream answers never reaches the agent unread,
never hangs it, and never makes it repeat a write blindly."""

from __future__ import annotations

import base64
import gzip
import json
import quopri
from collections.abc import Iterator

import pytest

from tests.e2e import raw_client
from tests.e2e.gateway_process import Gateway
from tests.e2e.raw_upstream import (
    API_KEY,
    Exchange,
    RawUpstream,
    Script,
    gateway_before,
    ok,
    records_of_call,
)
from tests.sandbox_processes import Issuer

API = "api.datadoghq.com"
HOST = ("Host", API)


def saying(*pieces: bytes, closing: bool = False) -> Script:
    """Sends the pieces, each in a TLS record of its own; `KEY` in them is the key that came with the call."""

    def script(exchange: Exchange) -> bool:
        (key,) = exchange.fields("dd-api-key")
        for piece in pieces:
            exchange.send(piece.replace(b"KEY", key.encode()))
        return not closing

    return script


def _gzip_in_chunks(exchange: Exchange) -> None:
    (key,) = exchange.fields("dd-api-key")
    packed = gzip.compress(f"key={key}".encode())
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    exchange.send(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed))


def _echo_in_utf16(exchange: Exchange) -> None:
    exchange.send(ok(exchange.fields("dd-api-key")[0].encode("utf-16"), "Content-Type: text/plain"))


def _echo_in_utf32(exchange: Exchange) -> None:
    exchange.send(ok(exchange.fields("dd-api-key")[0].encode("utf-32-be"), "Content-Type: text/plain"))


def _echo_in_mime_base64(exchange: Exchange) -> None:
    key = exchange.fields("dd-api-key")[0].encode()
    exchange.send(ok(base64.encodebytes(b"x" * 40 + key + b"y" * 40), "Content-Type: text/plain"))


def _echo_in_mime_base64_in_json(exchange: Exchange) -> None:
    key = exchange.fields("dd-api-key")[0].encode()
    lines = base64.encodebytes(b"x" * 40 + key + b"y" * 40).decode()
    exchange.send(ok(json.dumps({"echo": lines.replace("\n", "\r\n")}).encode()))


def _echo_in_quoted_printable(exchange: Exchange) -> None:
    lines = quopri.encodestring(b"x" * 60 + exchange.fields("dd-api-key")[0].encode())
    exchange.send(ok(lines.replace(b"\n", b"\r\n"), "Content-Type: message/rfc822"))


INTERIM = {
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n",),
    "100 without a reason": (b"HTTP/1.1 100\r\n\r\n",),
    "103": (b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n",),
    "103 in pieces": (b"HTTP/1.1 103 Early", b" Hints\r\nLink: <", b"/x>\r\n", b"\r\n"),
    "several": (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n" * 3),
}
WITHHELD = {
    "a transfer coding that is not undone": _gzip_in_chunks,
    "utf-16": _echo_in_utf16,
    "utf-32": _echo_in_utf32,
    "mime base64": _echo_in_mime_base64,
    "mime base64 in json": _echo_in_mime_base64_in_json,
    "quoted-printable": _echo_in_quoted_printable,
    "an upgrade": saying(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nRAW-KEY"
    ),
}
MALFORMED = {
    "no HTTP": saying(b"KEY is no HTTP\r\n\r\n", closing=True),
    "a space in a field's name": saying(b"HTTP/1.1 200 OK\r\nBad Name: KEY\r\nContent-Length: 2\r\n\r\nok"),
    "an unknown transfer coding": saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: KEY\r\n\r\nok"),
    "two lengths": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nKEY"),
    "half a head": saying(b"HTTP/1.1 200 OK\r\nX-Key: KEY\r\n", closing=True),
    "half a body": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nKEY", closing=True),
    "half a chunk": saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nKEY", closing=True),
    "no chunk": saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nKEY\r\n"),
    "nothing": saying(closing=True),
}


def _path(group: str, name: str) -> str:
    return f"/api/v1/{group}/{name.replace(' ', '-')}"


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawUpstream]:
    scripts: dict[str, Script] = {
        _path("interim", name): saying(*pieces, ok(b'{"final": true}')) for name, pieces in INTERIM.items()
    }
    scripts |= {_path("withheld", name): script for name, script in WITHHELD.items()}
    scripts |= {_path("malformed", name): script for name, script in MALFORMED.items()}
    with RawUpstream(tmp_path_factory.mktemp("upstream"), scripts) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def before_it(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, upstream: RawUpstream
) -> Iterator[Gateway]:
    gateway = gateway_before(tmp_path_factory.mktemp("misbehaves"), issuer.url, upstream).start()
    yield gateway
    gateway.stop()
    said = gateway.log.read_text()
    assert "Traceback" not in said
    assert "crashed" not in said
    for path, content in gateway.files():
        assert API_KEY.encode() not in content, path


@pytest.fixture
def tunnel(before_it: Gateway, issuer: Issuer) -> Iterator[raw_client.Tunnel]:
    token = raw_client.basic(issuer.token("demo-agent"))
    opened = raw_client.tunnel(before_it.port, before_it.ca, headers=[token], timeout=5)
    yield opened
    opened.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", INTERIM)
def test_interim_answers_are_dropped_and_the_answer_arrives(
    tunnel: raw_client.Tunnel, before_it: Gateway, name: str, method: str
) -> None:
    for _ in range(2):  # the connection goes on being used
        answer = tunnel.request(method, _path("interim", name), [HOST], b"{}" if method == "POST" else b"")
        assert (answer.status, answer.json()) == (200, {"final": True})
        call = dict(answer.headers).get("x-ddgate-call")
        assert call is None  # it is Datadog's own answer
    last = before_it.records()[-1]
    assert (last["kind"], last["http_response"]["status"]) == ("outcome", 200)


@pytest.mark.parametrize("name", WITHHELD)
def test_i3_an_answer_that_cannot_be_searched_or_holds_a_key_in_pieces_is_withheld(
    tunnel: raw_client.Tunnel, before_it: Gateway, name: str
) -> None:
    answer = tunnel.request("GET", _path("withheld", name), [HOST])
    assert (answer.status, answer.json()["ddgate"]["reason"]) == (409, "answer_withheld")
    call = answer.json()["ddgate"]["call"]
    assert records_of_call(before_it, call) == [("attempted", None), ("outcome", "answer withheld")]
    # What came instead of an answer leaves nothing behind that the next call could meet.
    assert tunnel.request("GET", "/api/v1/after", [HOST]).json() == {"ok": True}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", MALFORMED)
def test_abuse_8_a_malformed_or_broken_answer_is_502_for_a_read_and_409_for_a_write(
    tunnel: raw_client.Tunnel, before_it: Gateway, name: str, method: str
) -> None:
    answer = tunnel.request(method, _path("malformed", name), [HOST], b"{}" if method == "POST" else b"")
    assert answer.status == (502 if method == "GET" else 409), answer
    assert answer.errors
    said = answer.json()["ddgate"]
    assert said["reason"] == "upstream_failed"
    assert dict(answer.headers)["x-ddgate-call"] == said["call"]
    assert records_of_call(before_it, said["call"])[-1:] != [("outcome", "answered")]
    assert [kind for kind, _ in records_of_call(before_it, said["call"])] == ["attempted", "outcome"]


@pytest.mark.parametrize("failing", ["half a body", "nothing"])
def test_a_late_failure_is_told_to_a_client_that_expected_100_continue(
    tunnel: raw_client.Tunnel, failing: str
) -> None:
    fields = [HOST, ("Expect", "100-continue"), ("Content-Length", "2")]
    tunnel.connection.sendall(raw_client.head(f"POST {_path('malformed', failing)} HTTP/1.1", fields))
    assert raw_client.read_answer(tunnel.connection).status == 100
    tunnel.connection.sendall(b"{}")
    answer = raw_client.read_answer(tunnel.connection)
    assert (answer.status, answer.json()["ddgate"]["reason"]) == (409, "upstream_failed")


def test_a_range_is_not_forwarded_because_a_key_could_be_read_in_parts(
    tunnel: raw_client.Tunnel, upstream: RawUpstream
) -> None:
    fields = [HOST, ("Range", "bytes=0-9"), ("If-Range", '"x"'), ("X-Kept", "yes")]
    assert tunnel.request("GET", "/api/v1/ranged", fields).status == 200
    sent = upstream.seen[-1]
    assert sent.path == "/api/v1/ranged"
    assert (sent.fields("range"), sent.fields("if-range"), sent.fields("x-kept")) == ([], [], ["yes"])
