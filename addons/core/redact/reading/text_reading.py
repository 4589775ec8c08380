"""Reads text for secrets by its structure: as JSON, as lines of it, as events, else as running text."""

from __future__ import annotations

from collections.abc import Sequence

import re2

from addons.core.redact.decoding import events
from addons.core.redact.decoding.layers import Layer
from addons.core.redact.formats import jsonish
from addons.core.redact.formats.jsonish import Leaf, Tree
from addons.core.redact.masking.findings import Finding, Work, settle
from addons.core.redact.reading import columns, lists, structure
from addons.core.redact.reading.leaf_values import text_of
from addons.core.redact.reading.scan import MAX_LAYERS, Scanner
from addons.core.redact.screening.gate import Hits
from addons.core.redact.screening.islands import islands
from addons.core.redact.screening.outline import clean_elements

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
# What stands before JSON where it is one of many records (RFC 7464), or of an event.
_BEFORE_JSON = re2.compile(rb"\x1e|data: ?", options=_LATIN1)
# What keeps a browser from running JSON as a script.
_UNRUNNABLE = re2.compile(rb"\)\]\}',?[ \t]*\r?\n?|(?:while\(1\)|for\(;;\));", options=_LATIN1)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NUMBER_STARTS = frozenset((b"-", *(b"%d" % digit for digit in range(10))))
_JSON_STARTS = frozenset((b"{", b"[", b'"'))
_JSON_ENDS = frozenset((b"}", b"]"))
DELTAS = frozenset((b"delta", b"text", b"content", b"partial_json", b"arguments", b"thinking", b"chunk"))
"""Names under which events bring pieces of a longer text."""
_DELTA_NAME = re2.compile(rb'"(?:%b)"' % b"|".join(sorted(DELTAS)), options=_LATIN1)
_SHORT_DELTA = 256  # a longer text is most likely one of its own


def read(
    scanner: Scanner, data: bytes, media: str, work: Work, hits: Hits | None = None
) -> tuple[Tree | None, list[Finding]]:
    """Find secrets in `data`; with the tree, where it is one JSON document. `media`: in lower case. `hits`:
    what the gate saw, if it was asked already. Raises `TooComplex`.
    """
    found = (
        list(columns.find(data)) if scanner.by_name and any(map(media.__contains__, columns.MEDIA)) else []
    )
    if found:
        return None, settle([*found, *scanner.scan_text(data, work)], data)
    hits = scanner.gate.hits(data) if hits is None else hits
    if not hits and "event-stream" not in media:
        return None, []
    start = len(_BYTE_ORDER_MARK) if data.startswith(_BYTE_ORDER_MARK) else 0
    if (prefix := _UNRUNNABLE.match(data, start)) is not None:
        start = prefix.end()
    first = data[start : start + 64].lstrip()[:1] or data[start:].lstrip()[:1]
    if first in _JSON_STARTS or ("json" in media and first in _NUMBER_STARTS):
        apart = _in_islands(scanner, data, start, hits, work) if hits else None
        if apart is not None:
            return apart
        tree = jsonish.read(data, start, skipped=clean_elements(data, start, hits))
        if tree is not None:
            work.spend(len(data))
            return tree, settle(structure.find(scanner, data, tree, hits, work, MAX_LAYERS - 1), data)
    return None, settle(_lines(scanner, data, hits, work, deltas="event-stream" in media), data)


def _in_islands(
    scanner: Scanner, data: bytes, start: int, hits: Hits, work: Work
) -> tuple[Tree, list[Finding]] | None:
    """Read only the elements that hold something, each for itself; None where that would not do."""
    spans = islands(data, start, hits) if data.rstrip()[-1:] in _JSON_ENDS else None
    if spans is None:
        return None
    whole = Tree()
    found: list[Finding] = []
    between: list[tuple[int, int]] = []
    position = start
    for begin, end in spans:
        tree = jsonish.read(data, begin, end)
        if tree is None:
            return None
        work.spend(end - begin)
        found += structure.find(scanner, data, tree, hits, work, MAX_LAYERS - 1)
        whole.leaves += tree.leaves
        between.append((position, begin))
        position = end
    whole.skipped = [*between, (position, len(data))]
    work.spend(len(data))
    return whole, settle(found, data)


def tree_of(data: bytes) -> Tree | None:
    return jsonish.read(data) if data.lstrip()[:1] in _JSON_STARTS else None


def _lines(scanner: Scanner, data: bytes, hits: Hits, work: Work, *, deltas: bool) -> list[Finding]:
    """Lines of JSON, with `data:` in front or not (server-sent events), between lines of text.

    With `deltas` the pieces of one field in successive events are read as one text as well.
    """
    found: list[Finding] = []
    whole = Tree()
    text_start = position = 0
    while position < len(data):
        line_end = data.find(b"\n", position)
        end = len(data) if line_end < 0 else line_end
        prefix = _BEFORE_JSON.match(data[position : position + 6])
        start = position + (prefix.end() if prefix is not None else 0)
        is_json = data[start : start + 1] in _JSON_STARTS
        if (
            is_json
            and _is_closed(data, start, end)
            and not hits.within(start, end + 1)
            and not (deltas and _DELTA_NAME.search(data[start:end]))
        ):
            found += _text(scanner, data, text_start, position, hits, work)
            position = text_start = end + 1
            continue
        tree = jsonish.read(data, start, end) if is_json else None
        if tree is not None:
            found += _text(scanner, data, text_start, position, hits, work)
            work.spend(end - start)
            found += structure.find(scanner, data, tree, hits, work, MAX_LAYERS - 1)
            whole.leaves += tree.leaves
            text_start = end
        position = end + 1
    found += _text(scanner, data, text_start, len(data), hits, work)
    for layer in events.long_ones(data) if deltas else ():
        found += _event(scanner, layer, work)
    for name in DELTAS if deltas else ():
        leaves = [leaf for leaf in whole.leaves if leaf.name == name and leaf.quoted and not leaf.is_key]
        found += _deltas(scanner, leaves, [text_of(data, leaf) for leaf in leaves], work)
    return found


def _deltas(scanner: Scanner, leaves: Sequence[Leaf], texts: Sequence[bytes], work: Work) -> list[Finding]:
    """The pieces of one field, read as one text: as far as can be read at once, with an overlap."""
    found: list[Finding] = []
    start = 0
    while start < len(texts) - 1:
        end, size, middle = start, 0, start
        while end < len(texts) and (size := size + len(texts[end])) <= lists.MAX_JOIN:
            middle = end if size <= lists.MAX_JOIN // 2 else middle
            end += 1
        short = all(len(text) <= _SHORT_DELTA for text in texts[start:end])
        found += lists.joined(scanner, leaves[start:end], texts[start:end], work if short else None)
        start = max(middle, start + 1) if end < len(texts) else end
    return found


def _is_closed(data: bytes, start: int, end: int) -> bool:
    """Whether a line begins and ends as one object does: cheaper than to read it, where it holds nothing."""
    return data[start : start + 1] == b"{" and data[max(start, end - 4) : end].rstrip(b" \t\r").endswith(b"}")


def _event(scanner: Scanner, layer: Layer, work: Work) -> list[Finding]:
    """An event whose data stands on several lines, read as one."""
    _, found = read(scanner, layer.text, "", work)
    return [finding.moved(*layer.source_span(finding.start, finding.end)) for finding in found]


def _text(  # noqa: PLR0913, PLR0917 - a piece of what is read
    scanner: Scanner, data: bytes, start: int, end: int, hits: Hits, work: Work
) -> list[Finding]:
    if end <= start or not hits.within(start, end):
        return []
    found = scanner.scan_text(data[start:end], work)
    return [finding.moved(finding.start + start, finding.end + start) for finding in found]
