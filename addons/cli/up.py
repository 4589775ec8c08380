"""`ddgate up`: all processes of one machine, and what to do next."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console

from addons.cli import sandbox_config
from addons.cli.options import PROJECT_ROOT
from addons.cli.processes import Child, ChildFailed, Processes
from addons.core.config import Config
from addons.store.config_file import read_config
from addons.store.gateway_status import read_statuses
from addons.store.state_dir import StateDir
from addons.upstream import listening_problem

_out = Console(highlight=False)
_SERVED = ("listen", "control", "inspector")


def _without_datadog_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The sandbox must not even see a real key."""
    dropped = ("DD_", "DATADOG_")
    return {name: value for name, value in environment.items() if not name.startswith(dropped)}


def _check_ports(config: Config) -> None:
    for name in _SERVED:
        section = getattr(config, name)
        if name == "inspector" and not section.enabled:
            continue
        problem = listening_problem(section.host, section.port)
        if problem is not None:
            raise ChildFailed(
                f"port {section.port} on {section.host}, wanted for `{name}`, can't be used ({problem}); "
                f"free it, or choose another: DDGATE__{name.upper()}__PORT=… or `{name}: {{port: …}}` in ddgate.yaml"
            )


def _start_sandbox(processes: Processes, state: Path) -> sandbox_config.Sandbox:
    here = sandbox_config.directory(state)
    for part, module in (("issuer", "addons.sandbox.issuer"), ("datadog", "addons.sandbox.datadog")):
        (here / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        ready = here / part / f"{part}.json"
        ready.unlink(missing_ok=True)
        child = processes.start(f"sandbox {part}", [module, "--dir", str(here / part), "--exit-with-parent"])
        processes.wait_until(child, ready.exists)
    return sandbox_config.read_sandbox(state)


def _accepts(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def _start_parts(processes: Processes, config_path: Path, config: Config, state: Path) -> Child:
    common = ["--config", str(config_path), "--state", str(state)]
    gateway = processes.start("gateway", ["addons.cli.main", "gateway", *common])
    control = processes.start("control", ["addons.cli.main", "control", *common])
    inspector = None
    if config.inspector.enabled:
        inspector = processes.start("inspector", ["addons.cli.main", "inspector", *common])
    processes.wait_until(gateway, lambda: any(s.is_ready for s in read_statuses(state, time.time())))
    processes.wait_until(control, lambda: _accepts(config.control.host, config.control.port))
    if inspector is not None:
        processes.wait_until(inspector, lambda: _accepts(config.inspector.host, config.inspector.port))
    return gateway


def up(config_path: Path | None, state: Path, *, use_sandbox: bool) -> None:
    """Starts everything and stays until it is told to stop. Exits with status 1 if a part can't start."""
    if config_path is None and not use_sandbox and (PROJECT_ROOT / "ddgate.yaml").exists():
        config_path = PROJECT_ROOT / "ddgate.yaml"
    is_sandbox = use_sandbox or config_path is None
    environment = _without_datadog_variables(os.environ) if is_sandbox else dict(os.environ)
    environment["PYTHONPATH"] = str(PROJECT_ROOT)
    processes = Processes(environment)
    stopped = False

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    drain = 10.0
    try:
        state = StateDir.open(state).path
        if is_sandbox:
            config_path = sandbox_config.write_config(_start_sandbox(processes, state), PROJECT_ROOT)
        assert config_path is not None  # noqa: S101 - one of the two above
        config = read_config(config_path, environment).config
        drain = config.drain + 5
        _check_ports(config)
        gateway = _start_parts(processes, config_path, config, state)
        _tell(config, state, is_sandbox=is_sandbox)
        while not stopped and gateway.is_alive:
            time.sleep(0.1)
    except ChildFailed as problem:
        _out.print(f"ddgate: {problem}", style="red", markup=False)
        raise typer.Exit(1) from None
    finally:
        processes.stop(drain)
    if not stopped:
        _out.print("ddgate: the gateway ended; its last lines above say why", style="red", markup=False)
        raise typer.Exit(1)


def _tell(config: Config, state: Path, *, is_sandbox: bool) -> None:
    shown = config.listen
    _out.print(
        f"\n[bold]ddgate is up[/bold]{' on the sandbox: nothing real is reached' if is_sandbox else ''}"
    )
    _out.print(f"  gateway    http{'s' if shown.tls else ''}://{shown.host}:{shown.port}")
    _out.print(f"  ready      http://{config.control.host}:{config.control.port}/readyz")
    if config.inspector.enabled:
        password = StateDir.open(state).inspector_password()
        _out.print(f"  recordings http://{config.inspector.host}:{config.inspector.port}/?token={password}")
    _out.print("\nRun an agent through it, in another terminal:", markup=False)
    example = "curl -s https://api.datadoghq.com/api/v1/monitor"
    who = "--as sre-agent " if is_sandbox else "--token-file TOKEN "
    _out.print(f"  ./run.sh run {who}-- {example}", markup=False)
    _out.print("  ./run.sh audit tail", markup=False)
    if is_sandbox:
        _out.print("  ./run.sh demo            the whole story in a minute", markup=False)
    _out.print("Ctrl-C stops it.\n", markup=False)
