"""Commits on a thread of the journal's own process: for callers on any event loop, or on several."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence

from addons.store.writing.committer import Committer, JournalUnavailable, Opened, Outcome, Place
from addons.store.writing.waiting import Done, Waiting

_log = logging.getLogger(__name__)


class ThreadWriter:
    def __init__(self, place: Place, done: Done) -> None:
        self._committer = Committer(place)
        self._done = done
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def open(self) -> Opened:
        """Raises `JournalUnavailable`."""
        opened = self._committer.open()
        self._thread.start()
        return opened

    def put(self, waiting: Waiting) -> None:
        self._queue.put(waiting)

    def close(self) -> None:
        """Commit what waits, complete the segment, close the log. Blocks."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            group = self._next_group()
            waiting = [each for each in group if each is not None]
            if waiting:
                self._done(waiting, self._committed(waiting))
            if len(waiting) < len(group):
                break
        self._committer.close()

    def _next_group(self) -> list[Waiting | None]:
        """Wait for one, then takes all there are; completes the segment when it is due meanwhile."""
        while True:
            try:
                group = [self._queue.get(timeout=self._committer.seconds_to_rotation())]
                break
            except queue.Empty:
                self._committer.rotate()
        while True:
            try:
                group.append(self._queue.get_nowait())
            except queue.Empty:
                return group

    def _committed(self, group: Sequence[Waiting]) -> Sequence[Outcome]:
        try:
            return self._committer.commit([each.entry for each in group])
        except Exception:  # noqa: BLE001 - every caller is refused, and the thread lives to refuse or serve the next
            _log.exception("The journal's writer failed unexpectedly.")
            self._committer.reopen_later()
            failed = JournalUnavailable("The journal failed unexpectedly.", "See the gateway's log.")
            return [failed] * len(group)
