"""`body`, `target`, `when` and `time` of a rule to conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from addons.core.policy.cel.expressions import ExpressionProblems, compile_expression
from addons.core.policy.compiling.compile_head import check_exact, expanded_values
from addons.core.policy.compiling.policy_file import PolicyFile
from addons.core.policy.conditions.document_conditions import JsonTest, document_condition
from addons.core.policy.conditions.field_paths import BadFieldPath, parse_field_path
from addons.core.policy.conditions.schedule import BadSchedule, compile_schedule, schedule_condition
from addons.core.policy.conditions.when import when_condition
from addons.core.policy.forms import rule_document
from addons.core.policy.forms.matchers import DocumentComparison
from addons.core.policy.request import Reads
from addons.core.policy.rules import Condition
from addons.core.yaml_source import Path, Problem


def compile_documents(file: PolicyFile, path: Path, rule: rule_document.Rule) -> list[Condition]:
    return [
        *_fields(file, (*path, "body"), rule.body, rule, Reads.BODY),
        *_fields(file, (*path, "target"), rule.target, rule, Reads.TARGET),
    ]


def _fields(
    file: PolicyFile,
    path: Path,
    matchers: Mapping[str, DocumentComparison | tuple[str, ...]],
    rule: rule_document.Rule,
    reads: Reads,
) -> list[Condition]:
    conditions = []
    for text, matcher in matchers.items():
        here = (*path, text)
        try:
            field_path = parse_field_path(text)
        except BadFieldPath as bad:
            file.add_key(here, bad.message, bad.remedy)
            continue
        test = document_condition(field_path, _json_test(file, here, matcher), rule.effect, reads)
        conditions.append(Condition(f"{reads}.{text}", test, frozenset({reads})))
    return conditions


def _json_test(file: PolicyFile, path: Path, matcher: DocumentComparison | tuple[str, ...]) -> JsonTest:
    if not isinstance(matcher, DocumentComparison):
        return JsonTest(globs=file.texts(path, matcher))

    check_exact(file, path, matcher)

    def listed(name: str, texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if texts is None else file.texts((*path, name), texts)

    return JsonTest(
        is_=matcher.is_,
        in_=expanded_values(file, path, matcher),
        any_=listed("any", matcher.any_),
        all_=listed("all", matcher.all_),
        none_=listed("none", matcher.none_),
        absent=matcher.absent,
    )


def compile_when(file: PolicyFile, path: Path, rule: rule_document.Rule) -> list[Condition]:
    if rule.when is None:
        return []
    path = (*path, "when")
    try:
        expression = compile_expression(rule.when)
    except ExpressionProblems as found:
        for problem in found.problems:
            where = f"when: {problem.message}"
            position = file.source.within(path, _offset(rule.when, problem.line, problem.column))
            file.problems.append(Problem(position, where, problem.remedy))
        return []
    for name, (line, column) in sorted(expression.list_places.items()):
        if name not in file.lists:
            position = file.source.within(path, _offset(rule.when, line, column))
            missing = file.no_list(position, name)
            file.problems.append(replace(missing, message=f"when: {missing.message}"))
    reads = frozenset(each for each in Reads if each.value in expression.reads)
    test = when_condition(expression, file.lists)
    return [Condition("when", test, reads, expression.weight)]


def _offset(text: str, line: int, column: int) -> int:
    """Turn a line and a column, counted from 1, into a place in `text`."""
    return sum(len(each) + 1 for each in text.split("\n")[: line - 1]) + column - 1


def compile_time(file: PolicyFile, path: Path, rule: rule_document.Rule) -> list[Condition]:
    time = rule.time
    if time is None:
        return []
    try:
        schedule = compile_schedule(time.zone, time.days, time.hours, time.from_, time.until)
    except BadSchedule as bad:
        file.add((*path, "time", *bad.field), bad.message, bad.remedy)
        return []
    return [Condition("time", schedule_condition(schedule))]
