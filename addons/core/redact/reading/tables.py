"""Secrets in tables within running text: beside their name in a row, or below it in a column, as Markdown,
the shells of databases and RFC 4180 have them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import re2

from addons.core.redact.detectors.names import NameClass, classify, is_dense
from addons.core.redact.detectors.randomness import UUID, is_jumbled, switches
from addons.core.redact.masking.findings import Finding
from addons.core.redact.reading import parameters
from addons.core.redact.screening.announced import STEM

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_BOX = b"\xe2\x94\x82"
_BAR = r"(?:\||\xe2\x94\x82)"
_ROW = re2.compile(
    (
        rf"([A-Za-z][A-Za-z0-9_.\-]{{1,60}})[ \t]{{0,40}}{_BAR}[ \t]{{0,40}}([^\s|\"'\\]{{6,256}})"
        rf"[ \t]{{0,80}}(?:{_BAR}|\r?\n|\z)"
    ).encode("latin-1"),
    options=_LATIN1,
)
_NAMED = re2.compile(
    rf"{STEM}(?:[ \t]{{0,40}}{_BAR}|[,;][A-Za-z]|\t)".encode("latin-1"),
    options=_LATIN1,
)
_HEADING = re2.compile(rb"[A-Za-z][A-Za-z0-9_ .\-]{0,60}\z", options=_LATIN1)
_RULE = frozenset(b"-+|: =\r\t\xe2\x94\x80\xbc\x9c\xa4")
_DELIMITERS = (_BOX, b"|", b"\t", b";", b",")
_MAX_LINE = 2000
_MAX_ROWS = 200
_SEVERAL = 2

type _Cells = list[tuple[int, int]]


def find(text: bytes) -> Iterator[Finding]:
    """Find them; offsets into `text`."""
    if b"|" in text or _BOX in text:
        for match in _ROW.finditer(text):
            yield from _judged(text, match.group(1), *match.span(2))
    done = 0
    for match in _NAMED.finditer(text) if b"\n" in text else ():
        if match.start() < done:
            continue
        start = text.rfind(b"\n", max(0, match.start() - _MAX_LINE), match.start()) + 1
        end = text.find(b"\n", match.start(), match.start() + _MAX_LINE)
        if end < 0:
            continue
        done = yield from _columns(text, start, end)


def _columns(text: bytes, start: int, end: int) -> Generator[Finding, None, int]:
    """What stands below the line from `start` to `end`, if that heads a table. Gives where the table ends: no
    line is read for two.
    """
    line = text[start:end]
    delimiter = next((each for each in _DELIMITERS if each in line), None)
    if delimiter is None:
        return end
    heads = _cells(text, start, end, delimiter)
    names = [text[begin:stop] for begin, stop in heads]
    if len(names) < _SEVERAL or not all(map(_HEADING.match, names)):
        return end
    told = [index for index, name in enumerate(names) if parameters.is_telling(name.decode("latin-1"))]
    for _ in range(_MAX_ROWS if told else 0):
        start = end + 1
        end = text.find(b"\n", start, start + _MAX_LINE)
        end = min(len(text), start + _MAX_LINE) if end < 0 else end
        if start >= end:
            return end
        if _RULE.issuperset(text[start:end]):
            continue
        cells = _cells(text, start, end, delimiter)
        if len(cells) != len(heads):
            return start
        for index in told:
            yield from _judged(text, names[index], *cells[index])
    return end


def _cells(text: bytes, start: int, end: int, delimiter: bytes) -> _Cells:
    """Where the cells of a line are, without what is around them: spaces, quotes, and bars at its ends."""
    cells: _Cells = []
    position = start
    for piece in text[start:end].split(delimiter):
        stripped = piece.strip(b' \t\r"')
        begin = position + len(piece) - len(piece.lstrip(b' \t\r"'))
        cells.append((begin, begin + len(stripped)))
        position += len(piece) + len(delimiter)
    if delimiter in (_BOX, b"|"):
        framed = text[start:end].strip()
        cells = cells[framed.startswith(delimiter) : len(cells) - framed.endswith(delimiter)]
    return cells


def _judged(text: bytes, name: bytes, start: int, end: int) -> Iterator[Finding]:
    """A cell that no word, type or version stands in."""
    value = text[start:end]
    spelled = name.decode("latin-1")
    kind = parameters.named(spelled, value)
    if kind is None or not is_dense(value) or b"(" in value or not switches(value) or UUID.match(value):
        return
    if classify(spelled) is NameClass.PASSWORD or is_jumbled(value):
        yield Finding(start, end, "column", kind, value)
