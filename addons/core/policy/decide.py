"""The decision point: deny over require_approval over allow over the default, which is deny.

Nothing depends on the order of rules or files. An error in a deny or require_approval rule denies; in an
allow rule it is no match.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from addons.core.model import Effect, Operation, Reason
from addons.core.policy.request import Decision, PolicyRequest
from addons.core.policy.rules import Fit, Rule, RuleError

_UNKNOWN = "the call is none of Datadog's operations that the gateway knows"


@dataclass(slots=True)
class _Matches:
    """The rules that fit one request. `restrictions` ask for approval only of what is allowed otherwise."""

    denials: list[Rule] = field(default_factory=list)
    denials_by_lack: list[Rule] = field(default_factory=list)
    failures: list[Rule] = field(default_factory=list)
    approvals: list[Rule] = field(default_factory=list)
    restrictions: list[Rule] = field(default_factory=list)
    allows: list[Rule] = field(default_factory=list)

    def add(self, rule: Rule, fit: Fit) -> None:
        if rule.effect is Effect.DENY:
            (self.denials if fit is Fit.YES else self.denials_by_lack).append(rule)
        elif rule.effect is Effect.ALLOW:
            self.allows.append(rule)
        elif fit is Fit.YES:
            self.approvals.append(rule)
        else:
            self.restrictions.append(rule)

    @property
    def permitting(self) -> list[Rule]:
        return [*self.approvals, *self.restrictions, *self.allows]

    def ids(self) -> tuple[str, ...]:
        return tuple(
            sorted(
                rule.id for rule in (*self.denials, *self.denials_by_lack, *self.failures, *self.permitting)
            )
        )


def decide(candidates: Iterable[tuple[Rule, Fit]], request: PolicyRequest, revision: str) -> Decision:
    """Decide by the rules that can match at all, each with how its `op` fits; in any order."""
    matches = _Matches()
    for rule, operation_fit in candidates:
        try:
            fit = min(operation_fit, rule.fit(request))
        except RuleError:
            if rule.effect is not Effect.ALLOW:
                matches.failures.append(rule)
            continue
        if fit is not Fit.NO:
            matches.add(rule, fit)
    return _verdict(matches, request, revision)


def _verdict(matches: _Matches, request: PolicyRequest, revision: str) -> Decision:
    if matches.denials or matches.denials_by_lack:
        rule = _first(matches.denials or matches.denials_by_lack)
        message = rule.reason or f"the rule {rule.id} denies this call"
        if not matches.denials and request.operation is None:
            message = f"{_UNKNOWN}, and the rule {rule.id} denies what it can't tell apart"
        return _denial(matches, Reason.DENIED_BY_RULE, rule, message, revision)
    if matches.failures:
        rule = _first(matches.failures)
        message = f"the rule {rule.id} could not be evaluated on this call, so it is denied"
        return _denial(matches, Reason.POLICY_ERROR, rule, message, revision)
    if not matches.approvals and not matches.allows:
        return _denial(matches, Reason.NO_RULE, None, _nothing_allows(request.operation), revision)
    credentials = sorted({rule.credential for rule in matches.permitting if rule.credential is not None})
    if len(credentials) > 1:
        message = f"the rules that match name different credentials: {', '.join(credentials)}"
        return _denial(matches, Reason.AMBIGUOUS_CREDENTIAL, None, message, revision)
    asking = matches.approvals or matches.restrictions
    rule = _first([*matches.approvals, *matches.restrictions] if asking else matches.allows)
    message = f"allowed by the rule {rule.id}"
    if asking:
        message = (
            f"the rule {rule.id} wants a person to approve this call, and this gateway can't ask one yet; "
            "nothing was sent" + (f". {rule.reason}" if rule.reason else "")
        )
    return Decision(
        effect=Effect.REQUIRE_APPROVAL if asking else Effect.ALLOW,
        reason=Reason.APPROVAL_UNAVAILABLE if asking else Reason.ALLOWED,
        permitted=not asking,
        rule=rule.id,
        rules=matches.ids(),
        message=message,
        revision=revision,
        credential=credentials[0] if credentials else None,
        mask_forward=frozenset().union(*(each.mask_forward for each in matches.permitting)),
        mask_response=frozenset().union(*(each.mask_response for each in matches.permitting)),
        record_full=any(each.record_full for each in matches.permitting),
    )


def _first(rules: list[Rule]) -> Rule:
    return min(rules, key=lambda rule: rule.id)


def _denial(matches: _Matches, reason: Reason, rule: Rule | None, message: str, revision: str) -> Decision:
    return Decision(
        effect=Effect.DENY,
        reason=reason,
        permitted=False,
        rule=rule.id if rule else None,
        rules=matches.ids(),
        message=message,
        revision=revision,
    )


def _nothing_allows(operation: Operation | None) -> str:
    if operation is None:
        return (
            "the call is none of Datadog's operations that the gateway knows, and no rule allows such calls"
        )
    risks = " and ".join(sorted(operation.risks))
    return f"no rule allows {operation.name} ({risks}) to this identity"
