"""I3 and I6: a key or a token that changes while a call is under way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import raw_client
from tests.e2e.gateway_process import Gateway, wait_until
from tests.e2e.raw_upstream import API_KEY, Exchange, RawUpstream, gateway_before, ok
from tests.sandbox_processes import Issuer

API = "api.datadoghq.com"
HOST = ("Host", API)
NEW_KEY = "fedcba9876543210fedcba9876543210"


def _echo(exchange: Exchange) -> None:
    exchange.send(ok(b"0123 " + exchange.fields("dd-api-key")[0].encode() + b" 0123"))


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[RawUpstream]:
    with RawUpstream(tmp_path / "upstream", {"/echo": _echo}) as upstream:
        yield upstream


@pytest.fixture
def gateway(tmp_path: Path, issuer: Issuer, upstream: RawUpstream) -> Iterator[Gateway]:
    gateway = gateway_before(tmp_path, issuer.url, upstream).start()
    yield gateway
    gateway.stop()
    assert "Traceback" not in gateway.log.read_text()


@pytest.mark.parametrize("torn", ["", "0123", API_KEY[:15], "\n"])
def test_abuse_6_a_key_file_that_is_half_written_sends_nothing_and_spoils_nothing(
    gateway: Gateway, issuer: Issuer, upstream: RawUpstream, torn: str
) -> None:
    token = raw_client.basic(issuer.token("demo-agent"))
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, headers=[token])
    file = gateway.directory / "api_key.key"
    assert tunnel.request("GET", "/echo", [HOST]).status == 200
    file.write_text(torn)
    refused = tunnel.request("GET", "/echo", [HOST])
    assert (refused.status, refused.json()["ddgate"]["reason"]) == (503, "credential_unavailable")
    assert refused.errors
    assert len(upstream.seen) == 1
    wait_until(lambda: "credential" in gateway.status()["problems"], what="the problem")
    for key in (NEW_KEY, API_KEY):
        file.write_text(key + "\n")
        answer = tunnel.request("GET", "/echo", [HOST])
        assert answer.status == 200
        # Only keys are searched for: what the torn file held is an ordinary text.
        assert answer.body.startswith(b"0123 ")
        assert key.encode() not in answer.body
        assert upstream.seen[-1].fields("dd-api-key") == [key]
    wait_until(lambda: not gateway.status()["problems"], what="readiness")


@pytest.mark.parametrize("in_tunnel", [True, False])
def test_i6_a_token_that_expires_while_the_body_drips_in_forwards_nothing(
    gateway: Gateway, issuer: Issuer, upstream: RawUpstream, in_tunnel: bool
) -> None:
    token = issuer.mint(ttl=2, sub="demo-agent", aud="ddgate", groups=["agents"])
    if in_tunnel:
        client = raw_client.tunnel(gateway.port, gateway.ca, headers=[raw_client.basic(token)], timeout=15)
        start = raw_client.head("POST /x HTTP/1.1", [HOST, ("Content-Length", "40")])
    else:
        client = raw_client.plain(gateway.port, timeout=15)
        fields = [HOST, raw_client.bearer(token), ("Content-Length", "40")]
        start = raw_client.head(f"POST https://{API}/x HTTP/1.1", fields)
    client.connection.sendall(start + b"1" * 39)
    probe = [raw_client.bearer(token)]

    def has_expired() -> bool:
        connected = raw_client.connect(gateway.port, f"{API}:443", probe).connected
        return connected is not None and connected.status == 407

    wait_until(has_expired, what="the token's end")
    answer = client.send(b"1")
    assert answer.status == (401 if in_tunnel else 407)
    assert answer.json()["ddgate"]["reason"] == "token_expired"
    assert upstream.seen == []
    (refused,) = gateway.records_of("refused")
    assert refused["decision"]["reason"] == "token_expired"
    assert refused["actor"]["subject"] == "demo-agent"


def test_abuse_6_a_key_that_began_as_another_is_still_scrubbed_whole(
    gateway: Gateway, issuer: Issuer, upstream: RawUpstream
) -> None:
    """As when a key file was read half written, but longer than what is told from a key."""
    token = raw_client.basic(issuer.token("demo-agent"))
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, headers=[token])
    file = gateway.directory / "api_key.key"
    for key in (NEW_KEY[:20], NEW_KEY, NEW_KEY[:16]):
        file.write_text(key + "\n")
        answer = tunnel.request("GET", "/echo", [HOST])
        assert upstream.seen[-1].fields("dd-api-key") == [key]
        assert re.fullmatch(rb"0123 \[REDACTED:[a-z-]+:[0-9a-f]{8}\] 0123", answer.body), answer.body
