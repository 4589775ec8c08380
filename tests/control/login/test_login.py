"""Logging in with a browser: the whole way through an issuer, and everything that may be wrong on it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from addons.core.model import Json
from tests.control.desk import ORIGIN, Desk
from tests.control.people_issuer import AUDIENCE, CLIENT_ID, PeopleIssuer
from tests.core.token_minting import Signer

SECRET = "a-client-secret-of-some-length"


async def _answer(desk: Desk, name: str = "alice", **claims: Json) -> tuple[Any, dict[str, str]]:
    """A browser at the issuer, and what it is sent back with."""
    browser = desk.browser()
    started = await browser.get("/login/start")
    return browser, desk.issuer.log_in(started.headers["location"], name, "sre", **claims)


async def _is_logged_in(browser: Any) -> bool:
    return bool((await browser.get("/api/v1/me")).status_code == 200)


async def test_a_person_logs_in_is_known_and_logs_out(desk: Desk) -> None:
    browser = desk.browser()
    answer = await desk.log_in(browser, "alice", "sre", next_path="/approvals/0123abcd")
    assert (answer.status_code, answer.headers["location"]) == (303, "/approvals/0123abcd")
    me = (await browser.get("/api/v1/me")).json()
    assert (me["subject"], me["display"], me["groups"]) == ("alice", "alice@example.com", ["sre"])
    assert me["csrf_token"] == desk.csrf_token(browser)
    assert "ddgate-login" not in browser.cookies

    session_id = browser.cookies["ddgate-session"]
    headers = desk.own_headers(browser)
    assert (await browser.post("/logout")).status_code == 403
    assert await _is_logged_in(browser)
    out = await browser.post("/logout", headers=headers)
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert not await _is_logged_in(browser)
    old = await desk.client.get("/api/v1/me", headers={"Cookie": f"ddgate-session={session_id}"})
    assert old.status_code == 401  # it is gone on our side too
    assert (await browser.post("/logout", headers={"Origin": ORIGIN})).status_code == 303  # out already


async def test_what_the_issuer_is_asked(desk: Desk) -> None:
    started = await desk.client.get("/login/start?next=/approvals")
    asked = dict(parse_qsl(urlsplit(started.headers["location"]).query))
    assert asked["response_type"] == "code"
    assert asked["client_id"] == CLIENT_ID
    assert asked["redirect_uri"] == f"{ORIGIN}/login/callback"
    assert asked["code_challenge_method"] == "S256"
    assert asked["scope"].split() == ["openid", "profile", "email", "groups"]
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) == 43
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    again = await desk.client.get("/login/start?next=/approvals")
    other = dict(parse_qsl(urlsplit(again.headers["location"]).query))
    assert not {other["state"], other["nonce"]} & {asked["state"], asked["nonce"]}


@pytest.mark.parametrize(
    ("url", "prefix", "secure"), [(None, "", False), ("https://approvals.example.com", "__Host-", True)]
)
async def test_cookies_are_kept_from_scripts_and_other_sites(
    tmp_path: Path, issuer: PeopleIssuer, url: str | None, prefix: str, secure: bool
) -> None:
    desk = Desk.open(tmp_path, issuer, url=url)
    browser = desk.browser()
    started = await browser.get("/login/start")
    done = await browser.get(
        "/login/callback", params=issuer.log_in(started.headers["location"], "alice", "sre")
    )
    for answer, name in ((started, "ddgate-login"), (done, "ddgate-session")):
        (cookie,) = [one for one in answer.headers.get_list("set-cookie") if f"{name}=" in one]
        assert cookie.startswith(f"{prefix}{name}=")
        parts = [part.strip().lower() for part in cookie.split(";")]
        assert {"httponly", "samesite=lax", "path=/"} <= set(parts)
        assert ("secure" in parts) is secure
        assert not any(part.startswith("domain") for part in parts)
    await desk.close()


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/%2f/evil.example",
        "/approvals/../../evil",
        "/approvals\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "/login/start",
        "/approvals/x?next=https://evil.example",
        "/approvals#//evil.example",
        "",
    ],
)
async def test_a_login_leads_to_our_own_pages_alone(desk: Desk, target: str) -> None:
    answer = await desk.log_in(desk.browser(), "alice", next_path=target)
    assert (answer.status_code, answer.headers["location"]) == (303, "/approvals")


async def test_login_csrf_an_answer_to_another_browsers_login_is_none(desk: Desk) -> None:
    """Somebody makes a victim's browser finish a login that somebody else began."""
    _, mallorys = await _answer(desk, "mallory")
    victim, own = await _answer(desk, "alice")
    for browser in (desk.browser(), victim):
        answer = await browser.get("/login/callback", params=mallorys)
        assert answer.status_code == 400
        assert not await _is_logged_in(browser)
    assert not desk.issuer.token_requests  # the code is not even tried
    assert (await victim.get("/login/callback", params=own)).status_code == 303


async def test_a_code_of_another_login_is_refused_by_its_verifier(desk: Desk) -> None:
    _, mallorys = await _answer(desk, "mallory")
    victim, own = await _answer(desk, "alice")
    answer = await victim.get("/login/callback", params={**own, "code": mallorys["code"]})
    assert answer.status_code == 400
    assert not await _is_logged_in(victim)


async def test_an_answer_counts_once(desk: Desk) -> None:
    browser, answer = await _answer(desk)
    assert (await browser.get("/login/callback", params=answer)).status_code == 303
    assert (await browser.get("/login/callback", params=answer)).status_code == 400


async def test_a_login_that_took_too_long_begins_anew(desk: Desk) -> None:
    browser, answer = await _answer(desk)
    desk.clock.offset += 601
    assert (await browser.get("/login/callback", params=answer)).status_code == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"error": "access_denied"},
        {"error": "<script>alert(1)</script>"},
        {"code": ""},
        {"iss": "https://evil.example"},
        {"state": ""},
        {"state": "\u2603"},
    ],
)
async def test_what_the_issuer_says_wrongly_logs_nobody_in(desk: Desk, changed: Mapping[str, str]) -> None:
    browser, answer = await _answer(desk)
    failed = await browser.get("/login/callback", params={**answer, **changed})
    assert failed.status_code == 400
    assert "alert(1)" not in failed.text  # not even as text: people would read it as ours
    assert not await _is_logged_in(browser)


async def test_an_answer_that_says_something_twice_is_refused(desk: Desk) -> None:
    browser, answer = await _answer(desk)
    twice = [*answer.items(), ("code", answer["code"])]
    assert (await browser.get("/login/callback", params=twice)).status_code == 400


async def test_an_issuer_that_names_itself_in_its_answers_must(desk: Desk) -> None:
    desk.issuer.answers.discovery = {"authorization_response_iss_parameter_supported": True}
    browser, answer = await _answer(desk)
    assert (await browser.get("/login/callback", params=answer)).status_code == 400
    named = {**answer, "iss": desk.issuer.url}
    assert (await browser.get("/login/callback", params=named)).status_code == 303


BAD_CLAIMS: dict[str, dict[str, Json]] = {
    "another nonce": {"nonce": "A" * 43},
    "no nonce": {"nonce": None},
    "for the API": {"aud": AUDIENCE},
    "for another page": {"aud": "another-page"},
    "for several, and nobody's": {"aud": [CLIENT_ID, "another-page"]},
    "made for another page": {"azp": "another-page"},
    "for several, made for another": {"aud": [CLIENT_ID, "another-page"], "azp": "another-page"},
    "of another issuer": {"iss": "https://evil.example"},
    "expired": {"exp": time.time() - 5},
    "made long ago": {"iat": time.time() - 3600, "nbf": time.time() - 3600},
    "made at no time": {"iat": None},
    "delegated": {"act": {"sub": "agent-1"}},
    "a logout": {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    "nobody's": {"sub": None},
    "groups of a wrong kind": {"groups": {"sre": True}},
}


@pytest.mark.parametrize("kind", BAD_CLAIMS)
async def test_an_id_token_that_isnt_for_this_login_logs_nobody_in(desk: Desk, kind: str) -> None:
    desk.issuer.answers.id_token = BAD_CLAIMS[kind]
    browser, answer = await _answer(desk)
    failed = await browser.get("/login/callback", params=answer)
    assert failed.status_code == 400, failed.text
    assert not await _is_logged_in(browser)


async def test_an_id_token_for_several_that_was_made_for_us_is_good(desk: Desk) -> None:
    desk.issuer.answers.id_token = {"aud": [CLIENT_ID, "another-page"], "azp": CLIENT_ID}
    browser, answer = await _answer(desk)
    assert (await browser.get("/login/callback", params=answer)).status_code == 303


async def test_an_id_token_of_another_key_logs_nobody_in(desk: Desk) -> None:
    known = desk.issuer.signer
    browser, answer = await _answer(desk)
    await desk.log_in(desk.browser(), "bob")  # the keys are known now
    desk.issuer.signer = Signer(kind="p256/other")
    assert (await browser.get("/login/callback", params=answer)).status_code == 400
    desk.issuer.signer = known


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (302, {"Location": "http://127.0.0.1:1/"}, b"{}"),
        (200, {}, b"not JSON"),
        (200, {}, b"[]"),
        (200, {}, b"{}"),
        (200, {}, b'{"id_token": 1}'),
        (200, {}, b'{"id_token": "alice"}'),
        (200, {}, b'{"id_token": "a", "id_token": "b"}'),
        (200, {"Content-Encoding": "gzip"}, b"{}"),
        (200, {}, b'{"x": "' + b"x" * 300_000 + b'"}'),
        (400, {}, b'{"error": "invalid_grant"}'),
        (400, {}, b'{"error": "<script>alert(1)</script>", "error_description": "hunter2"}'),
        (500, {}, b"Traceback"),
    ],
)
async def test_a_token_answer_that_cant_be_taken_logs_nobody_in(
    desk: Desk, status: int, headers: dict[str, str], body: bytes
) -> None:
    desk.issuer.answers.token = (status, headers, body)
    browser, answer = await _answer(desk)
    failed = await browser.get("/login/callback", params=answer)
    assert failed.status_code == 400
    assert "alert(1)" not in failed.text
    assert "hunter2" not in failed.text
    assert not await _is_logged_in(browser)


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": "http://evil.example/authorize"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
        {"token_endpoint": "file:///etc/passwd"},
    ],
)
async def test_an_issuer_that_leads_elsewhere_isnt_used(desk: Desk, discovery: dict[str, Json]) -> None:
    desk.issuer.answers.discovery = discovery
    assert (await desk.client.get("/login/start")).status_code == 400


async def test_an_issuer_that_is_gone_is_told_and_comes_back(tmp_path: Path) -> None:
    with PeopleIssuer() as issuer:
        desk = Desk.open(tmp_path, issuer)
        issuer.server.shutdown()
        issuer.server.socket.close()
        answer = await desk.client.get("/login/start")
        assert answer.status_code == 400
        assert "can&#39;t be reached" in answer.text or "can't be reached" in answer.text
        await desk.close()


@pytest.mark.parametrize(
    ("methods", "by_form"),
    [
        (None, False),
        (["client_secret_basic", "client_secret_post"], False),
        (["client_secret_post"], True),
        (["private_key_jwt"], False),
    ],
)
async def test_a_clients_secret_goes_the_way_the_issuer_takes_it(
    tmp_path: Path, methods: Json, by_form: bool
) -> None:
    (tmp_path / "client.secret").write_text(SECRET + "\n")
    with PeopleIssuer(client_secret=SECRET) as issuer:
        if methods is not None:
            issuer.answers.discovery = {"token_endpoint_auth_methods_supported": methods}
        desk = Desk.open(tmp_path, issuer, login={"client_secret": {"file": "client.secret"}})
        assert (await desk.log_in(desk.browser(), "alice")).status_code == 303
        ((form, authorization),) = issuer.token_requests
        assert (form.get("client_secret") == SECRET, authorization is None) == (by_form, by_form)
        (tmp_path / "client.secret").write_text("")
        failed = await desk.log_in(desk.browser(), "alice")
        assert failed.status_code == 400
        assert "client.secret" not in failed.text  # where it is, is for the log
        await desk.close()


async def test_a_login_ends_when_its_time_is_over_and_when_a_clock_is_put_back(desk: Desk) -> None:
    browser = desk.browser()
    await desk.log_in(browser, "alice")
    cookie = {"Cookie": f"ddgate-session={browser.cookies['ddgate-session']}"}
    for offset, status in ((3599, 200), (3601, 401), (0, 200), (-250, 200), (-400, 401)):
        desk.clock.offset = offset
        assert (await desk.client.get("/api/v1/me", headers=cookie)).status_code == status, offset


async def test_a_new_login_ends_the_browsers_old_one(desk: Desk) -> None:
    browser = desk.browser()
    await desk.log_in(browser, "alice")
    old = {"Cookie": f"ddgate-session={browser.cookies['ddgate-session']}"}
    await desk.log_in(browser, "bob")
    assert (await browser.get("/api/v1/me")).json()["subject"] == "bob"
    assert (await desk.client.get("/api/v1/me", headers=old)).status_code == 401


async def test_nothing_stored_is_a_login(desk: Desk) -> None:
    """Who reads the file can't be anybody."""
    browser = desk.browser()
    await desk.log_in(browser, "alice")
    content = (desk.control.parts.state.path / "control.sqlite3").read_bytes()
    assert b"alice" in content
    assert browser.cookies["ddgate-session"].encode() not in content


@pytest.mark.parametrize("value", ["", "x", "A" * 43, "A" * 44, "../" * 14 + "a", "é" * 43])
async def test_a_made_up_cookie_is_nobody(desk: Desk, value: str) -> None:
    headers = [(b"Cookie", f"ddgate-session={value}".encode())]
    assert (await desk.client.get("/api/v1/me", headers=headers)).status_code == 401


async def test_without_a_login_configured_nobody_logs_in(tmp_path: Path, issuer: PeopleIssuer) -> None:
    desk = Desk.open(tmp_path, issuer, login=None)
    for path in ("/login/start", "/login/callback?code=a&state=b"):
        assert (await desk.client.get(path)).status_code == 404
    assert (await desk.call("GET", "me", issuer.token("alice"))).json()["reason"] == "login_not_configured"
    await desk.close()
