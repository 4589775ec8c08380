"""Finds known values that a stream of events gives in pieces: over the data lines of one event, or over the
texts of several, as a language model's answer comes.
"""

from __future__ import annotations

from collections.abc import Sequence

import re2

from addons.core.event_stream import split
from addons.core.redact.exact import ExactScrubber

_KEPT = 2048
"""Bytes of each text that are remembered: more than the longest form of a credential takes."""
_MAX_TEXTS = 64
_MAX_PIECE = 16 * 1024
_MAX_HELD = 64 * 1024

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_DATA = re2.compile(rb"(?m)^data: ?([^\r\n]*)", options=_LATIN1)
_NAMED = re2.compile(rb'"((?:[^"\\]|\\.)*)"\s*:\s*"((?:[^"\\]|\\.)*)"', options=_LATIN1)


class KeyInPieces(ValueError):  # noqa: N818 - named for what the caller is told
    """A known value stands in pieces, so that it can't be masked where it is."""


class SplitSecrets:
    """For one stream, of events from which every whole value was removed already. Events whose text ends as a
    value of `scrubber` begins are held back until the next ones tell.
    """

    __slots__ = ("_held", "_scrubber", "_texts")

    def __init__(self, scrubber: ExactScrubber) -> None:
        self._scrubber = scrubber
        self._texts: dict[bytes | None, bytes] = {}
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
        open_ends = [self._add(None, lines)]
        if len(event) <= _MAX_PIECE:
            data = b"\n".join(lines)
            open_ends += [self._add(name, (text,)) for name, text in _NAMED.findall(data)]
        return any(open_ends)

    def _add(self, name: bytes | None, pieces: Sequence[bytes]) -> bool:
        text = self._texts.pop(name, b"") + b"".join(pieces)
        if self._scrubber.found(text):
            raise KeyInPieces("a key in pieces")
        text = text[-_KEPT:]
        if len(self._texts) >= _MAX_TEXTS:
            self._texts.pop(next(iter(self._texts)))
        self._texts[name] = text
        return self._scrubber.begins_at_end(text)
