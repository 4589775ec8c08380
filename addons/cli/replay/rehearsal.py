"""The gateway of a rehearsal: the same policy, issuers and bounds, and behind it no Datadog but a stand-in.

It has a state directory of its own. In the installation's, a rehearsed call would use up a real approval or
a real limit, ask real approvers, and stand in the trail as a call that Datadog got. What comes of each call
is put into the installation's audit log by whoever rehearses, as what it is.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from addons.cli import sandbox_config
from addons.cli.options import PROJECT_ROOT
from addons.cli.processes import ChildFailed, Processes
from addons.core.config import Config
from addons.core.config_environment import PREFIX
from addons.core.model import Json
from addons.core.redact.masking.mask import MASK_KEY
from addons.core.start_problems import GatewayProblem
from addons.store.config_file import LoadedConfig, parse_config
from addons.store.gateway_status import read_statuses
from addons.store.state_dir import StateDir, create_private_file

# What masks and digests are made with, so that they are the same as in the recording.
_SHARED_KEYS = (MASK_KEY, "body-digest")
_KEPT = ("sites", "identity", "limits")
_START_SECONDS, _STOP_SECONDS = 60.0, 10.0
_PREFIX = ".rehearsal-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LAST_LINES = 8


@dataclass(frozen=True, slots=True)
class Settings:
    """What an installation's configuration says; the files of its secrets are not looked at."""

    path: Path
    config: Config
    data: Mapping[str, Json]

    @property
    def is_sandbox(self) -> bool:
        return any(issuer.is_sandbox for issuer in self.config.issuers)

    def place(self, name: str) -> str:
        return str(self.path.absolute().parent / name)


@dataclass(frozen=True, slots=True)
class Behind:
    """What answers as Datadog: its port on loopback, and the CA of its certificate. `keys` are the stand-in's
    own Datadog keys by name, none where it asks for none.
    """

    port: int
    ca: Path
    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    url: str
    ca: Path
    audit_log: Path


def read_settings(config_path: Path | None, state: Path) -> Settings:
    """Read the configuration that is named; else `ddgate.yaml`, else that of the sandbox in `state`.

    Raises GatewayProblem, ProblemsError.
    """
    loaded = read_loaded(config_path, state)
    if loaded is None:
        choices = [config_path] if config_path else _choices(state)
        raise GatewayProblem(
            f"a rehearsal needs the configuration that names policy and issuers, and there is none at "
            f"{' or '.join(map(str, choices))}; name it with --config, or use --live"
        )
    assert isinstance(loaded.source.data, dict)  # noqa: S101 - it is valid
    return Settings(Path(loaded.source.name), loaded.config, loaded.source.data)


def read_loaded(config_path: Path | None, state: Path) -> LoadedConfig | None:
    """Read the configuration as `read_settings` does; None where there is none. Raises ProblemsError."""
    named = os.environ.get("DDGATE_CONFIG")
    config_path = config_path or (Path(named) if named else None)
    choices = [config_path] if config_path else _choices(state)
    path = next((each for each in choices if each.exists()), None)
    return None if path is None else parse_config(path, os.environ)


def _choices(state: Path) -> list[Path]:
    return [PROJECT_ROOT / "ddgate.yaml", sandbox_config.config_path(state)]


@contextmanager
def rehearsal(settings: Settings, state: StateDir, behind: Behind) -> Iterator[Rehearsal]:
    """Run a gateway until the block ends; then nothing of it is left.

    Raises GatewayProblem where it doesn't start, OSError, StateDirUnusable.
    """
    with own_directory(state) as directory:
        log = directory / "gateway.log"
        processes = Processes(_environment(), log)
        try:
            own = StateDir.open(directory / "state")
            for name in _SHARED_KEYS:
                create_private_file(own.keys / f"{name}.key", state.installation_key(name))
            port, config_path = _write_config(settings, directory, behind)
            _start(processes, config_path, own)
            ca = directory / "certs" / "ddgate-ca.pem"
            yield Rehearsal(f"http://127.0.0.1:{port}", ca, own.audit_log)
        finally:
            processes.stop(_STOP_SECONDS)


@contextmanager
def own_directory(state: StateDir) -> Iterator[Path]:
    """Make a directory (0700) in the state directory that goes when the block ends; and remove those that
    were left by a process which was killed. Each is held by a lock, which the kernel gives back.
    """
    with _held(state.path, fcntl.LOCK_EX):
        for left in state.path.glob(f"{_PREFIX}*"):
            with suppress(OSError), _held(left, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(left, ignore_errors=True)
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=state.path))
        lock = os.open(directory, _DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


@contextmanager
def _held(directory: Path, how: int) -> Iterator[None]:
    """Raises OSError where another process holds it, and `how` says not to wait."""
    descriptor = os.open(directory, _DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _start(processes: Processes, config_path: Path, own: StateDir) -> None:
    """Return once the gateway serves. Raises GatewayProblem."""
    common = ["--config", str(config_path), "--state", str(own.path)]
    try:
        gateway = processes.start("the rehearsal's gateway", ["addons.cli.main", "gateway", *common])
        processes.wait_until(
            gateway,
            lambda: any(each.is_ready for each in read_statuses(own.path, time.time())),
            _START_SECONDS,
        )
    except ChildFailed as failed:
        log = [] if processes.log is None else _last_lines(processes.log)
        raise GatewayProblem("; ".join([str(failed), *log])) from None


def _write_config(settings: Settings, directory: Path, behind: Behind) -> tuple[int, Path]:
    """Write the configuration; gives the port of the gateway, and the file."""
    config, data = settings.config, settings.data
    port, control = _free_ports()
    written: dict[str, Json] = {
        "version": 1,
        "listen": {"port": port},
        "control": {"port": control},
        "inspector": {"enabled": False},
        "certs": "certs",
        "policy": [settings.place(name) for name in config.policy],
        "issuers": _issuers(settings),
        "credentials": _credentials(config, directory, behind.keys),
        "upstream": {
            "connect_to": {"*": {"address": "127.0.0.1", "port": behind.port, "ca": str(behind.ca)}},
            "target_max_age": "0s",
        },
        "redaction": {
            "detectors": [settings.place(name) for name in config.redaction.detectors],
            "pii": config.redaction.pii,
            "card_last_four": config.redaction.card_last_four,
        },
        # Nobody is there to ask: what needs an approval is told at once.
        "approvals": {"default_wait": "0s", "longest_wait": "0s"},
        "drain": "1s",
        "log": {"level": "warning"},
    }
    written |= {name: data[name] for name in _KEPT if name in data}
    path = directory / "ddgate.yaml"
    create_private_file(path, json.dumps(written).encode())  # JSON is YAML
    return port, path


def _issuers(settings: Settings) -> Json:
    listed = settings.data["issuers"]
    issuers: list[Json] = []
    for issuer in listed if isinstance(listed, list) else ():
        assert isinstance(issuer, dict)  # noqa: S101 - it is valid
        ca = issuer.get("ca")
        issuers.append({**issuer, "ca": settings.place(ca)} if isinstance(ca, str) else issuer)
    return issuers


def _credentials(config: Config, directory: Path, keys: Mapping[str, str]) -> Json:
    """Name those that rules name, each with keys of the stand-in's: a real one is never even read."""
    credentials: dict[str, Json] = {}
    for name, real in config.credentials.items():
        prefix = "readonly_" if name == "readonly" else ""
        pair: dict[str, Json] = {"sites": list(real.sites)}
        for kind, made in (("api_key", secrets.token_hex(16)), ("application_key", secrets.token_hex(20))):
            file = directory / f"{name}.{kind}"
            create_private_file(file, keys.get(f"{prefix}{kind}", made).encode())
            pair[kind] = {"file": str(file)}
        credentials[name] = pair
    return credentials


def _environment() -> dict[str, str]:
    """Without what steers ddgate or Datadog's clients: the written configuration says everything."""
    dropped = (PREFIX, "DDGATE_", "DD_", "DATADOG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "PYTHONPATH": str(PROJECT_ROOT)}


def _free_ports() -> tuple[int, int]:
    """Both held while they are chosen, so that they are not the same."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(socket.socket()) for _ in range(2))
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
        return int(first.getsockname()[1]), int(second.getsockname()[1])


def _last_lines(log: Path) -> list[str]:
    try:
        return log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
    except FileNotFoundError:
        return []
