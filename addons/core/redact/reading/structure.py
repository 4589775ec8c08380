"""Finds secrets by where they stand in JSON: under which key, beside which name, in which list."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

import re2

from addons.core.redact.decoding import layers
from addons.core.redact.detectors.detector import COMMAND
from addons.core.redact.detectors.names import (
    CONTAINERS,
    NameClass,
    can_be_opaque,
    can_be_password,
    can_be_secret,
    classify,
    count_digits,
    is_card_code,
    is_dense,
)
from addons.core.redact.formats.jsonish import Frame, Leaf, Tree
from addons.core.redact.masking.findings import Finding, Work
from addons.core.redact.screening.announced import LABELS
from addons.core.redact.screening.gate import Hits

if TYPE_CHECKING:
    from addons.core.redact.reading.scan import Scanner

_VALUE_KEYS = frozenset(
    (
        b"value",
        b"val",
        b"v",
        b"content",
        b"default",
        b"default_value",
        b"defaultvalue",
        b"data",
        b"text",
        b"secret_value",
        b"parametervalue",
        b"variablevalue",
        b"headervalue",
    ),
)
_TYPED_VALUES = frozenset((b"stringvalue", b"string_value", b"str", b"s", b"value"))
_BESIDE = _VALUE_KEYS | _TYPED_VALUES | {b"last4", b"kty"}
_SCHEME = re2.compile(
    rb"(?i)^(?:bearer|basic|token|digest|negotiate|apikey|ssws|splunk|bot|delegated|aws4-hmac-sha256)\s+"
)
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
_JWK_PRIVATE = frozenset((b"d", b"p", b"q", b"dp", b"dq", b"qi", b"k"))
_SECRET_DATA = frozenset(("data", "stringData"))
_MAX_KEY = 720  # bytes: each character of the longest name that is judged, as an escape
MAX_JOIN = 64 * 1024
_MIN_NUMBER = 4
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
    for frame in tree.frames:
        if frame.array:
            found += _in_list(scanner, data, frame)
        elif scanner.by_name:
            found += _by_neighbour(data, frame)
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


def text_of(data: bytes, leaf: Leaf) -> bytes:
    """Give a leaf's value, unescaped."""
    raw = data[leaf.start : leaf.end]
    layer = layers.unbackslash(raw)
    return raw if layer is None else layer.text


def name_of(raw: bytes) -> str:
    layer = layers.unbackslash(raw) if b"\\" in raw else None
    return (raw if layer is None else layer.text).decode("latin-1")


def _by_key(scanner: Scanner, data: bytes, tree: Tree) -> dict[int, Finding]:
    """Leaves whose own key, or the key of an object around them, names a secret."""
    found: dict[int, Finding] = {}
    if not scanner.by_name:
        return found
    contained: dict[int, bool] = {}
    for leaf in tree.leaves:
        if leaf.is_key:
            continue
        kind = _kind_of(leaf.name) if len(leaf.name) <= _MAX_KEY else NameClass.NONE
        if kind is NameClass.NONE and leaf.name.lower() in _OF_PARENT:
            kind = _kind_of_parent(leaf)
        if kind is NameClass.NONE:
            around = contained.get(id(leaf.frame))
            if around is None:
                around = contained[id(leaf.frame)] = _in_container(data, leaf.frame)
            if not around or _DESCRIBES.search(leaf.name):
                continue
        value = text_of(data, leaf)
        if (_fits if leaf.quoted else _number_fits)(kind, value, leaf):
            found[leaf.start] = _whole(scanner, data, leaf, value, kind)
    return found


@lru_cache(maxsize=8192)
def _kind_of(key: bytes) -> NameClass:
    """Of a key as it stands in the text."""
    return classify(name_of(key)) if key else NameClass.NONE


def _kind_of_parent(leaf: Leaf) -> NameClass:
    """Of `{"api_key": {"key": …}}`, whose inner name says nothing."""
    name = leaf.frame.name
    kind = NameClass.NONE if leaf.frame.array or len(name) > _MAX_KEY else _kind_of(name)
    return kind if kind in {NameClass.PASSWORD, NameClass.SECRET} else NameClass.NONE


def _fits(kind: NameClass, value: bytes, leaf: Leaf) -> bool:
    if kind is NameClass.PASSWORD:
        return can_be_password(value) and (not leaf.element or is_dense(value))
    if kind is NameClass.SECRET:
        if is_card_code(leaf.name.decode("latin-1"), value):
            return True
        return can_be_secret(_SCHEME.sub(b"", value)) and (not leaf.element or is_dense(value))
    if kind is not NameClass.NONE:
        return can_be_opaque(kind, value)
    return is_dense(value)


def _number_fits(kind: NameClass, value: bytes, leaf: Leaf) -> bool:
    """A password or code as a number. `tokens` are counted, and have numbers."""
    if kind is NameClass.SECRET:
        if len(value) < _MIN_NUMBER:
            return is_card_code(leaf.name.decode("latin-1"), value)
        return value.isdigit() and not leaf.name.lower().endswith(b"tokens")
    return kind is NameClass.PASSWORD and count_digits(value) >= _MIN_NUMBER


def _in_container(data: bytes, frame: Frame) -> bool:
    """Whether an object named like a store of secrets is around. Two levels are looked at: deeper ones are
    schemas more often than secrets.
    """
    parent = frame.parent if frame.name else None
    return _is_container(data, frame) or (parent is not None and _is_container(data, parent))


def _is_container(data: bytes, frame: Frame) -> bool:
    name = frame.name
    says_so = _says_secrets if len(name) <= _MAX_KEY else _says_secrets.__wrapped__
    return says_so(name) or (name_of(name) in _SECRET_DATA and _is_secret(data, frame.parent))


@lru_cache(maxsize=8192)
def _says_secrets(key: bytes) -> bool:
    return CONTAINERS.search(name_of(key)) is not None


def _is_secret(data: bytes, frame: Frame | None) -> bool:
    """Whether it is a Kubernetes object of the kind."""
    leaves = frame.leaves if frame is not None else ()
    return any(leaf.name == b"kind" and data[leaf.start : leaf.end] == b"Secret" for leaf in leaves)


def _whole(scanner: Scanner, data: bytes, leaf: Leaf, value: bytes, kind: NameClass) -> Finding:
    """Take the whole leaf, without an authorization scheme in front. It is named
    after the detector that knows it.
    """
    start = leaf.start
    scheme = _SCHEME.match(value)
    raw = data[leaf.start : leaf.end]
    if scheme is not None and raw.startswith(scheme.group()):
        start += scheme.end()
        value = value[scheme.end() :]
    for finding in scanner.detect(value):
        if finding.start <= 1 and finding.end >= len(value) - 1:
            return Finding(start, leaf.end, finding.detector, finding.kind, value, bare=not leaf.quoted)
    label = kind.value if kind is not NameClass.NONE else NameClass.SECRET.value
    return Finding(start, leaf.end, f"key-{label}", label, value, bare=not leaf.quoted)


def _by_neighbour(data: bytes, frame: Frame) -> Iterator[Finding]:
    """`{"name": "password", "value": …}`, and `key` beside `last4`."""
    by_name: dict[bytes, Leaf] = {leaf.name.lower(): leaf for leaf in frame.leaves if leaf.quoted}
    if by_name.keys().isdisjoint(_BESIDE):
        return
    if b"last4" in by_name and b"key" in by_name:
        leaf = by_name[b"key"]
        value = text_of(data, leaf)
        if is_dense(value):
            yield Finding(leaf.start, leaf.end, "key-beside-last4", "key", value)
    values = [leaf for name, leaf in by_name.items() if name in _VALUE_KEYS]
    yield from _as_said(data, frame, by_name, values)
    owner: Frame = frame
    if frame.name.lower() in _VALUE_KEYS and frame.parent is not None and not frame.parent.array:
        owner = frame.parent  # OTLP: {"key": "password", "value": {"stringValue": "…"}}
        values = [leaf for name, leaf in by_name.items() if name in _TYPED_VALUES]
    if not values:
        return
    for label in owner.leaves:
        if label.name.lower() not in LABELS or not label.quoted:
            continue
        kind = classify(text_of(data, label).decode("latin-1"))
        for leaf in values:
            value = text_of(data, leaf)
            if leaf is not label and kind is not NameClass.NONE and _fits(kind, value, leaf):
                yield Finding(leaf.start, leaf.end, "name-value", kind.value, value)


def _as_said(
    data: bytes, frame: Frame, by_name: Mapping[bytes, Leaf], values: Sequence[Leaf]
) -> Iterator[Finding]:
    """The private parts of a JSON Web Key (RFC 7517), and the value of what says that it is a secret."""
    for name in _JWK_PRIVATE & by_name.keys() if b"kty" in by_name else ():
        leaf = by_name[name]
        yield Finding(leaf.start, leaf.end, "jwk-private", "private-key", text_of(data, leaf))
    for leaf in values if frame.says_secret else ():
        value = text_of(data, leaf)
        if can_be_password(value) and b" " not in value:
            yield Finding(leaf.start, leaf.end, "said-secret", "secret", value)


def _in_list(scanner: Scanner, data: bytes, frame: Frame) -> Iterator[Finding]:
    """`["--password", "…"]`, `["authorization", "…"]`, and a secret cut into the elements of a list."""
    leaves = [leaf for leaf in frame.leaves if leaf.quoted]
    if len(leaves) < 2:  # noqa: PLR2004 - a list of one has no neighbours
        return
    texts = [text_of(data, leaf) for leaf in leaves]
    for index, (label, leaf) in enumerate(zip(texts, leaves[1:] if scanner.by_name else (), strict=False)):
        is_name = index % 2 == 0 and (len(leaves) == 2 or frame.name.lower().endswith(b"headers"))  # noqa: PLR2004
        if not label or len(label) > 80 or (label[:1] != b"-" and not is_name):  # noqa: PLR2004
            continue
        kind = classify(label.decode("latin-1"))
        value = texts[index + 1]
        if kind is not NameClass.NONE and value[:1] != b"-" and _fits(kind, value, leaf):
            yield Finding(leaf.start, leaf.end, "argument", kind.value, value)
    if any(text[:1] == b"-" for text in texts):
        yield from _of_command(scanner, leaves, texts)
    yield from joined(scanner, leaves, texts)


def _of_command(scanner: Scanner, leaves: Sequence[Leaf], texts: Sequence[bytes]) -> Iterator[Finding]:
    """Passwords among the arguments of a command that is known to take one: `["mysql", "-p…"]`."""
    line = b" ".join(texts)
    if len(line) > MAX_JOIN or not (hits := scanner.gate.hits(line)):
        return
    starts = list(accumulate((len(text) + 1 for text in texts[:-1]), initial=0))
    for finding in scanner.detect(line, hits):
        index = bisect_right(starts, finding.start) - 1
        leaf, text, begin = leaves[index], texts[index], finding.start - starts[index]
        if finding.detector == COMMAND and finding.end <= starts[index] + len(text):
            is_plain = len(text) == leaf.end - leaf.start
            start = leaf.start + begin if is_plain else leaf.start
            end = start + finding.end - finding.start if is_plain else leaf.end
            yield finding.moved(start, end)


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
    ends: list[int] = []
    for text in texts:
        ends.append((ends[-1] if ends else 0) + len(text))
    found = scanner.detect(whole, hits, joined=True) if running is None else scanner.scan_text(whole, running)
    for finding in found:
        first, last = bisect_right(ends, finding.start), bisect_right(ends, finding.end - 1)
        if first == last:
            continue
        for index in range(first, last + 1):
            leaf, text = leaves[index], texts[index]
            begin = max(0, finding.start - ends[index] + len(text))
            stop = min(len(text), finding.end - ends[index] + len(text))
            if begin >= stop:
                continue
            plain = len(text) == leaf.end - leaf.start
            start = leaf.start + begin if plain else leaf.start
            end = leaf.start + stop if plain else leaf.end
            yield Finding(start, end, finding.detector, finding.kind, finding.secret)
