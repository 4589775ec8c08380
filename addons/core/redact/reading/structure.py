"""Finds secrets by where they stand in JSON: under which key, beside which name, in which list."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import re2

from addons.core.redact.decoding import layers
from addons.core.redact.detectors.names import CONTAINERS, NameClass, looks_random
from addons.core.redact.formats.jsonish import Frame, Leaf, Tree
from addons.core.redact.masking.findings import Finding, Work
from addons.core.redact.reading import lists, neighbours
from addons.core.redact.reading.leaf_values import (
    MAX_KEY,
    SCHEME,
    fits,
    kind_of,
    name_of,
    number_fits,
    text_of,
)
from addons.core.redact.screening.gate import Hits

if TYPE_CHECKING:
    from addons.core.redact.reading.scan import Scanner

_ID_NAME = re2.compile(
    rb"(?i)(?:^|[_.\-a-z])(?:id|ids|offset|timestamp|ts|duration|count|time|nonce|seq|sequence|number|version|parent|hash|sha)$"
)
_CARD = re2.compile(rb"(?i)card|payment|\bpan\b|\bcc")
# What says something about a secret: `{"secret": {"secretName": …}}`.
_DESCRIBES = re2.compile(
    rb"(?i)(?:^|[_.\-a-z])(?:names?|ids?|refs?|types?|kind|path|version|namespace|arn|ur[il]|description|status"
    rb"|provider|region|user|username|host|label|created|updated|_at|(?-i:[a-z]At))$"
)
_OF_PARENT = frozenset((b"value", b"key", b"hash", b"plaintext", b"secret_value", b"raw"))
_SECRET_DATA = frozenset(("data", "stringData"))
_NEAR, _FAR = 2, 4  # levels below a store of secrets
_SCHEMA = re2.compile(
    rb"(?i)^(?:properties|schemas?|definitions|examples?|metadata|labels|annotations|parameters|usage)$"
)
_BETWEEN = 16  # bytes at most from the end of a key to its value
_COST_OF_KEY = 500  # in bytes read


def find(  # noqa: PLR0913, PLR0917 - what the walk below needs
    scanner: Scanner, data: bytes, tree: Tree, hits: Hits, work: Work, depth: int
) -> list[Finding]:
    """Find secrets in the strings and numbers of `tree`, which was read from `data`; offsets into `data`.
    `hits`: what the gate saw in `data`.
    """
    named = _by_key(scanner, data, tree)
    work.spend(_COST_OF_KEY * len(named))
    found = list(named.values())
    found += lists.find(scanner, data, tree.frames)
    found += neighbours.find(data, tree.frames) if scanner.by_name else ()
    found += _in_leaves(scanner, data, tree, hits, work, depth, named)
    if scanner.asks_names(hits):
        found += _beside_names(scanner, data, tree, hits, named)
    return found


def _beside_names(
    scanner: Scanner, data: bytes, tree: Tree, hits: Hits, named: dict[int, Finding]
) -> Iterator[Finding]:
    """Values whose form tells little without their key."""
    for leaf in tree.leaves:
        if leaf.is_key or not leaf.name or leaf.start in named:
            continue
        if not hits.within(leaf.start - len(leaf.name) - _BETWEEN, leaf.end + 1):
            continue
        raw = data[leaf.start : leaf.end]
        layer = layers.unbackslash(raw) if leaf.quoted else None
        for finding in scanner.beside(leaf.name, raw if layer is None else layer.text):
            if not leaf.quoted:
                yield Finding(leaf.start, leaf.end, finding.detector, finding.kind, raw, bare=True)
                continue
            span = (
                (finding.start, finding.end)
                if layer is None
                else layer.source_span(finding.start, finding.end)
            )
            yield finding.moved(leaf.start + span[0], leaf.start + span[1])


def _in_leaves(  # noqa: PLR0913, PLR0917 - one walk over everything that find() holds
    scanner: Scanner,
    data: bytes,
    tree: Tree,
    hits: Hits,
    work: Work,
    depth: int,
    named: dict[int, Finding],
) -> Iterator[Finding]:
    """Look into those strings that the gate pointed at."""
    for leaf in tree.leaves if hits.everywhere else _hit(tree.leaves, hits.ends):
        if leaf.start not in named:
            yield from _in_leaf(scanner, data, leaf, work, depth)


def _hit(leaves: Sequence[Leaf], ends: Sequence[int]) -> Iterator[Leaf]:
    """Those of `leaves` in which any of `ends` is."""
    starts = [leaf.start for leaf in leaves]
    place = bisect_right(ends, starts[0]) if starts else len(ends)
    while place < len(ends):
        following = bisect_left(starts, ends[place])
        # A form may end with the quote after the leaf, its boundary.
        if ends[place] <= leaves[following - 1].end + 1:
            yield leaves[following - 1]
        place = bisect_right(ends, starts[following], place) if following < len(starts) else len(ends)


def _in_leaf(scanner: Scanner, data: bytes, leaf: Leaf, work: Work, depth: int) -> Iterator[Finding]:
    raw = data[leaf.start : leaf.end]
    if not leaf.quoted:
        is_number = leaf.name.lower().endswith(b"number") and _is_of_card(leaf)
        if not scanner.pii or (_ID_NAME.search(leaf.name) and not is_number):
            return
        for finding in scanner.detect(raw):
            yield Finding(leaf.start, leaf.end, finding.detector, finding.kind, raw, bare=True)
        return
    layer = layers.unbackslash(raw)
    inner = scanner.scan(raw, work, depth) if layer is None else scanner.through(layer, work, depth)
    for finding in inner:
        if finding.detector == "card" and _ID_NAME.search(leaf.name) and not _is_of_card(leaf):
            continue
        yield finding.moved(finding.start + leaf.start, finding.end + leaf.start, inside=1)


def _is_of_card(leaf: Leaf) -> bool:
    """`{"card": {"number": …}}`: an id otherwise."""
    return _CARD.search(leaf.name) is not None or _CARD.search(leaf.frame.name) is not None


def _by_key(scanner: Scanner, data: bytes, tree: Tree) -> dict[int, Finding]:
    """Leaves whose own key, or the key of an object around them, names a secret."""
    found: dict[int, Finding] = {}
    if not scanner.by_name:
        return found
    levels: dict[int, int] = {}
    for leaf in tree.leaves:
        if leaf.is_key:
            continue
        kind = kind_of(leaf.name) if len(leaf.name) <= MAX_KEY else NameClass.NONE
        if kind is NameClass.NONE and leaf.name.lower() in _OF_PARENT:
            kind = _kind_of_parent(leaf)
        if kind is NameClass.NONE:
            level = levels.get(id(leaf.frame))
            if level is None:
                level = levels[id(leaf.frame)] = _level_in_container(data, leaf.frame)
            if not level or _DESCRIBES.search(leaf.name):
                continue
            if level > _NEAR and not looks_random(text_of(data, leaf)):
                continue
        value = text_of(data, leaf)
        if (fits if leaf.quoted else number_fits)(kind, value, leaf):
            found[leaf.start] = _whole(scanner, data, leaf, value, kind)
    return found


def _kind_of_parent(leaf: Leaf) -> NameClass:
    """Of `{"api_key": {"key": …}}`, whose inner name says nothing."""
    name = leaf.frame.name
    kind = NameClass.NONE if leaf.frame.array or len(name) > MAX_KEY else kind_of(name)
    return kind if kind in {NameClass.PASSWORD, NameClass.SECRET} else NameClass.NONE


def _level_in_container(data: bytes, frame: Frame) -> int:
    """How far in an object named like a store of secrets `frame` stands: 1 is the store itself, 0 in none.
    Past two levels there are schemas more often than secrets, and nothing is taken there but what is random.
    """
    at: Frame | None = frame
    described = False
    for level in range(1, _FAR + 1):
        if at is None or (described and level > _NEAR):
            return 0
        if _is_container(data, at):
            return level
        described = described or _SCHEMA.search(at.name) is not None
        at = at.parent if at.name else None
    return 0


def _is_container(data: bytes, frame: Frame) -> bool:
    name = frame.name
    says_so = _says_secrets if len(name) <= MAX_KEY else _says_secrets.__wrapped__
    return says_so(name) or (name_of(name) in _SECRET_DATA and _is_secret(data, frame.parent))


@lru_cache(maxsize=8192)
def _says_secrets(key: bytes) -> bool:
    return CONTAINERS.search(name_of(key)) is not None


def _is_secret(data: bytes, frame: Frame | None) -> bool:
    """Whether it is a Kubernetes object of the kind, or in a list of such."""
    if frame is None:
        return False
    above = frame.parent.parent if frame.parent is not None and frame.parent.array else None
    return _has_kind(data, frame, b"Secret") or (above is not None and _has_kind(data, above, b"SecretList"))


def _has_kind(data: bytes, frame: Frame, kind: bytes) -> bool:
    return any(leaf.name == b"kind" and data[leaf.start : leaf.end] == kind for leaf in frame.leaves)


def _whole(scanner: Scanner, data: bytes, leaf: Leaf, value: bytes, kind: NameClass) -> Finding:
    """Take the whole leaf, without an authorization scheme in front. It is named
    after the detector that knows it.
    """
    start = leaf.start
    scheme = SCHEME.match(value)
    raw = data[leaf.start : leaf.end]
    if scheme is not None and raw.startswith(scheme.group()):
        start += scheme.end()
        value = value[scheme.end() :]
    for finding in scanner.detect(value):
        if finding.start <= 1 and finding.end >= len(value) - 1:
            return Finding(start, leaf.end, finding.detector, finding.kind, value, bare=not leaf.quoted)
    label = kind.value if kind is not NameClass.NONE else NameClass.SECRET.value
    return Finding(start, leaf.end, f"key-{label}", label, value, bare=not leaf.quoted)
