"""Globs over texts (`*` any run of characters, `?` any one) and over paths (`*` stays in its segment).

Both are compiled once and match in time linear in the text for each star: no pattern of a policy and no
value of a request can make them backtrack.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from itertools import takewhile
from urllib.parse import unquote

type TextTest = Callable[[str], bool]

# stand for a literal star and question mark of a path, which has no control characters
_LITERAL = {"%2A": "\0", "%2a": "\0", "%3F": "\1", "%3f": "\1"}


def is_pattern(glob: str) -> bool:
    return "*" in glob or "?" in glob


def compile_glob(glob: str) -> TextTest:
    """Make a test of one glob; letters match in their own case only."""
    if not is_pattern(glob):
        return glob.__eq__
    first, *rest = (re.escape(part).replace(r"\?", ".") for part in re.split(r"\*+", glob))
    expression = first
    if rest:
        # an atomic group takes the first place where a part fits; with free runs between, the first is as
        # good as any, so giving it up never helps
        expression += "".join(f"(?>.*?{part})" for part in rest[:-1]) + ".*" + rest[-1]
    matches = re.compile(expression, re.DOTALL).fullmatch
    return lambda text: matches(text) is not None


def compile_globs(globs: Collection[str]) -> TextTest:
    """Make a test that any of the globs passes."""
    literals = frozenset(glob for glob in globs if not is_pattern(glob))
    patterns = tuple(compile_glob(glob) for glob in globs if is_pattern(glob))
    if not patterns:
        return literals.__contains__
    return lambda text: text in literals or any(pattern(text) for pattern in patterns)


def compile_path_globs(globs: Collection[str]) -> TextTest:
    """Make a test of paths in normal form; a slash at the end makes no difference.

    `*` and `?` stay within a segment, a segment `**` stands for any number of segments, none included; `%2A`
    and `%3F` are a star and a question mark themselves. A character is the same escaped or not, in the glob
    and in the path: `admin@example.com` and `admin%40example.com` are one user to Datadog.
    """
    compiled = tuple(
        tuple(None if part == "**" else compile_glob(part) for part in _segments(glob)) for glob in globs
    )
    beginnings = path_beginnings(globs)

    def test(path: str) -> bool:
        path = unescaped_path(path)
        # most paths fit no glob, and nearly all of those differ before its first star
        if not path.startswith(beginnings):
            return False
        segments = path.rstrip("/").split("/")
        return any(_path_matches(pattern, segments) for pattern in compiled)

    return test


def may_be_of_template(glob: str, template: str) -> bool:
    """Tell whether a path glob fits any path of a template, whose `{parameters}` may be any segment."""
    return _may_be(tuple(_segments(glob)), tuple(template.rstrip("/").split("/")))


def _may_be(parts: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    if not parts:
        return not segments
    if parts[0] == "**":
        return any(_may_be(parts[1:], segments[skipped:]) for skipped in range(len(segments) + 1))
    if not segments:
        return False
    fits = segments[0].startswith("{") or compile_glob(parts[0])(segments[0])
    return fits and _may_be(parts[1:], segments[1:])


def _unescaped(path: str) -> str:
    """Undo the escapes, of which none is a delimiter in a normal form (`request_target.normalise`)."""
    if "%" not in path:
        return path
    for escaped, stand_in in _LITERAL.items():
        path = path.replace(escaped, stand_in)
    return unquote(path)


def path_beginnings(globs: Collection[str]) -> tuple[str, ...]:
    """List the whole segments before the first star of each glob: `/api/v1` of `/api/v1/*/x`. With them
    begins every path that fits the glob, once it is an `unescaped_path`.
    """
    return tuple("/".join(takewhile(_is_literal, _segments(glob))) for glob in globs)


def unescaped_path(path: str) -> str:
    """Bring a request's path into the form in which globs are compared with it."""
    return _unescaped(path.replace("*", "%2A")) if "%" in path or "*" in path else path


def _segments(glob: str) -> list[str]:
    return _unescaped(glob.rstrip("/")).split("/")


def _is_literal(part: str) -> bool:
    return not is_pattern(part)


def _never(_segment: str) -> bool:
    return False


def _path_matches(pattern: tuple[TextTest | None, ...], segments: list[str]) -> bool:
    """Match greedily, giving one more segment to the latest `**` on a mismatch.

    That is enough, because an earlier one can't do what the latest couldn't.
    """
    at = place = 0
    resume: tuple[int, int] | None = None
    while place < len(segments):
        part = pattern[at] if at < len(pattern) else _never
        if part is None:
            at += 1
            resume = (at, place)
        elif part(segments[place]):
            at, place = at + 1, place + 1
        elif resume is not None:
            at, place = resume[0], resume[1] + 1
            resume = (at, place)
        else:
            return False
    return all(part is None for part in pattern[at:])
