"""I3 and I4, and abuse cases 1 to 10 and 17: the agent never sees a Datadog key, and no flow holds one."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e import raw_client
from tests.e2e.gateway_process import Curled, Gateway, curl, wait_until
from tests.sandbox_processes import Issuer, StandIn

ECHO = "https://api.datadoghq.com/_sandbox/echo"
type MakeGateway = Callable[..., Gateway]


def forms(secret: str) -> Iterable[bytes]:
    """A secret as it is, and as the usual encodings would show it."""
    raw = secret.encode()
    yield raw
    yield raw.upper()
    yield raw.hex().encode()
    yield "".join(f"%{byte:02x}" for byte in raw).encode()
    yield "".join(f"\\u{byte:04x}" for byte in raw).encode()
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + raw + b"yyy")
        yield encoded[4 if shift else 0 : -8]


def assert_absent(data: bytes, secrets: Iterable[str], where: object) -> None:
    for secret in secrets:
        for form in forms(secret):
            assert form not in data, f"{form!r} is in {where}"


def assert_nothing_left(gateway: Gateway, secrets: Iterable[str]) -> None:
    kept = list(secrets)
    for path, data in gateway.files():
        assert_absent(data, kept, path)


@pytest.fixture(scope="module")
def echo_policy(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("policy") / "echo.yaml"
    path.write_text(
        json.dumps(
            {
                "version": 1,
                "rules": [
                    {
                        "id": "all-for-agents",
                        "effect": "allow",
                        "who": {"groups": ["agents"]},
                        "op": {"risk": ["read", "write", "ingest", "sensitive-read", "execute", "unknown"]},
                    }
                ],
            }
        )
    )
    return str(path)


@pytest.fixture
def open_gateway(make_gateway: MakeGateway, echo_policy: str) -> Gateway:
    """A gateway whose policy lets agents do nearly everything: the credential alone is in question."""
    return make_gateway(config={"policy": [echo_policy]}).start()


def test_i4_the_standin_saw_only_the_gateways_keys(
    open_gateway: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    token = issuer.token("demo-agent")
    assert curl(open_gateway, ECHO, token=token).status == 200
    (received,) = fresh.requests()
    assert received.values("dd-api-key") == [fresh.keys["api_key"]]
    assert received.values("dd-application-key") == [fresh.keys["application_key"]]
    assert token not in str(received.headers)


@pytest.mark.parametrize("form", ["json", "base64", "percent", "header", "location", "error"])
@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate", "br", "zstd"])
def test_abuse_6_an_echoed_key_is_scrubbed(
    gateway_open: Gateway, issuer: Issuer, datadog: StandIn, form: str, encoding: str
) -> None:
    coded = "" if encoding == "identity" else f"&encoding={encoding}"
    url = f"{ECHO}?form={form}{coded}&chunked=1"
    answer = curl(
        gateway_open,
        url,
        "-H",
        f"Accept-Encoding: {encoding}",
        "--compressed",
        token=issuer.token("demo-agent"),
    )
    keys = [datadog.keys["api_key"], datadog.keys["application_key"]]
    assert answer.status in {200, 302, 400, 500}, answer
    assert_absent(answer.body, keys, "the answer")
    assert_absent(str(answer.headers).encode(), keys, "the answer's head")
    assert b"REDACTED" in answer.body or "REDACTED" in str(answer.headers)


@pytest.fixture(scope="module")
def gateway_open(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn, echo_policy: str
) -> Iterable[Gateway]:
    gateway = Gateway(
        tmp_path_factory.mktemp("open") / "gateway",
        issuer.url,
        datadog.port,
        datadog.ca,
        datadog.keys,
        config={"policy": [echo_policy]},
    ).start()
    yield gateway
    gateway.stop()


def test_abuse_6_an_echoed_key_is_in_no_file(gateway_open: Gateway, issuer: Issuer, datadog: StandIn) -> None:
    for form in ("json", "base64", "percent", "header"):
        curl(gateway_open, f"{ECHO}?form={form}", token=issuer.token("demo-agent"))
    assert_nothing_left(gateway_open, [datadog.keys["api_key"], datadog.keys["application_key"]])


STOLEN = "deadbeefdeadbeefdeadbeefdeadbee0"


@pytest.mark.parametrize(
    "arguments",
    [
        ["-H", f"DD-API-KEY: {STOLEN}"],
        ["-H", f"dd-api-key: {STOLEN}", "-H", f"Dd-Api-Key: {STOLEN}"],
        ["-H", f"DD_API_KEY: {STOLEN}", "-H", f"DD_APPLICATION_KEY: {STOLEN}"],
        ["-H", f"DD-APPLICATION-KEY: {STOLEN}"],
        ["-H", f"Authorization: Bearer {STOLEN}", "-H", f"authorization: Basic {STOLEN}"],
        ["-H", f"X-Amz-Firehose-Access-Key: {STOLEN}"],
        ["-H", f"Cookie: dogweb={STOLEN}"],
    ],
)
def test_abuse_9_the_agents_own_keys_are_stripped_and_the_gateways_win(
    gateway_open: Gateway, issuer: Issuer, fresh: StandIn, arguments: list[str]
) -> None:
    assert curl(gateway_open, ECHO, *arguments, token=issuer.token("demo-agent")).status == 200
    (received,) = fresh.requests()
    assert STOLEN not in str(received.headers)
    assert received.values("dd-api-key") == [fresh.keys["api_key"]]
    assert received.values("dd-application-key") == [fresh.keys["application_key"]]
    assert_nothing_left(gateway_open, [STOLEN])


@pytest.mark.parametrize(
    "query",
    [
        f"api_key={STOLEN}&application_key={STOLEN}&a=1",
        f"a=1&dd-api-key={STOLEN}",
        f"API_KEY={STOLEN}&a=1",
        f"api%5Fkey={STOLEN}&a=1",
    ],
)
def test_abuse_7_keys_in_the_query_are_neither_forwarded_nor_kept(
    gateway_open: Gateway, issuer: Issuer, fresh: StandIn, query: str
) -> None:
    assert curl(gateway_open, f"{ECHO}?{query}", token=issuer.token("demo-agent")).status == 200
    (received,) = fresh.requests()
    assert received.query == "a=1"
    assert_nothing_left(gateway_open, [STOLEN])


def test_abuse_7_a_key_in_the_path_is_neither_forwarded_nor_kept(
    gateway_open: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    url = f"https://http-intake.logs.datadoghq.com/v1/input/{STOLEN}?ddsource=a"
    answer = curl(gateway_open, url, "-d", '{"message": "hi"}', token=issuer.token("demo-agent"))
    assert answer.status in {200, 202}, answer
    (received,) = fresh.requests()
    assert received.path == "/v1/input"
    assert_nothing_left(gateway_open, [STOLEN])


def test_abuse_10_the_connection_header_cannot_strip_the_key(
    gateway_open: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    answer = curl(
        gateway_open,
        ECHO,
        "-H",
        "Connection: DD-API-KEY, dd-application-key, close",
        token=issuer.token("demo-agent"),
    )
    assert answer.status == 200
    (received,) = fresh.requests()
    assert received.values("dd-api-key") == [fresh.keys["api_key"]]
    assert "dd-api-key" not in str(received.values("connection")).lower()


def test_abuse_5_proxy_authorization_is_neither_recorded_nor_forwarded(
    gateway_open: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    bad = "eyJhbGciOiJub25lIn0." + "A" * 40 + ".c2lnbmF0dXJl"
    expired = issuer.mint(ttl=-60, sub="demo-agent", groups=["agents"])
    good = issuer.token("demo-agent")
    for token in (bad, expired):
        assert curl(gateway_open, ECHO, token=token).status == 407
        answer = raw_client.plain(gateway_open.port).request(
            "GET", ECHO, [("Host", "api.datadoghq.com"), raw_client.bearer(token)]
        )
        assert answer.status == 407
    assert fresh.requests() == []
    absolute = raw_client.plain(gateway_open.port).request(
        "GET", ECHO, [("Host", "api.datadoghq.com"), raw_client.bearer(good)]
    )
    assert absolute.status == 200
    (received,) = fresh.requests()
    assert not received.values("proxy-authorization")
    assert_nothing_left(gateway_open, [bad, expired, good])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_abuse_1_a_stop_in_mid_flight_leaves_no_key_and_no_token(
    make_gateway: MakeGateway, echo_policy: str, issuer: Issuer, fresh: StandIn, number: signal.Signals
) -> None:
    gateway = make_gateway(config={"policy": [echo_policy], "drain": "200ms"}).start()
    token = issuer.token("demo-agent")
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, headers=[raw_client.basic(token)])
    tunnel.connection.sendall(
        raw_client.head("GET /_sandbox/echo?delay=5 HTTP/1.1", [("Host", "api.datadoghq.com")])
    )
    fresh.wait_for_requests(1)
    gateway.stop(number)
    tunnel.close()
    assert gateway.records_of("attempted")
    assert_nothing_left(gateway, [fresh.keys["api_key"], fresh.keys["application_key"], token])


def test_abuse_4_metadata_and_comments_hold_no_key_and_no_token(
    gateway_open: Gateway, issuer: Issuer, datadog: StandIn
) -> None:
    token = issuer.token("demo-agent", on_behalf_of="bob@example.com")
    curl(gateway_open, ECHO, token=token)
    flow = gateway_open.flows()[-1]
    said = f"{flow.metadata} {flow.comment} {flow.get_state()}"
    assert flow.metadata["ddgate.principal"] == "demo-agent"
    assert flow.metadata["ddgate.on_behalf_of"] == "bob@example.com"
    for secret in (token, *datadog.keys.values()):
        assert secret not in said


def _broken(gateway: Gateway, issuer: Issuer, query: str) -> Curled:
    return curl(gateway, f"{ECHO}?{query}", token=issuer.token("demo-agent"))


@pytest.mark.parametrize("query", ["close=1", "garbage=1"])
def test_abuse_8_a_broken_upstream_is_told_without_secrets(
    gateway_open: Gateway, issuer: Issuer, datadog: StandIn, query: str
) -> None:
    answer = _broken(gateway_open, issuer, query)
    assert answer.status == 502
    assert answer.errors
    assert_absent(answer.body, datadog.keys.values(), "the error")
    assert_nothing_left(gateway_open, [datadog.keys["api_key"], datadog.keys["application_key"]])


def test_abuse_8_refused_connection_and_wrong_certificate_say_nothing_secret(
    make_gateway: MakeGateway, echo_policy: str, issuer: Issuer, datadog: StandIn
) -> None:
    ca = str(datadog.ca)
    for name, to in {
        "refused": {"address": "127.0.0.1", "port": 1, "ca": ca},
        "no-tls": {"address": "127.0.0.1", "port": int(datadog.ready["admin_port"]), "ca": ca},
    }.items():
        config: dict[str, Any] = {"policy": [echo_policy], "upstream": {"connect_to": {"*": to}}}
        gateway = make_gateway(name, config=config).start()
        token = issuer.token("demo-agent")
        answer = curl(gateway, ECHO, token=token)
        assert answer.status == 502, answer
        assert answer.errors
        outcome = wait_until(lambda g=gateway: g.records_of("outcome"))  # type: ignore[misc]
        assert outcome[0]["attributes"]["outcome"] == "not sent"
        assert_nothing_left(gateway, [*datadog.keys.values(), token])


def test_abuse_15_a_redirect_is_handed_on_and_not_followed(
    gateway_open: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    answer = curl(
        gateway_open, f"{ECHO}?redirect={quote('https://evil.example/')}", token=issuer.token("demo-agent")
    )
    assert 300 <= answer.status < 400
    assert ("location", "https://evil.example/") in answer.headers
    assert len(fresh.requests()) == 1


def test_abuse_17_plain_http_is_refused_and_absolute_https_is_decided_as_in_a_tunnel(
    gateway: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    token = issuer.token("demo-agent")
    identified = [("Host", "api.datadoghq.com"), raw_client.bearer(token)]
    plain = raw_client.plain(gateway.port).request(
        "GET", "http://api.datadoghq.com/api/v1/monitor", identified
    )
    assert (plain.status, plain.json()["ddgate"]["reason"]) == (403, "not_tls")
    assert fresh.requests() == []
    secure = raw_client.plain(gateway.port).request(
        "GET", "https://api.datadoghq.com/api/v1/monitor", identified
    )
    assert secure.status == 200
    denied = raw_client.plain(gateway.port).request(
        "POST", "https://api.datadoghq.com/api/v2/api_keys", identified, b"{}"
    )
    assert denied.status == 403
    assert len(fresh.requests()) == 1


def test_i3_the_key_file_is_read_again_when_it_changes(
    make_gateway: MakeGateway, echo_policy: str, issuer: Issuer, fresh: StandIn
) -> None:
    gateway = make_gateway(config={"policy": [echo_policy]}).start()
    token = issuer.token("demo-agent")
    key = gateway.directory / "api_key.key"
    key.write_text("f" * 32 + "\n")
    assert curl(gateway, ECHO, token=token).status == 403
    key.write_text(fresh.keys["api_key"])
    assert curl(gateway, ECHO, token=token).status == 200
    key.unlink()
    refused = curl(gateway, ECHO, token=token)
    assert (refused.status, refused.json()["ddgate"]["reason"]) == (503, "credential_unavailable")
    assert [one.values("dd-api-key") for one in fresh.requests()] == [["f" * 32], [fresh.keys["api_key"]]]
