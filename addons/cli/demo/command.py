"""`ddgate demo`: the whole story in a minute, on a sandbox of its own. Nothing real is reached.

Whatever it says happened, it has looked up at the other end: at the Datadog stand-in, in the audit log, in
the recording. The first thing that isn't so ends it with status 1.
"""

from __future__ import annotations

import importlib.util
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from types import FrameType

import typer

from addons.cli.demo import approval as demo_approval
from addons.cli.demo import calls as demo_calls
from addons.cli.demo import replay as demo_replay
from addons.cli.demo.calls import Story
from addons.cli.demo.stage import Stage, sandbox_stage, still_running
from addons.cli.demo.teller import ClaimFailed, Teller
from addons.cli.options import PROJECT_ROOT
from addons.cli.processes import ChildFailed
from addons.core.config_approvals import Control
from addons.core.config_sections import Inspector
from addons.sandbox.lifecycle import SandboxError

_BY_SIGNAL = 128  # as shells count
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What isn't there or isn't what it should be: the stand-in's answer, a file, a line of the agent.
_FAILURES = (
    ClaimFailed,
    ChildFailed,
    SandboxError,
    OSError,
    HTTPException,
    LookupError,
    TypeError,
    ValueError,
)
_TOLD = (ClaimFailed, ChildFailed, SandboxError)
_READ_NEXT = (
    ("README.md", "what ddgate is, and how to use it for real"),
    ("policies/default.yaml", "the rules that decided here; change them"),
    ("policies/packs/production.yaml", "the one that asked a person"),
    ("addons/cli/demo/agent.py", "the agent: nothing in it knows of ddgate"),
)


class _Stopped(BaseException):
    """A signal came. Not an Exception, as KeyboardInterrupt isn't: nothing on the way may take it for one."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def tell(*, stay: bool) -> None:
    """Play it. With `stay` everything goes on running, the inspector too, until Ctrl-C.

    Raises typer.Exit: 1 where something isn't as the story has it, 128 + n after signal n.
    """
    teller = Teller.for_output()
    if importlib.util.find_spec("datadog_api_client") is None:
        teller.failed("the demo's agent is datadog-api-client, which isn't installed here; run ./run.sh demo")
        raise typer.Exit(1)
    try:
        with _stopped_once():
            _play(teller, stay=stay)
    except _FAILURES as problem:
        where = f"step {teller.steps}: " if teller.steps else ""
        teller.failed(f"{where}{problem}" if isinstance(problem, _TOLD) else f"{where}{problem!r}")
        raise typer.Exit(1) from None
    except _Stopped as stopped:
        teller.say("stopped; nothing is left running")
        raise typer.Exit(_BY_SIGNAL + stopped.number) from None


def _play(teller: Teller, *, stay: bool) -> None:
    began = time.monotonic()
    teller.say("ddgate demo: all of it runs on this machine, on a sandbox; nothing real is reached")
    with ExitStack() as stack:
        with teller.waiting("starting the gateway, an identity provider and the stand-in for Datadog"):
            stage = stack.enter_context(sandbox_stage(with_inspector=stay))
        processes, directory = stage.processes, stage.directory
        try:
            _tell_story(teller, stage)
            if stay:
                _stay(teller, stage)
        except _FAILURES:
            for line in stage.log_end():
                teller.say(f"log: {line}")
            raise
    teller.step("All of it is gone again")
    running = still_running(processes)
    teller.claim(f"the {len(processes.children)} processes that it started have ended", not running, running)
    teller.claim("its state directory is removed", not directory.exists(), directory)
    _closing(teller, time.monotonic() - began)


def _tell_story(teller: Teller, stage: Stage) -> None:
    teller.say(f"all are up; the gateway is {stage.gateway_url}")
    story = Story.begin(stage, teller)
    agent = demo_calls.meet_the_agent(story)
    demo_calls.send_a_password(story, agent)
    demo_calls.work_on_a_monitor(story, agent)
    demo_approval.change_production(story, agent)
    demo_calls.reach_for_a_key(story, agent)
    demo_calls.come_without_identity(story)
    demo_replay.replay(story)
    demo_replay.read_the_trail(story)
    demo_replay.look_for_the_secrets(story)


def _stay(teller: Teller, stage: Stage) -> None:
    waited = _wait_for_signal()  # before anyone can read what to do
    teller.step("Look around: it all stays until Ctrl-C")
    teller.show("recordings", stage.inspector_url, "mitmweb on what just happened")
    teller.show("approvals", stage.approvals_url, "log in as alice")
    teller.show("audit trail", f"./run.sh audit tail --state {stage.state.path}")
    while stage.gateway.is_alive and not waited():
        time.sleep(0.1)
    teller.claim("the gateway runs until it is told to stop", stage.gateway.is_alive)


def _wait_for_signal() -> Callable[[], bool]:
    """From here on a signal ends the waiting, and isn't a stop in the middle of something."""
    came: list[int] = []
    for number in _STOPPING:
        signal.signal(number, lambda number, _frame: came.append(number))
    return lambda: bool(came)


def _closing(teller: Teller, seconds: float) -> None:
    inspector, control = Inspector(), Control()
    teller.say(f"{teller.claims} checks held, in {seconds:.0f} s")
    teller.step("Where to click")
    teller.show("./run.sh", "gateway, inspector and control, on the sandbox", "stays until Ctrl-C")
    teller.show(
        "recordings",
        f"http://{inspector.host}:{inspector.port}/",
        "mitmweb; ./run.sh prints the link with its password",
    )
    teller.show("approvals", f"{control.public_url}/approvals", "log in as alice, bob or carol")
    teller.show("ready?", f"http://{control.host}:{control.port}/readyz")
    teller.show("", "./run.sh demo --stay", "this, with its recordings to click through at the end")
    teller.show("an agent", "./run.sh run --as sre-agent -- curl -s https://api.datadoghq.com/api/v1/monitor")
    teller.show("a person", "./run.sh approvals watch --as alice", "and: ./run.sh approvals --help")
    teller.show("its trail", "./run.sh audit tail -f")
    for name, what in _READ_NEXT:
        if Path(PROJECT_ROOT, name).exists():
            teller.show("read", name, what)


@contextmanager
def _stopped_once() -> Iterator[None]:
    """The first signal raises _Stopped where it comes; those after it don't disturb the cleaning up, nor the
    end.
    """
    stopping = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            raise _Stopped(number)

    before = {number: signal.getsignal(number) for number in _STOPPING}
    for number, was in before.items():
        if was is not signal.SIG_IGN:  # nohup
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, signal.SIG_IGN if stopping else was)
