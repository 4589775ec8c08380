"""Cuts a stream of server-sent events (WHATWG HTML, 9.2.5) into whole events, as it comes."""

from __future__ import annotations

import re

# Two line ends: LF, CRLF or CR each, in any mixture. A CR before an LF is half of one.
_END = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_LONGEST_END = 4


class EventTooLarge(ValueError):  # noqa: N818 - named for what the caller is told
    """One event is larger than what may be held of it."""


class EventCutter:
    """Holds what came of an event that isn't whole yet, at most `limit` bytes."""

    __slots__ = ("_held", "_limit", "_searched")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._searched = 0

    @property
    def room(self) -> int:
        """How many bytes more may come before an event ends."""
        return self._limit - len(self._held)

    def feed(self, data: bytes) -> bytes:
        """Give the events that are whole now, in a row. Raises `EventTooLarge`."""
        self._held += data
        end = 0
        for found in _END.finditer(self._held, self._searched):
            end = found.end()
        whole = bytes(self._held[:end])
        del self._held[:end]
        self._searched = max(0, len(self._held) - _LONGEST_END)
        if len(self._held) > self._limit:
            raise EventTooLarge(f"an event is over {self._limit} bytes")
        return whole

    def finish(self) -> bytes:
        """Give what is left of an event that never ended."""
        left = bytes(self._held)
        self._held.clear()
        self._searched = 0
        return left


def split(events: bytes) -> list[bytes]:
    """Give whole events one by one; the last one may lack its end."""
    out: list[bytes] = []
    start = 0
    for found in _END.finditer(events):
        out.append(events[start : found.end()])
        start = found.end()
    if start < len(events):
        out.append(events[start:])
    return out
