"""The one directory that holds everything ddgate keeps: audit log, recordings, keys.

Its contents are readable by the user that runs ddgate and by nobody else. That is checked, not assumed: a
directory that others can enter, or that belongs to somebody else, is refused before anything is put there.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from addons.core.start_problems import StartProblem

_KEY_BYTES = 32
_KEY_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_SHORTEST_PASSWORD = 16


class StateDirUnusable(StartProblem):
    """The directory, or a file in it, can't be used.

    `what` says what is wrong and where, `remedy` what to do; neither holds a secret.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class StateDir:
    """A state directory that has been checked. Make one with `open`."""

    path: Path

    @staticmethod
    def open(path: Path) -> StateDir:
        """Create the directory and its folders where they are missing, mode 0700.

        Raises `StateDirUnusable` for a path that is no directory, belongs to another user, is open to
        group or others, or can't be made.
        """
        state = StateDir(path.absolute())
        for folder in (state.path, state.recordings, state.keys):
            private_directory(folder)
        return state

    @property
    def recordings(self) -> Path:
        return self.path / "recordings"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def audit_log(self) -> Path:
        return self.path / "audit.sqlite3"

    @property
    def inspector_password_file(self) -> Path:
        return self.path / "inspector-password"

    def installation_key(self, name: str) -> bytes:
        """Give 32 random bytes that belong to this installation.

        They are made at the first call and the same ever after, in every process. `name` is lower-case
        letters, digits and dashes.

        Raises `StateDirUnusable` for a key file of another length, of another owner, or that others can
        read; ValueError for a name that isn't one.
        """
        if not _KEY_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a key name: lower-case letters, digits and dashes only")
        path = self.keys / f"{name}.key"
        key = _made_once(path, lambda: secrets.token_bytes(_KEY_BYTES))
        if len(key) != _KEY_BYTES:
            raise StateDirUnusable(
                f"{path} holds {len(key)} bytes where a key has {_KEY_BYTES}.",
                "Restore it from a backup. If you delete it, a new one is made, and what was made with the "
                "old one no longer matches.",
            )
        return key

    def make_keys(self) -> None:
        """Make the directory of keys where there is none. Raises `StateDirUnusable`."""
        private_directory(self.keys)

    def has_installation_key(self, name: str) -> bool:
        """Whether `installation_key` would find the key rather than make it."""
        return (self.keys / f"{name}.key").exists()

    def inspector_password(self) -> str:
        """Give the inspector's password, made at the first call. Kept as text, so that `cat` shows it."""
        return read_password(
            self.inspector_password_file,
            _made_once(self.inspector_password_file, lambda: secrets.token_urlsafe(24).encode() + b"\n"),
        )


def read_password(path: Path, content: bytes | None = None) -> str:
    """Read the password in `path` (or in `content`, what was just read from it).

    Raises `StateDirUnusable` for a file that others can read, or a password that is too short or no text.
    """
    if content is None:
        content = _read_private(path)
    try:
        password = content.decode().strip()
    except UnicodeDecodeError:
        password = ""
    if len(password) < _SHORTEST_PASSWORD:
        raise StateDirUnusable(
            f"{path} doesn't hold a password of at least {_SHORTEST_PASSWORD} characters.",
            "Delete the file to have a new one made.",
        )
    return password


def sync_directory(path: Path) -> None:
    """Make names that were created, renamed or removed in `path` survive a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_private_file(path: Path, content: bytes) -> None:
    """Put `content` at `path`, mode 0600, whole or not at all; a file that is there already stays.

    Of several processes that race, exactly one succeeds and the others find its file. Raises OSError.
    """
    descriptor, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(unfinished, path)  # unlike a rename, never replaces
    finally:
        Path(unfinished).unlink()
    sync_directory(path.parent)


def _made_once(path: Path, make: Callable[[], bytes]) -> bytes:
    try:
        if not path.exists():
            create_private_file(path, make())
    except OSError as error:
        raise StateDirUnusable(
            f"{path} can't be made ({error.strerror}).", "Make the state directory writable."
        ) from None
    return _read_private(path)


def private_directory(path: Path) -> None:
    """Make it where it is missing, mode 0700. Raises `StateDirUnusable` as `StateDir.open` does."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except FileExistsError:
        raise StateDirUnusable(
            f"{path} is a file where ddgate needs a directory.", "Move it away, or name another directory."
        ) from None
    except OSError as error:
        raise StateDirUnusable(
            f"The state directory {path} can't be used ({error.strerror}).",
            "Create it, or name another with --state (a witness: --dir).",
        ) from None
    _check_private(path, found)


def _read_private(path: Path) -> bytes:
    try:
        # O_NOFOLLOW: a link would let another file pass for the key. O_NONBLOCK: a FIFO would hang.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _check_private(path, os.fstat(file.fileno()))
            return file.read(64 * 1024)
    except OSError as error:
        raise StateDirUnusable(
            f"{path} can't be read ({error.strerror}).", "Make it a plain file of mode 0600."
        ) from None


def _check_private(path: Path, found: os.stat_result) -> None:
    mode = "700" if stat.S_ISDIR(found.st_mode) else "600"
    if found.st_uid != os.geteuid():
        raise StateDirUnusable(
            f"{path} belongs to user {found.st_uid}, and ddgate runs as user {os.geteuid()}.",
            f"Run ddgate as that user, or: chown {os.geteuid()} {path}",
        )
    if found.st_mode & 0o077:
        raise StateDirUnusable(
            f"{path} is open to other users (mode {stat.S_IMODE(found.st_mode):04o}).",
            f"Run: chmod {mode} {path}",
        )
