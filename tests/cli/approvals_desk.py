"""A real control process on a sandbox, requests in its store, and the command line as people use it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from addons.cli import sandbox_config
from addons.cli.approvals.command import app
from addons.core.approvals.approval import Approval
from addons.core.approvals.needs import BreakGlass, Needs
from addons.core.approvals.preview import make_preview
from addons.core.model import Json
from addons.core.policy.request import Seen
from addons.store import moment
from addons.store.approvals.requests import Ask
from addons.store.approvals.runs import Consume, Lost
from addons.store.audit.record import new_id
from addons.store.state_dir import StateDir
from tests.core.approvals.previewing import MONITOR
from tests.core.approvals.previewing import asked as previewing
from tests.e2e import forked
from tests.e2e.forked import Forked
from tests.e2e.gateway_process import accepts, free_port, wait_until
from tests.sandbox_processes import Issuer, start_datadog, start_issuer
from tests.store import approval_samples
from tests.store.approval_samples import Store

ROOT = Path(__file__).resolve().parents[2]
NEEDS = Needs((("sre-leads", 1),), False, 600.0, 120.0, 60.0, BreakGlass(("secops",), 3600.0))
BODY: Json = {**MONITOR, "options": {"thresholds": {"critical": 900, "warning": 300}, "notify_no_data": True}}
_STEERING = ("DDGATE_", "DD_", "DATADOG_", "SSL_CERT")


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass
class Desk:
    """`state` is a sandbox's state directory: its issuer, its configuration, its log."""

    state: StateDir
    issuer: Issuer
    store: Store
    port: int
    process: Forked | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.state.path.parent / "control.log"

    def start(self) -> Desk:
        config = sandbox_config.config_path(self.state.path)
        command = ["control", "--config", str(config), "--state", str(self.state.path)]
        with self.log.open("ab") as log:
            self.process = forked.start(command, self.environment(), log)
        wait_until(self._is_up, 30, "control")
        return self

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return accepts(self.port)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(15)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_STEERING)}
        return {
            **{name: value for name, value in kept.items() if not name.lower().endswith("_proxy")},
            "PYTHONPATH": str(ROOT),
            "DDGATE__CONTROL__PORT": str(self.port),
            "DDGATE_STATE": str(self.state.path),
            **more,
        }

    def run(self, *arguments: str, person: str | None = "alice", **more: str) -> Ran:
        """In this process; standard input is no terminal."""
        who = ["--as", person] if person is not None else []
        steering = {name: None for name in os.environ if name.startswith(_STEERING)}
        environment = {**steering, **self.environment(**more)}
        done = CliRunner().invoke(app, [*arguments, *who], env=environment)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return Ran(done.exit_code, done.stdout, done.stderr)

    def on_terminal(self, *arguments: str, person: str = "alice", answers: Mapping[str, str]) -> Ran:
        """On a terminal: whenever one of the `answers`' questions appears, it is answered."""
        inside, outside = pty.openpty()
        process = Forked(
            ["approvals", *arguments, "--as", person],
            env=self.environment(TERM="xterm", COLUMNS="140"),
            stdin=outside,
            stdout=outside,
            stderr=outside,
            cwd=ROOT,
        )
        os.close(outside)
        said, answered = "", set[str]()
        while True:
            try:
                data = os.read(inside, 65536)
            except OSError:  # its end
                break
            if not data:
                break
            said += data.decode()
            for question, answer in answers.items():
                if question in said and question not in answered:
                    answered.add(question)
                    os.write(inside, answer.encode() + b"\n")
        os.close(inside)
        assert "Traceback" not in said, said
        return Ran(process.wait(30), said.replace("\r\n", "\n"), "")

    def ask(self, needs: Needs = NEEDS, by: str = "sre-agent", ending: str = "", **asked: Any) -> Approval:
        """An agent's request to change monitor 1234, which waits from now on; `asked` is laid over it, and
        `ending` is how its id ends."""
        wanted = approval_samples.approval(
            os.urandom(32).hex(), thread=new_id(), needs=needs, by=approval_samples.requester(by)
        )
        shown = make_preview(previewing("UpdateMonitor", "/api/v1/monitor/1234", BODY, Seen(MONITOR)))
        call = replace(wanted.asked, **{"summary": shown.summary, **asked})
        wanted = replace(
            wanted, id=wanted.id[: 32 - len(ending)] + ending, asked=call, preview=shown.to_json()
        )
        return self.store.do(Ask(wanted, moment.now(), 10_000)).approval

    def lost(self) -> Approval:
        """One that was approved, began to run, and got lost."""
        one = self.ask()
        assert self.run("approve", one.id, "--yes").status == 0
        self.store.do(Consume(one.id, one.digest, "p1", "c1", moment.now()))
        return self.store.do(Lost(one.id, "c1", moment.now()))

    @contextmanager
    def running(self, *arguments: str, person: str = "alice") -> Iterator[subprocess.Popen[str]]:
        """As a process; killed at the end where it still runs."""
        process = Forked(
            ["approvals", *arguments, "--as", person],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def kinds(self, approval: Approval) -> list[str]:
        """The audit trail of one, in order."""
        rows = self.store.sql("SELECT body FROM records ORDER BY idx")
        found = [json.loads(str(body)) for (body,) in rows]
        return [one["kind"] for one in found if one.get("approval") == approval.id]


@contextmanager
def open_desk(directory: Path) -> Iterator[Desk]:
    state = StateDir.open(directory / "state")
    here = sandbox_config.directory(state.path)
    here.mkdir(mode=0o700)
    with start_issuer(here / "issuer") as issuer, start_datadog(here / "datadog"):
        sandbox_config.write_config(sandbox_config.read_sandbox(state.path), ROOT)
        desk = Desk(state, issuer, Store(state.audit_log), free_port())
        try:
            yield desk.start()
        finally:
            desk.stop()
            desk.store.log.close()
