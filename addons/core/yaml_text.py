"""Where a part of a YAML scalar's value stands in the file's text, for messages about that part."""

from __future__ import annotations


def offset_in_raw(raw: str, value: str, offset: int) -> int:
    """Find the place in `raw` (the scalar as the file has it, with quotes, indicator and line breaks) of the
    character at `offset` in `value`.

    Both are walked side by side: what is in `raw` alone (quotes, escapes, indentation, a `|` or `>`) is
    skipped, and a break that was folded stands for one space. It is for display, and off by a character where
    a quoted text begins with its own quote.
    """
    at = 0
    after_space = False
    for character in value[:offset]:
        was_space, after_space = after_space, character.isspace()
        if after_space:
            if was_space:
                continue
            while at < len(raw) and not raw[at].isspace():
                at += 1
            while at < len(raw) and raw[at].isspace():
                at += 1
            continue
        while at < len(raw) and raw[at] != character:
            at += 1
        at += 1
    rest = value[offset : offset + 1]
    if rest and not rest.isspace():
        while at < len(raw) and raw[at] != rest:
            at += 1
    return min(at, len(raw))


def line_and_column(raw: str, offset: int) -> tuple[int, int]:
    """Count the lines before `offset`, and the characters before it in its own line."""
    before = raw[:offset]
    return before.count("\n"), len(before) - (before.rfind("\n") + 1)
