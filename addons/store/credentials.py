"""Datadog's real keys: read from a file, the environment or a command, never from the configuration."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from addons.core.start_problems import StartProblem

_COMMAND_TIMEOUT = 15.0
_COMMAND_LIFETIME = 300.0
_COMMAND_RETRY = 5.0  # so that a command that fails is not started for every call
_MAX_KEY = 512
_MAX_TEXT = 8192
_MIN_KEY = 16  # what is shorter is a file that is just being written, or can't be told from other text


class CredentialProblem(StartProblem):
    """A key can't be read; the text says which and where, never what was read."""


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Exactly one of the three is set."""

    file: Path | None = None
    variable: str | None = None
    command: tuple[str, ...] | None = None

    def __str__(self) -> str:
        if self.file is not None:
            return f"file {self.file}"
        if self.variable is not None:
            return f"environment variable {self.variable}"
        return f"command {shlex.quote((self.command or ('',))[0])}"


@dataclass(frozen=True, slots=True)
class CredentialSettings:
    """A named credential: where its keys are, and which Datadog sites it may go to."""

    name: str
    api_key: SecretSource
    application_key: SecretSource | None
    sites: frozenset[str]


@dataclass(frozen=True, slots=True)
class Credential:
    """The keys themselves. The representation leaves them out, so that no log can show them."""

    name: str
    sites: frozenset[str]
    api_key: bytes = field(repr=False)
    application_key: bytes | None = field(repr=False)

    @property
    def secrets(self) -> tuple[tuple[str, bytes], ...]:
        """Label and value of each key, for finding them in answers."""
        found = [("datadog-api-key", self.api_key)]
        if self.application_key is not None:
            found.append(("datadog-application-key", self.application_key))
        return tuple(found)


def _usable(raw: bytes, source: SecretSource) -> bytes:
    key = raw.strip()
    if not key:
        raise CredentialProblem(f"{source}: holds no key; put the Datadog key there, alone")
    printable = all(0x20 < byte < 0x7F for byte in key)  # noqa: PLR2004 - ASCII
    if not printable or not _MIN_KEY <= len(key) <= _MAX_KEY:
        raise CredentialProblem(f"{source}: is not one key; put the Datadog key there, alone on one line")
    return key


def text_secret(raw: bytes, source: SecretSource) -> bytes:
    """Take any secret of printable ASCII, on one line or several. Raises CredentialProblem."""
    text = raw.strip()
    if not text:
        raise CredentialProblem(f"{source}: holds no secret; put it there, alone")
    if len(text) > _MAX_TEXT or not all(0x20 <= byte < 0x7F or byte in b"\r\n" for byte in text):  # noqa: PLR2004 - ASCII
        raise CredentialProblem(f"{source}: is no secret; put it there, alone")
    return text


class SecretReader:
    """One source, read again when it may have changed. `usable` checks and trims what was read, and raises
    CredentialProblem; by default for one of Datadog's keys.
    """

    def __init__(
        self,
        source: SecretSource,
        environment: Mapping[str, str],
        clock: Callable[[], float],
        usable: Callable[[bytes, SecretSource], bytes] = _usable,
    ) -> None:
        self.source = source
        self._usable = usable
        self._environment = environment
        self._clock = clock
        self._value = b""
        self._seen: tuple[int, int, int] | float | None = None
        self._failed: tuple[float, str] | None = None
        self._lock = threading.Lock()

    def read(self) -> bytes:
        """Raises CredentialProblem. Blocks; see `is_slow`."""
        if self.source.file is not None:
            return self._from_file(self.source.file)
        if self.source.variable is not None:
            value = self._environment.get(self.source.variable)
            if value is None:
                raise CredentialProblem(f"{self.source}: is not set; export it before the start")
            return self._usable(value.encode(errors="replace"), self.source)
        return self._from_command()

    def _from_file(self, path: Path) -> bytes:
        try:
            status = os.stat(path)  # noqa: PTH116 - on every call, and half the cost of Path.stat
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen != self._seen:
                self._value = self._usable(path.read_bytes(), self.source)
                self._seen = seen
        except OSError as error:
            self._seen = None
            raise CredentialProblem(f"{self.source}: can't be read: {error.strerror}") from error
        return self._value

    def _from_command(self) -> bytes:
        with self._lock:
            now = self._clock()
            if isinstance(self._seen, float) and now - self._seen < _COMMAND_LIFETIME:
                return self._value
            if self._failed is not None and now - self._failed[0] < _COMMAND_RETRY:
                raise CredentialProblem(self._failed[1])
            try:
                self._value = self._output_of_command()
            except CredentialProblem as problem:
                self._failed = (self._clock(), str(problem))
                raise
            self._seen, self._failed = now, None
            return self._value

    def _output_of_command(self) -> bytes:
        try:
            done = subprocess.run(
                list(self.source.command or ()),
                capture_output=True,
                timeout=_COMMAND_TIMEOUT,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CredentialProblem(f"{self.source}: did not run: {type(error).__name__}") from error
        if done.returncode != 0:
            raise CredentialProblem(f"{self.source}: ended with status {done.returncode}")
        return self._usable(done.stdout, self.source)

    @property
    def is_slow(self) -> bool:
        """Reading may take seconds: a command whose last answer has grown old."""
        return self.source.command is not None and not (
            isinstance(self._seen, float) and self._clock() - self._seen < _COMMAND_LIFETIME
        )


class Credentials:
    """All named credentials. `get` reads what has changed; nothing else keeps a key."""

    def __init__(
        self,
        settings: Sequence[CredentialSettings],
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        environment = os.environ if environment is None else environment
        self._settings = {one.name: one for one in settings}
        self._keys = {
            one.name: (
                SecretReader(one.api_key, environment, clock),
                SecretReader(one.application_key, environment, clock) if one.application_key else None,
            )
            for one in settings
        }
        self._current: dict[str, Credential] = {}
        self._retired: dict[bytes, str] = {}

    @property
    def names(self) -> Collection[str]:
        return self._settings.keys()

    def is_slow(self, name: str) -> bool:
        """Whether `get` may run a command, and so belongs into a thread."""
        keys = self._keys.get(name)
        return keys is not None and any(key.is_slow for key in keys if key is not None)

    def get(self, name: str) -> Credential:
        """The credential as its sources hold it now.

        Raises:
            CredentialProblem: there is none of that name, or a source can't be read.

        """
        settings = self._settings.get(name)
        if settings is None:
            raise CredentialProblem(f"no credential is named {name}; add it under `credentials:`")
        api, application = self._keys[name]
        fresh = Credential(
            name, settings.sites, api.read(), application.read() if application is not None else None
        )
        known = self._current.get(name)
        if known is None:
            self._current[name] = fresh
        elif known.secrets != fresh.secrets:
            self._retired.update({value: label for label, value in known.secrets})
            self._current[name] = fresh
        else:
            return known
        return fresh

    def load_all(self) -> None:
        """Reads every source once, so that a wrong one stops the start.

        Raises:
            CredentialProblem: as `get`.

        """
        for name in self._settings:
            self.get(name)

    def known_secrets(self) -> tuple[tuple[str, bytes], ...]:
        """Every key that was read since the start, also those that have been replaced since: an answer that
        was under way when a key changed may still echo the old one.
        """
        current = {value: label for one in self._current.values() for label, value in one.secrets}
        return tuple((label, value) for value, label in {**self._retired, **current}.items())
