"""Everything an agent wrote is hostile: no text of its own acts, hides, or passes for something else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from addons.core.model import Json
from addons.core.policy.request import Seen
from tests.e2e.approvals_page.asking import MONITOR, ApprovalsPage, Asking
from tests.e2e.approvals_page.browser import PHONE, People

SCRIPTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</title></textarea></style></pre><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{ 7*7 }}{% include 'login.html' %}",
    "<a href='javascript:alert(1)' autofocus onfocus=alert(1) tabindex=0>x</a>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<form action=//evil.example><button>Approve</button></form>",
    "<base href=//evil.example>",
    "]]><!--<iframe srcdoc='<script>alert(1)</script>'>",
)
WATCH = """
window.acted = [];
window.alert = window.confirm = window.prompt = (text) => window.acted.push(`dialog ${text}`);
document.addEventListener("securitypolicyviolation", (event) => window.acted.push(event.violatedDirective));
"""


def asked_with(text: str) -> Asking:
    """A request that says `text` wherever an agent, its token or Datadog may say something."""
    body: dict[str, Json] = {
        text: text,
        "query": text,
        "message": f"{text}\nline\n{text}",
        "list": [text, {text: text}],
    }
    resource: Json = {**MONITOR, "name": text, "message": f"before\n{text}", "list": ["x"]}
    return Asking(
        body=body,
        resource=Seen(resource),
        headers=(("x-said", text), ("content-type", "application/json")),
        agent=text,
        on_behalf_of=text,
        session=text,
        intent=text,
        more={
            "summary": text,
            "rule": text,
            "rules": (text, text),
            "why": (text,),
            "credential": text,
            "policy_revision": text,
            "risk": text,
            "operation": text,
        },
    )


def watched(page: Page) -> Page:
    page.add_init_script(WATCH)
    page.reload()
    expect(page.locator("#live")).to_have_text("Live")
    return page


def acted(page: Page) -> Any:
    return page.evaluate("window.acted")


@pytest.mark.parametrize(
    "text", [" ".join(SCRIPTS), " ".join(reversed(SCRIPTS))], ids=["one way", "the other"]
)
def test_33_stored_script_in_every_field_is_text(approvals: ApprovalsPage, people: People, text: str) -> None:
    asking = asked_with(text)
    older = approvals.ask(asking, thread="scripts")
    asked = approvals.ask(asking, thread="scripts", body={"query": text + "!"})
    page = watched(people.log_in("alice"))
    row = page.locator(f"#row-{asked.id}")
    expect(row).to_contain_text(text)
    row.locator(".row-title").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(text)
    assert page.locator("main form").count() == page.locator("main form[action^='/approvals/']").count()
    assert page.locator("script, iframe, meta[http-equiv], base, svg").count() == 1  # our own script
    assert page.locator("main :is(img, [onerror], [onload], [onfocus], [href^='javascript:'])").count() == 0
    expect(page.locator("#live")).to_have_text("Live")
    approvals.control.decide(asked.id, "deny", "carol", text)  # and once more, by the live update
    expect(page.locator("#standing")).to_contain_text(text)
    assert acted(page) == []
    page.goto(f"{approvals.url}/approvals/{older.id}")
    assert acted(page) == []


@pytest.mark.parametrize("body", ["text", "form", "multipart", "lines"])
def test_33_stored_script_in_every_kind_of_body_is_text(
    approvals: ApprovalsPage, people: People, body: str
) -> None:
    text = SCRIPTS[1]
    head = f'Content-Disposition: form-data; name="{SCRIPTS[2]}"; filename="<b>"'
    part = f"--b\r\n{head}\r\n\r\n{text}\r\n--b--\r\n"
    content_type, raw = {
        "text": ("text/plain", text.encode()),
        "form": ("application/x-www-form-urlencoded", b"a=%3Cscript%3Ealert(1)%3C/script%3E&%3Cb%3E=1"),
        "multipart": ("multipart/form-data; boundary=b", part.encode()),
        "lines": ("application/x-ndjson", b'{"a":"<script>alert(1)</script>"}\n{"<b>":1}\n'),
    }[body]
    asking = replace(Asking(), content_type=content_type, raw=raw, resource=None, target="/api/v1/x?<q>=1")
    asked = approvals.ask(asking)
    page = watched(people.log_in("alice", f"/approvals/{asked.id}"))
    request = page.get_by_role("region", name="The request in full")
    expect(request).to_contain_text("alert(1)")
    assert request.locator("b, script, img, svg").count() == 0
    assert acted(page) == []


ODD = {
    "pass\u202etxt.exe": "202E",
    "ad\u200bmin": "200B",
    "b\u0430nk": "0430",  # Cyrillic a
    "a\u2066b\u2069": "2066",
    "x\u00ady": "00AD",
    "a\x1b[31mred": "001B",
    "tag\U000e0041": "E0041",
    "\u3164": "3164",
}


def test_what_can_not_be_seen_or_passes_for_something_else_is_spelled_out(
    approvals: ApprovalsPage, people: People
) -> None:
    text = " ".join(ODD)
    asking = asked_with(text)
    approvals.ask(asking, thread=text)
    asked = approvals.ask(asking, thread=text, body={"query": text + "!"})
    page = people.log_in("alice")
    row = page.locator(f"#row-{asked.id} .row-title")
    for code in ODD.values():
        expect(row).to_contain_text(code)
    row.click()
    regions = ("What it changes", "What the agent says it is for", "Who asks, and why it waits")
    for region in (*regions, "Other requests of the same agent run"):
        for code in ODD.values():
            expect(page.get_by_role("region", name=region)).to_contain_text(code, ignore_case=True)
    odd = {character for character in text if not " " <= character <= "~"}
    assert odd.isdisjoint(page.locator("main").inner_text() + page.title())


def test_letters_from_right_to_left_stay_in_their_own_place(approvals: ApprovalsPage, people: People) -> None:
    """Without isolation the browser would draw the value of one field where its neighbour's name stands."""
    asked = approvals.ask(body={"\u05d0\u05d1": "\u05d2\u05d3", "query": "\u05d0 900"}, resource=None)
    page = people.log_in("alice", f"/approvals/{asked.id}")
    strings = page.locator(".raw bdi")
    boxes = [box for at in range(2) if (box := strings.nth(at).bounding_box())]
    assert boxes[0]["x"] < boxes[1]["x"]


def test_a_long_word_never_makes_a_phone_scroll_sideways(approvals: ApprovalsPage, people: People) -> None:
    asking = asked_with("x" * 3000)
    approvals.ask(asking, thread="long")
    asked = approvals.ask(asking, thread="long", body={"query": "y" * 3000})
    page = people.log_in("alice", viewport=PHONE)
    assert _is_not_too_wide(page)
    page.goto(f"{approvals.url}/approvals/{asked.id}")
    assert _is_not_too_wide(page)
    assert page.get_by_role("button", name="Approve").is_visible()


def _is_not_too_wide(page: Page) -> bool:
    return bool(page.evaluate(f"document.documentElement.scrollWidth <= {PHONE['width']}"))
