"""I2, I5 and I11: what is refused is answered, and on record, readable, masked and with who, why and under
which policy; and a refusal is about its own call, whatever else the connection carries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import raw_client
from tests.e2e.gateway_process import Curled, Gateway, wait_until
from tests.e2e.raw_upstream import RawUpstream, gateway_before
from tests.sandbox_processes import Issuer

API = "api.datadoghq.com"
HOST = ("Host", API)
URL = f"https://{API}/api/v1/x"
AGENTS_KEY = "deadbeefdeadbeefdeadbeefdeadbee0"
BODY_LIMIT = 64 * 1024


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawUpstream]:
    with RawUpstream(tmp_path_factory.mktemp("upstream")) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, upstream: RawUpstream
) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("refusals")
    limits = {"body": "64KiB", "head": "128KiB"}
    gateway = gateway_before(directory, issuer.url, upstream, limits=limits).start()
    yield gateway
    gateway.stop()
    assert "Traceback" not in gateway.log.read_text()
    for path, content in gateway.files():
        assert AGENTS_KEY.encode() not in content, path


@pytest.fixture
def sent(upstream: RawUpstream) -> RawUpstream:
    """The upstream, having received nothing yet."""
    upstream.seen.clear()
    return upstream


@pytest.fixture
def tunnel(gateway: Gateway, issuer: Issuer) -> Iterator[raw_client.Tunnel]:
    token = raw_client.basic(issuer.token("demo-agent"))
    opened = raw_client.tunnel(gateway.port, gateway.ca, headers=[token], timeout=10)
    yield opened
    opened.close()


def _record(gateway: Gateway, answer: Curled) -> dict[str, Any]:
    """The one record of a refused call."""
    call = answer.json()["ddgate"]["call"]
    (record,) = [one for one in gateway.records() if one.get("call") == call]
    assert record["kind"] in {"refused", "tunnel_refused"}
    assert record["http_response"]["status"] == answer.status
    assert record["decision"]["reason"] == answer.json()["ddgate"]["reason"]
    return dict(record)


@pytest.mark.parametrize("method", [b"G\xffT", b"get", b"Delete", b"G_T", b"G1"])
def test_abuse_19_a_method_not_in_capitals_is_refused_and_on_record(
    gateway: Gateway, tunnel: raw_client.Tunnel, sent: RawUpstream, method: bytes
) -> None:
    answer = tunnel.send(method + raw_client.head(" /api/v1/x HTTP/1.1", [HOST]))
    assert (answer.status, answer.json()["ddgate"]["reason"]) == (400, "malformed_request")
    assert _record(gateway, answer)["actor"]["subject"] == "demo-agent"
    assert sent.seen == []


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/api/v1/x", [("X-A", "password=a; " * 5000 + "password=hunter2hunter2")]),
        ("/api/v1/x?q=" + "password%3Da%3B" * 5000 + "password%3Dhunter2hunter2", []),
        ("/api/v1/x", [("X-A", "[" * 50_000 + " password=hunter2hunter2")]),
    ],
    ids=["a field", "a query", "nesting"],
)
def test_i5_what_is_too_complex_to_search_is_masked_whole_and_the_call_is_on_record(
    gateway: Gateway, tunnel: raw_client.Tunnel, sent: RawUpstream, target: str, fields: list[tuple[str, str]]
) -> None:
    before = len(gateway.records())
    answer = tunnel.request("GET", target, [HOST, *fields])
    assert answer.status in {200, 403}, answer
    records = gateway.records()[before:]
    kinds = [record["kind"] for record in records]
    assert kinds == (["attempted", "outcome"] if answer.status == 200 else ["refused"])
    seen = json.dumps(records) + repr(gateway.flows()[-1].request.get_state())
    assert "hunter2" not in seen


def test_abuse_7_an_encoded_path_hides_no_key(
    gateway: Gateway, tunnel: raw_client.Tunnel, sent: RawUpstream
) -> None:
    for path in (f"/v1/%69nput/{AGENTS_KEY}", f"/v1/input/%64{AGENTS_KEY[1:]}", f"/v1/inpu%74/{AGENTS_KEY}/"):
        assert tunnel.request("POST", path, [HOST], b"[]").status == 200
    assert sent.paths() == ["/v1/input"] * 3
    # Refused before anyone looked at the path:
    answers = [
        tunnel.request("POST", f"/v1/%69nput/{AGENTS_KEY}", [HOST, ("Content-Encoding", "x")], b"[]"),
        tunnel.request("POST", f"/v1/%69nput/{AGENTS_KEY}", [HOST, ("Upgrade", "x")], b"[]"),
        raw_client.plain(gateway.port).request(
            "POST", f"https://{API}/v1/%69nput/{AGENTS_KEY}", [HOST], b"["
        ),
    ]
    assert [answer.status for answer in answers] == [400, 403, 407]
    for answer in answers:
        assert AGENTS_KEY not in json.dumps(_record(gateway, answer))
    for flow in gateway.flows():
        assert AGENTS_KEY not in repr(flow.get_state())


@pytest.mark.parametrize("known", [True, False])
def test_raw_bytes_in_a_path_are_stored_escaped(
    gateway: Gateway, tunnel: raw_client.Tunnel, sent: RawUpstream, known: bool
) -> None:
    client = tunnel if known else raw_client.plain(gateway.port)
    answer = client.send(b"GET /api/v1/\xff\xfe HTTP/1.1\r\nHost: api.datadoghq.com\r\n\r\n")
    assert answer.status == (400 if known else 407)
    assert _record(gateway, answer)["http_request"]["path"] == "/api/v1/%FF%FE"
    assert sent.seen == []


def test_i11_a_refusal_names_identity_and_policy(
    gateway: Gateway, tunnel: raw_client.Tunnel, issuer: Issuer
) -> None:
    other = issuer.mint(sub="nobody-special", aud="ddgate", groups=["others"])
    tunnelled = raw_client.tunnel(gateway.port, gateway.ca, headers=[raw_client.basic(other)])
    denied = tunnelled.request("GET", "/api/v1/x", [HOST])
    assert denied.status == 403
    said, record = denied.json()["ddgate"], _record(gateway, denied)
    assert said["identity"] == record["actor"]["subject"] == "nobody-special"
    assert said["policy"] == record["decision"]["policy_revision"]
    refused = tunnel.request("GET", "/api/v1/x", [HOST, ("Upgrade", "websocket")])
    assert (refused.status, refused.json()["ddgate"]["identity"]) == (403, "demo-agent")


@pytest.mark.parametrize("how", ["a length", "chunks", "a length after 100-continue", "chunks after it"])
def test_abuse_23_a_413_is_answered_and_on_record_as_such(
    gateway: Gateway, issuer: Issuer, tunnel: raw_client.Tunnel, sent: RawUpstream, how: str
) -> None:
    expect = [("Expect", "100-continue")] if "after" in how else []
    framing = ("Transfer-Encoding", "chunked") if "chunks" in how else ("Content-Length", str(BODY_LIMIT + 1))
    tunnel.connection.sendall(raw_client.head("POST /api/v1/x HTTP/1.1", [HOST, *expect, framing]))
    answer = raw_client.read_answer(tunnel.connection) if expect or "length" in how else None
    if answer is not None and answer.status == 100:
        answer = None
    if answer is None:
        tunnel.connection.sendall(b"4000\r\n" + b"a" * 0x4000 + b"\r\n")
        tunnel.connection.sendall((b"4000\r\n" + b"a" * 0x4000 + b"\r\n") * 4)
        answer = raw_client.read_answer(tunnel.connection)
    assert (answer.status, answer.json()["ddgate"]["reason"]) == (413, "body_too_large")
    assert _record(gateway, answer)["actor"]["subject"] == "demo-agent"
    assert sent.seen == []


@pytest.mark.parametrize("name", ["X_HTTP_Method_Override", "x-http_method-override", "X_METHOD_OVERRIDE"])
def test_abuse_20_a_method_override_with_underscores_is_stripped(
    tunnel: raw_client.Tunnel, sent: RawUpstream, name: str
) -> None:
    assert tunnel.request("POST", "/api/v1/x", [HOST, (name, "DELETE")], b"{}").status == 200
    assert b"override" not in sent.seen[-1].head.lower()


def test_a_refused_connect_leaves_the_connection_usable(
    gateway: Gateway, issuer: Issuer, sent: RawUpstream
) -> None:
    token = raw_client.bearer(issuer.token("demo-agent"))
    client = raw_client.connect(gateway.port, "evil.example:443", [token])
    assert client.connected is not None
    assert client.connected.status == 403
    assert _record(gateway, client.connected)["kind"] == "tunnel_refused"
    assert client.request("GET", URL, [HOST, token]).status == 200
    assert sent.paths() == ["/api/v1/x"]
    # It is no tunnel: without a token of its own a request has no identity, and in origin form no TLS.
    assert client.request("GET", URL, [HOST]).status == 407
    assert client.request("GET", "/api/v1/x", [HOST, token]).status == 403
    assert len(sent.seen) == 1


def test_i11_an_error_names_no_other_call_of_the_connection(gateway: Gateway, issuer: Issuer) -> None:
    token = raw_client.bearer(issuer.token("demo-agent"))
    client = raw_client.plain(gateway.port)
    assert client.request("GET", URL, [HOST, token]).status == 200
    refused = client.request("GET", "/no-host-at-all", [token])
    assert refused.status == 400
    assert "x-ddgate-call" not in dict(refused.headers)
    assert "call" not in refused.json()["ddgate"]


def test_an_open_tunnel_is_not_on_record_as_refused(gateway: Gateway, tunnel: raw_client.Tunnel) -> None:
    before = len(gateway.records_of("tunnel_refused"))
    assert tunnel.request("GET", "/api/v1/x", [HOST]).status == 200
    tunnel.close()
    probe = raw_client.connect(gateway.port, "evil.example:443")
    assert probe.connected is not None
    wait_until(lambda: len(gateway.records_of("tunnel_refused")) > before, what="the probe's record")
    assert len(gateway.records_of("tunnel_refused")) == before + 1
