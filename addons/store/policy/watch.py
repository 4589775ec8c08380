"""Tells at once that policy files may have changed. It is a hint and no more: whoever is told reads the files
and compares, and looks from time to time besides, for a file system that tells of nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from watchfiles import watch

logger = logging.getLogger(__name__)

_MAX_LINKS = 40  # as Linux follows them, path_resolution(7)
# Milliseconds: how long a change is left to be joined by others, and how often the watch is heard of without.
_STEP = 50
_JOINED = 200
_TICK = 100
_TICKS = 100  # until the watch is set up anew, whether or not something changed
_PAUSE = 2.0  # seconds, after a watch that failed


def names_on_the_way(path: Path) -> list[Path]:
    """List what decides which file `path` leads to: its own name and that of every symbolic link on the way,
    each in the directory that really holds it.

    Editors put a new file in an old one's place, Kubernetes turns a link to a directory; neither touches what
    was there before.
    """
    found: list[Path] = []
    here, rest = Path("/"), [*reversed(path.absolute().parts[1:])]
    links = 0
    while rest and links <= _MAX_LINKS:
        part = rest.pop()
        if part == "..":
            here = here.parent
            continue
        here /= part
        try:
            target = here.readlink()
        except OSError:  # no link, or not there
            if not rest:
                found.append(here)
            continue
        links += 1
        found.append(here)
        here = Path("/") if target.is_absolute() else here.parent
        rest += [one for one in reversed(target.parts) if one != "/"]
    return found


class PolicyWatch:
    """Calls `wake`, from a thread of its own, soon after something happened to one of `paths`; also whenever
    it begins to watch anew, for nobody knows what happened before.
    """

    def __init__(self, paths: Sequence[Path], wake: Callable[[], None]) -> None:
        self._paths = tuple(paths)
        self._wake = wake
        self._stopped = threading.Event()
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name="policy-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """It ends within the tenth of a second, and calls nothing more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except (OSError, RuntimeError) as error:
                # No inotify to be had, or a directory that is not there.
                self._tell(error)
                self._stopped.wait(_PAUSE)
            else:
                self._failure = ""

    def _listen(self) -> None:
        """Until a change, or not much longer: a directory that was removed and made again is another one, and
        to be watched anew.
        """
        names = {name for path in self._paths for name in names_on_the_way(path)}
        directories = {name.parent for name in names}
        relevant = {str(path) for path in names | directories}
        found = watch(
            *sorted(directories),
            watch_filter=lambda _change, path: path in relevant,
            debounce=_JOINED,
            step=_STEP,
            stop_event=self._stopped,
            rust_timeout=_TICK,
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=False,
        )
        with closing(found):
            for tick, changes in enumerate(found):
                if changes or tick == 0:
                    self._wake()
                if changes or tick == _TICKS:
                    return

    def _tell(self, error: Exception) -> None:
        if str(error) != self._failure:
            self._failure = str(error)
            logger.warning("policy files are not watched, only looked at now and then: %s", error)
