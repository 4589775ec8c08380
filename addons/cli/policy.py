"""`ddgate policy`: check policy files and run their tests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from addons.cli.errors import told_plainly
from addons.cli.options import PROJECT_ROOT
from addons.core.catalogue import Catalogue
from addons.core.policy import PolicySet, TestOutcome
from addons.core.yaml_source import ProblemsError
from addons.store.config_file import LoadedConfig, read_config
from addons.store.policy_files import failure, parse_policy, read_catalogue

app = typer.Typer(
    help="Check policy files and run their tests, before they are live.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FILES]...",
        help="Policy files, read together as one policy. Without any: those that the configuration names, "
        "or `policies/default.yaml` where there is no configuration.",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="DDGATE_CONFIG",
        help="The configuration that names the files; else ./ddgate.yaml in the checkout.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]


@app.command()
def check(
    files: FilesArgument = None, config_path: ConfigOption = None, *, as_json: JsonOption = False
) -> None:
    """Find everything that is wrong with policy files.

    Names each problem as `file:line:column: what is wrong (what to do)`: unknown keys, operations, tags and
    risk classes with the nearest that exist, rules that can never match, ids that stand twice, failing tests.
    Exit status: 0 nothing is wrong, 1 something is.

    The policy that would go live: `ddgate policy check`

    Two files as one policy: `ddgate policy check policies/default.yaml team.yaml`

    In CI: `ddgate policy check --json | jq -r '.problems[].message'`
    """
    with told_plainly():
        paths, loaded = _files(files, config_path)
        catalogue = read_catalogue()
    policy_set: PolicySet | None = None
    try:
        policy_set = _read(paths, catalogue)
        problems = [failure(outcome) for outcome in policy_set.run_tests() if not outcome.passed]
        if loaded is not None:
            problems += policy_set.credential_problems(loaded.config.credentials)
    except ProblemsError as error:
        problems = list(error.problems)
    problems.sort()
    warnings = policy_set.warnings if policy_set else ()
    if as_json:
        entries = [
            {
                "file": problem.position.name,
                "line": problem.position.line,
                "column": problem.position.column,
                "message": problem.message,
                "remedy": problem.remedy,
                "warning": problem in warnings,
            }
            for problem in (*problems, *warnings)
        ]
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
                f"{_names(paths)}: {len(policy_set.rules)} rules, nothing wrong; {policy_set.revision}"
            )
    raise typer.Exit(1 if problems else 0)


@app.command("test")
def run_tests(
    files: FilesArgument = None, config_path: ConfigOption = None, *, as_json: JsonOption = False
) -> None:
    """Run the tests that stand in policy files.

    A test gives a call (`given`: who, which operation) and says what must come out (`expect`: effect, rule,
    reason, credential, mask). All files are read as one policy, so a test of one sees the rules of the other.
    Exit status: 0 every test passes, 1 one fails, or the files have problems.

    The live policy's: `ddgate policy test`

    A file's own: `ddgate policy test team.yaml`

    Only what fails: `ddgate policy test --json | jq '.[] | select(.passed | not)'`
    """
    with told_plainly():
        paths, _ = _files(files, config_path)
        outcomes = _read(paths, read_catalogue()).run_tests()
    if as_json:
        typer.echo(json.dumps([_as_json(outcome) for outcome in outcomes], indent=2))
    else:
        _print(outcomes)
        if not outcomes:
            typer.echo(f"{_names(paths)}: no tests; write some under tests:, at least two for each rule")
    raise typer.Exit(0 if all(outcome.passed for outcome in outcomes) else 1)


def _files(files: list[Path] | None, config_path: Path | None) -> tuple[list[Path], LoadedConfig | None]:
    """Find which files are meant, and the configuration where that is what named them."""
    if files:
        return files, None
    if config_path is None:
        config_path = PROJECT_ROOT / "ddgate.yaml"
        if not config_path.exists():
            return [PROJECT_ROOT / "policies" / "default.yaml"], None
    loaded = read_config(config_path, os.environ)
    return [loaded.resolve(name) for name in loaded.config.policy], loaded


def _read(paths: list[Path], catalogue: Catalogue) -> PolicySet:
    return parse_policy([_shown(path) for path in paths], catalogue)


def _shown(path: Path) -> Path:
    """Shorten a path as a person would write it here."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except (ValueError, OSError):
        return path


def _names(paths: list[Path]) -> str:
    return ", ".join(str(_shown(path)) for path in paths)


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
