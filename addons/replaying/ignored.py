"""What of a call or an answer isn't compared: times, ids, whatever is another each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from addons.core.redact.formats.json_paths import JsonPath, parse_json_path

_HEADER, _QUERY = "header:", "query:"


@dataclass(frozen=True, slots=True)
class Ignored:
    """Places in JSON bodies, header fields by lower-case name, and parameters of the query by name."""

    paths: tuple[JsonPath, ...] = ()
    headers: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()


NOTHING = Ignored()


def ignored(texts: Sequence[str]) -> Ignored:
    """Read what people write: a JSON path, `header:NAME` or `query:NAME`. Raises BadJsonPath."""
    headers = [text.removeprefix(_HEADER) for text in texts if text.startswith(_HEADER)]
    query = [text.removeprefix(_QUERY) for text in texts if text.startswith(_QUERY)]
    paths = [parse_json_path(text) for text in texts if not text.startswith((_HEADER, _QUERY))]
    return Ignored(
        tuple(paths), frozenset(name.strip().lower() for name in headers), frozenset(map(str.strip, query))
    )
