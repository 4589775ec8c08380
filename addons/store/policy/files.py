"""Reads policy files and the operation catalogue from disk."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from addons.core.catalogue import Catalogue, CatalogueError
from addons.core.policy.compiling.operation_fits import OperationCatalogue
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.trials import TestOutcome
from addons.core.yaml_source import Position, Problem, ProblemsError
from addons.store.config_file import read_text

POLICIES = Path(__file__).resolve().parents[3] / "policies"
CATALOGUE_FILES = (POLICIES / "operations.json", POLICIES / "extra_operations.json")


def read_catalogue(paths: Sequence[Path] = CATALOGUE_FILES) -> Catalogue:
    """Read the operations of Datadog's API.

    Raises:
        ProblemsError: a file is missing, or not one of operations.

    """
    remedy = "restore it from the distribution"
    texts = [read_text(path, Position(str(path)), remedy) for path in paths]
    try:
        return _catalogue(*texts)
    except CatalogueError as error:
        raise ProblemsError([Problem(Position(str(paths[0])), str(error), remedy)]) from None


@lru_cache(maxsize=1)
def _catalogue(*texts: str) -> Catalogue:
    """Of the same texts it is the same: it never changes, and making it takes a tenth of a second."""
    return Catalogue.from_json(*texts)


@dataclass(frozen=True, slots=True)
class PolicyTexts:
    """What the files of one policy held at one moment: (name, text) of each, in the configured order, and
    why others of them could not be read.
    """

    files: tuple[tuple[str, str], ...]
    problems: tuple[Problem, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the texts one after the other, in hex: what `cat FILES... | sha256sum` says."""
        return hashlib.sha256("".join(text for _, text in self.files).encode()).hexdigest()


def read_texts(paths: Sequence[Path]) -> PolicyTexts:
    """Read the files as they are now; a file that can't be read is a problem of its own."""
    files: list[tuple[str, str]] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            files.append((str(path), read_text(path, Position(str(path)), "name files that are there")))
        except ProblemsError as error:
            problems += error.problems
    return PolicyTexts(tuple(files), tuple(problems))


def parse_texts(
    texts: PolicyTexts, catalogue: OperationCatalogue, detectors: frozenset[str] | None = None
) -> PolicySet:
    """Make one policy of the texts, without running its tests. `detectors`: the names that `detect:` may use,
    where they are more than the built-in ones.

    Raises:
        ProblemsError: with every problem of every file.

    """
    try:
        policy_set = PolicySet.from_files(texts.files, catalogue, detectors)
    except ProblemsError as error:
        raise ProblemsError([*texts.problems, *error.problems]) from None
    if texts.problems:
        raise ProblemsError(texts.problems)
    return policy_set


def parse_policy(
    paths: Sequence[Path], catalogue: OperationCatalogue, detectors: frozenset[str] | None = None
) -> PolicySet:
    """Read files as one policy, without running its tests. `detectors` as for `parse_texts`.

    Raises:
        ProblemsError: with every problem of every file.

    """
    return parse_texts(read_texts(paths), catalogue, detectors)


def read_policy(
    paths: Sequence[Path],
    catalogue: OperationCatalogue,
    credentials: Collection[str] | None = None,
    detectors: frozenset[str] | None = None,
) -> PolicySet:
    """Read files as one policy, and run its tests.

    `credentials` and `detectors` are the configured names, where they are known.

    Raises:
        ProblemsError: with every problem of every file, or every failing test and missing credential.

    """
    return checked(parse_policy(paths, catalogue, detectors), credentials)


def checked(policy_set: PolicySet, credentials: Collection[str] | None) -> PolicySet:
    """Run its tests, and look for the credentials that it names. Raises ProblemsError."""
    problems = [failure(outcome) for outcome in policy_set.run_tests() if not outcome.passed]
    if credentials is not None:
        problems += policy_set.credential_problems(credentials)
    if problems:
        raise ProblemsError(problems)
    return policy_set


def failure(outcome: TestOutcome) -> Problem:
    return Problem(
        outcome.position, f"the test {outcome.name!r} fails: {outcome.message}", "mend rule or test"
    )
