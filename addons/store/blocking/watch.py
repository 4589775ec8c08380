"""What of the blocklist is in force now, for whoever must know it at each request: kept in memory, and looked
up anew many times a second by a thread that does nothing else.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from addons.core.blocklist import Blocklist, Named, TokenLimits
from addons.store.audit.problems import AuditLogUnusable
from addons.store.blocking.blocks import Blocks, EndDue, StoredBlock
from addons.store.moment import Moment
from addons.store.writing.journal import Journal
from addons.store.writing.kept_alive import in_rounds

_log = logging.getLogger(__name__)

INTERVAL = 0.1
"""Seconds between two looks: what one process puts on the list acts in the others within this."""

_STALE = 1.0  # seconds after which a look tells nothing any more
_PATIENCE = 0.25  # seconds that a request waits for a look that is under way
_PACE = 1.0
_ASLEEP_AFTER = 10.0  # seconds
_ASLEEP = "nobody has looked for some time"


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look: what is in force, None where it can't be told; `problem` says why. `at` is monotonic."""

    blocklist: Blocklist | None
    at: float
    problem: str | None = None
    has_ended: bool = False


class BlockWatch:
    """`now` tells the time by which blocks end."""

    def __init__(
        self, blocks: Blocks, limits: TokenLimits, now: Callable[[], Moment], interval: float = INTERVAL
    ) -> None:
        self._blocks = blocks
        self._limits = limits
        self._now = now
        self._interval = interval
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen = _Seen(None, -math.inf, _ASLEEP)
        self._looking = threading.Lock()  # guards what was read, and when that was right:
        self._counter: int | None = None
        self._version: int | None = None
        self._stored: Sequence[StoredBlock] = ()

    @property
    def current(self) -> Blocklist | None:
        """None where it can't be told who is frozen or revoked; then nobody may pass.

        It costs no look, unless the thread got no turn for a second on a busy machine.
        """
        seen = self._seen
        if monotonic() - seen.at <= _STALE:
            return seen.blocklist
        if self._looking.acquire(timeout=_PATIENCE):
            try:
                if monotonic() - self._seen.at > _STALE:
                    self._look()
            finally:
                self._looking.release()
        seen = self._seen
        return seen.blocklist if monotonic() - seen.at <= _STALE else None

    @property
    def problem(self) -> str | None:
        """For readiness: why nobody can pass. It costs no look."""
        seen = self._seen
        return seen.problem or (None if monotonic() - seen.at <= _ASLEEP_AFTER else _ASLEEP)

    @property
    def has_ended(self) -> bool:
        """Whether there are entries whose time is over."""
        return self._seen.has_ended

    def warnings(self) -> Sequence[str]:
        """What an operator must not forget: that nobody is served, though all is well."""
        current = self.current
        everyone = [one for one in current.blocks if one.named is Named.EVERYONE] if current else []
        return [f"everyone is frozen, by {one.by}; `ddgate unfreeze --all` ends that" for one in everyone]

    def start(self) -> None:
        """Look once, and go on in a thread."""
        self.look()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="blocklist", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._blocks.close()

    def look(self) -> None:
        """Blocks for a moment."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        before = self._seen
        try:
            self._read()
        except AuditLogUnusable as error:
            self._counter = self._version = None
            self._seen = _Seen(None, monotonic(), str(error))
        else:
            self._seen = self._in_force(before.blocklist)
        if (problem := self._seen.problem) is not None and problem != before.problem:
            _log.error("Nobody can pass, since it can't be told who is frozen or revoked: %s", problem)

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self.look()

    def _read(self) -> None:
        counter = self._blocks.data_version()
        if counter == self._counter:
            return
        version = self._blocks.version()
        if version != self._version:
            self._stored = self._blocks.all()
        self._version, self._counter = version, counter

    def _in_force(self, before: Blocklist | None) -> _Seen:
        now, longest = self._now(), self._limits.longest
        blocks = tuple(one.block for one in self._stored if not one.is_over(now, longest))
        if before is None or before.blocks != blocks:
            before = Blocklist(blocks, self._limits.leeway)
        return _Seen(before, monotonic(), has_ended=len(blocks) < len(self._stored))


class BlockKeeper:
    """Takes off the list what is over, and puts that on record. Every gateway does it; doing it twice changes
    nothing.
    """

    def __init__(
        self, watch: BlockWatch, journal: Journal, limits: TokenLimits, now: Callable[[], Moment]
    ) -> None:
        self._watch = watch
        self._journal = journal
        self._limits = limits
        self._now = now

    async def run(self) -> None:
        """Until cancelled."""
        await in_rounds("Freezes and revocations", self.look, _PACE)

    async def look(self, *, thorough: bool) -> None:  # noqa: ARG002 - there is nothing else to look for
        """Raises JournalUnavailable, ChangeRefused."""
        if self._watch.has_ended:
            await self._journal.change(EndDue(self._now(), self._limits.longest))
