"""Which processes live: each holds a lock (flock) on a file of its own, which the kernel gives back when the
process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path

from addons.store.audit.record import new_id
from addons.store.state_dir import StateDir, StateDirUnusable

_NAME = re.compile(r"[0-9a-f]{32}")


class ProcessLock:
    """The lock of the process that runs. Make it with `take`, before anything is done in its name."""

    def __init__(self, name: str, path: Path, descriptor: int) -> None:
        self.name = name
        self._path = path
        self._descriptor: int | None = descriptor

    @property
    def descriptor(self) -> int:
        """What holds the lock. Whoever inherits it holds the lock, too. Raises ValueError after `release`."""
        if self._descriptor is None:
            raise ValueError("the lock was released")
        return self._descriptor

    @staticmethod
    def take(state: StateDir) -> ProcessLock:
        """Raises `StateDirUnusable`."""
        folder = _folder(state)
        name = new_id()
        path = _path(state, name)
        unfinished = path.with_suffix(".new")
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                # Before it has the name by which others find it: nobody sees it unlocked.
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                unfinished.rename(path)
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            raise StateDirUnusable(
                f"{folder} can't be used ({error.strerror}).", "Make the state directory writable."
            ) from None
        return ProcessLock(name, path, descriptor)

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # a file that stays is one whose lock is free
                self._path.unlink()
            os.close(descriptor)


def is_dead(state: StateDir, name: str) -> bool:
    """Whether the process of this name has ended. One of which that can't be told lives."""
    if not _NAME.fullmatch(name):
        return True  # no process ever had it
    return _is_free(_path(state, name))


def living(state: StateDir) -> int:
    """How many processes of this state directory run."""
    return sum(1 for path in _folder(state).glob("*.lock") if not _is_free(path))


def remove_dead(state: StateDir) -> int:
    """Remove what processes left that have ended; give how many."""
    removed = 0
    with contextlib.suppress(OSError):
        for path in _folder(state).glob("*.lock"):
            if _NAME.fullmatch(path.stem) and _is_free(path):
                path.unlink(missing_ok=True)
                removed += 1
    return removed


def _folder(state: StateDir) -> Path:
    return state.path / "processes"


def _path(state: StateDir, name: str) -> Path:
    return _folder(state) / f"{name}.lock"


def _is_free(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:  # too many open files, say: that is no sign of its end
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
