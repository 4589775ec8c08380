"""Reads policy files and the operation catalogue from disk."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from addons.core.catalogue import Catalogue, CatalogueError
from addons.core.policy import PolicySet, TestOutcome
from addons.core.policy.compiling import OperationCatalogue
from addons.core.yaml_source import Position, Problem, ProblemsError
from addons.store.config_file import read_text

POLICIES = Path(__file__).resolve().parents[2] / "policies"
CATALOGUE_FILES = (POLICIES / "operations.json", POLICIES / "extra_operations.json")


def read_catalogue(paths: Sequence[Path] = CATALOGUE_FILES) -> Catalogue:
    """Read the operations of Datadog's API.

    Raises:
        ProblemsError: a file is missing, or not one of operations.

    """
    remedy = "restore it from the distribution"
    texts = [read_text(path, Position(str(path)), remedy) for path in paths]
    try:
        return Catalogue.from_json(*texts)
    except CatalogueError as error:
        raise ProblemsError([Problem(Position(str(paths[0])), str(error), remedy)]) from None


def parse_policy(paths: Sequence[Path], catalogue: OperationCatalogue) -> PolicySet:
    """Read files as one policy, without running its tests.

    Raises:
        ProblemsError: with every problem of every file.

    """
    problems: list[Problem] = []
    files: list[tuple[str, str]] = []
    for path in paths:
        try:
            files.append((str(path), read_text(path, Position(str(path)), "name files that are there")))
        except ProblemsError as error:
            problems += error.problems
    try:
        policy_set = PolicySet.from_files(files, catalogue)
    except ProblemsError as error:
        problems += error.problems
        raise ProblemsError(problems) from None
    if problems:
        raise ProblemsError(problems)
    return policy_set


def read_policy(
    paths: Sequence[Path], catalogue: OperationCatalogue, credentials: Collection[str] | None = None
) -> PolicySet:
    """Read files as one policy, and run its tests.

    `credentials` are the configured names, where they are known.

    Raises:
        ProblemsError: with every problem of every file, or every failing test and missing credential.

    """
    policy_set = parse_policy(paths, catalogue)
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
