"""Which of Datadog's operations a call is, by method and path.

An operation is named by its operation id in Datadog's spelling, `CreateMonitor`. Some ids exist in v1 and
in v2: the plain name means both, `v1.CreateDowntime` or `v2.CreateDowntime` one. Case and underscores don't
count, since clients differ (`create_monitor`, `createMonitor`, `ListApiKeys`, `ListAPIKeys`).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from addons.core.hosts import DatadogHost, HostRole
from addons.core.model import Json, Operation, Risk


class CatalogueError(ValueError):
    """The catalogue's text is not one, or contradicts itself; the message says at which operation."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What else is known of an operation.

    `host` is the role of the server that it has to itself, None for the API's own; `repeatable` are the
    query keys that it takes more than once, for a list.
    """

    unstable: bool = False
    deprecated: bool = False
    host: HostRole | None = None
    repeatable: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Node:
    """A place in a path: what may come next, and the operations that end here, by method."""

    literals: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    operations: dict[str, Operation] = field(default_factory=dict)


_KEYS = frozenset(
    {"name", "version", "method", "template", "tags", "risk", "unstable", "deprecated", "host", "repeatable"}
)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*", re.ASCII)
_TAG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_VERSION = re.compile(r"[a-z0-9]+", re.ASCII)
_SEGMENT = re.compile(r"\{[A-Za-z0-9_]+\}|[A-Za-z0-9._~-]+", re.ASCII)


class Catalogue:
    """Immutable once made; `from_json` makes it."""

    def __init__(self, entries: Iterable[tuple[Operation, Traits]]) -> None:
        self._traits: dict[tuple[str, str], Traits] = {}
        self._named: dict[str, tuple[Operation, ...]] = {}
        self._spellings: dict[str, str] = {}
        self._root = _Node()
        for operation, traits in entries:
            self._add(operation, traits)

    @classmethod
    def from_json(cls, *texts: str) -> Catalogue:
        """Read the operations in all of the texts, each as `policies/operations.json`.

        Raises:
            CatalogueError: no JSON, a missing, unknown or ill-typed key, or two operations that claim the
                same name in a version or the same method and path.

        """
        return cls(entry for text in texts for entry in _entries(text))

    def resolve(self, method: str, path_segments: tuple[str, ...], host: DatadogHost) -> Operation | None:
        """Find the operation that Datadog would run; None is unknown.

        `path_segments` are a `Target`'s. A literal goes before a parameter, and where that leads nowhere the
        parameter is tried. HEAD is its GET. An operation resolves on every host, since Datadog's share their
        routing, but for the one at `/`, where the path says nothing: there the host's role has to fit.
        """
        if method == "HEAD":
            method = "GET"
        if not path_segments:
            operation = self._root.operations.get(method)
            return operation if operation and self.traits(operation).host in {None, host.role} else None
        return _find(self._root, path_segments, 0, method)

    def traits(self, operation: Operation) -> Traits:
        return self._traits[operation.version, operation.name]

    def by_name(self, name: str) -> tuple[Operation, ...]:
        """Find the operations of that plain or qualified name: none, one, or one of each version."""
        return self._named.get(_folded(name), ())

    def reader_of(self, operation: Operation) -> Operation | None:
        """Find the GET of the same path: what reads the resource that this operation is about.

        None for what isn't there yet, since a GET of its path lists others, and where Datadog has none.
        """
        if makes_something_new(operation):
            return None
        node: _Node | None = self._root
        for segment in _split(operation.template):
            if node is not None:
                node = node.parameter if segment.startswith("{") else node.literals.get(segment)
        return node.operations.get("GET") if node is not None else None

    def operations(self) -> tuple[Operation, ...]:
        return tuple(dict.fromkeys(found for named in self._named.values() for found in named))

    def names(self) -> tuple[str, ...]:
        """Every name that a policy may use, plain and qualified, sorted."""
        return tuple(sorted(self._spellings.values()))

    def tags(self) -> tuple[str, ...]:
        return tuple(sorted({tag for operation in self.operations() for tag in operation.tags}))

    def nearest(self, name: str) -> str | None:
        """Guess the name that was meant, in its own spelling; None if nothing is near."""
        found = difflib.get_close_matches(_folded(name), self._spellings, n=1, cutoff=0.7)
        return self._spellings[found[0]] if found else None

    def _add(self, operation: Operation, traits: Traits) -> None:
        qualified = f"{operation.version}.{operation.name}"
        if _folded(qualified) in self._named:
            raise CatalogueError(f"{qualified}: the name is there twice")
        for name in (operation.name, qualified):
            self._named[_folded(name)] = (*self._named.get(_folded(name), ()), operation)
            self._spellings.setdefault(_folded(name), name)
        self._traits[operation.version, operation.name] = traits
        node = self._root
        for segment in _split(operation.template):
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        other = node.operations.setdefault(operation.method, operation)
        if other is not operation:
            raise CatalogueError(f"{qualified}: {other.version}.{other.name} has the same method and path")


def makes_something_new(operation: Operation) -> bool:
    """Tell whether it is a POST to a collection: its resource isn't there yet."""
    return operation.method == "POST" and not operation.template.endswith("}")


def _find(node: _Node, segments: tuple[str, ...], index: int, method: str) -> Operation | None:
    if index == len(segments):
        return node.operations.get(method)
    literal = node.literals.get(segments[index])
    if literal is not None and (found := _find(literal, segments, index + 1, method)) is not None:
        return found
    if node.parameter is not None and segments[index]:
        return _find(node.parameter, segments, index + 1, method)
    return None


def _split(template: str) -> tuple[str, ...]:
    return tuple(segment for segment in template.split("/") if segment)


def _folded(name: str) -> str:
    return name.replace("_", "").lower() if name.isascii() else name


def _entries(text: str) -> Iterable[tuple[Operation, Traits]]:
    try:
        document: Json = json.loads(text)
    except ValueError as error:
        raise CatalogueError(f"the catalogue is not JSON: {error}") from None
    operations = document.get("operations") if isinstance(document, dict) else None
    if not isinstance(operations, list):
        raise CatalogueError("the catalogue has no list `operations`")
    for index, entry in enumerate(operations):
        if not isinstance(entry, dict):
            raise CatalogueError(f"operation {index}: not a mapping")
        try:
            yield _entry(entry)
        except CatalogueError as error:
            name = entry.get("name")
            raise CatalogueError(f"operation {index} ({name}): {error}") from None


def _entry(entry: Mapping[str, Json]) -> tuple[Operation, Traits]:
    if unknown := entry.keys() - _KEYS:
        raise CatalogueError(f"unknown key {min(unknown)}")
    template = _text(entry, "template")
    if template != "/" and not (
        template.startswith("/") and all(_SEGMENT.fullmatch(part) for part in template[1:].split("/"))
    ):
        raise CatalogueError("`template` is not a path of literal and {parameter} segments")
    method = _text(entry, "method")
    if method not in _METHODS:
        raise CatalogueError("`method` is not one of " + ", ".join(sorted(_METHODS)))
    tags = _texts(entry, "tags")
    if not tags or not all(_TAG.fullmatch(tag) for tag in tags):
        raise CatalogueError("`tags` must be one or more, in kebab-case")
    host = _text(entry, "host") if "host" in entry else None
    try:
        risks = [Risk(text) for text in _texts(entry, "risk")]
        role = HostRole(host) if host is not None else None
    except ValueError as error:
        raise CatalogueError(str(error)) from None
    if not risks or Risk.UNKNOWN in risks:
        raise CatalogueError("`risk` must name at least one class, and not `unknown`")
    operation = Operation(
        name=_text(entry, "name", _NAME),
        version=_text(entry, "version", _VERSION),
        method=method,
        template=template,
        tags=tags,
        risk=risks[0],
        also=frozenset(risks[1:]),
    )
    repeatable = frozenset(_texts(entry, "repeatable")) if "repeatable" in entry else frozenset()
    return operation, Traits(_flag(entry, "unstable"), _flag(entry, "deprecated"), role, repeatable)


def _text(entry: Mapping[str, Json], key: str, shape: re.Pattern[str] | None = None) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or (shape is not None and not shape.fullmatch(value)):
        raise CatalogueError(f"`{key}` is missing or malformed")
    return value


def _texts(entry: Mapping[str, Json], key: str) -> tuple[str, ...]:
    value = entry.get(key)
    if not isinstance(value, list):
        raise CatalogueError(f"`{key}` is not a list of strings")
    texts = tuple(item for item in value if isinstance(item, str))
    if len(texts) != len(value):
        raise CatalogueError(f"`{key}` is not a list of strings")
    return texts


def _flag(entry: Mapping[str, Json], key: str) -> bool:
    value = entry.get(key, False)
    if not isinstance(value, bool):
        raise CatalogueError(f"`{key}` is not a boolean")
    return value
