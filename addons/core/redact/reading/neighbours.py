"""Finds secrets in JSON by what stands beside them: `{"name": "password", "value": …}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from addons.core.redact.detectors.names import NameClass, can_be_password, classify, is_dense
from addons.core.redact.formats.jsonish import Frame, Leaf
from addons.core.redact.masking.findings import Finding
from addons.core.redact.reading.leaf_values import fits, text_of
from addons.core.redact.screening.announced import LABELS

_VALUE_KEYS = frozenset(
    (
        *(b"value", b"val", b"v", b"content", b"default", b"default_value", b"defaultvalue", b"data"),
        *(b"text", b"input", b"new", b"old", b"new_value", b"newvalue", b"old_value", b"oldvalue", b"before"),
        *(b"after", b"secret_value", b"parametervalue", b"variablevalue", b"headervalue", b"optionvalue"),
        *(b"option_value", b"setting_value", b"variable_value", b"parameter_value"),
    )
)
_TYPED_VALUES = frozenset((b"stringvalue", b"string_value", b"string", b"str", b"s", b"value"))
_BESIDE = _VALUE_KEYS | _TYPED_VALUES | {b"last4", b"kty"}
_JWK_PRIVATE = frozenset((b"d", b"p", b"q", b"dp", b"dq", b"qi", b"k"))
_PATHS = frozenset((b"key_path", b"keypath", b"field_path", b"path", b"loc"))
_COLUMNS = frozenset((b"columns", b"column_names", b"headers", b"header", b"cols", b"fields", b"schema"))
_MAX_COLUMN = 80  # bytes of a name


def find(data: bytes, frames: Sequence[Frame]) -> Iterator[Finding]:
    """Find secrets among the values in `frames`; offsets into `data`."""
    for frame in frames:
        if not frame.array:
            yield from _by_label(data, frame)
        elif frame.name.lower() in _PATHS:
            yield from _by_path(data, frame)
    columns = _columns(data, frames)
    for frame in frames if columns else ():
        table = frame.parent.parent if frame.array and frame.parent is not None else None
        named = columns.get(id(table)) if table is not None else None
        if named is not None and frame.parent is not None and frame.parent.array:
            yield from _in_row(data, frame, named)


def _by_label(data: bytes, frame: Frame) -> Iterator[Finding]:
    """By a name in the same object, or around the object of a typed value; and `key` beside `last4`."""
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
    yield from _named(data, frame, values)
    if frame.name.lower() in _VALUE_KEYS and frame.parent is not None and not frame.parent.array:
        # As OTLP has it: under `value` an object of `stringValue`.
        typed = [leaf for name, leaf in by_name.items() if name in _TYPED_VALUES]
        yield from _named(data, frame.parent, typed)


def _named(data: bytes, owner: Frame, values: Sequence[Leaf]) -> Iterator[Finding]:
    """Those of `values` that fit a name in `owner`."""
    for label in owner.leaves if values else ():
        name = label.name.lower()
        if name not in LABELS or not label.quoted:
            continue
        text = text_of(data, label)
        # RFC 6902: {"op": "add", "path": "/config/password", "value": …}
        kind = classify((text.rpartition(b"/")[2] if name == b"path" else text).decode("latin-1"))
        if kind is not NameClass.NONE:
            yield from _fitting(data, (leaf for leaf in values if leaf is not label), kind)


def _fitting(data: bytes, leaves: Iterator[Leaf], kind: NameClass) -> Iterator[Finding]:
    for leaf in leaves:
        value = text_of(data, leaf)
        if fits(kind, value, leaf):
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


def _by_path(data: bytes, path: Frame) -> Iterator[Finding]:
    """`{"key_path": ["user", "password"], "value": …}`, as firewalls and validators report what they saw."""
    last = path.leaves[-1]
    if path.parent is None or path.parent.array or not last.quoted:
        return
    kind = classify(text_of(data, last).decode("latin-1"))
    if kind is not NameClass.NONE:
        beside = (leaf for leaf in path.parent.leaves if leaf.quoted and leaf.name.lower() in _VALUE_KEYS)
        yield from _fitting(data, beside, kind)


def _columns(data: bytes, frames: Sequence[Frame]) -> dict[int, dict[int, NameClass]]:
    """Which columns of the tables hold secrets, by the id of the object that has the names and the rows:
    `{"columns": ["user", "password"], "rows": [["till", …]]}`, or each name in an object of its own.
    """
    names: dict[int, list[Leaf]] = {}
    for frame in frames:
        if frame.name.lower() not in _COLUMNS or frame.parent is None:
            continue
        if frame.array:
            names.setdefault(id(frame.parent), []).extend(frame.leaves)
        elif frame.parent.array and frame.parent.parent is not None:
            label = next((leaf for leaf in frame.leaves if leaf.name.lower() in LABELS), frame.leaves[0])
            names.setdefault(id(frame.parent.parent), []).append(label)
    tables: dict[int, dict[int, NameClass]] = {}
    for table, leaves in names.items():
        kinds: dict[int, NameClass] = {
            index: classify(text_of(data, leaf).decode("latin-1"))
            for index, leaf in enumerate(leaves)
            if leaf.end - leaf.start <= _MAX_COLUMN
        }
        if any(kind is not NameClass.NONE for kind in kinds.values()):
            tables[table] = kinds
    return tables


def _in_row(data: bytes, row: Frame, named: Mapping[int, NameClass]) -> Iterator[Finding]:
    """What stands in a row under a secret's name. The elements before a leaf are counted by their commas, for
    short numbers and literals are no leaves.
    """
    column, position = 0, data.rfind(b"[", 0, row.leaves[0].start)
    for leaf in row.leaves:
        column += data.count(b",", position, leaf.start)
        position = leaf.end
        kind = named.get(column, NameClass.NONE)
        if kind is not NameClass.NONE and leaf.quoted:
            yield from _fitting(data, iter((leaf,)), kind)
