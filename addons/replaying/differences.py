"""What differs between a recorded JSON document and one of now, place by place."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from addons.core.approvals.changes import TooMuchToCompare, compare
from addons.core.approvals.written import text_of, written
from addons.core.model import Json
from addons.core.redact.formats.json_paths import JsonPath, Segment, fold
from addons.replaying.masked_values import Fit, MaskedValues

_STEP = re.compile(r'(?P<index>\[[0-9]+\])|\.?(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<plain>[^.\[\]"]+))')
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` is a JSON path (RFC 9535), such as `--ignore` takes; `recorded` and `now` are JSON texts, None
    where there is nothing.
    """

    path: str
    recorded: str | None
    now: str | None


def differences(
    recorded: Json, now: Json, values: MaskedValues, *, enough: Fit = Fit.SAME
) -> list[Difference]:
    """List what differs. A value that fits as well as `enough` counts as the same.

    Raises TooMuchToCompare.
    """
    try:
        found = compare(written(recorded), written(now))
        listed = [Difference(json_path(each.path), each.before, each.after) for each in found.changes]
        listed += [
            Difference(json_path(path), _text_at(recorded, path), None) for path in found.not_mentioned
        ]
        return [each for each in listed if not _fits(each, values, enough)]
    except RecursionError:
        raise TooMuchToCompare from None


def json_path(path: str) -> str:
    """Write a path of `core.approvals.changes` as a JSON path."""
    steps = []
    for step in _STEP.finditer(path):
        if step["index"] is not None:
            steps.append(step["index"])
            continue
        name = json.loads(step["quoted"]) if step["quoted"] is not None else step["plain"]
        steps.append(f".{name}" if _PLAIN.fullmatch(name) else f"[{json.dumps(name)}]")
    return "$" + "".join(steps)


def without(document: Json, paths: Sequence[JsonPath]) -> Json:
    """Leave out what stands at the paths. Raises RecursionError for what is nested too deeply."""
    for path in paths:
        document = _left_out(document, path.segments)
    return document


def _left_out(value: Json, segments: tuple[Segment, ...]) -> Json:
    if not segments:
        return None
    first, rest = segments[0], segments[1:]
    if isinstance(value, dict):
        made: dict[str, Json] = {}
        for key, inner in value.items():
            kept = _left_out(inner, segments) if first.descends else inner
            meant = first.index is None and first.name in {None, fold(key)}
            if meant and not rest:
                continue
            made[key] = _left_out(kept, rest) if meant else kept
        return made
    if isinstance(value, list):
        items: list[Json] = []
        for place, inner in enumerate(value):
            kept = _left_out(inner, segments) if first.descends else inner
            meant = first.name is None and first.index in {None, place}
            if meant and not rest:
                continue
            items.append(_left_out(kept, rest) if meant else kept)
        return items
    return value


def _fits(difference: Difference, values: MaskedValues, enough: Fit) -> bool:
    if difference.recorded is None or difference.now is None:
        return False
    return values.values(json.loads(difference.recorded), json.loads(difference.now)) >= enough


def _text_at(document: Json, path: str) -> str:
    for step in _STEP.finditer(path):
        if step["index"] is not None and isinstance(document, list):
            document = document[int(step["index"][1:-1])]
        elif isinstance(document, dict):
            name = json.loads(step["quoted"]) if step["quoted"] is not None else step["plain"]
            document = document.get(name)
    return text_of(written(document))
