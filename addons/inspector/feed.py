"""Brings recorded flows into mitmweb's view, live, and keeps no more of them than there is room for."""

from __future__ import annotations

import asyncio
import io
import logging
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from mitmproxy import exceptions, flow
from mitmproxy import io as flow_io
from mitmproxy.addons.view import View

from addons.store.recordings.sealing import NO_KEYS, SealKeys
from addons.store.recordings.segment_reader import SegmentFollower

_log = logging.getLogger(__name__)

_FLOWS_A_TURN = 100
_POLL_SECONDS = 0.2

# What mitmproxy raises on a flow whose frame is whole and whose content isn't a flow's.
_NOT_A_FLOW = (
    exceptions.FlowReadException,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """How much the view keeps; the oldest goes first. `max_bytes` is counted as on disk."""

    max_flows: int = 5_000
    max_bytes: int = 512 * 1024 * 1024


class Feed:
    """Follows every segment in a directory and mirrors the flows in `view`."""

    def __init__(self, recordings: Path, view: View, limits: FeedLimits, keys: SealKeys = NO_KEYS) -> None:
        self._follower = SegmentFollower(recordings, newest=limits.max_flows, keys=keys)
        self._view = view
        self._limits = limits
        self._sizes: OrderedDict[str, int] = OrderedDict()  # flow id -> bytes, oldest first
        self._bytes = 0

    async def run(self) -> None:
        """Follow until cancelled. A directory that can't be read is reported and tried again."""
        problem = ""
        while True:
            try:
                taken = self.take()
                problem = ""
            except OSError as error:
                if problem != str(error):
                    _log.error("Recordings can't be read: %s", error.strerror)
                problem, taken = str(error), 0
            await asyncio.sleep(0 if taken else _POLL_SECONDS)

    def take(self) -> int:
        """Show the next few flows; returns how many there were. Raises OSError."""
        recorded = self._follower.poll(_FLOWS_A_TURN)
        for data in recorded:
            try:
                self._show(next(iter(flow_io.FlowReader(io.BytesIO(data)).stream())), len(data))
            except _NOT_A_FLOW:
                _log.warning("A recorded flow of %d bytes can't be read; it is left out.", len(data))
        for problem in self._follower.problems:
            _log.warning("Recordings: %s", problem)
        self._follower.problems.clear()
        return len(recorded)

    def _show(self, recorded: flow.Flow, size: int) -> None:
        known = self._view.get_by_id(recorded.id)
        if known is None:
            self._view.add([recorded])
        else:  # a later state of the same call
            known.set_state(recorded.get_state())
            self._view.update([known])
        self._bytes += size - self._sizes.pop(recorded.id, 0)
        self._sizes[recorded.id] = size
        while len(self._sizes) > self._limits.max_flows or self._bytes > self._limits.max_bytes:
            oldest, freed = self._sizes.popitem(last=False)
            self._bytes -= freed
            if (gone := self._view.get_by_id(oldest)) is not None:
                self._view.remove([gone])
