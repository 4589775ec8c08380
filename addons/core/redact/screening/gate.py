"""Decides whether a text is looked at, and where: all patterns at once, at the speed of memory or nearly.

Two automata share the work. What begins with fixed pieces (tokens, names) is Hyperscan's. What has none (runs
of base64 and hexadecimal, numbers that states give) is one automaton of RE2's, which takes hardly longer for
all such forms than for one, where Hyperscan would run one more for each. Compiling for Hyperscan takes a
quarter of a second and more, so a gate begins with RE2 for everything, several times slower over varied text,
and has the rest made or fetched once it was asked to read as much as that is worth.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import hyperscan
import re2

from addons.core.redact.decoding import layers
from addons.core.redact.detectors.hyperscan_patterns import translated
from addons.core.redact.screening import announced, punctuation

_WORTH_COMPILING = 1 << 20  # bytes read
_FORMAT = b"2"  # of how patterns are compiled
# Plain letters and digits have no business being escaped: whoever does it hides something.
_ESCAPED = (
    r"%(?:25|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|2[dD]|5[fF])"
    r"|\\u00(?:3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|2[dD]|5[fF])|\\x[2-7][0-9A-Fa-f]|&#[0-9xX]"
    r"|%5[cC](?:u00|x)[2-7][0-9A-Fa-f]|%26%23[0-9xX]"  # the same under percent
)
# An address that may hold a password, as a parameter of another.
_ENCODED_URL = r"%3[aA]%2[fF]%2[fF][^\s\"'<>]{1,160}%40"
_CHUNK = 1 << 16  # bytes in which a form without fixed pieces is looked for at once
_DECODED = 2  # times over that punctuation is decoded
_LAP = 256  # more than such a form is long


class Databases(Protocol):
    """Where compiled databases come from: made here, or kept from another time. A name is the SHA-256 of the
    patterns, in hexadecimal.
    """

    def kept(self, name: str, /) -> hyperscan.Database | None:
        """Give what was made before, if it is at hand."""

    def made(self, name: str, make: Callable[[], hyperscan.Database], /) -> hyperscan.Database | None:
        """Give what `make` compiles, or None where that is under way elsewhere, or failed with
        `hyperscan.error`: RE2 does the work then.
        """


class _MadeHere:
    """The way of a process that keeps nothing."""

    def __init__(self) -> None:
        self._failed: set[str] = set()

    def kept(self, _name: str) -> hyperscan.Database | None:
        return None

    def made(self, name: str, make: Callable[[], hyperscan.Database]) -> hyperscan.Database | None:
        if name not in self._failed:
            try:
                return make()
            except hyperscan.error:
                self._failed.add(name)
        return None


_source: list[Databases] = [_MadeHere()]


def use_databases(source: Databases) -> None:
    """Take compiled databases from `source` from now on. For a process to say once, as it starts."""
    _source[0] = source


@dataclass(slots=True)
class Hits:
    """Where something may be: `ends` are the offsets after each place, in order. `forms`: those of the gate's
    forms that were seen, by index; None for any.
    """

    ends: list[int]
    forms: frozenset[int] | None = None
    everywhere: bool = False

    def __bool__(self) -> bool:
        return self.everywhere or bool(self.ends)

    def within(self, start: int, end: int) -> bool:
        """Whether a place ends after `start` and no later than `end`."""
        return self.everywhere or bisect_right(self.ends, start) < bisect_right(self.ends, end)


EVERYWHERE = Hits([], everywhere=True)
_NOWHERE = Hits([])


type Places = list[tuple[int, int]]
type Sift = Callable[[bytes, Places, Callable[[bytes], object]], Places]
RUN = -2
"""In place of a form's index: a run of base64 or hexadecimal."""
GROUPS = -3
"""Likewise: bytes in hexadecimal with a sign after each."""


class Gate:
    """Finds where any of `forms` (RE2 syntax over Latin-1), an encoding that hides something, and with
    `by_name` the name of a secret stands in a text. `of_classes`: indices of the forms without fixed pieces.
    `sift` gives those of some places that are worth a look: pairs of a form's index (-1: of none; `RUN`;
    `GROUPS`) and an offset. Holds no message; one serves many threads.
    """

    __slots__ = (
        *("_asked", "_classes", "_database", "_escaped", "_escaped_id", "_fast", "_form_of", "_left"),
        *("_name", "_names_id", "_read", "_scratches", "_sift", "_slow_forms", "_whole"),
    )

    def __init__(
        self,
        forms: Sequence[str],
        *,
        by_name: bool,
        of_classes: Collection[int] = (),
        sift: Sift | None = None,
    ) -> None:
        encoded = (_ESCAPED, _ENCODED_URL)
        others = (*encoded, *announced.OTHERS) if by_name else encoded
        meant = [
            *((index, form) for index, form in enumerate(forms) if index not in of_classes),
            *((-1, pattern) for pattern in others),
            *((RUN, pattern) for pattern in layers.RUNS_WITH_PIECES),
            *((GROUPS, pattern) for pattern in layers.GROUPS_WITH_PIECES),
        ]
        spelled = [(index, translated(pattern)) for index, pattern in meant]
        left = [pattern for (_, pattern), (_, text) in zip(meant, spelled, strict=True) if text is None]
        self._form_of = [index for index, text in spelled if text is not None]
        self._slow_forms = frozenset(index for index, text in spelled if text is None and index >= 0)
        self._fast = [text for _, text in spelled if text is not None]
        names = [announced.NAME] if by_name else []
        name = translated(announced.NAME) if by_name else None
        left += names if name is None else ()
        self._names_id = -1 if name is None else len(self._fast)
        self._fast += () if name is None else (name,)
        self._escaped_id = len(self._fast)
        self._fast.append(punctuation.ESCAPED)
        self._escaped = _Lazily([punctuation.ESCAPED])
        classes = sorted(of_classes)
        runs, groups = layers.RUNS_OF_CLASSES, layers.GROUPS_OF_CLASSES
        self._classes = _Classes(
            [*runs, *groups, *(forms[index] for index in classes)],
            [*[RUN] * len(runs), *[GROUPS] * len(groups), *classes],
        )
        self._left = _Lazily(left) if left else None
        encoded_runs = (*runs, *groups, *layers.RUNS_WITH_PIECES, *layers.GROUPS_WITH_PIECES)
        self._whole = _Lazily([*forms, *others, *names, *encoded_runs])
        self._sift = sift
        self._name = hashlib.sha256(
            b"\0".join((_FORMAT, *(text.encode() for text in self._fast)))
        ).hexdigest()
        self._database: hyperscan.Database | None = None
        self._scratches: list[hyperscan.Scratch] = []
        self._asked = False
        self._read = 0

    def hits(self, text: bytes) -> Hits:
        """Find all places. Of places that overlap some may be left out while no database is at hand."""
        return self._hits(text, _DECODED)

    def _within(self, text: bytes) -> Hits:
        """Find what a run decodes to without a second look, which would take one for each run in it too."""
        return self._hits(text, _DECODED, is_within=True)

    def _hits(self, text: bytes, depth: int, *, is_within: bool = False) -> Hits:
        database = self._database or self._obtained(len(text))
        if database is None:
            ends = self._whole.ends(text, _most(text))
            escaped = self._escaped.ends(text, _most(text))
            if ends is None or escaped is None:
                return EVERYWHERE
            return Hits(sorted({*ends, *self._under(text, escaped, depth).ends}))
        names: list[int] = []
        places: Places = []
        escapes: list[int] = []
        if not self._scan(database, text, (names, escapes, places)):
            return EVERYWHERE
        places += self._classes.places(text)
        if not (places or names or escapes or self._left):  # most texts
            return _NOWHERE
        if len(places) > _most(text):
            return EVERYWHERE
        if places and self._sift is not None and not is_within:
            places = self._sift(text, places, self._within)
        return self._judged(text, depth, names, escapes, places)

    def _judged(self, text: bytes, depth: int, names: list[int], escapes: list[int], places: Places) -> Hits:
        """What remains of all that was seen."""
        ends = announced.telling(text, names) if names else []
        left = self._left.ends(text, _most(text)) if self._left is not None else ends[:0]
        under = self._under(text, escapes, depth) if escapes else _NOWHERE
        if left is None or under.everywhere:
            return EVERYWHERE
        if not (places or ends or left or under.ends):
            return _NOWHERE
        ends += left
        ends += under.ends
        ends += [end for _, end in places]
        ends.sort()
        if under.ends and under.forms is None:
            return Hits(ends)
        return Hits(ends, self._slow_forms.union((form for form, _ in places), under.forms or ()))

    def _under(self, text: bytes, escapes: list[int], depth: int) -> Hits:
        """What shows where the punctuation that ends at `escapes` is decoded."""
        if not escapes or not depth:
            return _NOWHERE
        if len(escapes) > _most(text):
            return EVERYWHERE if self._hits(punctuation.decoded(text), depth - 1) else _NOWHERE
        decoded = punctuation.Decoded(text, escapes)
        hits = self._hits(decoded.text, depth - 1)
        return hits if hits.everywhere else Hits(decoded.sources(hits.ends), hits.forms)

    def compile(self) -> hyperscan.Database:
        """Make the database, in a quarter of a second for the built-in detectors; any thread may. Raises
        `hyperscan.error` for a pattern that is beyond Hyperscan, too large for it, say.
        """
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(
            expressions=[text.encode() for text in self._fast],
            ids=list(range(len(self._fast))),
            flags=hyperscan.HS_FLAG_ALLOWEMPTY,
        )
        return database

    def _obtained(self, size: int) -> hyperscan.Database | None:
        self._read += size
        if not self._asked:
            self._asked = True
            self._database = _source[0].kept(self._name)
        if self._database is None and self._read >= _WORTH_COMPILING:
            self._database = _source[0].made(self._name, self.compile)
        return self._database

    def _scan(
        self, database: hyperscan.Database, text: bytes, into: tuple[list[int], list[int], Places]
    ) -> bool:
        """Add to `into` the names, the escapes and the rest that the database finds; False where that is too
        much to be told apart. A scratch serves one scan at a time, so each takes one of its own.
        """
        form_of, names_id, escaped_id = self._form_of, self._names_id, self._escaped_id
        names, escapes, places = into
        most = _most(text)

        def found(pattern: int, _start: int, end: int, _flags: int, _context: object) -> bool:
            if pattern == names_id:
                names.append(end)
                return len(names) > most
            if pattern == escaped_id:
                if len(escapes) <= most:
                    escapes.append(end)
                return False
            places.append((form_of[pattern], end))
            return len(places) > most

        try:
            scratch = self._scratches.pop()
        except IndexError:
            scratch = hyperscan.Scratch(database)
        try:
            database.scan(text, match_event_handler=found, scratch=scratch)
        except hyperscan.ScanTerminated:
            return False
        finally:
            self._scratches.append(scratch)
        return True


def _most(text: bytes) -> int:
    """How many places are told apart; a text of more is looked at whole."""
    return 4096 + len(text) // 16


class _Classes:
    """Forms without fixed pieces, by the ids they are given here. One automaton tells which of them are in a
    text; where, each for itself.
    """

    __slots__ = ("_any", "_each", "_ids", "_patterns")

    def __init__(self, patterns: Sequence[str], ids: Sequence[int]) -> None:
        self._patterns = tuple(patterns)
        self._ids = tuple(ids)
        self._any: re2.Set | None = None
        self._each: dict[int, re2._Regexp] = {}

    def places(self, text: bytes) -> Places:
        """Where they match: pairs of an id and an offset, of some more than are told apart at most."""
        any_of = self._any or self._made()
        if len(text) <= _CHUNK:
            matched = any_of.Match(text)
            return self._in_chunk(matched, text, 0) if matched else []
        out: Places = []
        view = memoryview(text)
        for place in range(0, len(text), _CHUNK):
            start = max(0, place - _LAP)
            if matched := any_of.Match(view[start : place + _CHUNK]):
                out += self._in_chunk(matched, text[start : place + _CHUNK], start)
                if len(out) > _most(text):
                    break
        return out

    def _made(self) -> re2.Set:
        made = re2.Set.SearchSet(_options())
        for pattern in self._patterns:
            made.Add(pattern.encode("latin-1"))
        made.Compile()
        self._any = made
        return made

    def _in_chunk(self, matched: Sequence[int], chunk: bytes, start: int) -> Places:
        out: Places = []
        for index in matched:
            pattern = self._each.get(index)
            if pattern is None:
                pattern = self._each[index] = alternation([self._patterns[index]])
            position = 0
            # One may begin with the boundary that another ended in.
            while (match := pattern.search(chunk, position)) is not None:
                out.append((self._ids[index], start + match.end()))
                position = max(match.end() - 1, match.start() + 1)
        return out


class _Lazily:
    """One RE2 automaton for all patterns, made when it is first needed."""

    __slots__ = ("_compiled", "_patterns")

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(patterns)
        self._compiled: re2._Regexp | None = None

    def ends(self, text: bytes, most: int) -> list[int] | None:
        """Where matches end, in order; None for more than `most`."""
        if self._compiled is None:
            self._compiled = alternation(self._patterns)
        ends = [match.end() for match in islice(self._compiled.finditer(text), most)]
        return ends if len(ends) < most else None


def alternation(patterns: Sequence[str]) -> re2._Regexp:
    """Make one automaton of all patterns."""
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return re2.compile(joined.encode("latin-1"), options=_options())


def _options() -> re2.Options:
    """Without captures an automaton runs as a DFA; the memory is for its states."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    options.max_mem = 256 << 20
    options.log_errors = False  # where the states don't fit, it goes on without them
    return options
