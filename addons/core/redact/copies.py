"""Every other copy of a masked value in the same message."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from addons.core.redact.findings import Finding, TooComplex
from addons.core.redact.jsonish import Tree

_MIN_LENGTH = 8
_SURE_LENGTH = 16
_MAX_SEARCH = 4_000_000_000  # bytes gone through for copies; memory speed makes this a second at most


def find(data: bytes, found: Sequence[Finding], tree: Tree | None) -> Iterator[Finding]:
    """Find copies of the secrets of `found` in `data`, as they are, JSON-escaped and percent-encoded. In JSON
    (`tree`) only inside strings. Values short or plain enough to be ordinary words are not looked for.
    """
    values = {finding.secret: finding for finding in found}
    starts = [leaf.start for leaf in tree.leaves] if tree is not None else []
    if len(values) * len(data) > _MAX_SEARCH:
        raise TooComplex("the message has too many secrets to look for copies of each")
    for value, finding in values.items():
        if not is_telling(value):
            continue
        for form in _forms(value):
            position = data.find(form)
            while position >= 0:
                end = position + len(form)
                if _stands_alone(data, position, end, value) and (
                    tree is None or _in_string(tree, starts, position, end)
                ):
                    yield Finding(position, end, finding.detector, finding.kind, value)
                position = data.find(form, end)


def is_telling(value: bytes) -> bool:
    """Whether a value is long and odd enough not to stand elsewhere by chance."""
    if len(value) < _MIN_LENGTH or value.startswith(b"[REDACTED:"):
        return False
    return len(value) >= _SURE_LENGTH or not (value.isalpha() or value.isdigit())


def _forms(value: bytes) -> set[bytes]:
    forms = {value, quote(value, safe="").encode()}
    try:
        text = value.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return forms
    forms.add(json.dumps(text)[1:-1].encode())
    forms.add(json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass"))
    return forms


def _stands_alone(data: bytes, start: int, end: int, value: bytes) -> bool:
    """Short values count only as whole words."""
    if len(value) >= _SURE_LENGTH:
        return True
    before, after = data[start - 1 : start], data[end : end + 1]
    return not before.isalnum() and not after.isalnum()


def _in_string(tree: Tree, starts: list[int], start: int, end: int) -> bool:
    index = bisect_right(starts, start) - 1
    return index >= 0 and tree.leaves[index].quoted and end <= tree.leaves[index].end
