"""What can still be looked at in a policy file whose form is wrong, so that all mistakes are told at once."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from addons.core.model import Json
from addons.core.policy.forms.document import Limit, PolicyDocument
from addons.core.policy.forms.rule_document import Rule
from addons.core.policy.forms.trial_document import TestCase
from addons.core.yaml_form import frozen, validate
from addons.core.yaml_source import Path, ProblemsError, Source


def salvaged(source: Source) -> tuple[Source, PolicyDocument] | None:
    """Leave out the rules, tests and limits whose form is wrong, and whatever else is. None where nothing is
    left to look at. Positions stay those of the file.
    """
    if not isinstance(source.data, dict):
        return None
    data: dict[str, Json] = {"version": 1}
    moved: dict[Path, Path] = {}
    if isinstance(lists := source.data.get("lists"), dict):
        data["lists"] = lists
    if isinstance(limits := source.data.get("limits"), dict):
        data["limits"] = {name: limit for name, limit in limits.items() if _fits(Limit, limit)}
    for key, model in (("rules", Rule), ("tests", TestCase)):
        entries = source.data.get(key)
        kept = [place for place, entry in enumerate(_listed(entries)) if _fits(model, entry)]
        data[key] = [_listed(entries)[place] for place in kept]
        moved |= {(key, place): (key, now) for now, place in enumerate(kept)}
    left = Source(source.name, data, _moved(source.places, moved), _moved(source.raw, moved))
    try:
        return left, validate(PolicyDocument, left)
    except ProblemsError:
        return None


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _fits(model: type[BaseModel], entry: Json) -> bool:
    try:
        model.model_validate(frozen(entry))
    except ValidationError:
        return False
    return True


def _moved[T](places: Mapping[Path, T], moved: Mapping[Path, Path]) -> dict[Path, T]:
    """Give each place the path that it has now; those of what was left out go."""
    found = {}
    for path, place in places.items():
        if len(path) > 1 and path[0] in {"rules", "tests"}:
            if path[:2] in moved:
                found[(*moved[path[:2]], *path[2:])] = place
        else:
            found[path] = place
    return found
