"""I6 and abuse case 26: who asks is verified on every request, and nothing else counts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import select
import socket
import time
from collections.abc import Callable
from http.client import HTTPConnection

import pytest
from cryptography.hazmat.primitives import serialization
from jwt import PyJWK

from tests.e2e import raw_client
from tests.e2e.gateway_process import Curled, Gateway, curl, wait_until
from tests.sandbox_processes import Issuer, StandIn

API = "api.datadoghq.com"
URL = f"https://{API}/api/v1/monitor"


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _claims(issuer: Issuer) -> dict[str, object]:
    now = int(time.time())
    return {
        "iss": issuer.url,
        "aud": "ddgate",
        "sub": "demo-agent",
        "groups": ["agents"],
        "iat": now,
        "exp": now + 300,
    }


def _jwks(issuer: Issuer) -> list[dict[str, str]]:
    connection = HTTPConnection("127.0.0.1", issuer.port, timeout=5)
    connection.request("GET", "/ddgate-sandbox/jwks")
    keys: list[dict[str, str]] = json.loads(connection.getresponse().read())["keys"]
    return keys


def _alg_none(issuer: Issuer) -> str:
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(_claims(issuer))}."


def _hs256_with_the_public_key(issuer: Issuer) -> str:
    rsa = next(key for key in _jwks(issuer) if key["kty"] == "RSA")
    pem = PyJWK(rsa).key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': rsa['kid']})}.{_part(_claims(issuer))}"
    mac = hmac.new(pem, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _embedded_key(issuer: Issuer) -> str:
    return issuer.mint(headers={"jwk": _jwks(issuer)[0]}, sub="demo-agent", groups=["agents"])


BAD: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda issuer: issuer.mint(ttl=-30, sub="demo-agent", groups=["agents"]),
    "of another issuer": lambda issuer: issuer.mint(
        iss="https://evil.example", sub="demo-agent", groups=["agents"]
    ),
    "for another audience": lambda issuer: issuer.mint(aud="other", sub="demo-agent", groups=["agents"]),
    "with alg none": _alg_none,
    "HS256 with the public key": _hs256_with_the_public_key,
    "not valid yet": lambda issuer: issuer.mint(
        nbf=int(time.time()) + 3600, sub="demo-agent", groups=["agents"]
    ),
    "without exp": lambda issuer: issuer.mint(omit=["exp"], sub="demo-agent", groups=["agents"]),
    "with an absurd lifetime": lambda issuer: issuer.mint(ttl=10**8, sub="demo-agent", groups=["agents"]),
    "with an embedded jwk": _embedded_key,
    "with a jku": lambda issuer: issuer.mint(headers={"jku": "https://evil.example/jwks"}, sub="demo-agent"),
    "with an x5u": lambda issuer: issuer.mint(headers={"x5u": "https://evil.example/x"}, sub="demo-agent"),
    "of an unknown key": lambda issuer: issuer.mint(
        headers={"kid": "unknown"}, sub="demo-agent", groups=["agents"]
    ),
    "cut short": lambda issuer: issuer.token("demo-agent")[:-6],
    "no JWT at all": lambda _: "hunter2",
}


@pytest.mark.parametrize("kind", BAD)
def test_abuse_26_a_bad_token_is_refused_at_connect_recorded_and_nothing_goes_upstream(
    gateway: Gateway, issuer: Issuer, fresh: StandIn, kind: str
) -> None:
    token = BAD[kind](issuer)
    before = len(gateway.records_of("tunnel_refused"))
    opened = raw_client.connect(gateway.port, f"{API}:443", [raw_client.basic(token)])
    assert opened.connected is not None
    assert opened.connected.status == 407
    assert opened.connected.errors
    assert ("proxy-authenticate", 'Bearer realm="ddgate"') in opened.connected.headers
    assert token not in opened.connected.body.decode()
    refused = gateway.records_of("tunnel_refused")
    assert len(refused) == before + 1
    assert refused[-1]["decision"]["reason"] in {"bad_token", "token_expired"}
    assert fresh.requests() == []


HEADERS: dict[str, Callable[[str], tuple[str, str]]] = {
    "identity header": lambda token: ("X-DDGate-Identity", f"Bearer {token}"),
    "api key": lambda token: ("DD-API-KEY", token),
}


@pytest.mark.parametrize("way", HEADERS)
@pytest.mark.parametrize("kind", [kind for kind in BAD if kind != "no JWT at all"])
def test_abuse_26_a_bad_token_is_refused_inside_a_tunnel(
    gateway: Gateway, issuer: Issuer, fresh: StandIn, kind: str, way: str
) -> None:
    token = BAD[kind](issuer)
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, API)
    answer = tunnel.request("GET", "/api/v1/monitor", [("Host", API), HEADERS[way](token)])
    assert answer.status == 401, answer
    assert answer.errors
    assert gateway.records_of("refused")[-1]["http_response"]["status"] == 401
    assert fresh.requests() == []


def test_no_token_opens_a_tunnel_that_permits_nothing(gateway: Gateway, fresh: StandIn) -> None:
    answer = curl(gateway, URL)
    assert (answer.status, answer.json()["ddgate"]["reason"]) == (401, "no_identity")
    assert "ddgate run" in answer.errors
    absolute = raw_client.plain(gateway.port).request("GET", URL, [("Host", API)])
    assert absolute.status == 407
    assert fresh.requests() == []


@pytest.mark.parametrize("way", [*HEADERS, "Basic", "Bearer", "bearer in lower case"])
def test_each_way_of_carrying_a_token_identifies_and_leaves_no_trace(
    gateway: Gateway, issuer: Issuer, fresh: StandIn, way: str
) -> None:
    token = issuer.token("demo-agent")
    at_proxy = {
        "Basic": [raw_client.basic(token)],
        "Bearer": [raw_client.bearer(token)],
        "bearer in lower case": [("proxy-authorization", f"bearer {token}")],
    }.get(way, [])
    inside = [HEADERS[way](token)] if way in HEADERS else []
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, API, at_proxy)
    assert tunnel.request("GET", "/api/v1/monitor", [("Host", API), *inside]).status == 200
    (received,) = fresh.requests()
    assert token not in str(received.headers)
    assert not received.values("x-ddgate-identity")
    assert gateway.records_of("outcome")[-1]["actor"]["subject"] == "demo-agent"


def _with_tokens(gateway: Gateway, tunnel_token: str | None, inside: raw_client.Headers) -> Curled:
    at_proxy = [raw_client.basic(tunnel_token)] if tunnel_token else []
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, API, at_proxy)
    return tunnel.request("GET", "/api/v1/monitor", [("Host", API), *inside])


def test_i6_tokens_of_different_actors_are_refused(gateway: Gateway, issuer: Issuer, fresh: StandIn) -> None:
    one, other = issuer.token("demo-agent"), issuer.token("sre-agent")
    in_header = ("X-DDGate-Identity", f"Bearer {other}")
    for answer in (
        _with_tokens(gateway, one, [in_header]),
        _with_tokens(gateway, one, [("DD-API-KEY", other)]),
        _with_tokens(gateway, None, [in_header, ("DD-API-KEY", one)]),
        _with_tokens(gateway, None, [in_header, ("X-DDGate-Identity", f"Bearer {one}")]),
        _with_tokens(gateway, None, [("DD-API-KEY", one), ("DD-API-KEY", other)]),
    ):
        assert answer.status == 401, answer
        assert answer.errors
    assert fresh.requests() == []


def test_i6_one_tunnel_carries_calls_on_behalf_of_several_owners(
    gateway: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    owners = ["ann@example.com", "bob@example.com"]
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, API, [raw_client.basic(issuer.token("demo-agent"))])
    for owner in owners:
        token = issuer.token("demo-agent", on_behalf_of=owner)
        answer = tunnel.request(
            "GET", "/api/v1/monitor", [("Host", API), ("X-DDGate-Identity", f"Bearer {token}")]
        )
        assert answer.status == 200
    assert [record["on_behalf_of"] for record in gateway.records_of("outcome")[-2:]] == owners


def test_i6_a_token_that_expires_in_the_middle_of_a_tunnel_ends_it(
    gateway: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    tunnel = raw_client.tunnel(
        gateway.port, gateway.ca, API, [raw_client.basic(issuer.token("demo-agent", ttl=2))]
    )
    first = tunnel.request("GET", "/api/v1/monitor", [("Host", API)])
    assert first.status == 200
    assert ("connection", "close") in first.headers
    long_lived = raw_client.tunnel(
        gateway.port, gateway.ca, API, [raw_client.basic(issuer.token("demo-agent", ttl=2))]
    )
    expires = time.time() + 2.1
    wait_until(lambda: time.time() > expires)
    late = long_lived.request("GET", "/api/v1/monitor", [("Host", API)])
    assert (late.status, late.json()["ddgate"]["reason"]) == (401, "token_expired")
    assert len(fresh.requests()) == 1


def test_abuse_26_a_token_of_a_megabyte_is_refused(gateway: Gateway, fresh: StandIn) -> None:
    answer = raw_client.connect(gateway.port, f"{API}:443", [raw_client.basic("e" * 1_000_000)]).connected
    assert answer is not None
    assert answer.status in {407, 431}
    smaller = raw_client.connect(gateway.port, f"{API}:443", [raw_client.basic("e" * 40_000)]).connected
    assert smaller is not None
    assert smaller.status == 407
    assert fresh.requests() == []


def test_the_users_agent_string_exempts_nobody(gateway: Gateway, fresh: StandIn) -> None:
    for agent in ("ddgate", "datadog-agent/7.60", "mitmproxy", "ELB-HealthChecker/2.0"):
        assert curl(gateway, URL, "-A", agent).status == 401
    assert fresh.requests() == []


@pytest.mark.parametrize("mode", ["error", "garbage"])
def test_i1_an_issuer_that_was_never_reached_means_503_and_nothing_upstream(
    make_gateway: Callable[..., Gateway], issuer: Issuer, fresh: StandIn, mode: str
) -> None:
    token = issuer.token("demo-agent")
    issuer.outage(mode)
    try:
        gateway = make_gateway().start()
        opened = raw_client.connect(gateway.port, f"{API}:443", [raw_client.basic(token)]).connected
        assert opened is not None
        assert (opened.status, opened.json()["ddgate"]["reason"]) == (503, "identity_unavailable")
        assert fresh.requests() == []
    finally:
        issuer.outage("ok")


@pytest.mark.parametrize("mode", ["error", "garbage", "slow"])
def test_abuse_29_agents_do_not_notice_that_the_issuers_keys_are_out_of_reach(
    gateway: Gateway, issuer: Issuer, fresh: StandIn, mode: str
) -> None:
    assert curl(gateway, URL, token=issuer.token("demo-agent")).status == 200
    issuer.outage(mode)
    try:
        for token in (issuer.token("demo-agent"), issuer.token("sre-agent")):
            assert curl(gateway, URL, token=token).status == 200
        # somebody's unknown key makes the gateway ask, and wait for, that issuer
        unknown = issuer.mint(headers={"kid": "unknown"}, sub="demo-agent", groups=["agents"])
        opened = raw_client.connect(gateway.port, f"{API}:443", [raw_client.basic(unknown)]).connected
        assert opened is not None
        assert opened.status == 407
        assert curl(gateway, URL, token=issuer.token("demo-agent")).status == 200
    finally:
        issuer.outage("ok")


def test_abuse_28_many_bad_logins_of_one_client_wait_while_another_is_served(
    gateway: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    good, attempts = issuer.token("demo-agent"), 120
    attackers = [
        socket.create_connection(("127.0.0.1", gateway.port), 60, source_address=("127.0.0.2", 0))
        for _ in range(attempts)
    ]
    for number, attacker in enumerate(attackers):
        login = raw_client.bearer(f"{good}{number}")
        attacker.sendall(raw_client.head(f"CONNECT {API}:443 HTTP/1.1", [("Host", API), login]))
    assert curl(gateway, URL, token=good).status == 200
    answered, _, _ = select.select(attackers, [], [], 0)
    assert len(answered) < attempts
    for attacker in attackers:
        assert raw_client.read_answer(attacker).status == 407
        attacker.close()
    assert len(fresh.requests()) == 1
