"""One control process for all of these tests, and one browser a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e.approvals_page.asking import ApprovalsPage, page_on
from tests.e2e.approvals_page.browser import People, chromium
from tests.sandbox_processes import StandIn, start_issuer


@pytest.fixture(scope="session")
def approvals(tmp_path_factory: pytest.TempPathFactory, datadog: StandIn) -> Iterator[ApprovalsPage]:
    with (
        start_issuer(tmp_path_factory.mktemp("people")) as issuer,
        page_on(tmp_path_factory.mktemp("page"), issuer, datadog) as page,
    ):
        yield page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a file only: its event loop would stand in the way of other files' tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def people(browser: Browser, approvals: ApprovalsPage) -> Iterator[People]:
    """Whatever a page does that it never should fails the test."""
    people = People(browser, approvals.url)
    yield people
    people.close()
    assert people.wrongs == []
