"""`ddgate up`: all processes of one machine, and what to do next."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console

from addons.cli import sandbox_config
from addons.cli.options import PROJECT_ROOT
from addons.cli.parts import (
    check_ports,
    start_parts,
    start_sandbox,
    what_is_lacking,
    without_datadog_variables,
)
from addons.cli.processes import ChildFailed, Processes
from addons.core.config import Config
from addons.store.config_file import read_config
from addons.store.state_dir import StateDir

_out = Console(highlight=False, soft_wrap=True)


def up(config_path: Path | None, state: Path, *, use_sandbox: bool) -> None:
    """Starts everything and stays until it is told to stop. SIGHUP makes the gateway read its policy anew.
    Exits with status 1 if a part can't start.
    """
    if config_path is None and not use_sandbox and (PROJECT_ROOT / "ddgate.yaml").exists():
        config_path = PROJECT_ROOT / "ddgate.yaml"
    is_sandbox = use_sandbox or config_path is None
    environment = without_datadog_variables(os.environ) if is_sandbox else dict(os.environ)
    environment["PYTHONPATH"] = str(PROJECT_ROOT)
    processes = Processes(environment)
    stopped = hung_up = False
    had_terminal = _has_terminal()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped, hung_up
        if number == signal.SIGHUP and (_has_terminal() or not had_terminal):
            hung_up = True
        else:  # or the terminal was closed
            stopped = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    drain = 10.0
    try:
        state = StateDir.open(state).path
        if is_sandbox:
            config_path = sandbox_config.write_config(start_sandbox(processes, state), PROJECT_ROOT)
        assert config_path is not None  # noqa: S101 - one of the two above
        config = read_config(config_path, environment).config
        drain = config.drain + 5
        check_ports(config)
        gateway = start_parts(processes, config_path, config, state)
        _tell(config, state, is_sandbox=is_sandbox)
        while not stopped and gateway.is_alive:
            if hung_up:
                hung_up = False
                gateway.hang_up()
            time.sleep(0.1)
    except ChildFailed as problem:
        _out.print(f"ddgate: {problem}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    finally:
        processes.stop(drain)
    if not stopped:
        _out.print("ddgate: the gateway ended; its last lines above say why", style="red", markup=False)
        raise typer.Exit(1)


def _has_terminal() -> bool:
    return any(os.isatty(stream) for stream in (0, 1, 2))


def _tell(config: Config, state: Path, *, is_sandbox: bool) -> None:
    shown = config.listen
    _out.print(
        f"\n[bold]ddgate is up[/bold]{' on the sandbox: nothing real is reached' if is_sandbox else ''}"
    )
    _out.print(f"  gateway    http{'s' if shown.tls else ''}://{shown.host}:{shown.port}")
    if config.control.login is not None:
        who = "  log in as alice, bob or carol" if is_sandbox else ""
        _out.print(f"  approvals  {config.control.public_url}/approvals{who}")
    _out.print(f"  ready      http://{config.control.host}:{config.control.port}/readyz")
    if config.inspector.enabled:
        password = StateDir.open(state).inspector_password()
        _out.print(f"  recordings http://{config.inspector.host}:{config.inspector.port}/?token={password}")
    for problem in what_is_lacking(state):
        text = f"not ready: {problem}. What needs that is refused until then."
        _out.print(text, style="yellow", markup=False)
    _out.print("\nRun an agent through it, in another terminal:", markup=False)
    example = "curl -s https://api.datadoghq.com/api/v1/monitor"
    who = "--as sre-agent " if is_sandbox else "--token-file TOKEN "
    _out.print(f"  ./run.sh run {who}-- {example}", markup=False)
    _out.print("  ./run.sh audit tail", markup=False)
    if config.control.login is not None:
        as_whom = " --as alice" if is_sandbox else ""
        _out.print(f"  ./run.sh approvals watch{as_whom}", markup=False)
    if is_sandbox:
        _out.print("  ./run.sh demo            the whole story in a minute", markup=False)
    _out.print("Ctrl-C stops it.\n", markup=False)
