"""Finds secrets in text and structure, layer by layer. Gives findings; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import re2

from addons.core.redact import jsonish, layers, pairs, structure
from addons.core.redact.detector import Detector, compiled
from addons.core.redact.detectors import DETECTORS
from addons.core.redact.findings import Finding, Work, settle

MAX_LAYERS = 4
"""How many encodings inside one another are undone: three, and the JSON string that all of it stands in."""

_COST_OF_FINDING = 1000  # in bytes read: about as long as one find takes

# Plain letters and digits have no business being escaped: whoever does it hides something.
_ESCAPED = (
    r"%(?:25|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|2[dD]|5[fF])"
    r"|\\u00(?:3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|2[dD]|5[fF])|\\x[2-7][0-9A-Fa-f]|&#[0-9xX]"
    r"|%5[cC](?:u00|x)[2-7][0-9A-Fa-f]|%26%23[0-9xX]"  # the same under percent
)
# An address that may hold a password, as a parameter of another.
_ENCODED_URL = r"%3[aA]%2[fF]%2[fF][^\s\"'<>]{1,160}%40"
_ENCODED_GATE = f"{layers.BASE64_TEXT}|{layers.HEX_TEXT}|{_ESCAPED}|{_ENCODED_URL}"


class Scanner:
    """The detectors, compiled. With `by_name` also what a key or a name gives away as a secret. Holds no
    message; one serves many threads.
    """

    __slots__ = ("_always", "_by_keyword", "_forms", "by_name", "gate", "pii")

    def __init__(self, detectors: Sequence[Detector], *, by_name: bool) -> None:
        self.by_name = by_name
        self.pii = any(detector.pii for detector in detectors)
        by_keyword: dict[bytes, list[tuple[int, Detector, re2._Regexp]]] = {}
        self._always: list[tuple[int, Detector, re2._Regexp]] = []
        for rank, detector in enumerate(detectors):
            row = (rank, detector, compiled(detector.pattern))
            for keyword in detector.keywords:
                by_keyword.setdefault(keyword, []).append(row)
            if not detector.keywords:
                self._always.append(row)
        self._by_keyword = tuple(by_keyword.items())
        gates = [detector.gate for detector in detectors]
        self._forms = _alternation(gates)
        of_names = [pairs.GATE, structure.GATE] if by_name else []
        self.gate = _alternation([*gates, *of_names, _ENCODED_GATE])

    def scan(self, text: bytes, work: Work, depth: int = MAX_LAYERS) -> list[Finding]:
        """Find secrets in `text`, in order and apart. Raises `TooComplex`."""
        work.spend(len(text))
        if self.gate.search(text) is None:
            return []
        if depth and text.lstrip()[:1] in (b"{", b"["):
            tree = jsonish.read(text)
            if tree is not None:
                return settle(structure.find(self, text, tree, work, depth - 1), text)
        return self._read(text, work, depth)

    def scan_text(self, text: bytes, work: Work) -> list[Finding]:
        """As `scan`, without taking the text for JSON."""
        work.spend(len(text))
        return self._read(text, work, MAX_LAYERS) if self.gate.search(text) is not None else []

    def _read(self, text: bytes, work: Work, depth: int) -> list[Finding]:
        found = [*self.detect(text), *(pairs.find_pairs(text) if self.by_name else ())]
        work.spend(_COST_OF_FINDING * len(found))
        if depth:
            found += self._layers(text, work, depth - 1)
        return settle(found, text)

    def detect(self, text: bytes, *, joined: bool = False) -> Iterator[Finding]:
        """Find what has a form of its own.

        `joined`: only forms that stand without a boundary around them, for         text that was put
        together from pieces.
        """
        if not joined and self._forms.search(text) is None:
            return
        rows = {row[0]: row for keyword, rows in self._by_keyword if keyword in text for row in rows}
        for _, detector, pattern in (*(rows[rank] for rank in sorted(rows)), *self._always):
            if joined and (detector.structural or detector.group or detector.pii):
                continue
            for match in pattern.finditer(text):
                start, end = match.span(detector.group)
                value = text[start:end]
                if detector.check is None or detector.check(value):
                    yield Finding(start, end, detector.id, detector.kind, value)

    def _layers(self, text: bytes, work: Work, depth: int) -> Iterator[Finding]:
        for undo in (layers.unpercent, layers.unbackslash, layers.unentity, layers.unstyle):
            layer = undo(text)
            if layer is not None:
                yield from self.through(layer, work, depth)
        for blob in layers.blobs(text):
            inner = self.scan(blob.text, work, depth)
            if inner:
                yield inner[0].moved(blob.start, blob.end)

    def through(self, layer: layers.Layer, work: Work, depth: int) -> Iterator[Finding]:
        """Give findings of a layer's text, at their places in its source."""
        for finding in self.scan(layer.text, work, depth):
            yield finding.moved(*layer.source_span(finding.start, finding.end))


def _alternation(patterns: Sequence[str]) -> re2._Regexp:
    """One automaton for all. Without captures, so that it runs as a DFA; the memory is for its states."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    options.max_mem = 256 << 20
    return re2.compile("|".join(f"(?:{pattern})" for pattern in patterns).encode("latin-1"), options=options)


@lru_cache(maxsize=2)
def default_scanner(*, pii: bool) -> Scanner:
    """Make the scanner of every secret, and with `pii` of personal data too; each compiled once."""
    return Scanner([detector for detector in DETECTORS if pii or not detector.pii], by_name=True)
