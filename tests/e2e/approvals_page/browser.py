"""Chromium, and people who log in with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
PHONE = {"width": 360, "height": 740}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Skips the test where there is no browser."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium; the package is called chromium")
    expect.set_options(timeout=45_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, env={**os.environ, "NO_PROXY": "*"})
        yield browser
        browser.close()


class People:
    """Each in a browser context of their own. What a page should never do is kept in `wrongs`: errors,
    dialogs, violations of the content security policy, and anything else on the console.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url
        self._contexts: list[BrowserContext] = []
        self.wrongs: list[str] = []

    def page(self, **options: Any) -> Page:
        """Of somebody who isn't logged in; `options` are those of a browser context."""
        context = self._browser.new_context(**options)
        context.set_default_timeout(45_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.wrongs.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.on("console", self._console)
        return page

    def log_in(self, name: str, path: str = "/approvals", **options: Any) -> Page:
        """On `path`, as if a message had linked to it."""
        page = self.page(**options)
        page.goto(self._url + path)
        page.get_by_role("link", name="Log in").click()
        page.locator(f"button[name=person][value={name}]").click()
        page.wait_for_url(self._url + path)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _dialog(self, dialog: Dialog) -> None:
        self.wrongs.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _console(self, said: ConsoleMessage) -> None:
        # A refusal is an answer with a status, and Chromium tells of each.
        if said.type in {"error", "warning"} and "responded with a status of 4" not in said.text:
            self.wrongs.append(f"console: {said.text}")
