"""Finds known values that a stream of events gives in pieces: over the data lines of one event, or over the
texts of several, as a language model's answer comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import re2

from addons.core.event_stream import split
from addons.core.redact.masking.exact import ExactScrubber

_KEPT = 2048
"""Bytes of each text that are remembered: more than the longest form of a credential takes."""
_MAX_TEXTS = 256
_MAX_PIECE = 16 * 1024
_MAX_HELD = 64 * 1024

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_DATA = re2.compile(rb"(?m)^data: ?([^\n]*)", options=_LATIN1)
_NAMED = re2.compile(rb'"((?:[^"\\]|\\.)*)"\s*:\s*"((?:[^"\\]|\\.)*)"', options=_LATIN1)


# The index of the answer that an event belongs to, of several that come in turns.
_INDEX = re2.compile(rb'"(?:index|i|id|choice)"\s*:\s*"?([\w-]{1,64})', options=_LATIN1)
# A string that no name stands before, in a list; or a name, which does no harm.
_UNNAMED = re2.compile(rb'[\[,]\s*"((?:[^"\\]|\\.)*)"', options=_LATIN1)

type _Name = tuple[bytes, tuple[bytes, ...], int] | None
"""A text's name, the indexes in its events, and its place among those of one name; None: all data lines."""


class KeyInPieces(ValueError):  # noqa: N818 - named for what the caller is told
    """A known value stands in pieces, so that it can't be masked where it is."""


class SplitSecrets:
    """For one stream, of events from which every whole value was removed already. Events whose text ends as a
    value of `scrubber` begins are held back until the next ones tell.
    """

    __slots__ = ("_held", "_open", "_scrubber", "_texts")

    def __init__(self, scrubber: ExactScrubber) -> None:
        self._scrubber = scrubber
        self._texts: dict[_Name, bytes] = {}
        self._open: set[_Name] = set()  # those of them that end as a value begins
        self._held = b""

    def feed(self, events: bytes, *, is_last: bool) -> bytes:
        """Give what of the held and the new events may pass. Raises `KeyInPieces`."""
        out: list[bytes] = []
        for event in split(events):
            if self._may_go_on(event):
                self._held += event
            else:
                out += (self._held, event)
                self._held = b""
        if is_last:
            out.append(self._held)
            self._held = b""
        elif len(self._held) > _MAX_HELD:
            raise KeyInPieces("too much looks like the beginning of a key")
        return b"".join(out)

    def _may_go_on(self, event: bytes) -> bool:
        """Whether a value may go on in the next event."""
        lines = _DATA.findall(event)
        if not lines:
            return bool(self._held)  # a comment in between says nothing
        self._add(None, lines)
        data = b"\n".join(lines)
        if len(event) > _MAX_PIECE:
            data = data[:_MAX_PIECE] + b" " + data[-_MAX_PIECE:]
        index = tuple(_INDEX.findall(data))
        seen: Counter[bytes] = Counter()
        for name, text in _NAMED.findall(data):
            # Several answers may come in turns; and one event may have a name twice.
            self._add((name, index, seen[name]), (text,))
            self._add((name, (), -1), (text,))
            seen[name] += 1
        for number, text in enumerate(_UNNAMED.findall(data)):
            self._add((b"", index, number), (text,))
        return bool(self._open)

    def _add(self, name: _Name, pieces: Sequence[bytes]) -> None:
        text = self._texts.pop(name, b"") + b"".join(pieces)
        if self._scrubber.found(text):
            raise KeyInPieces("a key in pieces")
        text = text[-_KEPT:]
        if len(self._texts) >= _MAX_TEXTS:
            oldest = next(iter(self._texts))
            del self._texts[oldest]
            self._open.discard(oldest)
        self._texts[name] = text
        if self._scrubber.begins_at_end(text):
            self._open.add(name)
        else:
            self._open.discard(name)
