"""The processes that make up ddgate on one machine: what `ddgate up` and `ddgate demo` both start."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from addons.cli import sandbox_config
from addons.cli.processes import Child, ChildFailed, Processes
from addons.core.config import Config
from addons.store.gateway_status import read_statuses
from addons.upstream import listening_problem

_KEY_SECONDS = 8.0  # in which an issuer that can be reached has given its keys
_SERVED = ("listen", "control", "inspector")


def without_datadog_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The sandbox must not even see a real key."""
    dropped = ("DD_", "DATADOG_")
    return {name: value for name, value in environment.items() if not name.startswith(dropped)}


def check_ports(config: Config) -> None:
    """Raises ChildFailed for the first that is taken, before anything serves."""
    for name in _SERVED:
        section = getattr(config, name)
        if name == "inspector" and not section.enabled:
            continue
        problem = listening_problem(section.host, section.port)
        if problem is not None:
            raise ChildFailed(
                f"port {section.port} on {section.host}, wanted for `{name}`, can't be used ({problem}); "
                f"free it, or choose another: DDGATE__{name.upper()}__PORT=… "
                f"or `{name}: {{port: …}}` in ddgate.yaml"
            )


def start_sandbox(processes: Processes, state: Path) -> sandbox_config.Sandbox:
    """Start the issuer and the Datadog stand-in; returns once both are ready. Raises ChildFailed."""
    here = sandbox_config.directory(state)
    started: list[tuple[Child, Path]] = []
    for part, module in (("issuer", "addons.sandbox.issuer"), ("datadog", "addons.sandbox.datadog")):
        (here / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        ready = here / part / f"{part}.json"
        ready.unlink(missing_ok=True)
        child = processes.start(f"sandbox {part}", [module, "--dir", str(here / part), "--exit-with-parent"])
        started.append((child, ready))
    for child, ready in started:
        processes.wait_until(child, ready.exists)
    return sandbox_config.read_sandbox(state)


def start_parts(processes: Processes, config_path: Path, config: Config, state: Path) -> Child:
    """Start gateway, control and, where it is enabled, the inspector; returns the gateway once all are ready,
    or lack only the keys of an issuer that can't be reached. Raises ChildFailed.
    """
    begun = time.monotonic()
    common = ["--config", str(config_path), "--state", str(state)]
    gateway = processes.start("gateway", ["addons.cli.main", "gateway", *common])
    control = processes.start("control", ["addons.cli.main", "control", *common])
    inspector = None
    if config.inspector.enabled:
        inspector = processes.start("inspector", ["addons.cli.main", "inspector", *common])
    processes.wait_until(gateway, lambda: _serves(state, time.monotonic() - begun))
    processes.wait_until(control, lambda: _accepts(config.control.host, config.control.port))
    if inspector is not None:
        processes.wait_until(inspector, lambda: _accepts(config.inspector.host, config.inspector.port))
    return gateway


def what_is_lacking(state: Path) -> Sequence[str]:
    """What the gateways of a state directory say that they aren't ready for."""
    lacking = (each.problems.values() for each in read_statuses(state, time.time()))
    return tuple(dict.fromkeys(problem for problems in lacking for problem in problems))


def _serves(state: Path, seconds: float) -> bool:
    found = read_statuses(state, time.time())
    return any(each.is_ready or (seconds > _KEY_SECONDS and each.lacks_only_keys) for each in found)


def _accepts(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0
