"""Every other copy of a masked value in the same message."""

from __future__ import annotations

import json
import string
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from urllib.parse import quote

import hyperscan

from addons.core.redact.formats.jsonish import Tree
from addons.core.redact.formats.quotes import Quotes
from addons.core.redact.masking.findings import Finding, TooComplex

_MIN_LENGTH = 8
_SURE_LENGTH = 16
_SEARCHED_ONE_BY_ONE = 100_000_000  # bytes gone through: some 50 ms
_SMALL = 1 << 17  # bytes: gone through in the time that it takes to compile a form
_FEW = 4
_AT_EACH_PLACE = 100  # bytes that are gone through one by one in the time that it takes to compile a form
_MAX_ALIKE = 16
_MAX_FORMS = 20_000  # each costs as much to prepare for as a hundred kilobytes to search
_MAX_PLACES = 1_000_000
# RFC 3986, section 2.3: nothing escapes these.
_UNESCAPED = (string.ascii_letters + string.digits + "-._~").encode()


def find(data: bytes, found: Sequence[Finding], tree: Tree | None) -> Iterator[Finding]:
    """Find copies of the secrets of `found` in `data`, as they are, JSON-escaped once or twice, and
    percent-encoded. In JSON (`tree`) only inside strings. Values short or plain enough to be ordinary words
    are not looked for. Raises `TooComplex` for more than can be looked for.
    """
    forms = {
        form: finding
        for finding in {finding.secret: finding for finding in found}.values()
        if is_telling(finding.secret)
        for form in _forms(finding.secret)
    }
    strings = _Strings(data, tree) if tree is not None else None
    for form, position in _places(data, forms):
        finding = forms[form]
        end = position + len(form)
        if _stands_alone(data, position, end, finding.secret) and (
            strings is None or strings.hold(position, end)
        ):
            yield Finding(position, end, finding.detector, finding.kind, finding.secret)


def by_text(texts: Sequence[bytes], found: Sequence[Finding]) -> Iterator[list[Finding]]:
    """Give for each of many texts, in order, those of `found` that it may hold a copy of: of all asked at
    once. Raises `TooComplex`.
    """
    seen = sorted(find(b"".join(texts), found, None), key=lambda one: one.start)
    starts = [finding.start for finding in seen]
    for end, text in zip(accumulate(map(len, texts)), texts, strict=True):
        yield seen[bisect_left(starts, end - len(text)) : bisect_left(starts, end)]


def _places(data: bytes, forms: Iterable[bytes]) -> Iterable[tuple[bytes, int]]:
    """Give each form with every offset at which it stands."""
    wanted = list(forms)
    is_small = len(data) <= _SMALL or len(wanted) < _FEW
    if is_small and len(wanted) * len(data) <= _SEARCHED_ONE_BY_ONE:
        return [(form, position) for form in wanted for position in _occurrences(data, form)]
    if len(data) <= _AT_EACH_PLACE * len(wanted):
        for where in (-_MIN_LENGTH, 0):  # tokens of a kind begin alike, and blocks end alike
            pieces: dict[bytes, list[bytes]] = {}
            for form in wanted:
                pieces.setdefault(form[where:][:_MIN_LENGTH], []).append(form)
            if max(map(len, pieces.values())) <= _MAX_ALIKE:
                return _at_each_place(data, pieces, where)
    if len(wanted) > _MAX_FORMS:
        raise TooComplex("the message has too many secrets to look for copies of each")
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    # Byte by byte in hexadecimal: no character means anything then, nor ends the expression.
    database.compile(expressions=[rb"\x" + form.hex(" ").encode().replace(b" ", rb"\x") for form in wanted])
    places: list[tuple[bytes, int]] = []
    after = [0] * len(wanted)

    def add(index: int, _start: int, end: int, _flags: int, _context: object) -> bool:
        start = end - len(wanted[index])
        if start >= after[index]:  # else it begins inside the last one
            places.append((wanted[index], start))
            after[index] = end
        return len(places) > _MAX_PLACES

    try:
        database.scan(data, match_event_handler=add)
    except hyperscan.ScanTerminated:
        raise TooComplex("the message has too many copies of its secrets") from None
    return places


def _at_each_place(data: bytes, pieces: dict[bytes, list[bytes]], where: int) -> list[tuple[bytes, int]]:
    """As `_places`, by the bytes that each form has at `where`: quicker than to compile thousands for a small
    text.
    """
    seen = [
        place for place in range(len(data) - _MIN_LENGTH + 1) if data[place : place + _MIN_LENGTH] in pieces
    ]
    return [
        (form, start)
        for place in seen
        for form in pieces[data[place : place + _MIN_LENGTH]]
        if (start := place - (len(form) + where if where else 0)) >= 0 and data.startswith(form, start)
    ]


def _occurrences(data: bytes, form: bytes) -> Iterator[int]:
    position = data.find(form)
    while position >= 0:
        yield position
        position = data.find(form, position + len(form))


def is_telling(value: bytes) -> bool:
    """Whether a value is long and odd enough not to stand elsewhere by chance."""
    if len(value) < _MIN_LENGTH or value.startswith(b"[REDACTED:"):
        return False
    return len(value) >= _SURE_LENGTH or not (value.isalpha() or value.isdigit())


def _forms(value: bytes) -> set[bytes]:
    if not value.translate(None, _UNESCAPED):
        return {value}
    forms = {value, quote(value, safe="").encode()}
    try:
        text = value.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return forms
    once = _escaped(text)
    for form in once.union(*map(_escaped, once)):  # JSON in a string of JSON
        forms.add(form.encode("utf-8", "surrogatepass"))
    return forms


def _escaped(text: str) -> set[str]:
    return {json.dumps(text, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)}


def _stands_alone(data: bytes, start: int, end: int, value: bytes) -> bool:
    """Short values count only as whole words."""
    if len(value) >= _SURE_LENGTH:
        return True
    before, after = data[start - 1 : start], data[end : end + 1]
    return not before.isalnum() and not after.isalnum()


class _Strings:
    """Whether a place is inside a string, those of spans that were passed over included."""

    def __init__(self, data: bytes, tree: Tree) -> None:
        self._data = data
        self._leaves = tree.leaves
        self._starts = [leaf.start for leaf in tree.leaves]
        self._skipped = tree.skipped
        self._skipped_at = [start for start, _ in tree.skipped]
        self._read: dict[int, Quotes] = {}

    def hold(self, start: int, end: int) -> bool:
        index = bisect_right(self._skipped_at, start) - 1
        if index >= 0 and start < self._skipped[index][1]:
            return self._of_skipped(index).hold(start, end)
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and self._leaves[index].quoted and end <= self._leaves[index].end

    def _of_skipped(self, index: int) -> Quotes:
        if index not in self._read:
            self._read[index] = Quotes(self._data, self._skipped[index][0])
        return self._read[index]
