"""The page follows what happens elsewhere without being loaded anew, and never disturbs who writes."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from addons.core.approvals.states import State
from tests.e2e.approvals_page.asking import TWO_LEADS, URGENT, ApprovalsPage
from tests.e2e.approvals_page.browser import People


def _follows(page: Page) -> None:
    """Waits until it does, and marks the page so that a reload would show."""
    expect(page.locator("#live")).to_have_text("Live")
    page.evaluate("window.stays = true")


def _was_not_loaded_anew(page: Page) -> bool:
    return page.evaluate("window.stays === true") is True


def test_the_list_shows_requests_as_they_come_and_go(approvals: ApprovalsPage, people: People) -> None:
    page = people.log_in("alice")
    _follows(page)
    asked = approvals.ask()
    row = page.locator(f"#mine #row-{asked.id}")
    expect(row).to_be_visible()
    expect(page).to_have_title(page.title())
    expect(page.get_by_role("status").first).to_contain_text("for you")
    approvals.control.decide(asked.id, "approve", "carol")
    expect(row).to_have_count(0)
    expect(page.locator(f"#recent-{asked.id}")).to_contain_text("approved")
    assert _was_not_loaded_anew(page)


def test_one_request_shows_that_another_person_decided(approvals: ApprovalsPage, people: People) -> None:
    asked = approvals.ask()
    page = people.log_in("alice", f"/approvals/{asked.id}")
    _follows(page)
    approvals.control.decide(asked.id, "deny", "carol", "Too risky.")
    expect(page.locator("#standing")).to_contain_text("Denied by carol@sandbox.example")
    expect(page.locator("#history")).to_contain_text("Too risky.")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    expect(page.get_by_role("status").first).to_contain_text("Denied by carol")
    assert _was_not_loaded_anew(page)


def test_what_somebody_is_writing_is_left_alone_and_they_are_told(
    approvals: ApprovalsPage, people: People
) -> None:
    asked = approvals.ask()
    page = people.log_in("alice", f"/approvals/{asked.id}")
    _follows(page)
    reason = page.get_by_label("Reason")
    reason.press_sequentially("I have looked at")
    approvals.control.decide(asked.id, "deny", "carol", "Too risky.")
    expect(page.locator("#standing")).to_contain_text("Denied by carol@sandbox.example")
    expect(reason).to_be_focused()
    reason.press_sequentially(" it")
    expect(reason).to_have_value("I have looked at it")
    page.get_by_role("button", name="Show what it is now").click()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    assert _was_not_loaded_anew(page)


def test_what_was_written_survives_an_update_that_leaves_the_form(
    approvals: ApprovalsPage, people: People
) -> None:
    asked = approvals.ask(needs=TWO_LEADS)
    page = people.log_in("alice", f"/approvals/{asked.id}")
    _follows(page)
    page.get_by_label("Reason").fill("Agreed.")
    approvals.control.decide(asked.id, "approve", "carol", "Fine.")
    page.get_by_role("button", name="Show what it is now").click()
    expect(page.get_by_role("region", name="Who decides")).to_contain_text("carol@sandbox.example approved")
    expect(page.get_by_label("Reason")).to_have_value("Agreed.")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#standing")).to_contain_text("Approved by carol@sandbox.example and you")


def test_focus_stays_where_it_is(approvals: ApprovalsPage, people: People) -> None:
    asked = approvals.ask()
    page = people.log_in("alice")
    _follows(page)
    link = page.locator(f"#row-{asked.id} a")
    link.focus()
    later = approvals.ask()
    expect(page.locator(f"#mine #row-{later.id}")).to_be_visible()
    expect(link).to_be_focused()


def test_a_search_stays_as_it_is(approvals: ApprovalsPage, people: People) -> None:
    asked = approvals.ask(target="/api/v1/monitor/998877")
    page = people.log_in("alice")
    _follows(page)
    page.get_by_label("Search what is listed").fill("998877")
    expect(page.locator("#mine .row:visible")).to_have_count(1)
    other = approvals.ask()
    same = approvals.ask(target="/api/v1/monitor/998877", agent="other-agent")
    expect(page.locator(f"#row-{same.id}")).to_be_visible()
    expect(page.locator(f"#row-{other.id}")).to_be_hidden()
    expect(page.locator(f"#row-{asked.id}")).to_be_visible()


def test_a_login_that_ended_is_told_and_leads_back(approvals: ApprovalsPage, people: People) -> None:
    asked = approvals.ask()
    page = people.log_in("alice", f"/approvals/{asked.id}")
    _follows(page)
    page.context.clear_cookies()
    approvals.control.decide(asked.id, "deny", "carol", "No.")
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    page.evaluate("dispatchEvent(new Event('pageshow'))")
    page.get_by_role("link", name="Log in again").click()
    page.get_by_role("link", name="Log in").click()
    page.locator("button[name=person][value=alice]").click()
    expect(page).to_have_url(f"{approvals.url}/approvals/{asked.id}")
    expect(page.locator("#standing")).to_contain_text("Denied by carol")


def test_the_keyboard_alone_finds_reads_and_decides(approvals: ApprovalsPage, people: People) -> None:
    first = approvals.ask(needs=URGENT)
    page = people.log_in("alice")
    _follows(page)
    keys = page.keyboard
    keys.press("j")
    expect(page.locator(f"#row-{first.id} a")).to_be_focused()
    keys.press("j")
    expect(page.locator(f"#row-{first.id} a")).not_to_be_focused()
    keys.press("k")
    keys.press("Enter")
    expect(page).to_have_url(f"{approvals.url}/approvals/{first.id}")
    _follows(page)
    keys.press("a")
    expect(page.get_by_label("Reason")).to_be_focused()
    expect(page.locator("#armed-told")).to_have_text("Ctrl+Enter: Approve")
    keys.press("Escape")
    expect(page.locator("#armed-told")).to_have_text("")
    keys.press("d")
    keys.type("Not now: a and d and j are letters here.")
    keys.press("Control+Enter")
    expect(page.locator("#standing")).to_contain_text("Denied by you")
    end = approvals.get(first).end
    assert end is not None
    assert end.reason == "Not now: a and d and j are letters here."
    _follows(page)
    keys.press("Escape")
    expect(page.locator("#mine")).to_be_visible()


def test_no_key_decides_by_itself(approvals: ApprovalsPage, people: People) -> None:
    asked = approvals.ask()
    page = people.log_in("alice", f"/approvals/{asked.id}")
    _follows(page)
    for key in ("Control+Enter", "a", "Enter", "Escape", "d", "Escape", "Control+Enter"):
        page.keyboard.press(key)
    assert page.url == f"{approvals.url}/approvals/{asked.id}"
    assert approvals.get(asked).state is State.PENDING


def test_keys_are_explained_and_can_be_switched_off(approvals: ApprovalsPage, people: People) -> None:
    asked = approvals.ask()
    page = people.log_in("alice", f"/approvals/{asked.id}")
    _follows(page)
    page.keyboard.press("?")
    help_ = page.get_by_role("dialog", name="Keys")
    expect(help_).to_be_visible()
    page.get_by_label("Use these keys").uncheck()
    page.keyboard.press("Escape")
    expect(help_).to_be_hidden()
    page.keyboard.press("a")
    expect(page.get_by_label("Reason")).not_to_be_focused()
    page.reload()
    _follows(page)
    page.keyboard.press("a")
    expect(page.get_by_label("Reason")).not_to_be_focused()
