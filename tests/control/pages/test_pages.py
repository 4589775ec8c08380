"""The approvals page as any HTTP client sees it: who gets in, what is said, and what isn't done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from addons.control import deciding
from addons.control.api.models import MAX_REASON
from addons.control.login import csrf
from addons.control.pages.fixed_parts import FixedParts
from addons.control.pages.one_request import About, Typed, read_one
from addons.control.pages.rendering import Rendering
from addons.control.standing import HistoryEntry
from addons.core.approvals.approval import Approval
from addons.core.approvals.states import State
from addons.store import moment
from addons.store.approvals.votes import VoteFor
from tests.control.desk import ORIGIN, Desk
from tests.control.people_issuer import PeopleIssuer
from tests.store import approval_samples

PREVIEW = {
    "operation": "UpdateMonitor",
    "version": "v1",
    "risks": ["write"],
    "summary": "set monitor 7",
    "changes": [{"path": "options.a", "kind": "changed", "before": "1", "after": "2"}],
    "unchanged": 0,
    "not_mentioned": 0,
    "not_mentioned_names": [],
    "was_read": True,
    "resource_note": "",
    "fields_of_rules": None,
    "request": {
        "method": "PUT",
        "host": "api.datadoghq.com",
        "target": "/api/v1/monitor/7",
        "query": [],
        "headers": [],
        "content_type": None,
        "content_encoding": None,
        "body": {"kind": "empty", "size": 0},
    },
}


class _Page(HTMLParser):
    """The forms of a page by where they are sent, each with its hidden fields; and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str]] = {}
        self.also: set[str] = set()
        self.text = ""
        self._form: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = self.forms.setdefault(given.get("action", ""), {})
        if tag == "input" and given.get("type") == "hidden":
            self._form[given["name"]] = given["value"]
        if "formaction" in given:
            self.also.add(given["formaction"])

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
async def alice(desk: Desk) -> httpx.AsyncClient:
    browser = desk.browser()
    await desk.log_in(browser, "alice", "sre")
    return browser


async def asked(desk: Desk, digest: str = "d" * 64, **more: Any) -> Approval:
    return await desk.ask(digest, **{"preview": PREVIEW, **more})


async def send(
    browser: httpx.AsyncClient, approval: Approval, action: str, origin: str = ORIGIN, **fields: str
) -> httpx.Response:
    """As the page's own form does; a field given as "" is left out."""
    page = await browser.get(f"/approvals/{approval.id}")
    token = _Page(page.text).forms["/logout"][csrf.FIELD]
    form = {csrf.FIELD: token, "digest": approval.digest, "reason": "because", **fields}
    data = {name: value for name, value in form.items() if value}
    return await browser.post(f"/approvals/{approval.id}/{action}", data=data, headers={"Origin": origin})


def state(desk: Desk, approval: Approval) -> State:
    found = desk.control.parts.approvals.get(approval.id)
    assert found is not None
    return found.state


@pytest.mark.parametrize("path", ["/approvals", "/approvals?state=denied", "/approvals/" + "a" * 32])
async def test_who_is_nobody_is_sent_to_the_login_and_back(desk: Desk, path: str) -> None:
    answer = await desk.client.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == str(httpx.URL("/login", params={"next": path}))
    login = await desk.client.get(answer.headers["location"])
    assert str(httpx.URL("/login/start", params={"next": path})) in login.text.replace("&amp;", "&")


async def test_a_decision_of_who_is_nobody_is_not_taken_and_leads_to_the_login(desk: Desk) -> None:
    approval = await asked(desk)
    data = {"digest": approval.digest}
    answer = await desk.client.post(
        f"/approvals/{approval.id}/approve", data=data, headers={"Origin": ORIGIN}
    )
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?next=%2Fapprovals%2F{approval.id}"
    assert state(desk, approval) is State.PENDING


async def test_the_login_page_says_so_where_nobody_can_log_in(tmp_path: Path, issuer: PeopleIssuer) -> None:
    desk = Desk.open(tmp_path, issuer)
    login = await desk.client.get("/login?next=https://evil.example/%22%3E%3Cscript%3E")
    assert "<script>" not in login.text
    assert 'href="/login/start?next=https%3A' in login.text
    await desk.close()
    nobodys = tmp_path / "none"
    nobodys.mkdir()
    closed = Desk.open(nobodys, issuer, login=None)
    assert "Nobody can log in here yet" in (await closed.client.get("/login")).text
    await closed.close()


async def test_a_token_opens_no_page(desk: Desk) -> None:
    headers = {"Authorization": f"Bearer {desk.issuer.token('alice', 'sre')}"}
    answer = await desk.client.get("/approvals", headers=headers)
    assert answer.status_code == 400
    bad = await desk.client.get("/approvals", headers={"Authorization": "Bearer x"})
    assert bad.status_code == 401


async def test_every_page_is_kept_by_nobody_and_runs_only_our_own_scripts(
    desk: Desk, alice: httpx.AsyncClient
) -> None:
    approval = await asked(desk)
    for path in ("/approvals", f"/approvals/{approval.id}", "/login", "/approvals/nothing", "/nothing"):
        answer = await alice.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert not re.search(r"<script(?! type=\"module\" src=\"/static/page\.js\"></script>)", answer.text)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", answer.text)


@pytest.mark.parametrize(
    "fields",
    [
        {csrf.FIELD: "x"},
        {csrf.FIELD: ""},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
    ids=["another token", "no token", "another site", "a site that hides"],
)
async def test_33_a_form_that_another_site_sends_decides_nothing(
    desk: Desk, alice: httpx.AsyncClient, fields: dict[str, str]
) -> None:
    approval = await asked(desk)
    answer = await send(alice, approval, "approve", **fields)
    assert answer.status_code == 403
    assert state(desk, approval) is State.PENDING


async def test_a_form_says_what_was_seen_and_another_request_is_not_decided_by_it(
    desk: Desk, alice: httpx.AsyncClient
) -> None:
    approval = await asked(desk)
    for digest in ("0" * 64, ""):
        answer = await send(alice, approval, "approve", digest=digest)
        assert answer.status_code in {400, 409}
        assert state(desk, approval) is State.PENDING
    forms = _Page((await alice.get(f"/approvals/{approval.id}")).text).forms
    assert forms[f"/approvals/{approval.id}/approve"]["digest"] == approval.digest


async def test_33_an_approver_named_by_a_field_is_nobody(desk: Desk, alice: httpx.AsyncClient) -> None:
    approval = await asked(desk)
    await send(alice, approval, "approve", person="bob", approver="bob", subject="bob")
    found = desk.control.parts.approvals.get(approval.id)
    assert found is not None
    assert [vote.person.subject for vote in found.yes_votes] == ["alice"]


async def test_a_refused_word_is_shown_with_why_and_with_what_was_written(
    desk: Desk, alice: httpx.AsyncClient
) -> None:
    approval = await asked(desk)
    answer = await send(alice, approval, "approve", digest="0" * 64, reason="</textarea><b>because")
    assert answer.status_code == 409
    assert "doesn&#39;t count" in answer.text or "doesn't count" in answer.text
    assert "&lt;/textarea&gt;&lt;b&gt;because</textarea>" in answer.text


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("break-glass", {}),
        ("resolve", {}),
        ("resolve", {"ran": "perhaps"}),
        ("approve", {"reason": "x" * (MAX_REASON + 1)}),
    ],
)
async def test_a_form_that_is_not_filled_in_is_refused(
    desk: Desk, alice: httpx.AsyncClient, action: str, fields: dict[str, str]
) -> None:
    approval = await asked(desk)
    assert (await send(alice, approval, action, **fields)).status_code == 422
    assert state(desk, approval) is State.PENDING


async def test_a_field_that_is_there_twice_is_refused(desk: Desk, alice: httpx.AsyncClient) -> None:
    approval = await asked(desk)
    token = desk.csrf_token(alice)
    form = f"{csrf.FIELD}={token}&digest={approval.digest}&reason=a&reason=b"
    headers = {"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
    answer = await alice.post(f"/approvals/{approval.id}/approve", content=form, headers=headers)
    assert answer.status_code == 400
    assert state(desk, approval) is State.PENDING


async def test_only_what_a_person_may_do_is_offered(desk: Desk, alice: httpx.AsyncClient) -> None:
    approval = await asked(desk)
    offered: Mapping[str, set[str]] = {
        "alice sre": {"approve", "deny"},
        "carol breakers": {"deny", "break-glass"},
        "mallory nobody": set(),
        "agent-1 sre": {"cancel"},
    }
    for who, actions in offered.items():
        browser = desk.browser()
        await desk.log_in(browser, *who.split())
        page = _Page((await browser.get(f"/approvals/{approval.id}")).text)
        sent = {
            path.rpartition("/")[2] for path in {*page.forms, *page.also} if path.startswith("/approvals/")
        }
        assert sent == actions, who


async def test_nobody_approves_what_can_not_be_shown(desk: Desk, alice: httpx.AsyncClient) -> None:
    approval = await desk.ask(preview={"summary": "a form of another version"})
    page = _Page((await alice.get(f"/approvals/{approval.id}")).text)
    assert "can't be shown" in page.text
    assert f"/approvals/{approval.id}/deny" in page.forms
    assert not any(path.endswith("/approve") for path in {*page.forms, *page.also})


async def test_a_page_that_is_not_there_and_one_that_fails_are_pages_too(
    desk: Desk, alice: httpx.AsyncClient
) -> None:
    approval = await asked(desk)
    for path in (
        "/approvals/" + "f" * 32,
        "/approvals/%00",
        "/nothing",
        "/static/..%2fpages.py",
        "/static/x",
    ):
        answer = await alice.get(path)
        assert answer.status_code == 404, path
        assert "Traceback" not in answer.text
    assert (await alice.get("/approvals?state=maybe")).status_code == 400
    desk.damage(approval)
    damaged = await alice.get(f"/approvals/{approval.id}")
    assert damaged.status_code == 500
    assert "damaged" in damaged.text
    assert (await alice.get("/approvals")).status_code == 200
    desk.damage_everything()
    assert (await alice.get("/approvals")).status_code in {500, 503}


async def test_the_list_is_filtered_and_turned_over(desk: Desk, alice: httpx.AsyncClient) -> None:
    made = [await asked(desk, f"{number:064}") for number in range(30)]
    for approval in made:
        vote = VoteFor(approval.id, approval_samples.BOB, False, "", None, moment.now())
        await desk.control.parts.journal.change(vote)
    assert "Nothing waits for you" in (await alice.get("/approvals")).text
    first = await alice.get("/approvals?state=denied")
    assert first.text.count('id="recent-0') == 25
    older = re.search(r'href="(/approvals\?state=denied&amp;before=[0-9a-f]+)"', first.text)
    assert older is not None
    second = await alice.get(older[1].replace("&amp;", "&"))
    shown = re.findall(r'id="recent-([0-9a-f]+)"', first.text + second.text)
    assert shown == [approval.id for approval in reversed(made)]
    assert "Nothing." in (await alice.get("/approvals?state=expired")).text


async def test_static_files_are_asked_about_and_sent_once(desk: Desk) -> None:
    for name, kind in {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg"}.items():
        answer = await desk.client.get(f"/static/{name}")
        assert answer.headers["content-type"].startswith(kind)
        again = await desk.client.get(f"/static/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_the_front_door_leads_to_the_list(desk: Desk) -> None:
    answer = await desk.client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/approvals")


async def test_what_never_changes_is_written_out_once_and_within_bounds(desk: Desk) -> None:
    approvals = desk.control.parts.approvals
    wholes = [
        await deciding.read_whole(desk.control.parts, (await asked(desk, f"{n:064}")).id) for n in range(3)
    ]
    fixed = FixedParts(Rendering())
    assert fixed.of(approvals, wholes[0]) is fixed.of(approvals, wholes[0])
    room_for_two = FixedParts(Rendering(), sum(fixed.of(approvals, whole).size for whole in wholes[1:]))
    first, second, _ = [room_for_two.of(approvals, whole) for whole in wholes]
    assert room_for_two.of(approvals, wholes[1]) is second
    assert room_for_two.of(approvals, wholes[0]) is not first
    none = FixedParts(Rendering(), 0)
    assert none.of(approvals, wholes[0]) is not none.of(approvals, wholes[0])


async def test_a_long_history_is_shown_from_its_end(desk: Desk) -> None:
    parts = desk.control.parts
    whole = await deciding.read_whole(parts, (await asked(desk)).id)
    steps = tuple(HistoryEntry("vote_refused", f"who-{number}", 0.0, "", "") for number in range(250))
    about = About(replace(whole, history=steps), FixedParts(Rendering()).of(parts.approvals, whole), Typed())
    view = read_one(parts.approvals, about, approval_samples.ALICE, desk.clock.now().wall)
    assert (view.left_out, view.timeline[0].who, view.timeline[-1].who) == (50, "who-50", "who-249")
