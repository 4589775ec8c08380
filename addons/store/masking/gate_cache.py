"""Keeps the compiled databases of the redaction gate, so that a process that starts need not make them."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import importlib.metadata
import logging
import os
import platform
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

import hyperscan

from addons.store.state_dir import StateDir, StateDirUnusable, private_directory

KEY = "gate-cache"
_MAC_BYTES = 32
_MAX_BYTES = 64 << 20
_MAX_FILES = 32  # one for each set of detectors that some rule asks for, and for each machine
_CPU_FACTS = Path("/proc/cpuinfo")

_log = logging.getLogger(__name__)


class GateCache:
    """Databases in files of the state directory: `cache/gate-<patterns>-<library and CPU>`, mode 0600.

    A database is machine code in all but name, so each file carries an HMAC-SHA256 under a key of the
    installation; one that doesn't match, for whatever reason, is as good as missing and written anew. What
    is missing is compiled in a thread of its own. Serves many threads.
    """

    def __init__(self, state: StateDir) -> None:
        self._folder = state.path / "cache"
        self._key = state.installation_key(KEY)
        self._lock = threading.Lock()
        self._made: dict[str, hyperscan.Database | None] = {}

    def kept(self, name: str) -> hyperscan.Database | None:
        """Give the database that was compiled for `name`, the hash of its patterns, on such a machine."""
        try:
            with self._path(name).open("rb") as file:
                mac, content = file.read(_MAC_BYTES), file.read(_MAX_BYTES)
        except OSError:
            return None
        if not hmac.compare_digest(mac, self._mac(name, content)):
            return None
        try:
            return hyperscan.loadb(content, hyperscan.HS_MODE_BLOCK)
        except hyperscan.error:
            return None

    def made(self, name: str, make: Callable[[], hyperscan.Database]) -> hyperscan.Database | None:
        """Give what `make` compiles; None until it has, and where it can't."""
        with self._lock:
            if name not in self._made:
                self._made[name] = None
                threading.Thread(
                    target=self._make, args=(name, make), name="gate-compiler", daemon=True
                ).start()
            return self._made[name]

    def _make(self, name: str, make: Callable[[], hyperscan.Database]) -> None:
        try:
            database = make()
        except hyperscan.error as error:
            _log.warning(
                "Hyperscan can't compile the detectors (%s): bodies are searched by RE2 alone, at a tenth of "
                "the speed. One of your own detectors is too large, most likely.",
                error,
            )
            return
        with self._lock:
            self._made[name] = database
        try:
            self._keep(name, hyperscan.dumpb(database))
        except (OSError, StateDirUnusable) as error:
            _log.warning("compiled detectors can't be kept, and are made anew at every start: %s", error)

    def _keep(self, name: str, content: bytes) -> None:
        private_directory(self._folder)
        path = self._path(name)
        descriptor, unfinished = tempfile.mkstemp(prefix=".gate-", dir=self._folder)  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._mac(name, content) + content)
            Path(unfinished).replace(path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
        self._forget_old()

    def _forget_old(self) -> None:
        files = sorted(self._folder.glob("gate-*"), key=_age)
        for path in files[: max(0, len(files) - _MAX_FILES)]:
            with contextlib.suppress(OSError):
                path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"gate-{name[:24]}-{_machine()[:24]}"

    def _mac(self, name: str, content: bytes) -> bytes:
        return hmac.digest(self._key, f"{name} {_machine()} ".encode() + content, "sha256")


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


@cache
def _machine() -> str:
    """What a database is compiled for beside its patterns: the library, the kind of machine, and what its CPU
    can do.
    """
    try:
        lines = _CPU_FACTS.read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    facts = [line for line in lines if line.startswith(("flags", "Features"))][:1] or lines[:1]
    library = importlib.metadata.version("hyperscan")
    return hashlib.sha256("\n".join((library, platform.machine(), *facts)).encode()).hexdigest()
