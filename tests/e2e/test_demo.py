"""`ddgate demo` as a person starts it: it plays to the end, shows no secret, says nothing that isn't so, and
leaves nothing behind, however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import pytest
import yaml

from tests.e2e.gateway_process import ROOT, wait_until

REAL_KEY = "0123456789abcdef0123456789abcdef"
HOSTILE = {
    "DD_API_KEY": REAL_KEY,
    "DD_APP_KEY": REAL_KEY,
    "DATADOG_API_KEY": REAL_KEY,
    "DD_SITE": "datadoghq.eu",
    "DDGATE__LISTEN__PORT": "1",
    "DDGATE_TOKEN": "not-a-token",
    "DDGATE_STATE": "/nonexistent",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "*",
}
DEMO = [sys.executable, "-m", "addons.cli.main", "demo"]
DEFAULT, PRODUCTION = "default.yaml", "packs/production.yaml"
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Demo:
    """One run. While it lives, a thread notes its descendants and the secrets that its sandbox makes."""

    def __init__(self, directory: Path) -> None:
        self.tmp = directory / "tmp"
        self.tmp.mkdir()
        self.out = directory / "out"
        self.descendants: dict[int, str] = {}
        self.given_a_key: set[str] = set()
        self.secrets: set[str] = set()
        self.process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._terminal = -1

    def start(self, *arguments: str, terminal: bool = False, root: Path = ROOT) -> Demo:
        environment = {**os.environ, **HOSTILE, "TMPDIR": str(self.tmp), "COLUMNS": "200", "TERM": "xterm"}
        command: Sequence[str] = [*DEMO, *arguments]
        if terminal:
            self._terminal, inside = pty.openpty()
            self.process = subprocess.Popen(
                command, cwd=root, env=environment, stdin=inside, stdout=inside, stderr=inside
            )
            os.close(inside)
        else:
            closed = ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *command]
            with self.out.open("wb") as out:
                self.process = subprocess.Popen(closed, cwd=root, env=environment, stdout=out, stderr=out)
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    @property
    def said(self) -> str:
        text = self.out.read_text() if self.out.exists() else ""
        return _STYLE.sub("", text).replace("\r\n", "\n")

    def ended(self, seconds: float = 90) -> int:
        assert self.process is not None
        assert self._watcher is not None
        status = self.process.wait(seconds)
        self._watcher.join()
        return status

    def left_running(self) -> list[str]:
        return [name for pid, name in self.descendants.items() if _runs(pid)]

    def _watch(self) -> None:
        assert self.process is not None
        with self.out.open("ab") as out:
            while self.process.poll() is None:
                self._note(self.process.pid)
                if self._terminal >= 0:
                    self._read_terminal(out)
                time.sleep(0.02)
            if self._terminal >= 0:
                self._read_terminal(out)
                os.close(self._terminal)

    def _read_terminal(self, out: BinaryIO) -> None:
        os.set_blocking(self._terminal, False)
        with contextlib.suppress(OSError):
            while data := os.read(self._terminal, 65536):
                out.write(data)
        out.flush()

    def _note(self, pid: int) -> None:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                for child in (task / "children").read_text().split():
                    self._note_environment(int(child))
                    self._note(int(child))
        for path in (*self.tmp.glob("*/*.token"), *self.tmp.glob("*/state/sandbox/*.key")):
            with contextlib.suppress(OSError):
                self.secrets.add(path.read_text().strip())

    def _note_environment(self, pid: int) -> None:
        assert self.process is not None
        command = _command(pid)
        self.descendants[pid] = command or self.descendants.get(pid, "")
        if command in {"", _command(self.process.pid)}:
            return  # not yet what it will be
        with contextlib.suppress(OSError):
            if REAL_KEY.encode() in Path(f"/proc/{pid}/environ").read_bytes():
                self.given_a_key.add(command)


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    run = Demo(tmp_path)
    yield run
    if run.process is not None and run.process.poll() is None:
        run.process.kill()
        run.ended()


def assert_left_nothing(demo: Demo) -> None:
    assert len(demo.descendants) >= 4, demo.descendants
    assert demo.left_running() == []
    assert demo.given_a_key == set()
    assert list(demo.tmp.iterdir()) == []
    assert "Traceback" not in demo.said
    assert "log:   File" not in demo.said


def assert_shows_no_secret(demo: Demo) -> None:
    said = demo.said
    assert len(demo.secrets) >= 5, "the stand-in's four keys and the agent's token"
    for secret in (*demo.secrets, REAL_KEY):
        assert secret not in said
    assert not re.search(r"eyJ[A-Za-z0-9_-]{10}", said), "a token"
    assert set(re.findall(r"\b[0-9a-f]{32,}\b", said)) <= {"0" * 32, "0" * 40}, "a key"
    passwords = re.findall(r"password=(.{10})", said)
    assert set(passwords) == {"[not shown", "[REDACTED:"}


def test_the_story_is_told_to_its_end_without_a_terminal_and_with_stdin_closed(demo: Demo) -> None:
    began = time.monotonic()
    assert demo.start().ended() == 0, demo.said
    assert time.monotonic() - began < 60
    said = demo.said
    for told in (
        "✓ none of its",
        "subject       sre-agent",
        "groups        agents, sre-agents",
        "✓ Datadog got the gateway's key",
        "arrived       login to shop-db failed for user shop, password=[REDACTED:",
        "✓ the recording holds the masked line",
        "by the detector 'pair-password'",
        "is Datadog's answer byte for byte",
        "✓ the change is shown against what Datadog holds now, which the gateway has read",
        "✓ sre-agent's client waits in its call, and nothing of it has reached Datadog",
        "✓ bob, who isn't of the rule's group, lets nothing pass",
        "approved      by alice",
        "✓ the client, unmodified, got its Monitor in the one call that it made",
        "once, with 900, and the gateway's key",
        "✓ audit trail: asked by sre-agent, opened by alice, bob refused, approved by alice, attempted",
        "✓ UpdateMonitor, which was approved once, demo-agent may not; denied: no_rule",
        "raised        ForbiddenException (403)",
        "says          ddgate: Agents never manage keys",
        "(rule no-key-management)",
        "✓ nothing of it reached Datadog",
        "✓ refused, and why is on the audit trail: no_identity",
        "✓ refused, and why is on the audit trail: token_expired",
        "the same bytes",
        "403 masked_value",
        "✓ audit trail: each was decided anew, as demo-agent for alice",
        "✓ Datadog got exactly",
        "✓ the password, the gateway's 4 Datadog keys, 5 tokens: none of them is in",
        "processes that it started have ended",
        "✓ its state directory is removed",
        "Where to click",
        "./run.sh run --as sre-agent",
        "/approvals  log in as alice, bob or carol",
    ):
        assert told in said, said
    assert "✗" not in said
    assert "\x1b" not in demo.out.read_text()
    assert "tamper" not in said.lower()
    assert_shows_no_secret(demo)
    assert_left_nothing(demo)


@pytest.mark.long
def test_on_a_terminal_it_stays_when_asked_and_its_recordings_can_be_seen(demo: Demo) -> None:
    demo.start("--stay", terminal=True)
    link = wait_until(lambda: re.search(r"recordings +(http://\S+token=\S+)", demo.said), 80, "the link")
    address, _, password = link[1].partition("?token=")
    with httpx.Client(
        trust_env=False, follow_redirects=True, headers={"Authorization": f"Bearer {password}"}
    ) as web:
        shown = wait_until(lambda: web.get(f"{address}flows").json(), 20, "recorded calls in mitmweb")
    assert any("CreateAPIKey" in flow["comment"] for flow in shown)
    assert demo.process is not None
    demo.process.send_signal(signal.SIGINT)
    assert demo.ended(30) == 0, demo.said
    assert "Where to click" in demo.said
    assert "\x1b[" in demo.out.read_text()
    assert_shows_no_secret(demo)
    assert_left_nothing(demo)


@pytest.mark.parametrize(
    ("number", "after"),
    [
        pytest.param(signal.SIGINT, "ddgate demo:", id="while starting"),
        pytest.param(signal.SIGTERM, "7. alice", id="during the replay", marks=pytest.mark.long),
    ],
)
def test_a_signal_ends_it_cleanly(demo: Demo, number: signal.Signals, after: str) -> None:
    demo.start()
    wait_until(lambda: after in demo.said and len(demo.descendants) >= 4, 60, after)
    assert demo.process is not None
    while demo.process.poll() is None:  # an impatient person
        demo.process.send_signal(number)
        time.sleep(0.01)
    assert demo.ended(30) == 128 + number, demo.said
    assert "stopped; nothing is left running" in demo.said
    assert_left_nothing(demo)


@pytest.mark.parametrize(
    "part", ["gateway --config", pytest.param("addons.sandbox.datadog", marks=pytest.mark.long)]
)
def test_a_step_that_fails_is_named_and_ends_it_with_status_1(demo: Demo, part: str) -> None:
    demo.start()
    wait_until(lambda: "1. An agent" in demo.said, 60, "the first step")
    (pid,) = [pid for pid, command in demo.descendants.items() if part in command and _runs(pid)]
    os.kill(pid, signal.SIGKILL)
    assert demo.ended() == 1, demo.said
    assert re.search(r"✗ step \d: .+", demo.said), demo.said
    assert "Where to click" not in demo.said
    assert REAL_KEY not in demo.said
    assert_left_nothing(demo)


def _edited_project(directory: Path, name: str, edit: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of the project with another policy: that file edited, and no tests, which would notice."""
    root = directory / "project"
    shutil.copytree(ROOT / "addons", root / "addons", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "policies", root / "policies", ignore=shutil.ignore_patterns("__pycache__"))
    for each in (DEFAULT, PRODUCTION):
        path = root / "policies" / each
        policy = yaml.safe_load(path.read_text())
        del policy["tests"]
        if each == name:
            edit(policy)
        path.write_text(json.dumps(policy))
    return root


def _mask_nothing(policy: dict[str, Any]) -> None:
    for rule in policy["rules"]:
        rule.pop("mask", None)


def _ask_nobody(policy: dict[str, Any]) -> None:
    for rule in policy["rules"]:
        if rule["id"] == "production-monitors":
            rule["mode"] = "shadow"


def _hand_out_keys(policy: dict[str, Any]) -> None:
    policy["rules"] = [rule for rule in policy["rules"] if rule["effect"] == "allow"]
    every_risk = ["read", "sensitive-read", "write", "execute", "destructive", "privileged", "ingest"]
    policy["rules"].append({"id": "anything", "effect": "allow", "op": {"risk": every_risk}})


@pytest.mark.parametrize(
    ("name", "edit", "told"),
    [
        (DEFAULT, _mask_nothing, "✗ step 2: Datadog got a mask in place of the password"),
        pytest.param(
            PRODUCTION,
            _ask_nobody,
            "✗ step 4: the call waits for a person",
            marks=pytest.mark.long,
        ),
        pytest.param(DEFAULT, _hand_out_keys, "✗ step 5: it names ddgate", marks=pytest.mark.long),
    ],
    ids=lambda value: getattr(value, "__name__", None) or "",
)
def test_what_is_not_so_is_not_said(
    demo: Demo, tmp_path: Path, name: str, edit: Callable[[dict[str, Any]], None], told: str
) -> None:
    assert demo.start(root=_edited_project(tmp_path, name, edit)).ended() == 1, demo.said
    assert told in demo.said, demo.said
    assert "Where to click" not in demo.said
    assert not re.search(r"\b[0-9a-f]{32,}\b", demo.said.replace("0" * 32, ""))
    assert_left_nothing(demo)
