"""The development issuer as a process."""

from __future__ import annotations

import http.client
import json
import stat
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from addons.sandbox.issuer_client import fetch_token
from addons.sandbox.lifecycle import SandboxError
from tests.sandbox_processes import Issuer, start_issuer

BASE = "/ddgate-sandbox"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("issuer")


@pytest.fixture(scope="module")
def running(directory: Path) -> Iterator[Issuer]:
    with start_issuer(directory) as started:
        yield started


@pytest.fixture
def issuer(running: Issuer) -> Iterator[Issuer]:
    yield running
    running.outage("ok")


def call(issuer: Issuer, method: str, path: str, body: str = "", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", issuer.port, timeout=10)
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def published_keys(issuer: Issuer) -> dict[str, jwt.PyJWK]:
    status, content = call(issuer, "GET", f"{BASE}/jwks")
    assert status == 200
    return {str(key.key_id): key for key in jwt.PyJWKSet.from_dict(json.loads(content)).keys}


def verified(issuer: Issuer, token: str, audience: str = "ddgate") -> dict[str, Any]:
    header = jwt.get_unverified_header(token)
    key = published_keys(issuer)[header["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token,
        key.key,
        algorithms=[header["alg"]],
        audience=audience,
        issuer=issuer.url,
        options={"require": ["exp", "iat", "nbf", "aud", "iss", "sub", "jti"]},
    )
    return claims


def token_request(issuer: Issuer, **form: str) -> tuple[int, dict[str, Any]]:
    clients = json.loads((issuer.dir / "clients.json").read_text())
    whole = {
        "grant_type": "client_credentials",
        "client_id": "demo-agent",
        "client_secret": clients["demo-agent"]["client_secret"],
    } | form
    status, content = call(issuer, "POST", f"{BASE}/token", urllib.parse.urlencode(whole))
    return status, json.loads(content)


def test_issuer_url_carries_the_sandbox_marker_and_discovery_agrees(issuer: Issuer) -> None:
    assert issuer.url == f"http://127.0.0.1:{issuer.port}/ddgate-sandbox"
    status, content = call(issuer, "GET", f"{BASE}/.well-known/openid-configuration")
    document = json.loads(content)
    assert status == 200
    assert document["issuer"] == issuer.url
    assert document["jwks_uri"] == f"{issuer.url}/jwks"
    assert document["token_endpoint"] == f"{issuer.url}/token"


@pytest.mark.parametrize(
    ("client", "groups"),
    [
        ("demo-agent", ["agents"]),
        ("sre-agent", ["agents", "sre-agents"]),
        ("alice", ["sre-leads"]),
        ("bob", ["secops"]),
        ("carol", ["sre-leads"]),
    ],
)
def test_token_of_each_ready_made_client_verifies_against_jwks(
    issuer: Issuer, client: str, groups: list[str]
) -> None:
    claims = verified(issuer, issuer.token(client, ttl=90))
    assert (claims["sub"], claims["groups"], claims["exp"] - claims["iat"]) == (client, groups, 90)
    assert "act" not in claims


def test_on_behalf_of_puts_the_client_and_its_groups_under_act(issuer: Issuer) -> None:
    claims = verified(issuer, issuer.token("sre-agent", on_behalf_of="alice"))
    assert claims["sub"] == "alice"
    assert claims["act"] == {"iss": issuer.url, "sub": "sre-agent", "groups": ["agents", "sre-agents"]}
    assert claims["groups"] == ["sre-leads"]
    assert "groups" not in verified(issuer, issuer.token("sre-agent", on_behalf_of="dave"))


def test_audience_is_as_asked(issuer: Issuer) -> None:
    _, answer = token_request(issuer, audience="elsewhere")
    assert verified(issuer, answer["access_token"], audience="elsewhere")["aud"] == "elsewhere"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        (
            {"client_secret": "\u00e9\udcff".encode("utf-8", "surrogateescape").decode("latin-1")},
            401,
            "invalid_client",
        ),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"ttl": "0"}, 400, "invalid_request"),
        ({"ttl": "1e3"}, 400, "invalid_request"),
        ({"ttl": "9" * 5000}, 400, "invalid_request"),
    ],
)
def test_a_bad_token_request_gets_an_oauth_error(
    issuer: Issuer, form: dict[str, str], status: int, error: str
) -> None:
    got, answer = token_request(issuer, **form)
    assert (got, answer["error"]) == (status, error)
    assert "access_token" not in answer


def test_a_parameter_given_twice_is_refused(issuer: Issuer) -> None:
    status, _ = call(issuer, "POST", f"{BASE}/token", "grant_type=client_credentials&ttl=1&ttl=2")
    assert status == 400


def test_mint_overrides_omits_and_lies_as_asked(issuer: Issuer) -> None:
    token = issuer.mint(
        alg="ES256",
        sub="eve",
        iss="https://elsewhere",
        exp=1,
        omit=["jti"],
        headers={"kid": "no", "typ": None},
    )
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["sub"], claims["iss"], claims["exp"]) == ("eve", "https://elsewhere", 1)
    assert "jti" not in claims
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "no"}


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_minted_token_verifies_with_either_algorithm(issuer: Issuer, alg: str) -> None:
    assert verified(issuer, issuer.mint(alg=alg, sub="carol", groups=["x"]))["groups"] == ["x"]


@pytest.mark.parametrize(
    "body", ["[]", "{", '{"alg": "HS256"}', '{"claims": 1}', '{"omit": 3}', "[" * 100_000]
)
def test_a_mint_request_that_makes_no_sense_is_400(issuer: Issuer, body: str) -> None:
    status, _ = call(
        issuer, "POST", f"{BASE}/mint", body, Authorization=f"Bearer {issuer.ready['admin_secret']}"
    )
    assert status == 400


@pytest.mark.parametrize(
    ("method", "what"), [("POST", "mint"), ("POST", "rotate"), ("POST", "outage"), ("GET", "stats")]
)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}])
def test_admin_endpoints_need_the_secret(
    issuer: Issuer, method: str, what: str, headers: dict[str, str]
) -> None:
    before = published_keys(issuer).keys()
    status, _ = call(issuer, method, f"{BASE}/{what}", '{"mode": "error"}', **headers)
    assert status == 401
    assert published_keys(issuer).keys() == before


def test_rotation_keeps_or_drops_the_old_keys(issuer: Issuer) -> None:
    first = issuer.mint()
    issuer.rotate(keep_old=True)
    second = issuer.mint()
    assert jwt.get_unverified_header(first)["kid"] != jwt.get_unverified_header(second)["kid"]
    verified(issuer, first)
    verified(issuer, second)
    issuer.rotate(keep_old=False)
    assert len(published_keys(issuer)) == 2
    with pytest.raises(KeyError):
        verified(issuer, second)


def test_outages_play_and_fetches_are_counted(issuer: Issuer) -> None:
    before = issuer.stats()
    issuer.outage("error")
    assert call(issuer, "GET", f"{BASE}/jwks")[0] == 503
    issuer.outage("garbage")
    status, content = call(issuer, "GET", f"{BASE}/.well-known/openid-configuration")
    assert status == 200
    with pytest.raises(ValueError):  # noqa: PT011 - not JSON, or not even text
        json.loads(content)
    issuer.outage("ok")
    assert call(issuer, "GET", f"{BASE}/jwks")[0] == 200
    after = issuer.stats()
    assert after["jwks_fetches"] - before["jwks_fetches"] == 2
    assert after["discovery_fetches"] - before["discovery_fetches"] == 1


def test_a_slow_issuer_holds_its_answer(issuer: Issuer) -> None:
    issuer.outage("slow")
    connection = http.client.HTTPConnection("127.0.0.1", issuer.port, timeout=0.3)
    connection.request("GET", f"{BASE}/jwks")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()


def test_token_client_ignores_the_proxy_of_the_environment(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    verified(issuer, fetch_token(issuer.dir, "alice"))


def test_token_client_says_what_to_do(issuer: Issuer, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"clients\.json"):
        fetch_token(issuer.dir, "nobody")
    with pytest.raises(SandboxError, match="start it with"):
        fetch_token(tmp_path, "alice")


def test_restart_keeps_url_keys_and_clients_and_files_are_private(tmp_path: Path) -> None:
    home = tmp_path / "state"
    with start_issuer(home) as first:
        token = first.token("alice")
        first.rotate(keep_old=True)
        url, keys = first.url, published_keys(first).keys()
        for file in home.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert first.stop() == 0
    assert not (home / "issuer.json").exists()
    with start_issuer(home) as second:
        assert (second.url, published_keys(second).keys()) == (url, keys)
        assert verified(second, token)["sub"] == "alice"
