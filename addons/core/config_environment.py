"""Configuration from the environment: `DDGATE__LISTEN__PORT=9090` sets `listen.port`.

`__` separates keys, a number is an item of a list, and the value is read as YAML (`true`, `30s`,
`[RS256, ES256]`, `{file: /run/secrets/key}`). A variable wins over the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from addons.core.model import Json
from addons.core.yaml_source import Path, Place, Position, Problem, ProblemsError, Source, load

PREFIX = "DDGATE__"
_INDEX = re.compile(r"[0-9]{1,3}", re.ASCII)


def with_environment(source: Source, environment: Mapping[str, str]) -> Source:
    """`source` with the environment's values laid over it; what they set is positioned at the variable.

    Raises ProblemsError: a name without a key, a value that is not YAML, a list item past the list's end,
    a key inside a value that has none.
    """
    overlay = _Overlay(source)
    names = [name for name in environment if name.startswith(PREFIX)]
    for name in sorted(names, key=lambda name: (name.count("__"), _steps(name))):
        overlay.apply(name, environment[name])
    if overlay.problems:
        raise ProblemsError(overlay.problems)
    return Source(source.name, overlay.data, overlay.places)


def _steps(name: str) -> list[str]:
    return [part.zfill(3) if _INDEX.fullmatch(part) else part for part in name.split("__")]


def _position(name: str) -> Position:
    return Position(f"environment variable {name}")


class _Overlay:
    def __init__(self, source: Source) -> None:
        self.data = _copy(source.data)
        self.places = dict(source.places)
        self.problems: list[Problem] = []

    def apply(self, name: str, text: str) -> None:
        steps = name.removeprefix(PREFIX).lower().split("__")
        if not all(steps):
            self._add(name, "names no key", f"{PREFIX}LISTEN__PORT sets listen.port")
            return
        try:
            value = load(text, name).data if text.strip() else None
        except ProblemsError as error:
            # the reader's position is inside the value; a person needs the variable's name
            for problem in error.problems:
                self._add(name, problem.message, problem.remedy or "put the value in quotes")
            return
        self._set(name, steps, value)

    def _set(self, name: str, steps: list[str], value: Json) -> None:
        if not isinstance(self.data, dict):
            return  # the file itself is no mapping; validation says so
        parent: dict[str, Json] | list[Json] = self.data
        path: Path = ()
        for depth, step in enumerate(steps):
            key = self._key(name, parent, step)
            if key is None:
                return
            path = (*path, key)
            if depth == len(steps) - 1:
                self._store(parent, key, value)
                self._forget(path)
                self.places[path] = Place(_position(name), _position(name))
                return
            child = _child(parent, key)
            if child is None:
                child = {}
                self._store(parent, key, child)
                self.places[path] = Place(_position(name), _position(name))
            if not isinstance(child, (dict, list)):
                self._add(name, f"{step!r} is a single value and has no keys", "set it as a whole")
                return
            parent = child

    def _key(self, name: str, parent: dict[str, Json] | list[Json], step: str) -> str | int | None:
        if isinstance(parent, dict):
            return step
        if not _INDEX.fullmatch(step):
            self._add(name, f"{step!r} is no place in a list", "count its items from 0")
            return None
        if int(step) > len(parent):
            self._add(name, f"the list has {len(parent)} items, and {step} is past its end", "count from 0")
            return None
        return int(step)

    @staticmethod
    def _store(parent: dict[str, Json] | list[Json], key: str | int, value: Json) -> None:
        if isinstance(parent, dict):
            parent[str(key)] = value
        elif isinstance(key, int) and key < len(parent):
            parent[key] = value
        else:
            parent.append(value)

    def _forget(self, path: Path) -> None:
        for other in [other for other in self.places if other[: len(path)] == path]:
            del self.places[other]

    def _add(self, name: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(_position(name), message, remedy))


def _child(parent: dict[str, Json] | list[Json], key: str | int) -> Json:
    if isinstance(parent, dict):
        return parent.get(str(key))
    return parent[key] if isinstance(key, int) and key < len(parent) else None


def _copy(data: Json) -> Json:
    if isinstance(data, dict):
        return {key: _copy(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_copy(item) for item in data]
    return data
