"""Says where in a message something was found, so that a person can find it again: never with the value.

Names and paths are read off masked text: a key of an object may be a secret itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import re2

from addons.core.redact.formats import jsonish

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_TOKEN = re2.compile(rb'"(?:[^"\\]|\\[\x00-\xff])*"?|[{}\[\],]', options=_LATIN1)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_EVENT_DATA = b"data:"
_PLAIN_KEY = re2.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_NAME = 64
_MAX_STEPS = 8  # of a path are written out at each end
_FAR_FROM_NAME = 4096
_BEFORE_NAME = (b"?", b"&", b";", b"#")
_AFTER_KEY = 64  # white space between a key and its colon that is looked over


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mask stands. `line` counts from 1. `path` is the JSON path where
    there is one, in a form or a query `parameter <name>`, else empty.
    """

    line: int
    path: str


@dataclass(slots=True)
class _Open:
    """An object or array that is open: `step` is the key or the index that was read last in it."""

    array: bool
    step: bytes | int | None


def json_places(text: bytes, starts: Sequence[int], content_type: str | None) -> list[Place]:
    """Give the place of each offset into a masked body, in order; `starts` rise."""
    paths = _paths(text, starts, (content_type or "").lower())
    return [Place(line, path) for line, path in zip(_lines(text, starts), paths, strict=True)]


def parameter_places(text: bytes, starts: Sequence[int]) -> list[Place]:
    """As `json_places`, for a request target or another row of `name=value`."""
    return [Place(1, _parameter_at(text, start)) for start in starts]


def _lines(text: bytes, starts: Sequence[int]) -> Iterator[int]:
    line, position = 1, 0
    for start in starts:
        line += text.count(b"\n", position, start)
        position = start
        yield line


def _paths(text: bytes, starts: Sequence[int], media: str) -> Iterator[str]:
    if "msgpack" in media or "protobuf" in media:
        return iter([""] * len(starts))
    if "x-www-form-urlencoded" in media:
        return (_parameter_at(text, start) for start in starts)
    begin = len(_BYTE_ORDER_MARK) if text.startswith(_BYTE_ORDER_MARK) else 0
    if text[begin:].lstrip()[:1] in (b"{", b"[") and jsonish.read(text, begin) is not None:
        return _in_json(text, starts, begin, len(text))
    return _by_line(text, starts)


def _by_line(text: bytes, starts: Sequence[int]) -> Iterator[str]:
    """Lines of JSON, with `data:` in front or not, between lines of text."""
    index = 0
    while index < len(starts):
        begin = text.rfind(b"\n", 0, starts[index]) + 1
        found = text.find(b"\n", starts[index])
        end = len(text) if found < 0 else found
        count = 1
        while index + count < len(starts) and starts[index + count] < end:
            count += 1
        if text.startswith(_EVENT_DATA, begin):
            begin += len(_EVENT_DATA)
        is_json = text[begin:end].lstrip()[:1] in (b"{", b"[") and jsonish.read(text, begin, end) is not None
        inside = starts[index : index + count]
        yield from _in_json(text, inside, begin, end) if is_json else [""] * count
        index += count


def _in_json(text: bytes, starts: Sequence[int], begin: int, end: int) -> Iterator[str]:
    """The JSON path of each offset, in one walk."""
    waiting = iter(starts)
    wanted = next(waiting, None)
    stack: list[_Open] = []
    for match in _TOKEN.finditer(text, begin, end):
        if wanted is None:
            return
        start, stop = match.span()
        code = text[start : start + 1]
        if code in (b"{", b"["):
            stack.append(_Open(code == b"[", 0 if code == b"[" else None))
        elif code in (b"}", b"]"):
            if stack:
                stack.pop()
        elif code == b",":
            _next(stack)
        else:
            is_key = bool(stack) and not stack[-1].array and stack[-1].step is None
            is_key = is_key and text[stop : stop + _AFTER_KEY].lstrip()[:1] == b":"
            while wanted is not None and wanted < stop:
                yield f"a key of {_path(stack[:-1])}" if is_key else _path(stack)
                wanted = next(waiting, None)
            if is_key:
                stack[-1].step = text[start + 1 : stop - 1]
    while wanted is not None:
        yield _path(stack)
        wanted = next(waiting, None)


def _next(stack: list[_Open]) -> None:
    if not stack:
        return
    top = stack[-1]
    top.step = top.step + 1 if isinstance(top.step, int) else None


def _path(stack: Sequence[_Open]) -> str:
    if len(stack) <= 2 * _MAX_STEPS:
        return "$" + "".join(map(_step, stack))
    first, last = stack[:_MAX_STEPS], stack[-_MAX_STEPS:]
    return "$" + "".join(map(_step, first)) + "…" + "".join(map(_step, last))


def _step(part: _Open) -> str:
    if isinstance(part.step, int):
        return f"[{part.step}]"
    name = _cut(part.step or b"")
    return f".{name}" if _PLAIN_KEY.fullmatch(name) else f'["{name}"]'


def _parameter_at(text: bytes, start: int) -> str:
    """The name in front of the value that holds `start`; empty in a path."""
    lowest = max(0, start - _FAR_FROM_NAME)
    begin = max(lowest - 1, *(text.rfind(mark, lowest, start) for mark in _BEFORE_NAME)) + 1
    equals = text.find(b"=", begin, start + 1)
    return "" if equals < 0 else f"parameter {_cut(text[begin:equals])}"


def _cut(name: bytes) -> str:
    text = name.decode("utf-8", "replace")
    return text if len(text) <= _MAX_NAME else text[:_MAX_NAME] + "…"
