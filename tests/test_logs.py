"""I3 in the log: what came over the wire, and what an exception holds, is not in it."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest
from mitmproxy.addons import errorcheck

from addons.logs import Formatter, LogFormat, install

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZ2VudCJ9.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The root logger as it was: `install` takes it over for a whole process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_an_exception_is_told_by_its_kind_and_place_alone(capsys: pytest.CaptureFixture[str]) -> None:
    install(logging.DEBUG, LogFormat.TEXT)
    for name in ("addons.audit", "mitmproxy.addonmanager", "asyncio"):
        try:
            int(TOKEN)
        except ValueError as error:
            logging.getLogger(name).exception("Addon error: %s", error)  # noqa: TRY401 - as mitmproxy does
    out = said(capsys)
    assert out.count("ValueError at test_logs.py:") == 3
    assert TOKEN not in out
    assert "Traceback" not in out
    assert 'File "' not in out


def test_what_mitmproxy_could_not_parse_is_not_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    install(logging.DEBUG, LogFormat.TEXT)
    half = f"GET / HTTP/1.1\r\nProxy-Authorization: Bearer {TOKEN}".encode()
    logging.getLogger("mitmproxy.proxy.server").warning(
        f"Client closed connection before completing request headers: {half!r}"  # noqa: G004 - as there
    )
    logging.getLogger("mitmproxy.proxy.server").error("unexpected server response: %r", bytearray(half))
    assert TOKEN not in said(capsys)


def test_of_others_only_warnings_pass_and_of_our_own_all(capsys: pytest.CaptureFixture[str]) -> None:
    install(logging.INFO, LogFormat.TEXT)
    logging.getLogger("mitmproxy.proxy.server").info("a library's chatter")
    logging.getLogger("httpx").info(f"HTTP Request: POST https://issuer/?token={TOKEN}")  # noqa: G004 - as there
    logging.getLogger("mitmproxy.net").warning("a library's warning")
    logging.getLogger("addons.policy").info("a line of our own")
    logging.getLogger("ddgate").debug("below the level")
    first, second = said(capsys).splitlines()
    assert first.endswith("Z warning a library's warning")
    assert second.endswith("Z info    a line of our own")


def test_mitmproxys_own_handlers_are_gone_but_the_one_that_ends_a_failed_start() -> None:
    root = logging.getLogger()
    check = errorcheck.ErrorCheck()
    terminal = logging.StreamHandler(sys.stdout)
    root.addHandler(terminal)
    install(logging.INFO, LogFormat.TEXT)
    assert terminal not in root.handlers
    assert check.logger in root.handlers
    check.logger.uninstall()


def test_json_is_one_object_a_line_whatever_the_message_holds(capsys: pytest.CaptureFixture[str]) -> None:
    install(logging.INFO, LogFormat.JSON)
    logging.getLogger("addons.x").warning('two\nlines, "quotes" and \x1b[31mcolour')
    (line,) = said(capsys).splitlines()
    told = json.loads(line)
    assert told["level"] == "warning"
    assert told["message"] == 'two\nlines, "quotes" and \x1b[31mcolour'


def test_text_is_one_line_a_message_so_that_nobody_can_forge_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(logging.INFO, LogFormat.TEXT)
    forged = "2026-01-01T00:00:00.000Z info    all is well"
    logging.getLogger("mitmproxy.tls").warning("handshake failed for a\n%s\x1b[2J", forged)
    out = said(capsys)
    assert len(out.splitlines()) == 1
    assert "\x1b" not in out


def test_no_format_string_is_applied_twice() -> None:
    record = logging.LogRecord("addons.x", logging.INFO, "x.py", 1, "%s", ("%s %d",), None)
    assert "%s %d" in Formatter(LogFormat.TEXT).format(record)
