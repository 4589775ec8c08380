"""I9 and abuse cases 3 and 11 to 14: a closed registry of destinations, named the same everywhere."""

from __future__ import annotations

import pytest

from tests.e2e import raw_client
from tests.e2e.gateway_process import Gateway, curl
from tests.sandbox_processes import Issuer, StandIn

API = "api.datadoghq.com"
OTHER = "app.datadoghq.com"


def _ask(tunnel: raw_client.Tunnel, host: str, target: str = "/api/v1/monitor") -> tuple[int, str]:
    answer = tunnel.request("GET", target, [("Host", host)])
    return answer.status, "" if answer.status == 200 else answer.json()["ddgate"]["reason"]


@pytest.mark.parametrize(
    ("connect", "sni", "host", "target"),
    [
        (API, OTHER, API, "/api/v1/monitor"),
        (OTHER, API, API, "/api/v1/monitor"),
        (API, API, OTHER, "/api/v1/monitor"),
        (API, OTHER, OTHER, "/api/v1/monitor"),
        (OTHER, API, OTHER, "/api/v1/monitor"),
        (API, API, "evil.example", "/api/v1/monitor"),
        (API, "evil.example", API, "/api/v1/monitor"),
        (API, API, API, f"https://{OTHER}/api/v1/monitor"),
        (API, API, API, "https://evil.example/api/v1/monitor"),
        (API, None, API, "/api/v1/monitor"),
        (API, API, f"{API}:8443", "/api/v1/monitor"),
        (API, API, f"{API}@evil.example", "/api/v1/monitor"),
        (API, API, f"evil.example#{API}", "/api/v1/monitor"),
    ],
)
def test_abuse_11_disagreeing_names_are_refused(
    gateway: Gateway, issuer: Issuer, fresh: StandIn, connect: str, sni: str | None, host: str, target: str
) -> None:
    token = raw_client.basic(issuer.token("demo-agent"))
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, connect, [token], sni=sni)
    status, reason = _ask(tunnel, host, target)
    assert (status, reason) == (403, "destination_mismatch")
    assert fresh.requests() == []


@pytest.mark.parametrize(
    "hosts",
    [[("Host", API), ("Host", API)], [("Host", API), ("host", OTHER)], []],
    ids=["twice", "two", "none"],
)
def test_abuse_11_exactly_one_host_header(
    gateway: Gateway, issuer: Issuer, fresh: StandIn, hosts: list[tuple[str, str]]
) -> None:
    token = raw_client.basic(issuer.token("demo-agent"))
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, API, [token])
    assert tunnel.request("GET", "/api/v1/monitor", hosts).status == 403
    assert fresh.requests() == []


@pytest.mark.parametrize(
    ("connect", "sni", "host"),
    [
        (API, API, f"{API}:443"),
        (API.upper(), API, API),
        (API, API, API.upper()),
        (f"{API}.", API, f"{API}."),
        (API, API, f"{API}.:443"),
    ],
)
def test_abuse_12_other_spellings_of_the_same_host_reach_it(
    gateway: Gateway, issuer: Issuer, fresh: StandIn, connect: str, sni: str, host: str
) -> None:
    token = raw_client.basic(issuer.token("demo-agent"))
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, connect, [token], sni=sni)
    assert _ask(tunnel, host) == (200, "")
    (received,) = fresh.requests()
    assert received.values("host") == [API]


@pytest.mark.parametrize(
    "authority",
    [
        "api.datadoghq.com.evil.com:443",
        "xdatadoghq.com:443",
        "datadoghq.com.evil.com:443",
        "unlisted.datadoghq.com:443",
        "api.datadoghq.com:80",
        "api.datadoghq.com:8443",
        "api.datadoghq.com..:443",
        "api%2edatadoghq.com:443",
        "example.com:443",
        "127.0.0.1:443",
        "[::1]:443",
        "[::ffff:127.0.0.1]:443",
        "[64:ff9b::7f00:1]:443",
        "2130706433:443",
        "0x7f.1:443",
        "169.254.169.254:443",
        "localhost:443",
        "xn--pi-7ja.datadoghq.com:443",
        "\uff21\uff30\uff29.datadoghq.com:443",
        "api.datadoghq.co\u212a:443",
    ],
)
def test_abuse_12_and_13_other_hosts_get_no_tunnel(
    gateway: Gateway, issuer: Issuer, fresh: StandIn, authority: str
) -> None:
    tunnel = raw_client.connect(gateway.port, authority, [raw_client.basic(issuer.token("demo-agent"))])
    assert tunnel.connected is not None
    assert tunnel.connected.status in {400, 403}
    assert tunnel.connected.errors
    assert fresh.requests() == []


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.1"])
def test_abuse_3_the_gateways_own_ports_are_out_of_reach(gateway: Gateway, issuer: Issuer, name: str) -> None:
    token = raw_client.basic(issuer.token("demo-agent"))
    for port in (gateway.port, 8081, 8082, 443):
        tunnel = raw_client.connect(gateway.port, f"{name}:{port}", [token])
        assert tunnel.connected is not None
        assert tunnel.connected.status in {400, 403}
        absolute = raw_client.plain(gateway.port).request(
            "GET", f"http://{name}:{port}/healthz", [("Host", f"{name}:{port}"), token]
        )
        assert absolute.status in {400, 403}
    itself = raw_client.plain(gateway.port).request(
        "GET", "/", [("Host", f"127.0.0.1:{gateway.port}"), token]
    )
    assert itself.status in {400, 403}


def test_i9_a_site_that_the_configuration_leaves_out_is_refused(
    make_gateway: object, issuer: Issuer, fresh: StandIn
) -> None:
    gateway: Gateway = make_gateway(config={"sites": ["datadoghq.eu"]}).start()  # type: ignore[operator]
    token = issuer.token("demo-agent")
    assert curl(gateway, f"https://{API}/api/v1/monitor", token=token).status != 200
    assert curl(gateway, "https://api.datadoghq.eu/api/v1/monitor", token=token).status == 200
    assert [one.host for one in fresh.requests()] == ["api.datadoghq.eu"]


def test_i9_the_upstream_connection_of_a_tunnel_is_reused(
    gateway: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    token = raw_client.basic(issuer.token("demo-agent"))
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, API, [token])
    for _ in range(12):
        assert _ask(tunnel, API) == (200, "")
    assert len({one.connection for one in fresh.requests()}) == 1
