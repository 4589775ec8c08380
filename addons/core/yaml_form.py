"""Data out of YAML to a closed form, and pydantic's complaints as `file:line:column`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from addons.core.model import Json
from addons.core.yaml_source import Path, Problem, ProblemsError, Source, did_you_mean, nearest


def validate[M: BaseModel](model: type[M], source: Source) -> M:
    """Make a `model` of the data of `source`; its lists become tuples.

    Raises:
        ProblemsError: with every problem that pydantic sees. Checks across keys run where the keys are well.

    """
    try:
        return model.model_validate(frozen(source.data))
    except ValidationError as error:
        found = error.errors(include_url=False)
        misspelt = {
            (*details["loc"][:-1], nearest(str(details["loc"][-1]), _keys_beside(model, details["loc"])))
            for details in found
            if details["type"] == "extra_forbidden"
        }
        problems = [
            _problem(model, source, details)
            for details in found
            # items that failed are not counted, so a list of bad items looks empty as well
            if not (details["type"] == "too_short" and details["input"])
            # a key that is there under a name much like it is not missing
            and not (details["type"] == "missing" and details["loc"] in misspelt)
        ]
        raise ProblemsError(problems) from None


def frozen(data: Json) -> object:
    """Give data as the strict forms take it: its lists as tuples."""
    if isinstance(data, dict):
        return {key: frozen(value) for key, value in data.items()}
    if isinstance(data, list):
        return tuple(frozen(item) for item in data)
    return data


def _problem(model: type[BaseModel], source: Source, details: ErrorDetails) -> Problem:
    kind, location = details["type"], details["loc"]
    context: Mapping[str, object] = details.get("ctx", {})
    path = _path_in(source.data, location)
    name = _dotted(path) or "the document"
    if kind == "extra_forbidden":
        keys = _keys_beside(model, location)
        return Problem(source.key_at(path), f"unknown key {path[-1]!r}", did_you_mean(str(path[-1]), keys))
    if kind == "missing":
        parent = _dotted(path)
        missing = f"{parent}.{location[-1]}" if parent else str(location[-1])
        choices = _choices(model, location)
        remedy = f"add {location[-1]}: {_either(choices)}" if choices else "add it"
        return Problem(source.key_at(path), f"{missing!r} is missing", remedy)
    if kind == "complaint":
        # pydantic marks a key that its own validator refused with a step "[key]"
        position = source.key_at(path) if location[-1:] == ("[key]",) else source.at(path)
        return Problem(position, f"{name}: {context['message']}", str(context["remedy"]))
    if kind in {"literal_error", "enum"}:
        choices = [choice for _, choice in _QUOTED.findall(str(context.get("expected", "")))]
        value = details["input"]
        remedy = did_you_mean(value, choices) if isinstance(value, str) and choices else ""
        remedy = remedy or f"must be {context.get('expected', '')}"
        return Problem(source.at(path), f"{name}: not one of the values it can have", remedy)
    message, remedy = _MESSAGES.get(kind, ("", ""))
    if not message:
        message = details["msg"].removeprefix("Value error, ").replace("Input should be ", "must be ", 1)
    return Problem(source.at(path), f"{name}: {message}", remedy)


_QUOTED = re.compile(r"(['\"])(.*?)\1")
_MESSAGES = {
    "string_type": ("must be text", "write it in quotes"),
    "bool_type": ("must be true or false", ""),
    "int_type": ("must be a whole number", ""),
    "float_type": ("must be a number", ""),
    "tuple_type": ("must be a list", "write [a, b] or one '- item' a line"),
    "dict_type": ("must be a mapping", "write 'key: value' lines"),
    "mapping_type": ("must be a mapping", "write 'key: value' lines"),
    "model_type": ("must be a mapping", "write 'key: value' lines"),
    "model_attributes_type": ("must be a mapping", "write 'key: value' lines"),
    "too_short": ("must not be empty", "add an item, or leave the key out"),
    "string_too_short": ("must not be empty", "write a value, or leave the key out"),
}


def _path_in(data: Json, location: Iterable[str | int]) -> Path:
    """Find the part of a pydantic location that is a path in `data`.

    Validators and unions add steps of their own, and a missing key isn't there.
    """
    path: list[str | int] = []
    for step in location:
        if (isinstance(data, dict) and isinstance(step, str) and step in data) or (
            isinstance(data, list) and isinstance(step, int) and step < len(data)
        ):
            data = data[step]  # type: ignore[index] # both pairs are checked above
            path.append(step)
    return tuple(path)


def _dotted(path: Path) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _keys_beside(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """List the keys that the model at the end of `location` knows."""
    return [
        field.alias or name
        for each in _models_at(model, location[:-1])
        for name, field in each.model_fields.items()
    ]


def _choices(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """List what the key at the end of `location` can be, where it is one of a few words."""
    annotations = [
        field.annotation
        for each in _models_at(model, location[:-1])
        for name, field in each.model_fields.items()
        if location[-1] == (field.alias or name)
    ]
    if len(annotations) != 1:
        return []
    (annotation,) = annotations
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(each.value) for each in annotation]
    return [str(each) for each in get_args(annotation)] if get_origin(annotation) is Literal else []


def _either(words: list[str]) -> str:
    return " or ".join([*filter(None, [", ".join(words[:-1])]), words[-1]])


def _models_at(model: type[BaseModel], location: tuple[str | int, ...]) -> set[type[BaseModel]]:
    models = {model}
    for step in location:
        inner = {
            found
            for candidate in models
            for field_name, field in candidate.model_fields.items()
            if step == (field.alias or field_name)
            for found in _models_in(field.annotation)
        }
        models = inner or models  # an index or a key of a mapping leaves the model as it is
    return models


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)
    value = getattr(annotation, "__value__", None)  # a `type X = …` alias
    if value is not None:
        yield from _models_in(value)
