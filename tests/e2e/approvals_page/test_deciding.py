"""People decide on the approvals page, in Chromium, after the sandbox's login."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from addons.core.approvals.approval import Approval
from addons.core.approvals.states import State
from addons.store.approvals.runs import Consume, Lost
from addons.store.moment import now
from tests.e2e.approvals_page.asking import CHANGED, TWO_PEOPLE, ApprovalsPage
from tests.e2e.approvals_page.browser import People


def test_who_logs_in_comes_back_to_the_request_that_a_message_linked_to(
    approvals: ApprovalsPage, people: People
) -> None:
    asked = approvals.ask()
    page = people.log_in("alice", f"/approvals/{asked.id}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("prod latency")


def test_a_request_is_found_read_and_approved(approvals: ApprovalsPage, people: People) -> None:
    asked = approvals.ask()
    page = people.log_in("alice")
    mine = page.get_by_role("region", name="Waiting for you")
    mine.locator(f"#row-{asked.id}").get_by_role("link").click()
    cells = page.get_by_role("row", name=re.compile("critical")).get_by_role("cell")
    expect(cells).to_have_text(["500", "900"])
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#standing")).to_contain_text("Approved by you")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    stored = approvals.get(asked)
    assert stored.state is State.APPROVED
    assert [vote.person.subject for vote in stored.yes_votes] == ["alice"]


def test_a_denial_says_why_to_everybody(approvals: ApprovalsPage, people: People) -> None:
    asked = approvals.ask()
    page = people.log_in("carol", f"/approvals/{asked.id}")
    page.get_by_label("Reason").fill("Not during\nthe freeze.")
    page.get_by_role("button", name="Deny").click()
    expect(page.locator("#standing")).to_contain_text("Denied by you")
    expect(page.locator("#standing")).to_contain_text("Not during\nthe freeze.")
    end = approvals.get(asked).end
    assert end is not None
    assert end.reason == "Not during\nthe freeze."
    other = people.log_in("alice", f"/approvals/{asked.id}")
    expect(other.locator("#standing")).to_contain_text("Denied by carol@sandbox.example")


def test_a_second_click_on_a_decision_under_way_sends_nothing(
    approvals: ApprovalsPage, people: People
) -> None:
    page = people.log_in("alice", f"/approvals/{approvals.ask().id}")
    expect(page.locator("#live")).to_have_text("Live")
    prevented = page.evaluate("""() => {
      const seen = [];
      addEventListener("submit", (event) => {
        seen.push(event.defaultPrevented);
        event.preventDefault();
      });
      const button = document.querySelector("button[data-decides=approve]");
      button.click();
      button.click();
      return seen;
    }""")
    assert prevented == [False, True]


def test_two_people_fill_the_two_places(approvals: ApprovalsPage, people: People) -> None:
    asked = approvals.ask(needs=TWO_PEOPLE)
    first = people.log_in("alice", f"/approvals/{asked.id}")
    first.get_by_label("Reason").fill("Agreed with the team.")
    first.get_by_role("button", name="Approve").click()
    expect(first.locator("#standing")).to_contain_text("You approved it; it still needs 1 person of secops")
    second = people.log_in("bob", f"/approvals/{asked.id}")
    expect(second.get_by_role("region", name="Who decides")).to_contain_text("alice@sandbox.example approved")
    second.get_by_label("Reason").fill("Fine.")
    second.get_by_role("button", name="Approve").click()
    expect(second.locator("#standing")).to_contain_text("Approved by alice@sandbox.example and you")


def test_a_word_that_came_too_late_does_not_count_and_is_told_why(
    approvals: ApprovalsPage, people: People
) -> None:
    asked = approvals.ask()
    page = people.log_in("alice", f"/approvals/{asked.id}", java_script_enabled=False)
    approvals.control.decide(asked.id, "deny", "carol", "No.")
    page.get_by_label("Reason").fill("It was agreed.")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("alert")).to_contain_text("doesn't count: it is denied already")
    expect(page.locator("#standing")).to_contain_text("Denied by carol")
    assert approvals.get(asked).state is State.DENIED


def test_a_reason_that_the_policy_wants_is_asked_for_in_place(
    approvals: ApprovalsPage, people: People
) -> None:
    asked = approvals.ask(needs=TWO_PEOPLE)
    page = people.log_in("alice", f"/approvals/{asked.id}")
    page.get_by_role("button", name="Approve").click()
    assert page.get_by_label("Reason").evaluate("field => field.validity.valueMissing")
    page.get_by_label("Reason").evaluate("field => field.required = false")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("alert")).to_contain_text("give a reason")


def test_nobody_decides_on_what_runs_in_their_name_and_they_can_take_it_back(
    approvals: ApprovalsPage, people: People
) -> None:
    asked = approvals.ask(on_behalf_of="carol")
    page = people.log_in("carol", f"/approvals/{asked.id}")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    expect(page.get_by_role("region", name="Who decides")).to_contain_text("somebody else decides")
    page.get_by_label("Reason").fill("Changed my mind.")
    page.get_by_role("button", name="Take it back").click()
    expect(page.locator("#standing")).to_contain_text("Taken back by you")
    assert approvals.get(asked).state is State.CANCELLED


def test_broken_glass_is_answered_for_and_reviewed_by_somebody_else(
    approvals: ApprovalsPage, people: People
) -> None:
    asked = approvals.ask(needs=TWO_PEOPLE)
    page = people.log_in("dave", f"/approvals/{asked.id}")
    page.get_by_text("Break the glass").first.click()
    page.get_by_label("Why it can't wait").fill("The site is down.")
    page.get_by_label("I answer for this").check()
    page.get_by_role("button", name="Break the glass").click()
    expect(page.locator("#standing")).to_contain_text("You broke the glass")
    expect(page.get_by_role("button", name="Record the review")).to_have_count(0)
    reviewer = people.log_in("bob")
    row = reviewer.get_by_role("region", name="Waiting for you").locator(f"#row-{asked.id}")
    expect(row).to_contain_text("review it")
    row.get_by_role("link").click()
    reviewer.get_by_label("What you found").fill("It was right.")
    reviewer.get_by_role("button", name="Record the review").click()
    expect(reviewer.get_by_role("region", name="History")).to_contain_text("It was right.")
    expect(reviewer.get_by_role("button", name="Record the review")).to_have_count(0)


def test_a_lost_call_is_settled_by_a_person_who_looked(approvals: ApprovalsPage, people: People) -> None:
    asked = approvals.ask()
    approvals.control.decide(asked.id)
    approvals.store.do(Consume(asked.id, asked.digest, "gateway-1", "call-1", now()))
    approvals.store.do(Lost(asked.id, "call-1", now()))
    page = people.log_in("carol", f"/approvals/{asked.id}")
    expect(page.locator("#standing")).to_contain_text("Nobody can tell whether it ran")
    page.get_by_label("The call did not run").check()
    page.get_by_label("How you know").fill("The monitor is as it was.")
    page.get_by_role("button", name="Settle it").click()
    expect(page.locator("#standing")).to_contain_text("it did not run")
    assert approvals.get(asked).state is State.FAILED


def test_a_replaced_request_leads_to_the_newer_one_which_tells_the_difference(
    approvals: ApprovalsPage, people: People
) -> None:
    older = approvals.ask(thread="one-run")
    newer = approvals.ask(
        thread="one-run", supersede=True, body={**CHANGED, "options": {"thresholds": {"critical": 950}}}
    )
    page = people.log_in("alice", f"/approvals/{older.id}")
    expect(page.locator("#standing")).to_contain_text("Replaced by a newer request")
    page.get_by_role("link", name="See the newer request").click()
    expect(page).to_have_url(f"{approvals.url}/approvals/{newer.id}")
    thread = page.get_by_role("region", name="Other requests of the same agent run")
    cells = thread.get_by_role("row", name=re.compile("critical")).get_by_role("cell")
    expect(cells).to_have_text(["900", "950"])


def test_all_of_it_works_without_scripts(approvals: ApprovalsPage, people: People) -> None:
    asked: Approval = approvals.ask()
    page = people.log_in("alice", java_script_enabled=False)
    page.locator(f"#row-{asked.id}").get_by_role("link").click()
    expect(page.get_by_role("region", name="The request in full")).to_contain_text('"critical": 900')
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#standing")).to_contain_text("Approved by you")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto(f"{approvals.url}/approvals/{asked.id}")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_back_and_forward_lead_where_they_should(approvals: ApprovalsPage, people: People) -> None:
    asked = approvals.ask()
    page = people.log_in("alice")
    page.locator(f"#row-{asked.id}").get_by_role("link").click()
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#standing")).to_contain_text("Approved by you")
    page.go_back()
    expect(page.locator("#standing")).to_contain_text("Approved by you")
    page.go_back()
    expect(page.locator("#mine")).to_be_visible()
    expect(page.locator(f"#mine #row-{asked.id}")).to_have_count(0)
    page.go_forward()
    expect(page.locator("#standing")).to_contain_text("Approved by you")
