"""What `ddgate policy test --coverage` shows."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from addons.core.policy.coverage import RuleCoverage
from addons.core.policy.trials import Trial


def print_coverage(rules: Sequence[RuleCoverage]) -> None:
    console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)
    if console.is_terminal and rules:
        table = Table("", "rule", "effect", "hits", "near misses", box=None, pad_edge=False)
        for rule in rules:
            mark = Text("ok", style="green") if rule.is_complete else Text("MISSING", style="bold red")
            table.add_row(mark, rule.rule, _effect(rule), str(len(rule.hits)), _near_misses(rule))
        console.print(table)
    else:
        for rule in rules:
            fields = (rule.rule, _effect(rule), str(len(rule.hits)), _near_misses(rule))
            console.print("\t".join(("ok" if rule.is_complete else "MISSING", *fields)))
    for rule in rules:
        for problem in rule.problems():
            console.print(str(problem), style="red")
    complete = sum(rule.is_complete for rule in rules)
    console.print(f"{complete} of {len(rules)} rules have a hit and a near miss")


def coverage_as_json(rules: Sequence[RuleCoverage]) -> list[dict[str, object]]:
    return [
        {
            "rule": rule.rule,
            "effect": rule.effect.value,
            "shadow": rule.shadow,
            "file": rule.position.name,
            "line": rule.position.line,
            "complete": rule.is_complete,
            "fields": rule.fields,
            "hits": [_test(trial) for trial in rule.hits],
            "near_misses": [_test(trial) | {"field": field} for trial, field in rule.near_misses],
            "missing": [
                {"message": problem.message, "remedy": problem.remedy} for problem in rule.problems()
            ],
        }
        for rule in rules
    ]


def _test(trial: Trial) -> dict[str, object]:
    return {"test": trial.name, "file": trial.position.name, "line": trial.position.line}


def _effect(rule: RuleCoverage) -> str:
    return f"{rule.effect} (shadow)" if rule.shadow else rule.effect.value


def _near_misses(rule: RuleCoverage) -> str:
    """How many, and in which fields: what no test varies shows at once."""
    if not rule.fields:
        return "none needed"
    varied = sorted({field for _, field in rule.near_misses})
    return f"{len(rule.near_misses)}" + (f" ({', '.join(varied)})" if varied else "")
