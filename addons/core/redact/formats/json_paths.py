"""JSON paths: which places of a document a policy masks.

A subset of RFC 9535: names (`$.data`, `$["a.b"]`), indices (`$.data[0]`), wildcards (`.*`, `[*]`) and
descendants (`$..password`). Filters, slices, several selectors in one pair of brackets and indices from the
end are refused. Unlike there, a name fits keys that differ from it in case or in Unicode's compatibility
forms too, for some readers of JSON take those for the same key, and masking more is the safe side.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from addons.core.json_document import fold_key

_MAX_TEXT = 1024
_MAX_SEGMENTS = 64
_MAX_INDEX_DIGITS = 9
_NAME = re.compile(r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*")
_BRACKETS = re.compile(
    r"""\[\s*(?:(?P<wild>\*)|(?P<index>0|[1-9][0-9]*)|(?P<name>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'))\s*\]"""
)
_IN_QUOTES = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")
_PART = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\]])*""")
_ESCAPE_OR_QUOTE = re.compile(r'\\.|"')
_IN_JSON = {"\\'": "'", '"': '\\"'}
_EXAMPLE = "write it like $.data[*].attributes.email"


class BadJsonPath(ValueError):  # noqa: N818 - named for what the author is told
    """A path can't be read. `message` says what is wrong with it, `remedy` what to write instead."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} ({remedy})")
        self.message, self.remedy = message, remedy


@dataclass(frozen=True, slots=True)
class Segment:
    """One step down: to the member `name`, folded, to the element `index`, or, with neither, to every one.
    `descends`: to those of all values further down as well.
    """

    name: str | None = None
    index: int | None = None
    descends: bool = False


@dataclass(frozen=True, slots=True)
class JsonPath:
    """`text` as it was written, and the steps that it means; none for the whole document."""

    text: str
    segments: tuple[Segment, ...]


def parse_json_path(text: str) -> JsonPath:
    """Read a path. Raises `BadJsonPath`."""
    if len(text) > _MAX_TEXT:
        raise BadJsonPath(f"the JSON path is longer than {_MAX_TEXT} characters", _EXAMPLE)
    if not text.startswith("$"):
        raise BadJsonPath(f"the JSON path {text!r} does not begin with $, the whole document", _EXAMPLE)
    segments: list[Segment] = []
    position = 1
    while position < len(text):
        segment, position = _segment(text, position)
        segments.append(segment)
    if len(segments) > _MAX_SEGMENTS:
        raise BadJsonPath(f"the JSON path goes more than {_MAX_SEGMENTS} levels down", _EXAMPLE)
    return JsonPath(text, tuple(segments))


def fold(name: str) -> str:
    """Give the form in which names and keys are compared: what no reader of JSON tells apart is one key."""
    return fold_key(name)


def _segment(text: str, start: int) -> tuple[Segment, int]:
    """Read one segment at `start`, and give the place after it."""
    descends = text.startswith("..", start)
    position = start + (2 if descends else 1 if text[start] == "." else 0)
    if text.startswith("[", position) and (descends or position == start):
        return _bracketed(text, position, descends=descends)
    if position == start:
        raise _at(text, position, "stands where a . or a [ must", _EXAMPLE)
    if text.startswith("*", position):
        return Segment(descends=descends), position + 1
    name = _NAME.match(text, position)
    if name is None:
        raise _unnamed(text, start, position)
    if text[name.end() : name.end() + 1] not in {"", ".", "["}:
        raise _unplain(text, position, name.end())
    return Segment(fold(name[0]), descends=descends), name.end()


def _bracketed(text: str, position: int, *, descends: bool) -> tuple[Segment, int]:
    found = _BRACKETS.match(text, position)
    if found is None:
        raise _unread(text, position)
    if (quoted := found["name"]) is not None:
        return Segment(fold(_unquoted(text, position, quoted)), descends=descends), found.end()
    if (index := found["index"]) is not None:
        if len(index) > _MAX_INDEX_DIGITS:
            raise _at(text, position, "begins an index that no list has", "[*] masks every element")
        return Segment(index=int(index), descends=descends), found.end()
    return Segment(descends=descends), found.end()


def _unquoted(text: str, position: int, quoted: str) -> str:
    """Undo a quoted name's escapes: those of JSON, and in single quotes that of such a quote."""
    inner = quoted[1:-1]
    if quoted[0] == "'":
        inner = _ESCAPE_OR_QUOTE.sub(lambda found: _IN_JSON.get(found[0], found[0]), inner)
    try:
        name: str = json.loads(f'"{inner}"')
        name.encode()
    except ValueError:
        remedy = "escape as JSON does, in whole characters"
        raise _at(text, position, "begins a name with what JSON can't hold", remedy) from None
    return name


def _at(text: str, position: int, what: str, remedy: str) -> BadJsonPath:
    return BadJsonPath(f"in {text!r} the {text[position]!r} at character {position + 1} {what}", remedy)


def _unplain(text: str, start: int, after: int) -> BadJsonPath:
    """Refuse a name that goes on with what only a quoted one may hold."""
    end = next((i for i in range(after, len(text)) if text[i] in ".["), len(text))
    return _at(
        text, after, "can't be in a name without quotes", f'write ["{text[start:end]}"] for such a name'
    )


def _unnamed(text: str, start: int, position: int) -> BadJsonPath:
    remedy = f"name a key: $..password, or {_EXAMPLE}"
    if position >= len(text):
        return _at(text, start, "has no name after it", remedy)
    if text[position] == "[":
        return _at(text, position, "can't follow a single .", "leave the . out")
    return _at(text, position, "can't begin a name", 'names with other characters stand in ["quotes"]')


def _unread(text: str, position: int) -> BadJsonPath:
    """Say what is wrong with the brackets at `position`."""
    part = _PART.match(text, position + 1)
    inner = part[0] if part is not None else ""
    plain = _IN_QUOTES.sub("", inner).strip()
    if text[position + 1 + len(inner) : position + 2 + len(inner)] != "]" or plain.startswith(('"', "'")):
        return _at(text, position, "is never closed", "close it with ], and quotes with the same quote")
    if not inner.strip():
        return _at(text, position, "has nothing in it", "[*] for every element")
    if plain.startswith(("?", "(")):
        return _at(text, position, "begins a filter, which paths can't have here", "[*] masks every element")
    if "," in plain:
        return _at(text, position, "holds several selectors", "write one path for each")
    if ":" in plain:
        return _at(text, position, "begins a slice, which paths can't have here", "[*] masks every element")
    if plain.startswith("-"):
        return _at(text, position, "counts from the end, which paths can't here", "[*] masks every element")
    if not plain.isdigit():
        return _at(text, position, "holds a name without quotes", f'write ["{plain}"]')
    return _at(text, position, "holds no index", "write [0], [1] and so on, without leading zeros")
