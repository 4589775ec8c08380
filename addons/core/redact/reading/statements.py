"""Secrets in SQL's rows, by the columns named beside them, and in the YAML of a Kubernetes Secret."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import re2

from addons.core.redact.detectors.names import is_dense
from addons.core.redact.masking.findings import Finding
from addons.core.redact.reading import parameters

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_MAX_ROWS = 1000
_MAX_ROW = 16 * 1024

_INSERT = re2.compile(rb"(?i)\b(?:insert|replace)\s[^;()]{1,200}?\(([^()]+)\)\s*values\s*", options=_LATIN1)
_NAME = re2.compile(rb"[\s`\"\[]*([^\s,`\"\]]{1,64})[^,]*", options=_LATIN1)
_ROW = re2.compile(
    rb"\s*,?\s*\((\s*(?:[^()'\"]|'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|\([^()]{0,200}\))*)\)",
    options=_LATIN1,
)
_FIELD = re2.compile(
    rb"\s*(?:[A-Za-z]?'((?:[^'\\]|\\.|'')*)'|\"((?:[^\"\\]|\\.)*)\"|((?:[^,()'\"]|\([^()]{0,200}\))*))[^,]*(?:,|\z)",
    options=_LATIN1,
)

_SECRET_KIND = re2.compile(rb"(?m)^[ \t]*kind:[ \t]*[\"']?Secret[\"']?[ \t]*\r?$", options=_LATIN1)
_DATA = re2.compile(rb"(?m)^([ \t]*)(?:data|stringData):[ \t]*\r?\n", options=_LATIN1)
_ENTRY = re2.compile(rb"([ \t]+)[\"']?[A-Za-z0-9_.\-]{1,253}[\"']?:[ \t]*[\"']?([^\s\"']*)", options=_LATIN1)


def find(text: bytes) -> Iterator[Finding]:
    """Find them in running text; offsets into it."""
    if b"alues" in text or b"ALUES" in text:
        yield from _in_rows(text)
    if b"kind:" in text and _SECRET_KIND.search(text) is not None:
        yield from _in_data(text)


def _in_rows(text: bytes) -> Iterator[Finding]:
    for insert in _INSERT.finditer(text):
        names = [name.decode("latin-1") for name in _NAME.findall(insert.group(1))]
        wanted = {index: name for index, name in enumerate(names) if parameters.is_telling(name)}
        position = insert.end()
        for _ in range(_MAX_ROWS if wanted else 0):
            row = _ROW.match(text, position, position + _MAX_ROW)
            if row is None:
                break
            start, end = row.span(1)
            yield from _in_row(text, start, end, wanted)
            position = row.end()


def _in_row(text: bytes, start: int, end: int, wanted: dict[int, str]) -> Iterator[Finding]:
    fields = _FIELD.finditer(text[start:end])
    for index, field in enumerate(islice(fields, max(wanted) + 1)):
        group = next((group for group in (1, 2) if field.group(group) is not None), 0)
        if index in wanted and group:
            kind = parameters.named(wanted[index], field.group(group))
            if kind is not None:
                begin, stop = field.span(group)
                yield Finding(start + begin, start + stop, "column", kind, field.group(group))


def _in_data(text: bytes) -> Iterator[Finding]:
    """Values in the lines under `data:`, deeper than it. What stands in there is not begun with again."""
    position = 0
    for head in _DATA.finditer(text):
        if head.start() < position:
            continue
        position = head.end()
        while (line := _ENTRY.match(text, position)) is not None:
            if len(line.group(1)) <= len(head.group(1)):
                break
            start, end = line.span(2)
            if is_dense(text[start:end]):
                yield Finding(start, end, "kubernetes-secret", "secret", text[start:end])
            line_end = text.find(b"\n", end)
            if line_end < 0:
                break
            position = line_end + 1
