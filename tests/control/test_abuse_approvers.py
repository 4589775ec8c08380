"""ABUSE 33, on the whole application: who may not decide, doesn't, and it is on record."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from addons.core.approvals.approval import Requester
from addons.core.approvals.needs import Needs
from addons.core.model import Json
from tests.control.desk import Desk
from tests.control.people_issuer import PeopleIssuer
from tests.core.token_minting import Signer

TWO_OF_SRE = Needs((("sre", 2),), reason_required=False, pending=600, grant=120, hold=30)


def _agent_of(issuer: PeopleIssuer, name: str, on_behalf_of: str | None = None) -> Requester:
    names = {name} | ({on_behalf_of} if on_behalf_of else set())
    return Requester(issuer.url, name, on_behalf_of, "run-1", frozenset(names))


async def test_abuse_33_ones_own_request_is_somebody_elses_to_decide(desk: Desk) -> None:
    approval = await desk.ask(by=_agent_of(desk.issuer, "alice"))
    for what in ("approve", "deny"):
        answer = await desk.decide(approval, what, desk.issuer.token("alice", "sre"))
        assert (answer.status_code, answer.json()["reason"]) == (403, "own_request")
    (record, _) = desk.records("approval_vote_refused")
    assert record["actor"]["subject"] == "alice"
    assert record["attributes"]["refused"] == "own_request"


async def test_abuse_33_a_request_made_on_ones_behalf_is_somebody_elses_to_decide(desk: Desk) -> None:
    approval = await desk.ask(by=_agent_of(desk.issuer, "agent-1", on_behalf_of="alice@example.com"))
    answer = await desk.decide(
        approval, "approve", desk.issuer.token("alice-2", "sre", email="Alice@Example.com")
    )
    assert (answer.status_code, answer.json()["reason"]) == (403, "own_request")


async def test_abuse_33_one_person_twice_is_one_person(desk: Desk) -> None:
    approval = await desk.ask(needs=TWO_OF_SRE)
    first = await desk.decide(approval, "approve", desk.issuer.token("alice", "sre"))
    assert (first.json()["state"], first.json()["places_left"]) == ("pending", {"sre": 1})
    again = await desk.decide(approval, "approve", desk.issuer.token("alice", "sre"))
    other_account = await desk.decide(
        approval, "approve", desk.issuer.token("alice-admin", "sre", email="alice@example.com")
    )
    browser = desk.browser()
    await desk.log_in(browser, "alice", "sre")
    by_page = await browser.post(
        f"/api/v1/approvals/{approval.id}/approve", json={}, headers=desk.own_headers(browser)
    )
    for answer in (again, other_account, by_page):
        assert (answer.status_code, answer.json()["reason"]) == (409, "already_voted")
    assert len(desk.records("approval_vote_refused")) == 3
    second = await desk.decide(approval, "approve", desk.issuer.token("bob", "sre"))
    assert second.json()["state"] == "approved"
    await browser.aclose()


@pytest.mark.parametrize("name", ["approver", "person", "as", "user", "subject", "on_behalf_of", "groups"])
async def test_abuse_33_an_approver_named_by_a_parameter_is_an_error(desk: Desk, name: str) -> None:
    approval = await desk.ask()
    token = desk.issuer.token("mallory")
    by_body = await desk.decide(approval, "approve", token, **{name: "alice"})
    by_query = await desk.call("POST", f"approvals/{approval.id}/approve?{name}=alice", token, {"reason": ""})
    for answer in (by_body, by_query):
        assert (answer.status_code, answer.json()["reason"]) == (422, "invalid_request")
    by_header = await desk.call(
        "POST", f"approvals/{approval.id}/approve", token, {}, headers={f"X-{name}": "alice"}
    )
    assert (by_header.status_code, by_header.json()["reason"]) == (403, "not_in_group")
    assert desk.control.parts.approvals.get(approval.id) is not None
    assert not desk.records("approval_approved")


async def test_abuse_33_an_approver_without_the_group_has_no_say(desk: Desk) -> None:
    approval = await desk.ask()
    for what in ("approve", "deny", "break-glass"):
        answer = await desk.decide(
            approval, what, desk.issuer.token("mallory", "staff", "sre-wannabe"), reason="let me"
        )
        assert (answer.status_code, answer.json()["reason"]) == (403, "not_in_group"), what
    refused = desk.records("approval_vote_refused")
    assert [record["attributes"]["refused"] for record in refused] == ["not_in_group"] * 3
    assert {record["actor"]["subject"] for record in refused} == {"mallory"}


type Spoil = Callable[[PeopleIssuer], str]

BAD_TOKENS: dict[str, tuple[Spoil, str]] = {
    "expired": (
        lambda i: i.token("alice", "sre", exp=time.time() - 1, iat=time.time() - 400, nbf=time.time() - 400),
        "token_expired",
    ),
    "for agents": (lambda i: i.token("alice", "sre", aud="ddgate"), "bad_token"),
    "for agents too": (lambda i: i.token("alice", "sre", aud=["ddgate-control", "ddgate"]), "bad_token"),
    "for the page": (lambda i: i.token("alice", "sre", aud="approvals-page"), "bad_token"),
    "without an audience": (lambda i: i.signer.token(i.claims("alice", "sre"), drop=("aud",)), "bad_token"),
    "delegated": (
        lambda i: i.token("alice", "sre", act={"sub": "agent-1", "groups": ["sre"]}),
        "delegated_token",
    ),
    "delegated to a person": (lambda i: i.token("agent-1", act={"sub": "alice"}), "delegated_token"),
    "of another issuer": (lambda i: i.token("alice", "sre", iss="https://evil.example"), "bad_token"),
    "of another key": (
        lambda i: Signer(kind="p256/other").token({**i.claims("alice", "sre"), "aud": "ddgate-control"}),
        "bad_token",
    ),
    "without a signature": (
        lambda i: i.signer.token(
            {**i.claims("alice", "sre"), "aud": "ddgate-control"}, header={"alg": "none"}
        ),
        "bad_token",
    ),
    "that lives too long": (lambda i: i.token("alice", "sre", exp=time.time() + 90_000), "bad_token"),
    "that is none": (lambda _i: "alice", "bad_token"),
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
async def test_abuse_33_a_token_that_proves_no_person_decides_nothing(
    desk: Desk, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    approval = await desk.ask()
    make, reason = BAD_TOKENS[kind]
    token = make(desk.issuer)
    answer = await desk.decide(approval, "approve", token)
    assert (answer.status_code, answer.json()["reason"]) == (401, reason)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert (await desk.call("GET", f"approvals/{approval.id}", token)).status_code == 401
    assert [record["kind"] for record in desk.records()] == ["approval_requested"]
    assert caplog.records
    assert not any(token in line or line in token for line in caplog.messages)


async def test_abuse_33_a_token_that_names_an_owner_in_the_agents_way_is_a_delegated_one(
    tmp_path: Path, issuer: PeopleIssuer
) -> None:
    """The same issuer, whose tokens for agents say on whose behalf by a claim of their own."""
    issuers: list[Json] = [
        {
            "issuer": issuer.url,
            "audience": "ddgate",
            "claims": {"on_behalf_of": "owner"},
            "algorithms": ["ES256"],
        }
    ]
    desk = Desk.open(tmp_path, issuer, issuers=issuers)
    approval = await desk.ask()
    answer = await desk.decide(approval, "approve", issuer.token("alice", "sre", owner="bob"))
    assert (answer.status_code, answer.json()["reason"]) == (401, "delegated_token")
    assert (await desk.decide(approval, "approve", issuer.token("alice", "sre"))).status_code == 200
    await desk.close()


async def test_abuse_33_without_an_audience_of_its_own_the_api_takes_no_tokens(
    tmp_path: Path, issuer: PeopleIssuer
) -> None:
    desk = Desk.open(tmp_path, issuer, login={"audience": None})
    approval = await desk.ask()
    for audience in ("ddgate-control", "approvals-page"):
        answer = await desk.decide(approval, "approve", issuer.token("alice", "sre", aud=audience))
        assert (answer.status_code, answer.json()["reason"]) == (401, "login_not_configured")
    await desk.close()


@pytest.mark.parametrize(
    "values", [["Basic YWxpY2U6eA=="], ["Bearer"], ["Bearer "], ["x"], [""], ["Bearer GOOD", "Bearer GOOD"]]
)
async def test_abuse_33_anything_but_one_bearer_token_is_refused_and_no_cookie_helps(
    desk: Desk, values: list[str]
) -> None:
    browser = desk.browser()
    await desk.log_in(browser, "alice", "sre")
    token = desk.issuer.token("alice", "sre")
    headers = [("Authorization", value.replace("GOOD", token)) for value in values]
    answer = await browser.get("/api/v1/me", headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (401, "bad_token")
    await browser.aclose()


CROSS_SITE: dict[str, dict[str, str | None]] = {
    "another origin": {"Origin": "https://evil.example"},
    "another port of this machine": {"Origin": "http://127.0.0.1:9999", "Sec-Fetch-Site": "same-site"},
    "another scheme": {"Origin": "https://127.0.0.1:8081"},
    "Origin null": {"Origin": "null"},
    "told so by the browser": {"Sec-Fetch-Site": "cross-site", "Origin": None},
    "a sibling": {"Sec-Fetch-Site": "same-site", "Origin": None},
    "typed in": {"Sec-Fetch-Site": "none", "Origin": None},
    "nothing said at all": {"Origin": None, "Sec-Fetch-Site": None},
    "no token": {"X-CSRF-Token": None},
    "an empty token": {"X-CSRF-Token": ""},
    "a wrong token": {"X-CSRF-Token": "A" * 43},
    "not even text": {"X-CSRF-Token": "\xe9"},
}


@pytest.mark.parametrize("kind", CROSS_SITE)
@pytest.mark.parametrize("what", ["approve", "deny", "break-glass", "review", "resolve", "cancel"])
async def test_abuse_33_a_cross_site_request_with_the_cookie_decides_nothing(
    desk: Desk, kind: str, what: str
) -> None:
    approval = await desk.ask()
    browser = desk.browser()
    await desk.log_in(browser, "alice", "sre", "breakers")
    good = desk.own_headers(browser)
    changed = {name.lower(): value for name, value in CROSS_SITE[kind].items()}
    headers = {name: value for name, value in good.items() if name.lower() not in changed}
    headers |= {name: value for name, value in changed.items() if value is not None}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    path = f"/api/v1/approvals/{approval.id}/{what}"
    answer = await browser.post(path, json={"reason": "mine"}, headers=raw)
    assert (answer.status_code, answer.json()["reason"]) == (403, "cross_site")
    form = await browser.post(f"/approvals/{approval.id}/{what}", data={"reason": "mine"}, headers=raw)
    assert form.status_code in {403, 404}
    assert [record["kind"] for record in desk.records()] == ["approval_requested"]
    await browser.aclose()


async def test_abuse_33_the_csrf_token_of_another_login_is_none(desk: Desk) -> None:
    approval = await desk.ask()
    alice, mallory = desk.browser(), desk.browser()
    await desk.log_in(alice, "alice", "sre")
    await desk.log_in(mallory, "mallory")
    headers = desk.own_headers(mallory)
    answer = await alice.post(f"/api/v1/approvals/{approval.id}/approve", json={}, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (403, "cross_site")
    own = desk.own_headers(alice)
    assert (await alice.post(f"/api/v1/approvals/{approval.id}/approve", json={}, headers=own)).is_success
    await alice.aclose()
    await mallory.aclose()


async def test_abuse_33_a_cross_site_request_without_a_cookie_is_nobodys(desk: Desk) -> None:
    approval = await desk.ask()
    answer = await desk.client.post(
        f"/api/v1/approvals/{approval.id}/approve", json={}, headers={"Origin": "https://evil.example"}
    )
    assert (answer.status_code, answer.json()["reason"]) == (401, "not_logged_in")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("mode", ["no-cors", "cors", "navigate"])
async def test_abuse_33_another_sites_page_reads_nothing_and_makes_nobody_have_seen(
    desk: Desk, mode: str
) -> None:
    """An image or a script of a page on another port, with which the cookie travels, or a frame."""
    approval = await desk.ask()
    browser = desk.browser()
    await desk.log_in(browser, "alice", "sre")
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": "iframe"}
        answer = await browser.get(f"/api/v1/approvals/{approval.id}", headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (403, "cross_site")
    assert not desk.records("approval_seen")
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await browser.get("/approvals", headers=followed)).status_code == 200  # a link in a message
    await browser.aclose()


async def test_abuse_33_a_stored_script_stays_text(desk: Desk) -> None:
    script = "<script>alert(1)</script>"
    approval = await desk.ask(preview={"body": script})
    answer = await desk.call("GET", f"approvals/{approval.id}", desk.issuer.token("alice", "sre"))
    assert answer.json()["preview"] == {"body": script}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
