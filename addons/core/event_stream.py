"""Cuts a stream of server-sent events (WHATWG HTML, 9.2.5) into whole events, as it comes, in one form: lines
end with LF, and no byte order mark stands before them. A reader of such streams sees no difference, and who
looks for something in them has one way to read lines.
"""

from __future__ import annotations

import re

# Two line ends: LF, CRLF or CR each, in any mixture. A CR before an LF is half of one.
_END = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_LONGEST_END = 4
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):  # noqa: N818 - named for what the caller is told
    """One event is larger than what may be held of it."""


class EventCutter:
    """Holds what came of an event that isn't whole yet, at most `limit` bytes."""

    __slots__ = ("_after_cr", "_held", "_is_begun", "_limit", "_searched")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._searched = 0
        self._is_begun = False
        # The last event ended so: a LF that comes next is the other half of its line end.
        self._after_cr = False

    @property
    def room(self) -> int:
        """How many bytes more may come before an event ends."""
        return self._limit - len(self._held)

    def feed(self, data: bytes) -> bytes:
        """Give the events that are whole now, in a row. Raises `EventTooLarge`."""
        self._held += data
        self._begin()
        end = 0
        for found in _END.finditer(self._held, self._searched):
            end = found.end()
        whole = bytes(self._held[:end])
        del self._held[:end]
        self._searched = max(0, len(self._held) - _LONGEST_END)
        if len(self._held) > self._limit:
            raise EventTooLarge(f"an event is over {self._limit} bytes")
        self._after_cr = whole.endswith(b"\r") if whole else self._after_cr
        return _in_lines(whole)

    def _begin(self) -> None:
        if not self._is_begun and len(self._held) >= len(_BYTE_ORDER_MARK):
            self._is_begun = True
            if self._held.startswith(_BYTE_ORDER_MARK):
                del self._held[: len(_BYTE_ORDER_MARK)]
        if self._after_cr and self._held:
            self._after_cr = False
            if self._held.startswith(b"\n"):
                del self._held[:1]

    def finish(self) -> bytes:
        """Give what is left of an event that never ended."""
        left = _in_lines(bytes(self._held))
        self._held.clear()
        self._searched = 0
        return left


def _in_lines(events: bytes) -> bytes:
    return events.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


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
