"""What can be checked of how the pages look, and of how they are for people who don't see them."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from addons.core.approvals.approval import Approval
from addons.store.approvals.runs import Consume, Lost
from addons.store.moment import now
from tests.e2e.approvals_page.asking import DELETE, TWO_PEOPLE, ApprovalsPage, Asking
from tests.e2e.approvals_page.browser import PHONE, People

# WCAG 2.2, 1.4.3: contrast of each text with what is painted behind it. Gives those below what it asks for.
CONTRAST = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = rgba(getComputedStyle(each).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || !element.checkVisibility()) continue;
    if (element.closest(".hidden-text, .skip, script")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [luminance(rgba(style.color)), luminance(behind(element))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (isLarge ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${text.data.trim().slice(0, 40)}`);
  }
  return found;
}
"""
# WCAG 1.3.1, 2.4.6, 2.5.8, 4.1.2, as far as a program can tell.
FAULTS = """
() => {
  const found = [];
  const seen = (element) => element.checkVisibility();
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  for (const id of ids.filter((each, at) => ids.indexOf(each) !== at)) found.push(`two of ${id}`);
  for (const field of document.querySelectorAll("input:not([type=hidden]), textarea"))
    if (seen(field) && field.labels.length === 0) found.push(`no label: ${field.outerHTML}`);
  for (const one of document.querySelectorAll("[aria-labelledby], [aria-describedby]"))
    for (const id of (one.getAttribute("aria-labelledby") ?? one.getAttribute("aria-describedby")).split(" "))
      if (!document.getElementById(id)) found.push(`nothing is ${id}`);
  for (const one of document.querySelectorAll("a[href], button"))
    if (seen(one) && !one.textContent.trim()) found.push(`no name: ${one.outerHTML}`);
  for (const one of document.querySelectorAll("button, input[type=checkbox], input[type=radio]")) {
    const box = (one.closest("label") ?? one).getBoundingClientRect();
    if (seen(one) && (box.width < 24 || box.height < 24)) found.push(`too small: ${one.outerHTML}`);
  }
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    const here = Number(heading.tagName[1]);
    if (here > level + 1 && seen(heading)) found.push(`skips a level: ${heading.textContent}`);
    level = here;
  }
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  if (!document.documentElement.lang || !document.title.trim()) found.push("no language or title");
  return found;
}
"""


@pytest.fixture(scope="module")
def several(approvals: ApprovalsPage) -> dict[str, Approval]:
    """One in each state that looks different."""
    body = {"title": "x", "widgets": [{"definition": {"type": "note", "content": "word " * 400}}]}
    made = {
        "pending": approvals.ask(needs=TWO_PEOPLE, on_behalf_of="erin", session=None),
        "deleting": approvals.ask(
            Asking(operation=DELETE, method="DELETE", body=None, target="/api/v1/dashboard/a?force=true")
        ),
        "unreadable": approvals.ask(raw=b"\x00\x01" * 900, content_type="application/x-protobuf"),
        "unclear": approvals.ask(raw=b'{"a": 1, "a": 2}', resource=None),
        "long": approvals.ask(body=body, resource=None),
        "denied": approvals.ask(thread="look", supersede=True),
        "glass": approvals.ask(needs=TWO_PEOPLE, thread="look"),
        "unknown": approvals.ask(),
        "approved": approvals.ask(),
    }
    approvals.control.decide(made["denied"].id, "deny", "carol", "Not now, and here is why. " * 20)
    approvals.control.decide(made["glass"].id, "break-glass", "dave", "The site is down.")
    for name in ("unknown", "approved"):
        approvals.control.decide(made[name].id, "approve", "carol")
    lost = made["unknown"]
    approvals.store.do(Consume(lost.id, lost.digest, "gateway-1", "call-1", now()))
    approvals.store.do(Lost(lost.id, "call-1", now()))
    return made


@pytest.fixture
def paths(several: dict[str, Approval]) -> list[str]:
    ones = [f"/approvals/{one.id}" for one in several.values()]
    return ["/approvals", "/approvals?state=denied", "/approvals/none", *ones]


def _faults(page: Page, approvals: ApprovalsPage, paths: list[str], script: str) -> dict[str, Any]:
    found = {}
    for path in paths:
        page.goto(approvals.url + path)
        for hidden in page.locator("details").all():
            hidden.evaluate("each => each.open = true")
        found[path] = page.evaluate(script)
    return {path: faults for path, faults in found.items() if faults}


# Who may decide sees more than who may not.
each_role = pytest.mark.parametrize("person", ["alice", pytest.param("dave", marks=pytest.mark.long)])


@each_role
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_every_text_stands_out_from_what_is_behind_it(
    approvals: ApprovalsPage, people: People, paths: list[str], scheme: str, person: str
) -> None:
    outside = people.page(color_scheme=scheme)
    assert _faults(outside, approvals, ["/login"], CONTRAST) == {}
    page = people.log_in(person, color_scheme=scheme)
    assert _faults(page, approvals, paths, CONTRAST) == {}


@each_role
def test_all_that_is_there_has_a_name_and_a_place(
    approvals: ApprovalsPage, people: People, paths: list[str], person: str
) -> None:
    assert _faults(people.page(), approvals, ["/login"], FAULTS) == {}
    assert _faults(people.log_in(person), approvals, paths, FAULTS) == {}


@each_role
def test_nothing_makes_a_phone_scroll_sideways(
    approvals: ApprovalsPage, people: People, paths: list[str], person: str
) -> None:
    # Not against innerWidth: a phone's browser zooms out until all of it fits.
    wide = f"() => document.documentElement.scrollWidth > {PHONE['width']}"
    assert _faults(people.page(viewport=PHONE), approvals, ["/login"], wide) == {}
    page = people.log_in(person, viewport=PHONE, has_touch=True, is_mobile=True)
    assert _faults(page, approvals, paths, wide) == {}


def test_the_focus_can_be_seen_wherever_it_goes(
    approvals: ApprovalsPage, people: People, several: dict[str, Approval]
) -> None:
    page = people.log_in("alice", f"/approvals/{several['pending'].id}")
    expect(page.locator("#live")).to_have_text("Live")
    names = []
    for _ in range(40):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => {
              const here = document.activeElement;
              const style = getComputedStyle(here);
              return [here.textContent.trim() || here.id, `${style.outlineStyle} ${style.outlineWidth}`];
            }"""
        )
        if page.evaluate("document.activeElement === document.body"):
            break
        names.append(name)
        assert outline == "solid 3px", name
    assert names[0] == "Skip to the content"
    assert {"Approve", "Deny", "reason", "Log out"} <= set(names)


def test_nothing_moves_for_who_wants_no_motion(approvals: ApprovalsPage, people: People) -> None:
    page = people.log_in("alice", reduced_motion="reduce")
    expect(page.locator("#live")).to_have_text("Live")
    asked = approvals.ask()
    row = page.locator(f"#row-{asked.id}")
    expect(row).to_be_visible()
    assert row.evaluate("each => getComputedStyle(each).animationName") == "none"
    assert page.evaluate("document.getAnimations().length") == 0
