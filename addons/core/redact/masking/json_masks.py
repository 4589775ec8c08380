"""Masks what stands at JSON paths, where it stands: nothing else of the text changes by a byte.

What is masked becomes a string, a number or boolean too. A zero would keep the type, but look like a value:
it misleads who reads it, and who writes back what was read puts it in the place of the real one, unnoticed,
while a write that holds a mask is refused. null, the empty string, keys and brackets say nothing and stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from addons.core.redact.formats.json_paths import JsonPath, fold
from addons.core.redact.masking.copies import is_telling
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.mask import Masker

KIND = "policy"
"""Kind of these masks, and the name under which they are counted."""

_MAX_BODY = 64 * 1024 * 1024
_MAX_DEPTH = 64
_MAX_MASKS = 200_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WHITE = b" \t\n\r"
_SPACE = rb"[ \t\n\r]*+"
_TEXT = rb'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
# RFC 8259, possessive throughout: no text is gone over twice. The last group takes what is no JSON.
_TOKEN = re.compile(
    rb"%b(,)?+%b(?:(%b)(%b:)?+|([\[{])|([\]}])|(true|false|null|%b)(?=[ \t\n\r,\]}]|\Z)|([\x00-\xff]))"
    % (_SPACE, _SPACE, _TEXT, _SPACE, _NUMBER)
)
_COMMA, _STRING, _KEY, _OPEN, _CLOSE, _LITERAL, _OTHER = range(1, 8)
_STRING_OR_KEY = re.compile(rb"(%b)(%b:)?+" % (_TEXT, _SPACE))
_ENDS = {b"[": b"]", b"{": b"}"}
_ALL = -1
"""As a set of places: inside what is masked, where every value is."""


class NotMaskable(ValueError):  # noqa: N818 - named for what the caller is told
    """The text is no JSON, so nobody can tell what stands at a path in it."""


def mask_json(data: bytes, paths: Collection[JsonPath], masker: Masker) -> tuple[bytes, int]:
    """Mask what `paths` name in `data`: one JSON text (RFC 8259) in UTF-8, or several in a row (NDJSON), the
    paths then holding for each. Of an object or array every string, number and boolean in it is masked. A
    string elsewhere that is the same as a masked one goes too, if it is no plain word.

    Gives the masked bytes, the same object where nothing was masked, and how many values were. Raises
    `NotMaskable` for what is no JSON, `TooComplex` past 64 levels, 200,000 masks or 64 MiB.
    """
    if len(data) > _MAX_BODY:
        raise TooComplex(f"body is over {_MAX_BODY} bytes")
    try:
        data.decode()
    except UnicodeDecodeError:
        raise NotMaskable("the text is not UTF-8") from None
    masks = _Masks(masker)
    masked = masks.applied(data, _Walk(data, _automaton(frozenset(paths))).read())
    if masks.telling:
        masked = masks.applied(masked, masks.copies(masked))
    return masked, masks.count


class _Automaton:
    """All paths at once. A set of places in them is an integer with one bit for each: there is a place before
    each segment, and one at the end of each path. `start` are those of a whole text.
    """

    __slots__ = ("_at_end", "_by_index", "_by_name", "_descends", "_each", "_longest", "start")

    def __init__(self, paths: Collection[JsonPath]) -> None:
        self._at_end = self._descends = self._each = 0
        self._by_name: dict[str, int] = {}
        self._by_index: dict[int, int] = {}
        start, bit = 0, 1
        for path in paths:
            start |= bit
            for segment in path.segments:
                if segment.descends:
                    self._descends |= bit
                if segment.name is not None:
                    self._by_name[segment.name] = self._by_name.get(segment.name, 0) | bit
                elif segment.index is not None:
                    self._by_index[segment.index] = self._by_index.get(segment.index, 0) | bit
                else:
                    self._each |= bit
                bit <<= 1
            self._at_end |= bit
            bit <<= 1
        self.start = _ALL if start & self._at_end else start
        # One character of a name may have taken several of a key, never more than these.
        self._longest = 8 * max(map(len, self._by_name), default=0)

    def taken_by_key(self, quoted: bytes) -> int:
        """Give the places from which a key, as it stands in the text, leads on."""
        if len(quoted) > self._longest * 12 + 2:  # no character is longer than two escapes
            return self._each
        name = json.loads(quoted.decode())
        return self._each | self._by_name.get(fold(name), 0) if len(name) <= self._longest else self._each

    def taken_by_index(self, index: int) -> int:
        return self._each | self._by_index.get(index, 0)

    def after(self, places: int, taken: int) -> int:
        """Give the places inside a value that is reached from `places`."""
        if places == _ALL:
            return _ALL
        after = (places & taken) << 1 | places & self._descends
        return _ALL if after & self._at_end else after


@lru_cache(maxsize=256)
def _automaton(paths: frozenset[JsonPath]) -> _Automaton:
    return _Automaton(paths)


class _Frame(NamedTuple):
    """An object or array that is open, by the character that ends it; `values`: those in it so far."""

    end: bytes
    places: int
    values: int


class _Walk:
    """One pass over JSON texts in a row, for the spans of the values to mask."""

    def __init__(self, data: bytes, automaton: _Automaton) -> None:
        self._data = data
        self._automaton = automaton
        self._found: list[tuple[int, int]] = []
        self._above: list[_Frame] = []
        self._end, self._places, self._values = b"", automaton.start, 0
        self._keys: dict[bytes, int] = {}
        self._next: int | None = None  # places of the value whose key was read

    def read(self) -> list[tuple[int, int]]:
        """Raise `NotMaskable`, `TooComplex`."""
        done = len(_BYTE_ORDER_MARK) if self._data.startswith(_BYTE_ORDER_MARK) else 0
        end = max(done, len(self._data.rstrip(_WHITE)))
        for token in _TOKEN.finditer(self._data, done, end):
            done = token.end()
            kind = token.lastindex
            has_comma = token[_COMMA] is not None
            if kind == _KEY:
                self._key(token[_STRING], has_comma=has_comma)
            elif kind == _CLOSE:
                self._close(token[_CLOSE], has_comma=has_comma)
            elif kind == _OTHER:
                raise NotMaskable("the text is no JSON")
            else:
                self._value(token, kind, has_comma=has_comma)
        if self._above or done != end:
            raise NotMaskable("the JSON text ends too early")
        return self._found

    def _key(self, quoted: bytes, *, has_comma: bool) -> None:
        if self._end != b"}" or self._next is not None or has_comma != (self._values > 0):
            raise NotMaskable("the text is no JSON")
        taken = 0
        if self._places > 0:
            known = self._keys.get(quoted)
            taken = self._automaton.taken_by_key(quoted) if known is None else known
            self._keys[quoted] = taken
        self._next = self._automaton.after(self._places, taken)

    def _close(self, end: bytes, *, has_comma: bool) -> None:
        if self._end != end or self._next is not None or has_comma:
            raise NotMaskable("the text is no JSON")
        self._end, self._places, self._values = self._above.pop()

    def _value(self, token: re.Match[bytes], kind: int | None, *, has_comma: bool) -> None:
        places = self._places
        if self._end == b"}":
            if self._next is None or has_comma:
                raise NotMaskable("the text is no JSON")
            places, self._next = self._next, None
        elif has_comma != (self._end == b"]" and self._values > 0):
            raise NotMaskable("the text is no JSON")
        elif self._end and places:
            places = self._automaton.after(places, self._automaton.taken_by_index(self._values))
        self._values += 1
        if kind == _OPEN:
            if len(self._above) >= _MAX_DEPTH:
                raise TooComplex("JSON nests too deep")
            self._above.append(_Frame(self._end, self._places, self._values))
            self._end, self._places, self._values = _ENDS[token[_OPEN]], places, 0
        elif places == _ALL:
            self._found.append(token.span(kind or 0))


@dataclass(slots=True)
class _Masks:
    """The masks of one message. `telling`: masked strings of which every copy goes too."""

    masker: Masker
    count: int = 0
    telling: set[bytes] = field(default_factory=set, repr=False)
    _made: dict[bytes, bytes] = field(default_factory=dict, repr=False)

    def applied(self, data: bytes, spans: Collection[tuple[int, int]]) -> bytes:
        out: list[bytes] = []
        done = 0
        for start, end in spans:
            value = data[start:end]
            mask = self._made.get(value)
            if mask is None:
                mask = self._made[value] = self._mask(value)
            if mask == value:
                continue
            out += (data[done:start], mask)
            done = end
            self.count += 1
            if self.count > _MAX_MASKS:
                raise TooComplex("the message has too many values to mask")
        if not out:
            return data
        out.append(data[done:])
        return b"".join(out)

    def _mask(self, value: bytes) -> bytes:
        if value in {b"null", b'""'}:
            return value
        if value in {b"true", b"false"}:
            value = b"true or false"  # two masks would tell which is which
        elif value.startswith(b'"'):
            value = _text_of(value)
            if is_telling(value):
                self.telling.add(value)
        return f'"{self.masker.mask(KIND, value)}"'.encode()

    def copies(self, data: bytes) -> list[tuple[int, int]]:
        """Find the strings of JSON text that are the same as one in `telling`; no keys."""
        if b"\\" not in data and self.telling.isdisjoint(data.split(b'"')):
            return []
        return [
            found.span(1)
            for found in _STRING_OR_KEY.finditer(data)
            if found[2] is None and _text_of(found[1]) in self.telling
        ]


def _text_of(quoted: bytes) -> bytes:
    """Give a string's value, in UTF-8; a lone surrogate stays one."""
    if b"\\" not in quoted:
        return quoted[1:-1]
    text: str = json.loads(quoted.decode())
    return text.encode("utf-8", "surrogatepass")
