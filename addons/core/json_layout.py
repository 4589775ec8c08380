"""JSON for people to read: laid out over lines, and otherwise as it was sent."""

from __future__ import annotations

import json
import re

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_INDENT = "  "
_DEEPEST = 60  # levels that are still moved in; what is deeper stands below each other


def laid_out(text: str) -> str:
    """Put line breaks and indentation between the tokens of a JSON text (RFC 8259).

    Nothing else changes: keys that stand twice, the form of numbers, escapes. Raises ValueError for what is
    not JSON.
    """
    try:
        json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    pieces: list[str] = []
    depth, before = 0, ""
    for piece in _PIECE.findall(text):
        closing = piece in {"}", "]"}
        depth -= closing
        if (closing and before not in {"{", "["}) or (not closing and before in {"{", "[", ","}):
            pieces.append("\n" + _INDENT * min(depth, _DEEPEST))
        pieces.append(": " if piece == ":" else piece)
        depth += piece in {"{", "["}
        before = piece
    return "".join(pieces)
