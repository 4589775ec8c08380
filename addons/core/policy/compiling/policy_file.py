"""One policy file while it is compiled: its data, the names that it may use, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from addons.core.policy.conditions.globs import compile_globs
from addons.core.policy.conditions.limits import Limit
from addons.core.policy.forms.document import PolicyDocument
from addons.core.redact.detector_set import BUILT_IN
from addons.core.yaml_source import Path, Position, Problem, Source, did_you_mean

_LIST = "lists."


@dataclass(slots=True)
class PolicyFile:
    """`lists`, `limits` and `detectors` are those that its rules can name, other files' included;
    `ambiguous` are names of lists that several others define.
    """

    source: Source
    document: PolicyDocument
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ambiguous: frozenset[str] = frozenset()
    limits: Mapping[str, Limit] = field(default_factory=dict)
    detectors: frozenset[str] = field(default_factory=BUILT_IN.names)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def add(self, path: Path, message: str, remedy: str) -> None:
        self.problems.append(Problem(self.source.at(path), message, remedy))

    def add_key(self, path: Path, message: str, remedy: str) -> None:
        """Complain of a key rather than of its value."""
        self.problems.append(Problem(self.source.key_at(path), message, remedy))

    def warn_key(self, path: Path, message: str, remedy: str) -> None:
        """Say what is allowed and probably not meant."""
        self.warnings.append(Problem(self.source.key_at(path), message, remedy))

    def texts(self, path: Path, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Expand the lists that are named among `texts`."""
        expanded: list[str] = []
        for index, text in enumerate(texts):
            if text.startswith(_LIST):
                expanded += self.named_list((*path, index), text.removeprefix(_LIST))
            else:
                expanded.append(text)
        return tuple(expanded)

    def named_list(self, path: Path, name: str) -> tuple[str, ...]:
        if name not in self.lists:
            self.problems.append(self.no_list(self.source.at(path), name))
        return self.lists.get(name, ())

    def no_list(self, position: Position, name: str) -> Problem:
        if name in self.ambiguous:
            return Problem(position, f"several other files have a list {name!r}", "define it in this file")
        remedy = did_you_mean(name, self.lists) or "add it under lists:"
        return Problem(position, f"no list is called {name!r}", remedy)

    def among(self, path: Path, texts: tuple[str, ...], known: Collection[str], what: str) -> frozenset[str]:
        """Resolve globs to the names of `known` that they fit; each has to fit one at least."""
        accepted: set[str] = set()
        for index, text in enumerate(texts):
            for name in self.texts((*path, index), (text,)):
                found = set(filter(compile_globs([name]), known))
                if not found:
                    self.add((*path, index), f"no {what} is called {name!r}", did_you_mean(name, known))
                accepted |= found
        return frozenset(accepted)

    def expanded(self, value: object) -> object:
        """Put the named lists into a dumped rule, so that it says the same wherever it stands."""
        if isinstance(value, dict):
            return {key: self.expanded(item) for key, item in value.items()}
        if isinstance(value, list):
            return [
                text
                for item in value
                for text in (
                    self.lists.get(item.removeprefix(_LIST), ())
                    if isinstance(item, str) and item.startswith(_LIST)
                    else (self.expanded(item),)
                )
            ]
        return value
