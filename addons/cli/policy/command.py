"""`ddgate policy`: check policy files and run their tests."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from addons.cli.errors import told_plainly
from addons.cli.policy import backtest as policy_backtest
from addons.cli.policy import explain as policy_explain
from addons.cli.policy import schema as policy_schema
from addons.cli.policy import suggest as policy_suggest
from addons.cli.policy.choice import (
    ConfigOption,
    FilesArgument,
    JsonOption,
    chosen_files,
    known_detectors,
    names_of,
    read_chosen,
)
from addons.cli.policy.coverage import coverage_as_json, print_coverage
from addons.core.policy.coverage import coverage
from addons.core.policy.expiry import date_warnings
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.trials import TestOutcome
from addons.core.yaml_source import Problem, ProblemsError
from addons.store.policy.files import failure, read_catalogue

app = typer.Typer(
    help="Check policy files and run their tests, before they are live.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

app.command("explain")(policy_explain.explain)
app.command("backtest")(policy_backtest.backtest)
app.command("suggest")(policy_suggest.suggest)
app.command("schema")(policy_schema.schema)


@app.command()
def check(
    files: FilesArgument = None, config_path: ConfigOption = None, *, as_json: JsonOption = False
) -> None:
    """Find everything that is wrong with policy files.

    Names each problem as `file:line:column: what is wrong (what to do)`: unknown keys, operations, tags and
    risk classes with the nearest that exist, mistakes in expressions, limits and times, rules that can never
    match, ids that stand twice, failing tests. Warns of rules that have ended, of a policy that only
    observes, and of rules whose credentials can collide. Exit status: 0 nothing is wrong, 1 something is.

    The policy that would go live: `ddgate policy check`

    Two files as one policy: `ddgate policy check policies/default.yaml team.yaml`

    In CI: `ddgate policy check --json | jq -r '.problems[].message'`

    And that every rule is tried: `ddgate policy test --coverage`
    """
    with told_plainly():
        paths, loaded = chosen_files(files, config_path)
        detectors = known_detectors(config_path, loaded)
        catalogue = read_catalogue()
    policy_set: PolicySet | None = None
    warnings: tuple[Problem, ...] = ()
    try:
        policy_set = read_chosen(paths, catalogue, detectors)
        problems = [failure(outcome) for outcome in policy_set.run_tests() if not outcome.passed]
        if loaded is not None:
            problems += policy_set.credential_problems(loaded.config.credentials)
        warnings = (*policy_set.warnings, *date_warnings(policy_set, time.time()))
    except ProblemsError as error:
        problems = list(error.problems)
    problems.sort()
    if as_json:
        entries = [*_problems_as_json(problems), *_problems_as_json(warnings, warning=True)]
        revision = policy_set.revision if policy_set else None
        typer.echo(json.dumps({"revision": revision, "problems": entries}, indent=2))
    else:
        errors = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False, markup=False)
        for problem in problems:
            errors.print(str(problem), style="red")
        for problem in warnings:
            errors.print(f"{problem} [warning]", style="yellow")
        if policy_set is not None and not problems:
            typer.echo(
                f"{names_of(paths)}: {len(policy_set.rules)} rules, nothing wrong; {policy_set.revision}"
            )
    raise typer.Exit(1 if problems else 0)


CoverageOption = Annotated[
    bool,
    typer.Option(
        "--coverage",
        help="Ask of every rule a hit (a test whose call it fits) and a near miss (one that it fits in all "
        "fields but one), and say what is missing.",
    ),
]


@app.command("test")
def run_tests(
    files: FilesArgument = None,
    config_path: ConfigOption = None,
    *,
    with_coverage: CoverageOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run the tests that stand in policy files.

    A test gives a call (`given`: who, which operation, body, time) and says what must come out (`expect`:
    effect, rule, reason, credential, mask, limits, log, shadow). All files are read as one policy, so a test
    of one sees the rules of the other. Exit status: 0 every test passes (and, with `--coverage`, every rule
    is tried), 1 one fails, or the files have problems.

    The live policy's: `ddgate policy test`

    A file's own: `ddgate policy test team.yaml`

    What CI should ask: `ddgate policy test --coverage policies/default.yaml team.yaml`

    Only what fails: `ddgate policy test --json | jq '.[] | select(.passed | not)'`
    """
    with told_plainly():
        paths, loaded = chosen_files(files, config_path)
        policy_set = read_chosen(paths, read_catalogue(), known_detectors(config_path, loaded))
    outcomes = policy_set.run_tests()
    covered = coverage(policy_set) if with_coverage else ()
    if as_json:
        tests = [_as_json(outcome) for outcome in outcomes]
        shown = {"tests": tests, "coverage": coverage_as_json(covered)} if with_coverage else tests
        typer.echo(json.dumps(shown, indent=2))
    else:
        _print(outcomes)
        if not outcomes:
            typer.echo(f"{names_of(paths)}: no tests; write some under tests:, at least two for each rule")
        if with_coverage:
            print_coverage(covered)
    passed = all(outcome.passed for outcome in outcomes)
    raise typer.Exit(0 if passed and all(rule.is_complete for rule in covered) else 1)


def _problems_as_json(problems: Iterable[Problem], *, warning: bool = False) -> list[dict[str, object]]:
    return [
        {
            "file": problem.position.name,
            "line": problem.position.line,
            "column": problem.position.column,
            "message": problem.message,
            "remedy": problem.remedy,
            "warning": warning,
        }
        for problem in problems
    ]


def _as_json(outcome: TestOutcome) -> dict[str, str | int | bool | None]:
    return {
        "name": outcome.name,
        "file": outcome.position.name,
        "line": outcome.position.line,
        "passed": outcome.passed,
        "message": outcome.message,
        "effect": outcome.decision.effect.value,
        "reason": outcome.decision.reason.value,
        "rule": outcome.decision.rule,
    }


def _print(outcomes: tuple[TestOutcome, ...]) -> None:
    console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if console.is_terminal and outcomes:
        table = Table("", "test", "effect", "rule", box=None, pad_edge=False)
        for outcome in outcomes:
            mark = Text("ok", style="green") if outcome.passed else Text("FAILED", style="bold red")
            table.add_row(mark, outcome.name, outcome.decision.effect.value, outcome.decision.rule or "-")
        console.print(table)
    else:
        for outcome in outcomes:
            fields = (outcome.name, outcome.decision.effect.value, outcome.decision.rule or "-")
            console.print("\t".join(("ok" if outcome.passed else "FAILED", *fields)))
    for outcome in failed:
        console.print(str(failure(outcome)), style="red")
    if outcomes:
        console.print(f"{len(outcomes) - len(failed)} of {len(outcomes)} tests pass")
