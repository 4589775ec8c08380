"""Masks a stream of events with an overlap: what may be the beginning of a secret, in a text that goes on
from event to event, is held back until more of it has come.
"""

from __future__ import annotations

import re2

from addons.core.event_stream import split
from addons.core.redact.reading.text_reading import DELTAS

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_PIECE = re2.compile(
    rb'"(?:%b)"\s*:\s*"((?:[^"\\]|\\.)*)"' % b"|".join(sorted(DELTAS)),
    options=_LATIN1,
)
_WHITE = re2.compile(rb"\s|\\[nrt]", options=_LATIN1)
_WHITE_END = re2.compile(rb"(?:\s|\\[nrt])\z", options=_LATIN1)
_MAX_PIECE = 4096
_MAX_HELD = 1024  # of text; longer than secrets that have no white space in them
_REMEMBERED = 8192
_SMALL = 256
_MAX_BETWEEN = 8  # events in a row that say nothing


class EventsMerged(ValueError):  # noqa: N818 - named for what the caller is told
    """A mask reaches over the end of an event, so that nobody can tell any more what of it passed already."""


class EventWindow:
    """For one stream: `add` gives what is to be masked as one body, `take` what of it may pass."""

    __slots__ = ("_before", "_held")

    def __init__(self) -> None:
        self._before: list[bytes] = []
        self._held: list[bytes] = []

    def add(self, events: bytes) -> bytes:
        """Give what of a text passed already, the events that are held, and those that come now."""
        self._held += split(events)
        if any(map(_is_foreign, self._held)) and not any(_piece(event) is not None for event in self._held):
            self._before = []
        return b"".join([*self._before, *self._held])

    @property
    def has_context(self) -> bool:
        """Whether some of what `add` gave was given before, too."""
        return bool(self._before)

    def take(self, masked: bytes, *, is_last: bool) -> bytes:
        """`masked`: what `add` gave, masked. Raises `EventsMerged`."""
        pieces = split(masked)
        known = len(self._before)
        if len(pieces) != known + len(self._held):
            raise EventsMerged("a mask reaches over the end of an event")
        count = len(self._held) - (0 if is_last else _open_ones(self._held))
        passed, self._held = self._held[:count], self._held[count:]
        self._remember(passed)
        return b"".join(pieces[known : known + count])

    def _remember(self, passed: list[bytes]) -> None:
        texts = [*self._before, *(event for event in passed if _piece(event) is not None)]
        # A key block that began and hasn't ended: without its first line what follows is no key any more.
        pinned = _open_block(texts)
        size, start = sum(map(len, texts[pinned])), len(texts)
        while start > pinned.stop and size + len(texts[start - 1]) <= _REMEMBERED:
            start -= 1
            size += len(texts[start])
        self._before = [*texts[pinned], *texts[start:]] if pinned.stop else texts[start:]


def _open_block(texts: list[bytes]) -> slice:
    """Where the first line of a key block stands that hasn't ended; empty where there is none."""
    ends: list[int] = []
    joined = b""
    for event in texts:
        joined += _piece(event) or b""
        ends.append(len(joined))
    begin = joined.rfind(b"-----BEGIN")
    if begin < 0 or b"-----END" in joined[begin:]:
        return slice(0, 0)
    end = joined.find(b"-----", begin + 10)
    end = len(joined) if end < 0 else end + 7  # and the line's end
    first = next(at for at, stop in enumerate(ends) if stop > begin)
    last = next((at for at, stop in enumerate(ends) if stop >= end), len(ends) - 1)
    return slice(first, last + 1)


def _piece(event: bytes) -> bytes | None:
    """The piece of a longer text that an event brings, as it stands in JSON; None of other events, such as a
    message of JSON-RPC, which is complete.
    """
    if len(event) > _MAX_PIECE or b'"jsonrpc"' in event:
        return None
    found = _PIECE.findall(event)
    return found[-1] if found else None


def _is_foreign(event: bytes) -> bool:
    """Whether an event that is no piece ends the text before it; a comment or a sign of life doesn't."""
    return b'"jsonrpc"' in event or (len(event) > _SMALL and b"data" in event)


def _open_ones(events: list[bytes]) -> int:
    """How many of the last events bring a word that may go on."""
    count = between = size = 0
    for event in reversed(events):
        piece = _piece(event)
        if piece is None:
            between += 1  # a comment, or a sign of life
            if _is_foreign(event) or between > _MAX_BETWEEN:
                break
            continue
        size += len(piece)
        if not piece or _WHITE_END.search(piece) or size > _MAX_HELD:
            break
        count += between + 1
        between = 0
        if _WHITE.search(piece):
            break
    return count
