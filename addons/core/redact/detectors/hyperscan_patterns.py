"""RE2 patterns said in Hyperscan's dialect, where that is possible without missing anything.

Hyperscan reads PCRE syntax; over bytes the two differ in a few places. Where PCRE takes more (a `$` before a
last line end) a gate may let more through; where it would take less the pattern is left to RE2.
"""

from __future__ import annotations

import re

GATE_FRONT = r"(?:^|[^A-Za-z0-9_]|\\[nrt]|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2})"
"""A boundary before a form in text whose escapes are not undone. Without it a count of characters could begin
anywhere, and RE2's automaton would have a state for each set of places where it did. Hyperscan, which begins
at the form's fixed piece, is a fifth quicker without."""

# Syntax that is RE2's own, that PCRE reads in another way, or that Hyperscan has no bytes for.
_LEFT_TO_RE2 = re.compile(r"\\[QEpPCvkgKRXGZ]|\(\?[a-zA-Z]*U|\[\[[.=]")
_HIGH_ESCAPE = re.compile(r"\\x(?:[89a-fA-F][0-9a-fA-F]|\{)|\\[1-7]")
_OPEN_END = re.compile(r"\{(\d+),\}$|\+$")
_SPACES = r"\t\n\f\r "
_OUTSIDE = re.compile(r"\\.|\[\^?\]?|[^\\\[]+", re.DOTALL)
_IN_CLASS = re.compile(r"\\.|\[:[^\]]*:\]|[^\\]", re.DOTALL)
_WRITTEN_OUT = {
    r"\s": f"[{_SPACES}]",
    r"\S": f"[^{_SPACES}]",
    "[]": r"[\]",  # a bracket that would close at once stands for itself
    "[^]": r"[^\]",
}


def translated(pattern: str) -> str | None:
    """Give a pattern for Hyperscan that matches in at least every text that `pattern` (RE2 over Latin-1)
    matches in; None for one that is better left to RE2.
    """
    if not pattern.isascii() or _LEFT_TO_RE2.search(pattern):
        return None
    if "(?i" in pattern and _HIGH_ESCAPE.search(pattern):  # RE2 folds the case of Latin-1's upper half too
        return None
    spelled = _spelled(pattern.removeprefix(GATE_FRONT))
    return None if spelled is None else _shortened(spelled)


def _spelled(pattern: str) -> str | None:
    """Write out white space: PCRE's has a vertical tab more, so its complement has one less."""
    out: list[str] = []
    position, in_class = 0, False
    while position < len(pattern):
        found = (_IN_CLASS if in_class else _OUTSIDE).match(pattern, position)
        if found is None:
            return None
        piece = found.group()
        position = found.end()
        if in_class:
            if piece == r"\S" or piece.startswith(("[:^", "[:space")):
                return None
            out.append(_SPACES if piece == r"\s" else piece)
            in_class = piece != "]"
        else:
            out.append(_WRITTEN_OUT.get(piece, piece))
            in_class = piece.startswith("[")
    return None if in_class else "".join(out)


def _shortened(pattern: str) -> str:
    """Drop the open end of a repeat that ends a pattern: it would report a match at every further byte. Not
    where an alternative may be what it ends, or brackets could be meant.
    """
    end = _OPEN_END.search(pattern)
    if end is None or "|" in pattern or pattern[: end.start()].endswith("\\"):
        return pattern
    return pattern[: end.start()] + (f"{{{end[1]}}}" if end[1] else "")
