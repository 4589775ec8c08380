"""A second look where the gate saw something. Most such places in clean bodies are chance, a piece of a
picture or of an id, and what stands around them tells.

A place is passed over only where nothing that is read later could see more than is here: no encoding stands
around it, and no list whose pieces are read as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import itemgetter

import re2

from addons.core.redact.decoding import layers
from addons.core.redact.detectors.detector import Detector, compiled
from addons.core.redact.screening.gate import RUN, Places

_BEFORE = 160  # bytes: longer than any token that the gate knows by its end
_AFTER = 200  # past the end of the run of characters that a token may be of
_NEAR = 48  # past it as well: of what is in groups, or goes on after a sign
_MAX_RUN = 1 << 16
_TRIES = 8
# In bytes that the gate reads in the time: what is spent on a text is a part of what the gate takes for it.
_COST_OF_RUN = 4000
_COST_OF_TOKEN = 1000
_LEAST = 20_000
_RUN = re.compile(rb"[A-Za-z0-9+/_\-=.:~|@$,]*+")
_ENCODING = re.compile(rb"\\(?![\"/bfnrt])|[%&\x1b]")
_SIMPLE = re.compile(rb"\\([\"/bfnrt])")  # what most JSON text has, undone here
_MEANT = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_BACKSLASH = 0x5C
_QUOTE = b'"'
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
_BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_\-]*+={0,2}+")
_RUN_GOES_ON = re.compile(rb"[\\%&\x1b\r\n]")
_COMPRESSED = re.compile(rb"H4sI|eJ|eNo|eAE|KLUv")  # to be read once alone


class Doubts:
    """What speaks against places that a gate saw, for detectors by index. One serves many threads."""

    __slots__ = ("_compiled", "_detectors")

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._detectors = detectors
        self._compiled: dict[int, re2._Regexp] = {}

    def remaining(self, text: bytes, places: Places, holds: Callable[[bytes], object]) -> Places:
        """Those of `places`, pairs of a detector's index or `RUN` and an offset after it, where something may
        be. `holds`: whether a decoded text may hold something. Takes no longer than a part of the gate's own
        time.
        """
        left = _LEAST + len(text) // 4
        out: Places = []
        seen = held = -1  # where the last run ended that holds nothing, and the last of others
        for index, end in sorted(places, key=itemgetter(1)):
            if index == RUN and left > 0:
                if end <= seen:
                    continue
                if end <= held:
                    out.append((index, end))
                    continue
                start, stop = _run_around(text, end)
                left -= stop - start + _COST_OF_RUN
                if _may_hold(text, start, stop, holds):
                    out.append((index, end))
                    held = stop
                else:
                    seen = stop
                continue
            if index < 0 or left <= 0 or not self._detectors[index].doubt:
                out.append((index, end))
                continue
            run = _RUN.match(text, end, end + _MAX_RUN)
            stop = run.end() if run is not None else end
            left -= stop - end + _COST_OF_TOKEN
            if stop - end == _MAX_RUN or self._may_be(index, text, end, stop):
                out.append((index, end))
        return out

    def _may_be(self, index: int, text: bytes, end: int, stop: int) -> bool:
        """Whether the detector may find something around `end`, where a run of characters ends at `stop`."""
        start, after = max(0, end - _BEFORE), min(len(text), stop + _AFTER)
        if start and text[start - 1] == _BACKSLASH:
            start -= 1
        detector = self._detectors[index]
        if _ENCODING.search(text, start, stop + _NEAR) is not None:
            return True
        is_joined = not (detector.group or detector.pii)
        if is_joined and not _is_whole(text, start, end, stop):
            return True
        window, cut = text[start:after], (start > 0, after < len(text))
        if self._finds(index, window, cut):
            return True
        return _BACKSLASH in window and self._finds(index, _SIMPLE.sub(_meant, window), cut)

    def _finds(self, index: int, window: bytes, cut: tuple[bool, bool]) -> bool:
        """Whether anything begins anywhere in `window`; what touches an edge that was `cut` is not judged."""
        detector = self._detectors[index]
        pattern = self._compiled.get(index)
        if pattern is None:
            pattern = self._compiled[index] = compiled(detector.doubt)
        position = 0
        for _ in range(_TRIES):
            match = pattern.search(window, position)
            if match is None:
                return False
            begin, end = match.span()
            if (cut[0] and not begin) or (cut[1] and end == len(window)) or detector.check is None:
                return True
            if detector.check(match.group(detector.group)):
                return True
            position = begin + 1
        return True


def _meant(match: re.Match[bytes]) -> bytes:
    return _MEANT.get(match[1], match[1])


def _run_around(text: bytes, end: int) -> tuple[int, int]:
    """The whole run of base64 around `end`, or the most of it that is looked at."""
    before = text[max(0, end - _MAX_RUN) : end]
    run = _BASE64_RUN.match(text, end, end + _MAX_RUN)
    return end - len(before) + len(before.rstrip(_BASE64)), run.end() if run is not None else end


def _may_hold(text: bytes, start: int, stop: int, holds: Callable[[bytes], object]) -> bool:
    """Whether the run of base64 or hexadecimal may decode to something, or go on beyond an end of a line."""
    if stop - start >= _MAX_RUN or _RUN_GOES_ON.search(text, max(0, start - 12), min(len(text), stop + 1)):
        return True
    run = text[start:stop]
    return _COMPRESSED.search(run) is not None or any(holds(blob.text) for blob in layers.blobs(run))


def _is_whole(text: bytes, start: int, end: int, stop: int) -> bool:
    """Whether what stands around `end` is no piece of something: it ends within a line or string, or is the
    value of a key, which is read for itself.
    """
    following = text[stop : stop + 1]
    if following == b"\\":
        return text[stop + 1 : stop + 2] not in b'"nr'
    if following and following not in b"\"'\r\n":
        return True
    opening = text.rfind(_QUOTE, start, end)
    return following == _QUOTE and opening > 0 and text[max(0, opening - 8) : opening].rstrip()[-1:] == b":"
