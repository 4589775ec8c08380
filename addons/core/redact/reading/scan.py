"""Finds secrets in text and structure, layer by layer. Gives findings; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from addons.core.redact.decoding import layers
from addons.core.redact.detectors.detector import Detector, amid_noise, compiled, spans
from addons.core.redact.detectors.table import DETECTORS
from addons.core.redact.formats import jsonish
from addons.core.redact.masking.findings import Finding, Work, settle
from addons.core.redact.reading import key_blocks, lists, pairs, statements, structure, tables
from addons.core.redact.screening.doubts import Doubts
from addons.core.redact.screening.gate import GROUPS, RUN, Gate, Hits

MAX_LAYERS = 4
"""How many encodings inside one another are undone: three, and the JSON string that all of it stands in."""

_UNDONE = (
    *(layers.unpercent, layers.unbackslash, layers.unentity, layers.unstyle),
    layers.unconcatenate,
)
_NO_FORM = frozenset((-1, RUN, GROUPS))
_COST_OF_FINDING = 500  # in bytes read: a log may have a secret in each of its lines


class Scanner:
    """The detectors, compiled. With `by_name` also what a key or a name gives away as a secret. Holds no
    message; one serves many threads.
    """

    __slots__ = ("_beside", "_rows", "by_name", "gate", "pii")

    def __init__(self, detectors: Sequence[Detector], *, by_name: bool) -> None:
        self.by_name = by_name
        self.pii = any(detector.pii for detector in detectors)
        self._rows = [(detector, compiled(detector.pattern)) for detector in detectors]
        self._beside = frozenset(rank for rank, detector in enumerate(detectors) if detector.beside)
        self.gate = Gate(
            [detector.gate for detector in detectors],
            by_name=by_name,
            of_classes={rank for rank, detector in enumerate(detectors) if detector.of_classes},
            sift=Doubts(detectors).remaining,
        )

    def scan(self, text: bytes, work: Work, depth: int = MAX_LAYERS) -> list[Finding]:
        """Find secrets in `text`, in order and apart. Raises `TooComplex`."""
        work.spend(len(text))
        hits = self.gate.hits(text)
        if not hits:
            return []
        if depth and text.lstrip()[:1] in (b"{", b"["):
            tree = jsonish.read(text)
            if tree is not None:
                return settle(structure.find(self, text, tree, hits, work, depth - 1), text)
        return self._read(text, hits, work, depth)

    def scan_text(self, text: bytes, work: Work) -> list[Finding]:
        """As `scan`, without taking the text for JSON."""
        work.spend(len(text))
        hits = self.gate.hits(text)
        return self._read(text, hits, work, MAX_LAYERS) if hits else []

    def _read(self, text: bytes, hits: Hits, work: Work, depth: int) -> list[Finding]:
        found = list(self.detect(text, hits))
        if self.by_name:
            found += (
                *pairs.find_pairs(text),
                *key_blocks.find(text),
                *statements.find(text),
                *tables.find(text),
            )
            found += lists.find_in_text(self, text) if b"[" in text else ()
        work.spend(_COST_OF_FINDING * len(found))
        if depth:
            found += self._layers(text, hits, work, depth - 1)
        return settle(found, text)

    def detect(
        self, text: bytes, hits: Hits | None = None, *, joined: bool = False, beside: bool = False
    ) -> Iterator[Finding]:
        """Find what has a form of its own. `hits`: what the gate saw in `text`, if it was asked already.

        `joined`: only forms that stand without a boundary around them, for text that was put together from
        pieces. `beside`: only those that may rest on a name in front.
        """
        hits = hits or self.gate.hits(text)
        ranks = range(len(self._rows)) if hits.forms is None else sorted(hits.forms - _NO_FORM)
        if not (hits and ranks):
            return
        folded = text.lower()
        for rank in ranks:
            detector, pattern = self._rows[rank]
            if (joined and (detector.structural or detector.group or detector.pii)) or (
                beside and not detector.beside
            ):
                continue
            searched = folded if detector.any_case else text
            if detector.keywords and not any(map(searched.__contains__, detector.keywords)):
                continue
            for start, end in spans(pattern, text, detector.group):
                value = text[start:end]
                if detector.is_short and not joined and amid_noise(text, start):
                    continue
                if detector.check is None or detector.check(value):
                    yield Finding(start, end, detector.id, detector.kind, value)

    def asks_names(self, hits: Hits) -> bool:
        """Whether a name may tell of the value that it stands in front of, after what the gate saw."""
        return bool(self._beside) and (hits.forms is None or not self._beside.isdisjoint(hits.forms))

    def beside(self, name: bytes, value: bytes) -> Iterator[Finding]:
        """Find what the name in front of a value tells of; offsets into `value`."""
        text = b'"%s": "%s"' % (name, value)
        start = len(text) - len(value) - 1
        for finding in self.detect(text, beside=True):
            if start <= finding.start and finding.end <= start + len(value):
                yield finding.moved(finding.start - start, finding.end - start)

    def _layers(self, text: bytes, hits: Hits, work: Work, depth: int) -> Iterator[Finding]:
        has_groups = hits.forms is None or GROUPS in hits.forms
        for undo in (*_UNDONE, layers.ungroup) if has_groups else _UNDONE:
            layer = undo(text)
            for finding in self.through(layer, work, depth) if layer is not None else ():
                is_string = undo is layers.unbackslash
                yield finding.moved(finding.start, finding.end, inside=1) if is_string else finding.unquoted()
        has_runs = hits.forms is None or RUN in hits.forms
        for blob in layers.blobs(text) if has_runs else ():
            inner = self.scan(blob.text, work, depth)
            if inner:
                yield inner[0].moved(blob.start, blob.end).unquoted()

    def through(self, layer: layers.Layer, work: Work, depth: int) -> Iterator[Finding]:
        """Give findings of a layer's text, at their places in its source."""
        for finding in self.scan(layer.text, work, depth):
            yield finding.moved(*layer.source_span(finding.start, finding.end))


@lru_cache(maxsize=2)
def default_scanner(*, pii: bool) -> Scanner:
    """Make the scanner of every secret, and with `pii` of personal data too; each compiled once."""
    return Scanner([detector for detector in DETECTORS if pii or not detector.pii], by_name=True)
