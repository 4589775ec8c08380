"""Finds secrets in lists: after a flag, among the arguments of a command, and cut into pieces."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import re2

from addons.core.redact.detectors.detector import COMMAND
from addons.core.redact.detectors.names import NameClass, classify
from addons.core.redact.formats.jsonish import Frame, Leaf
from addons.core.redact.masking.findings import Finding, Work
from addons.core.redact.reading.leaf_values import fits, text_of

if TYPE_CHECKING:
    from addons.core.redact.reading.scan import Scanner

MAX_JOIN = 64 * 1024
"""Bytes of text that are put together at most."""
_SUBCOMMANDS = frozenset((b"login", b"configure", b"config", b"set", b"change_password", b"add_user"))
"""Of commands that take a password without a flag: `["vault", "login", "…"]`."""
_OPENING = re2.compile(rb"\[\s{0,8}[\"'][^\"'\r\n]{1,200}[\"']\s{0,8},")
_ITEM = re.compile(
    rb"[ \t\r\n]*+(?:\"((?:[^\"\\]|\\.)*+)\"|'((?:[^'\\]|\\.)*+)')[ \t\r\n]*+([,\]])", re.DOTALL
)
_PARTS = frozenset((b"text", b"content", b"delta", b"chunk"))
_MAX_ITEMS = 64
_MAX_LABEL = 80
_PAIR = 2


def find(scanner: Scanner, data: bytes, frames: Sequence[Frame]) -> Iterator[Finding]:
    """Find secrets in the lists among `frames`; offsets into `data`."""
    for frame in frames:
        leaves = [leaf for leaf in frame.leaves if leaf.quoted] if frame.array else ()
        if len(leaves) < _PAIR:  # a list of one has no neighbours
            continue
        texts = [text_of(data, leaf) for leaf in leaves]
        if scanner.by_name:
            named = len(leaves) == _PAIR or frame.name.lower().endswith(b"headers")
            yield from _labelled(leaves, texts, named=named)
        yield from of_command(scanner, leaves, texts)
        yield from joined(scanner, leaves, texts)
    for parts in _parts(frames):
        yield from joined(scanner, parts, [text_of(data, leaf) for leaf in parts])


def _parts(frames: Sequence[Frame]) -> Iterator[Sequence[Leaf]]:
    """Texts of objects in a row: `[{"type": "text", "text": "…"}, …]`."""
    parts: dict[tuple[int, bytes], list[Leaf]] = {}
    for frame in frames:
        if not frame.array and frame.parent is not None and frame.parent.array:
            for leaf in frame.leaves:
                if leaf.quoted and leaf.name in _PARTS:
                    parts.setdefault((id(frame.parent), leaf.name), []).append(leaf)
    yield from (leaves for leaves in parts.values() if len(leaves) >= _PAIR)


def find_in_text(scanner: Scanner, text: bytes) -> Iterator[Finding]:
    """Find them in the lists of strings that stand in running text, as in JSON or as Python shows them:
    `CMD ["redis-cli", "-a", "…"]`.
    """
    position = 0
    while (opening := _OPENING.search(text, position)) is not None:
        position = opening.start() + 1
        leaves: list[Leaf] = []
        list_ = Frame(array=True, name=b"", parent=None)
        while len(leaves) < _MAX_ITEMS and (item := _ITEM.match(text, position)) is not None:
            position = item.end()
            start, end = item.span(1 if item[1] is not None else 2)
            leaves.append(Leaf(start, end, b"", list_, element=True))
            if item[3] == b"]":
                break
        texts = [text_of(text, leaf) for leaf in leaves]
        yield from _labelled(leaves, texts, named=False)
        yield from of_command(scanner, leaves, texts)


def _labelled(leaves: Sequence[Leaf], texts: Sequence[bytes], *, named: bool) -> Iterator[Finding]:
    """`["--password", "…"]`, `["Password:", "…"]`; with `named` each first of two is a name without a sign:
    `["authorization", "…"]`.
    """
    for index, label in enumerate(texts[:-1]):
        has_sign = label[:1] == b"-" or label.endswith(b":")
        if not label or len(label) > _MAX_LABEL or not (has_sign or (named and index % 2 == 0)):
            continue
        kind = classify(label.decode("latin-1"))
        leaf, value = leaves[index + 1], texts[index + 1]
        if kind is not NameClass.NONE and value[:1] != b"-" and fits(kind, value, leaf):
            yield Finding(leaf.start, leaf.end, "argument", kind.value, value)


def of_command(scanner: Scanner, leaves: Sequence[Leaf], texts: Sequence[bytes]) -> Iterator[Finding]:
    """Passwords among the arguments of a command that is known to take one: `["mysql", "-p…"]`."""
    if not any(text[:1] == b"-" or text in _SUBCOMMANDS for text in texts):
        return
    line = b" ".join(texts)
    if len(line) > MAX_JOIN or not (hits := scanner.gate.hits(line)):
        return
    starts = list(accumulate((len(text) + 1 for text in texts[:-1]), initial=0))
    for finding in scanner.detect(line, hits):
        index = bisect_right(starts, finding.start) - 1
        start, end = finding.start - starts[index], finding.end - starts[index]
        if finding.detector == COMMAND and end <= len(texts[index]):
            yield finding.moved(*_place(leaves[index], texts[index], start, end))


def joined(
    scanner: Scanner, leaves: Sequence[Leaf], texts: Sequence[bytes], running: Work | None = None
) -> Iterator[Finding]:
    """Secrets that show only when the pieces are read as one; every piece of one is masked. With `running`
    they are pieces of one running text, in which names and boundaries count, too.
    """
    whole = b"".join(texts)
    hits = scanner.gate.hits(whole) if len(whole) <= MAX_JOIN else None
    if not hits:
        return
    ends = list(accumulate(map(len, texts)))
    found = scanner.detect(whole, hits, joined=True) if running is None else scanner.scan_text(whole, running)
    for finding in found:
        first, last = bisect_right(ends, finding.start), bisect_right(ends, finding.end - 1)
        for index in range(first, last + 1) if first != last else ():
            leaf, text = leaves[index], texts[index]
            begin = max(0, finding.start - ends[index] + len(text))
            stop = min(len(text), finding.end - ends[index] + len(text))
            if begin < stop:
                start, end = _place(leaf, text, begin, stop)
                yield Finding(start, end, finding.detector, finding.kind, finding.secret)


def _place(leaf: Leaf, text: bytes, start: int, end: int) -> tuple[int, int]:
    """Where `start:end` of a leaf's text stands; all of the leaf, if there are escapes in it."""
    is_plain = len(text) == leaf.end - leaf.start
    return (leaf.start + start, leaf.start + end) if is_plain else (leaf.start, leaf.end)
