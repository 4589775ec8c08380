"""How an explanation is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from addons.core.approvals.needs import Needs
from addons.core.model import Json
from addons.core.policy.backtesting import operation_of
from addons.core.policy.explaining import RuleTrace
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Decision, PolicyRequest, Recording

_STYLES = {"allow": "green", "deny": "bold red", "require_approval": "yellow"}
_MAX_ASKED = 160


@dataclass(frozen=True, slots=True)
class Explained:
    """A call, its decision and the traces of all rules. `contents` are the rules' own words by id; `recorded`
    says where a recorded call lies and what was decided then; `notes` what to bear in mind.
    """

    request: PolicyRequest
    decision: Decision
    rules: tuple[RuleTrace, ...]
    contents: Mapping[str, Mapping[str, Json]]
    at: str
    recorded: Mapping[str, Json] | None = None
    notes: tuple[str, ...] = ()

    def ordered(self) -> list[RuleTrace]:
        """The rules that fit, then the others, the nearest first."""
        return sorted(
            self.rules,
            key=lambda rule: (len(rule.misses) + len(rule.errors), "op" in rule.misses, rule.rule),
        )

    def asked(self, rule: RuleTrace, field: str) -> Json:
        """What the rule says in that field."""
        section, _, rest = field.partition(".")
        value: Json = dict(self.contents.get(rule.rule, {}))
        # a header's, a claim's or a body's own name may have dots in it
        steps = [section, rest] if section in {"body", "target"} else [section, *rest.split(".", 1)]
        for step in filter(None, steps):
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        return value


def contents_of(policy_set: PolicySet) -> dict[str, dict[str, Json]]:
    """Give each rule in its own words, lists expanded."""
    return {rule.id: json.loads(rule.canonical)["rule"] for rule in policy_set.rules}


def explanation_json(explained: Explained) -> dict[str, Json]:
    request, decision = explained.request, explained.decision
    principal = request.principal
    return {
        "call": dict(explained.recorded) if explained.recorded else None,
        "request": {
            "operation": operation_of(request),
            "method": request.method,
            "host": request.host,
            "path": request.path,
            "query": [[key, value] for key, value in request.query],
            "size": request.size,
            "at": explained.at,
            "subject": principal.subject,
            "issuer": principal.issuer,
            "groups": list[Json](sorted(principal.groups)),
            "on_behalf_of": principal.on_behalf_of,
        },
        "decision": decision_json(decision),
        "rules": [
            {
                "rule": rule.rule,
                "effect": rule.effect.value,
                "shadow": rule.shadow,
                "fits": rule.fits,
                "file": rule.position.name,
                "line": rule.position.line,
                "column": rule.position.column,
                "misses": {field: explained.asked(rule, field) for field in rule.misses},
                "lacks": list[Json](rule.lacks),
                "errors": dict(rule.errors),
            }
            for rule in explained.ordered()
        ],
        "notes": list[Json](explained.notes),
    }


def decision_json(decision: Decision) -> dict[str, Json]:
    return {
        "effect": decision.effect.value,
        "reason": decision.reason.value,
        "permitted": decision.permitted,
        "rule": decision.rule,
        "rules": list[Json](decision.rules),
        "message": decision.message,
        "policy_revision": decision.revision,
        "credential": decision.credential,
        "mask": {
            "forward": [*sorted(decision.mask_forward.detect), *sorted(decision.mask_forward.json)],
            "response": [*sorted(decision.mask_response.detect), *sorted(decision.mask_response.json)],
        },
        "limits": [use.name for use in decision.limits],
        "record": decision.record.value,
        "shadow": [hit.rule for hit in decision.shadow],
        "approval": needs_json(decision.needs) if decision.needs else None,
        "enforced_later": decision_json(decision.withheld) if decision.withheld else None,
    }


def needs_json(needs: Needs) -> dict[str, Json]:
    """What people have to say; times in seconds."""
    glass = needs.break_glass
    return {
        "need": [{"group": group, "count": count} for group, count in needs.groups],
        "reason": "required" if needs.reason_required else "optional",
        "ttl": {"pending": needs.pending, "grant": needs.grant},
        "hold": needs.hold,
        "break_glass": {"groups": list[Json](glass.groups), "review_within": glass.review_within}
        if glass
        else None,
    }


def print_explanation(explained: Explained) -> None:
    console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)
    for line in (*_call_lines(explained), *_decision_lines(explained.decision)):
        console.print(line)
    rules = explained.ordered()
    fitting = [rule for rule in rules if rule.fits]
    console.print(f"\nrules that fit: {len(fitting)} of {len(rules)}", style="bold")
    for rule in fitting:
        console.print(_rule_line(rule, "fits"))
        if rule.lacks:
            what = "a lack counts as a match in a rule that restricts"
            console.print(f"      the call says nothing of {', '.join(rule.lacks)}; {what}", style="dim")
    if len(fitting) < len(rules):
        console.print("\nthe others, the nearest first", style="bold")
    for rule in rules:
        if not rule.fits:
            _print_miss(console, explained, rule)
    for note in explained.notes:
        console.print(f"\n{_shown(note)}", style="yellow")


def _print_miss(console: Console, explained: Explained, rule: RuleTrace) -> None:
    console.print(_rule_line(rule, f"{len(rule.misses) + len(rule.errors)} of {len(rule.fields)}"))
    for field in rule.misses:
        asked = json.dumps(explained.asked(rule, field), ensure_ascii=False)
        asked = asked if len(asked) <= _MAX_ASKED else asked[: _MAX_ASKED - 1] + "…"
        console.print(_shown(f"      {field} says no: it asks {asked}"))
    for field, why in rule.errors:
        console.print(_shown(f"      {field} could not be evaluated: {why}"), style="yellow")


def _rule_line(rule: RuleTrace, how: str) -> Text:
    line = Text(f"  {how:<8}")
    line.append(f"{rule.effect.value:<17}", style=_STYLES[rule.effect.value])
    line.append(rule.rule, style="bold")
    line.append(f"  {rule.position}", style="dim")
    if rule.shadow:
        line.append("  in shadow mode", style="dim")
    return line


def _call_lines(explained: Explained) -> list[Text]:
    request, operation = explained.request, explained.request.operation
    principal = request.principal
    lines = [Text(operation_of(request), style="bold")]
    if operation is not None:
        lines[0].append(
            f"  {' and '.join(sorted(operation.risks))}; {', '.join(operation.tags)}", style="dim"
        )
    query = "?" + "&".join(f"{key}={value}" for key, value in request.query) if request.query else ""
    groups = ", ".join(sorted(principal.groups)) or "none"
    who = f"{principal.subject or 'nobody'} of {principal.issuer or 'no issuer'}; groups: {groups}"
    if principal.on_behalf_of:
        who += f"; for {principal.on_behalf_of}"
    lines += [
        Text(
            _shown(f"  what      {request.method} {request.host}{request.path}{query}, {request.size} bytes")
        ),
        Text(_shown(f"  who       {who}")),
    ]
    if explained.at:
        lines.append(Text(f"  when      {explained.at}"))
    if explained.recorded is not None:
        facts = explained.recorded
        lines.append(Text(_shown(f"  recorded  {facts['decided']}  ({facts['call']}, {facts['file']})")))
    return lines


def _decision_lines(decision: Decision) -> list[Text]:
    line = Text("  decided   ")
    line.append(f"{decision.effect} {decision.rule or decision.reason}", style=_STYLES[decision.effect.value])
    why = f"{decision.reason}; " if decision.rule else ""
    line.append(f"  ({why}{decision.revision})", style="dim")
    lines = [line, Text(_shown(f"            {decision.message}"))]
    for name, values in (
        ("credential", [decision.credential] if decision.credential else []),
        ("masked on the way out", [*decision.mask_forward.detect, *decision.mask_forward.json]),
        ("masked in the answer", [*decision.mask_response.detect, *decision.mask_response.json]),
        ("counted against", [use.name for use in decision.limits]),
        ("recorded", ["size and digest, no bodies"] if decision.record is Recording.HASH else []),
        ("rules in shadow mode", [hit.rule for hit in decision.shadow]),
        ("has to be approved by", _who(decision.needs) if decision.needs else []),
    ):
        if values:
            lines.append(Text(_shown(f"            {name}: {', '.join(sorted(values))}")))
    if (later := decision.withheld) is not None:
        lines.append(Text(f"            enforced, it would be: {later.effect} {later.rule or later.reason}"))
    return lines


def _who(needs: Needs) -> list[str]:
    return [f"{count} of {group}" for group, count in needs.groups]


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
