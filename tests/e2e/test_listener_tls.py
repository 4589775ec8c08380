"""A listener with a certificate of its own (`listen.tls`): a token in the clear is not accepted."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from tests.ca_files import make_pair
from tests.e2e import raw_client
from tests.e2e.gateway_process import Gateway, curl, free_port
from tests.e2e.raw_upstream import RawUpstream, gateway_before
from tests.sandbox_processes import Issuer

API = "api.datadoghq.com"
HOST = ("Host", API)
URL = f"https://{API}/api/v1/x"


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawUpstream]:
    with RawUpstream(tmp_path_factory.mktemp("upstream")) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, upstream: RawUpstream
) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("listener")
    key, certificate = make_pair(name="the gateway's own name")
    (directory / "listener.key").write_bytes(key)
    (directory / "listener.crt").write_bytes(certificate)
    port = free_port()
    tls = {"certificate": str(directory / "listener.crt"), "key": str(directory / "listener.key")}
    gateway = gateway_before(directory, issuer.url, upstream, listen={"port": port, "tls": tls})
    gateway.port = port
    gateway.start()
    yield gateway
    gateway.stop()
    assert "Traceback" not in gateway.log.read_text()


@pytest.fixture
def sent(upstream: RawUpstream) -> RawUpstream:
    """The upstream, having received nothing yet."""
    upstream.seen.clear()
    return upstream


def _over_tls(gateway: Gateway, server_name: str = "gateway.example") -> raw_client.Tunnel:
    client = raw_client.plain(gateway.port)
    context = ssl.create_default_context(cafile=str(gateway.directory.parent / "listener.crt"))
    context.check_hostname = False  # the certificate is only recognised, by its key
    client.connection = context.wrap_socket(client.connection, server_hostname=server_name)
    return client


def test_curl_goes_through_a_proxy_with_an_https_url(
    gateway: Gateway, issuer: Issuer, sent: RawUpstream
) -> None:
    proxy = ["--proxy", gateway.url.replace("http:", "https:"), "--proxy-insecure"]
    answer = curl(gateway, *proxy, URL, token=issuer.token("demo-agent"))
    assert (answer.status, answer.json()) == (200, {"ok": True})
    assert sent.paths() == ["/api/v1/x"]


def test_absolute_form_over_tls_works(gateway: Gateway, issuer: Issuer, sent: RawUpstream) -> None:
    token = raw_client.bearer(issuer.token("demo-agent"))
    assert _over_tls(gateway).request("GET", URL, [HOST, token]).status == 200


def test_i9_a_cleartext_connect_is_refused(gateway: Gateway, issuer: Issuer, sent: RawUpstream) -> None:
    opened = raw_client.connect(gateway.port, f"{API}:443", [raw_client.bearer(issuer.token("demo-agent"))])
    assert opened.connected is not None
    assert (opened.connected.status, opened.connected.json()["ddgate"]["reason"]) == (403, "not_tls")
    (refused,) = [
        one
        for one in gateway.records_of("tunnel_refused")
        if one["call"] == opened.connected.json()["ddgate"]["call"]
    ]
    assert refused["decision"]["reason"] == "not_tls"
    # Nor does what follows on that connection get anywhere.
    assert opened.request("GET", "/api/v1/x", [HOST]).status in {0, 403}
    assert sent.seen == []


@pytest.mark.parametrize("target", [URL, "/api/v1/x", f"http://{API}/api/v1/x"])
def test_a_cleartext_request_is_refused(
    gateway: Gateway, issuer: Issuer, sent: RawUpstream, target: str
) -> None:
    token = raw_client.bearer(issuer.token("demo-agent"))
    answer = raw_client.plain(gateway.port).request("GET", target, [HOST, token])
    assert (answer.status, answer.json()["ddgate"]["reason"]) == (403, "not_tls")
    assert sent.seen == []


def test_i9_the_listeners_tls_is_not_taken_for_the_tunnels(
    gateway: Gateway, issuer: Issuer, sent: RawUpstream
) -> None:
    """Plain HTTP inside a tunnel, though the connection around it is TLS, with Datadog's name even."""
    client = _over_tls(gateway, API)
    token = raw_client.bearer(issuer.token("demo-agent"))
    connected = client.send(raw_client.head(f"CONNECT {API}:443 HTTP/1.1", [HOST, token]))
    assert connected.status == 200
    answer = client.request("GET", "/api/v1/x", [HOST])
    assert (answer.status, answer.json()["ddgate"]["reason"]) == (403, "not_tls")
    assert sent.seen == []
