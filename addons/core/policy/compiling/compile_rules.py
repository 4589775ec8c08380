"""A policy file to compiled rules: named lists, operations by the catalogue, and what can never match."""

from __future__ import annotations

import json

from addons.core.catalogue import makes_something_new
from addons.core.model import Effect, Operation
from addons.core.policy.compiling.compile_documents import (
    compile_documents,
    compile_time,
    compile_when,
)
from addons.core.policy.compiling.compile_head import compile_groups, compile_http, compile_who
from addons.core.policy.compiling.compile_obligations import compile_limits, compile_masks, compile_needs
from addons.core.policy.compiling.operation_fits import OperationFits, Operations, compile_op
from addons.core.policy.compiling.policy_file import PolicyFile
from addons.core.policy.forms import rule_document
from addons.core.policy.index import GROUPS, CompiledRule
from addons.core.policy.request import Reads
from addons.core.policy.rules import Condition, Fit, GroupsTest, Rule
from addons.core.yaml_source import Path

_SHOWN = 3


def compile_rules(file: PolicyFile, operations: Operations) -> list[CompiledRule]:
    """Compile the rules of one file; `file.problems` grows by what is wrong with them."""
    return [_rule(file, ("rules", index), rule, operations) for index, rule in enumerate(file.document.rules)]


def _rule(file: PolicyFile, path: Path, rule: rule_document.Rule, operations: Operations) -> CompiledRule:
    fits = compile_op(file, (*path, "op"), rule, operations)
    groups = compile_groups(file, path, rule)
    conditions = [
        *([_groups_condition(groups)] if groups else []),
        *compile_who(file, path, rule),
        *compile_http(file, path, rule, fits, operations),
        *compile_time(file, path, rule),
        *compile_documents(file, path, rule),
        *compile_when(file, path, rule),
    ]
    # stable, so that within each kind plain matchers stay before the expression
    conditions.sort(key=lambda condition: (Reads.TARGET in condition.reads, Reads.BODY in condition.reads))
    _check_evidence(file, path, rule, fits, operations)
    forward, response = compile_masks(file, path, rule)
    compiled = Rule(
        id=rule.id,
        effect=rule.effect,
        conditions=tuple(conditions),
        credential=rule.credential,
        mask_forward=forward,
        mask_response=response,
        limits=compile_limits(file, path, rule),
        log=rule.log,
        record=rule.record,
        reason=rule.reason or "",
        needs=compile_needs(rule),
        shadow=rule.mode == "shadow",
        reads=frozenset[Reads]().union(*(condition.reads for condition in conditions)),
        position=file.source.at((*path, "id")),
        canonical=_canonical_rule(file, rule),
    )
    return CompiledRule(compiled, fits, groups)


def _groups_condition(groups: GroupsTest) -> Condition:
    return Condition(GROUPS, lambda request: groups(request.principal.groups))


def _check_evidence(
    file: PolicyFile, path: Path, rule: rule_document.Rule, fits: OperationFits, operations: Operations
) -> None:
    """Find rules that read a body or a resource of operations that have none."""
    if fits.everything or fits.unknown is Fit.YES:
        return
    known = [operations.by_key[key] for key in fits.known]
    if rule.target and known and not any(operations.catalogue.reader_of(each) for each in known):
        remedy = "Datadog offers no GET of what these operations are about; leave target out"
        file.add_key((*path, "target"), "can't be read: op names no operation on a resource", remedy)
    elif rule.target:
        unread = [each.name for each in known if not _may_be_looked_at(each, operations)]
        if unread:
            some = ", ".join(sorted(unread)[:_SHOWN])
            message = f"can't be read of {some}{' and others' if len(unread) > _SHOWN else ''}"
            remedy = "such calls are denied wherever the rest of the rule fits; name the operations in op"
            file.warn_key((*path, "target"), message, remedy)
    if rule.effect is not Effect.ALLOW or not any(
        matcher for matcher in rule.body.values() if not getattr(matcher, "absent", None)
    ):
        return
    if known and all(each.method == "GET" for each in known):
        file.add_key(
            (*path, "body"), "never matches: the operations of op send no body", "leave it out, or change op"
        )


def _may_be_looked_at(operation: Operation, operations: Operations) -> bool:
    return makes_something_new(operation) or operations.catalogue.reader_of(operation) is not None


def _canonical_rule(file: PolicyFile, rule: rule_document.Rule) -> str:
    content = file.expanded(rule.model_dump(mode="json", exclude_none=True, by_alias=True))
    named = {name: _canonical_limit(file, name) for name in rule.limit or ()}
    # as one text each: an expression can tell the order of a list
    lists = {name: json.dumps(texts) for name, texts in file.lists.items()} if rule.when else {}
    return canonical({"rule": content, "limits": named, "lists": lists})


def _canonical_limit(file: PolicyFile, name: str) -> str:
    return repr(file.limits[name]) if name in file.limits else ""


def canonical(value: object) -> str:
    """Write content in one spelling: no list of a rule or a test has an order that matters."""
    return json.dumps(_sorted(value), sort_keys=True, separators=(",", ":"))


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value
