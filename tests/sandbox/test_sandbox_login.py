"""People log in to the development issuer: the authorization code flow with PKCE, against the process."""

from __future__ import annotations

import http.client
import json
import secrets
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from addons.sandbox.issuer_codes import CODE_SECONDS, BadCode, Codes, LoginRequest, challenge_of
from tests.sandbox_processes import Issuer, start_issuer

BASE = "/ddgate-sandbox"
BACK = "http://127.0.0.1:8081/login/callback"
VERIFIER = "v" * 43


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    with start_issuer(tmp_path_factory.mktemp("issuer")) as started:
        yield started


def call(issuer: Issuer, method: str, path: str, body: str = "") -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", issuer.port, timeout=10)
    try:
        connection.request(method, path, body or None)
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode()
    finally:
        connection.close()


def authorize_query(**changes: str | None) -> str:
    given: dict[str, str | None] = {
        "response_type": "code",
        "client_id": "ddgate-control",
        "redirect_uri": BACK,
        "scope": "openid profile email groups",
        "state": "some-state",
        "nonce": "some-nonce",
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
    }
    return urllib.parse.urlencode({k: v for k, v in (given | changes).items() if v is not None})


def authorize_url(issuer: Issuer, **changes: str | None) -> str:
    return f"{issuer.url}/authorize?{authorize_query(**changes)}"


def answered(location: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))


def redeem(issuer: Issuer, code: str, /, **changes: str) -> tuple[int, dict[str, Any]]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
        "client_id": "ddgate-control",
        "code_verifier": VERIFIER,
    }
    status, _, content = call(issuer, "POST", f"{BASE}/token", urllib.parse.urlencode(form | changes))
    return status, json.loads(content)


def code_of(issuer: Issuer, person: str = "alice", **changes: str | None) -> str:
    return answered(issuer.login(person, authorize_url(issuer, **changes)))["code"]


def verified(issuer: Issuer, token: str, audience: str) -> dict[str, Any]:
    _, _, keys = call(issuer, "GET", f"{BASE}/jwks")
    key = jwt.PyJWKSet.from_dict(json.loads(keys))[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token, key.key, algorithms=["RS256"], audience=audience, issuer=issuer.url
    )
    return claims


@pytest.mark.parametrize(
    ("person", "groups"), [("alice", ["sre-leads"]), ("bob", ["secops"]), ("carol", ["sre-leads"])]
)
def test_a_person_logs_in_and_the_tokens_say_who_it_is(
    issuer: Issuer, person: str, groups: list[str]
) -> None:
    location = issuer.login(person, authorize_url(issuer))
    assert location.startswith(BACK + "?")
    back = answered(location)
    assert (back["state"], back["iss"]) == ("some-state", issuer.url)
    status, tokens = redeem(issuer, back["code"])
    assert (status, tokens["token_type"]) == (200, "Bearer")
    identity = verified(issuer, tokens["id_token"], "ddgate-control")
    assert (identity["sub"], identity["groups"], identity["nonce"]) == (person, groups, "some-nonce")
    assert (identity["email"], identity["email_verified"]) == (f"{person}@sandbox.example", True)
    access = verified(issuer, tokens["access_token"], "ddgate-control")
    assert (access["sub"], access["groups"], access["email"]) == (person, groups, f"{person}@sandbox.example")
    assert "nonce" not in access


@pytest.mark.parametrize("parameter", ["resource", "audience"])
def test_the_access_token_is_for_the_audience_that_was_asked_for(issuer: Issuer, parameter: str) -> None:
    _, tokens = redeem(issuer, code_of(issuer, **{parameter: "elsewhere"}))
    assert verified(issuer, tokens["access_token"], "elsewhere")["aud"] == "elsewhere"
    assert verified(issuer, tokens["id_token"], "ddgate-control")["aud"] == "ddgate-control"


def test_discovery_names_what_a_client_needs_to_log_people_in(issuer: Issuer) -> None:
    _, _, content = call(issuer, "GET", f"{BASE}/.well-known/openid-configuration")
    document = json.loads(content)
    assert document["authorization_endpoint"] == f"{issuer.url}/authorize"
    assert document["response_types_supported"] == ["code"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert "authorization_code" in document["grant_types_supported"]
    assert "none" in document["token_endpoint_auth_methods_supported"]
    assert document["authorization_response_iss_parameter_supported"] is True


def test_the_page_lists_the_people_and_no_agent(issuer: Issuer) -> None:
    status, headers, page = call(issuer, "GET", f"{BASE}/authorize?{authorize_query()}")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    for person in ("alice", "bob", "carol"):
        assert f'value="{person}"' in page
    assert "agent" not in page
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def test_what_stands_in_the_link_is_text_on_the_page(issuer: Issuer) -> None:
    evil = "\"><script>alert('1')</script>"
    _, _, page = call(issuer, "GET", f"{BASE}/authorize?{authorize_query(state=evil, nonce=evil)}")
    assert "<script" not in page
    assert answered(issuer.login("alice", authorize_url(issuer, state=evil)))["state"] == evil


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "alice"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "http://127.0.0.1.evil.example/"},
        {"redirect_uri": "http://localhost@evil.example/"},
        {"redirect_uri": "http://evil.example\\@localhost/"},
        {"redirect_uri": "http://127.0.0.1:99999/"},
        {"redirect_uri": "javascript://127.0.0.1/%0aalert(1)"},
        {"redirect_uri": "http://127.0.0.1/#part"},
        {"redirect_uri": "http://127.0.0.1/\r\nSet-Cookie: a=b"},
        {"redirect_uri": "//127.0.0.1/"},
    ],
)
def test_nobody_is_sent_to_an_unknown_client_or_beyond_loopback(
    issuer: Issuer, changes: dict[str, str | None]
) -> None:
    for method in ("GET", "POST"):
        query = authorize_query(**changes)
        answer = (
            call(issuer, "GET", f"{BASE}/authorize?{query}")
            if method == "GET"
            else call(issuer, "POST", f"{BASE}/authorize", query + "&person=alice")
        )
        assert answer[0] == 400
        assert "location" not in answer[1]
        assert "set-cookie" not in answer[1]


@pytest.mark.parametrize(
    "place", ["http://localhost:1/a?b=c", "http://[::1]:8081/back", "https://127.0.0.1/"]
)
def test_every_way_to_say_loopback_is_good(issuer: Issuer, place: str) -> None:
    location = issuer.login("bob", authorize_url(issuer, redirect_uri=place))
    assert location.startswith(place + ("&" if "?" in place else "?"))
    status, _ = redeem(issuer, answered(location)["code"], redirect_uri=place)
    assert status == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"resource": "a", "audience": "b"}, "invalid_target"),
    ],
)
def test_a_client_that_asks_wrongly_is_told_in_the_redirect(
    issuer: Issuer, changes: dict[str, str | None], error: str
) -> None:
    status, headers, _ = call(issuer, "GET", f"{BASE}/authorize?{authorize_query(**changes)}")
    assert status == 303
    back = answered(headers["location"])
    assert (back["error"], back["state"]) == (error, "some-state")
    assert "code" not in back


@pytest.mark.parametrize("person", ["mallory", "demo-agent", ""])
def test_only_people_that_there_are_can_log_in(issuer: Issuer, person: str) -> None:
    status, headers, _ = call(
        issuer,
        "POST",
        f"{BASE}/authorize",
        authorize_query() + "&" + urllib.parse.urlencode({"person": person}),
    )
    assert status == 400
    assert "location" not in headers


def test_a_parameter_given_twice_leads_nowhere(issuer: Issuer) -> None:
    again = urllib.parse.urlencode({"redirect_uri": "http://127.0.0.1:9/"})
    status, headers, _ = call(issuer, "GET", f"{BASE}/authorize?{authorize_query()}&{again}")
    assert (status, headers.get("location")) == (400, None)


def test_a_code_works_once(issuer: Issuer) -> None:
    code = code_of(issuer)
    assert redeem(issuer, code)[0] == 200
    status, answer = redeem(issuer, code)
    assert (status, answer["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "alice"},
        {"client_id": ""},
        {"redirect_uri": "http://127.0.0.1:8081/elsewhere"},
        {"redirect_uri": ""},
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"code_verifier": challenge_of(VERIFIER)},
        {"code_verifier": "v" * 42},
        {"code_verifier": "v" * 129},
        {"code": "guessed"},
        {"code": ""},
    ],
)
def test_a_code_is_bound_to_the_login_that_it_came_of(issuer: Issuer, changes: dict[str, str]) -> None:
    code = code_of(issuer)
    status, answer = redeem(issuer, code, **changes)
    assert (status, answer["error"]) == (400, "invalid_grant")
    assert "id_token" not in answer
    if "code" not in changes:  # whoever has stolen a code has one guess
        assert redeem(issuer, code)[0] == 400


def _asked(challenge: str) -> LoginRequest:
    return LoginRequest("ddgate-control", BACK, challenge, "openid", "ddgate-control", None, None)


def test_a_code_ends_after_a_minute() -> None:
    now = 1000.0
    codes = Codes(lambda: now)
    verifier = secrets.token_urlsafe(48)
    early = codes.issue(_asked(challenge_of(verifier)), "alice")
    late = codes.issue(_asked(challenge_of(verifier)), "alice")
    now += CODE_SECONDS - 0.1
    assert codes.redeem(early, "ddgate-control", BACK, verifier).person == "alice"
    now += 0.1
    with pytest.raises(BadCode, match="older than 60 s"):
        codes.redeem(late, "ddgate-control", BACK, verifier)


def test_logins_that_nobody_finishes_do_not_pile_up() -> None:
    codes = Codes(lambda: 0.0)
    oldest = codes.issue(_asked(challenge_of(VERIFIER)), "alice")
    newest = [codes.issue(_asked(challenge_of(VERIFIER)), "alice") for _ in range(1000)][-1]
    with pytest.raises(BadCode):
        codes.redeem(oldest, "ddgate-control", BACK, VERIFIER)
    assert codes.redeem(newest, "ddgate-control", BACK, VERIFIER).person == "alice"


def test_the_challenge_is_that_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_people_of_an_older_state_directory_can_log_in(tmp_path: Path) -> None:
    home = tmp_path / "issuer"
    home.mkdir(mode=0o700)
    old = {
        "demo-agent": {"client_secret": "s", "groups": ["agents"]},
        "alice": {"client_secret": "s", "groups": ["sre-leads"]},
        "guest": {"client_secret": "s"},
    }
    (home / "clients.json").write_text(json.dumps(old))
    with start_issuer(home) as issuer:
        _, _, page = call(issuer, "GET", f"{BASE}/authorize?{authorize_query()}")
        assert ('value="alice"' in page, 'value="guest"' in page, "demo-agent" in page) == (True, True, False)
        status, tokens = redeem(issuer, code_of(issuer, "guest"))
        assert (status, verified(issuer, tokens["id_token"], "ddgate-control")["groups"]) == (200, [])


def test_a_person_who_was_taken_out_of_the_file_gets_no_token(tmp_path: Path) -> None:
    with start_issuer(tmp_path / "issuer") as issuer:
        code = code_of(issuer, "bob")
        clients = json.loads((issuer.dir / "clients.json").read_text())
        del clients["bob"]
        (issuer.dir / "clients.json").write_text(json.dumps(clients))
        status, answer = redeem(issuer, code)
        assert (status, answer["error"]) == (400, "invalid_grant")
        assert "bob" not in call(issuer, "GET", f"{BASE}/authorize?{authorize_query()}")[2]


def test_a_token_of_the_command_line_can_be_for_control(issuer: Issuer) -> None:
    claims = verified(issuer, issuer.token("alice", audience="ddgate-control"), "ddgate-control")
    assert (claims["sub"], claims["email"]) == ("alice", "alice@sandbox.example")
    assert "email" not in verified(issuer, issuer.token("demo-agent"), "ddgate")
