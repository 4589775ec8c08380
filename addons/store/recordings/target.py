"""The resource that a call was about, as far as its recording holds it: the fields that rules read then."""

from __future__ import annotations

import json
import re
from collections.abc import Collection

from addons.core.model import Json
from addons.core.policy.request import Evidence, Seen, Unreadable

_CUT = "…"
# A path with a list or a quoted key on its way is not made a document of again.
_PLAIN_PATH = re.compile(r'[^\s.\[\]"*\\]+(\.[^\s.\[\]"*\\]+)*')


def recorded_target(text: str | None, fields: Collection[str] | None) -> Evidence | None:
    """Make a document of the fields that rules ask for (None: of the whole); None where the recording doesn't
    hold one of them in full.
    """
    said = _loaded(text)
    if isinstance(said.get("unread"), str):
        return Unreadable("the gateway could not read it then")
    held = said.get("fields")
    if fields is None or not isinstance(held, dict):
        return None
    document: dict[str, Json] = {}
    for path in sorted(fields):
        if path not in held or not _PLAIN_PATH.fullmatch(path) or _is_cut(held[path]):
            return None
        *way, name = path.split(".")
        place = document
        for step in way:
            inner = place.setdefault(step, {})
            if not isinstance(inner, dict):  # one path asks for what another looks into
                return None
            place = inner
        place[name] = held[path]
    return Seen(document)


def _is_cut(value: Json) -> bool:
    if isinstance(value, list):
        return any(_is_cut(item) for item in value)
    return isinstance(value, str) and value.endswith(_CUT)


def _loaded(text: str | None) -> dict[str, Json]:
    try:
        loaded: Json = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
