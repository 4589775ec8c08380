"""The decision point: deny over require_approval over allow over the default, which is deny.

Nothing depends on the order of rules or files. An error in a deny or require_approval rule denies; in an
allow rule it is no match. A document that a rule would read and can't denies whatever the rule's effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from addons.core.approvals.needs import added_up
from addons.core.model import Effect, Operation, Reason
from addons.core.policy.conditions.limits import UnusableKey
from addons.core.policy.index import Candidate, Candidates, missing_evidence
from addons.core.policy.request import (
    Decision,
    LimitUse,
    LogLevel,
    Masks,
    PolicyRequest,
    Reads,
    Recording,
    ShadowHit,
)
from addons.core.policy.rules import Fit, Rule, RuleError, UnreadableEvidence

_UNKNOWN = "the call is none of Datadog's operations that the gateway knows"
_UNREADABLE = {Reads.BODY: Reason.UNREADABLE_BODY, Reads.TARGET: Reason.TARGET_UNREADABLE}
_WHAT = {
    Reads.BODY: "its body, and that can't be read",
    Reads.TARGET: "the resource that it is about, and Datadog's answer to that can't be had",
}
_LEVELS = list(LogLevel)


@dataclass(slots=True)
class _Matches:
    """The rules that fit one request. `restrictions` ask for approval only of what is allowed otherwise;
    `unsure` are the allow rules of which an error leaves open whether they fit.
    """

    denials: list[Rule] = field(default_factory=list)
    denials_by_lack: list[Rule] = field(default_factory=list)
    unread: list[tuple[Rule, UnreadableEvidence]] = field(default_factory=list)
    failures: list[Rule] = field(default_factory=list)
    approvals: list[Rule] = field(default_factory=list)
    restrictions: list[Rule] = field(default_factory=list)
    allows: list[Rule] = field(default_factory=list)
    unsure: list[Rule] = field(default_factory=list)
    shadow: list[ShadowHit] = field(default_factory=list)
    pending: bool = False

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

    def all(self) -> list[Rule]:
        denying = [*self.denials, *self.denials_by_lack, *(rule for rule, _ in self.unread), *self.failures]
        return [*denying, *self.permitting]


def decide(candidates: Candidates, request: PolicyRequest, revision: str) -> Decision:
    """Decide by the rules that can match at all.

    Where none of those has a say that depends on more than operation and groups, the verdict is the one that
    the last such call got; but for limits, whose keys are the call's own and may be lacking in it alone.
    """
    matches = _Matches()
    say = [_add(matches, each, request) for each in candidates.open_to(request.path)]
    if not any(say) and candidates.verdict is not None:
        return candidates.verdict
    for each in candidates.certain:
        _add_match(matches, each.rule, each.known_fit)
    verdict = _verdict(matches, request, revision)
    if not any(say) and not any(rule.limits for rule in matches.permitting):
        candidates.verdict = verdict
    return verdict


def _add(matches: _Matches, candidate: Candidate, request: PolicyRequest) -> bool:
    """Evaluate one rule; False where it has nothing to say of this call."""
    rule = candidate.rule
    if rule.reads and candidate.wants(request):
        matches.pending = True
        return True
    try:
        fit = candidate.fit(request)
    except RuleError as error:
        _add_failure(matches, rule, error)
        return True
    if fit is not Fit.NO:
        _add_match(matches, rule, fit)
    return fit is not Fit.NO


def _add_match(matches: _Matches, rule: Rule, fit: Fit) -> None:
    if rule.shadow:
        matches.shadow.append(ShadowHit(rule.id, rule.effect))
    else:
        matches.add(rule, fit)


def wanted(candidates: Candidates, request: PolicyRequest) -> Reads | None:
    """What has to be read before `decide` can tell, the cheapest first; None if nothing would change it.

    Nothing is read for a call that is denied anyway, nor for one that no rule could permit.
    """
    if not candidates.reads & missing_evidence(request):
        return None
    missing: set[Reads] = set()
    permissible = False
    for candidate in (*candidates.certain, *candidates.open_to(request.path)):
        rule = candidate.rule
        pending = candidate.wants(request) if rule.reads else None
        if pending:
            missing |= pending
            permissible = permissible or not (rule.shadow or rule.effect is Effect.DENY)
            continue
        if rule.shadow:
            continue
        try:
            fits = candidate.fit(request) is not Fit.NO
        except UnreadableEvidence:
            return None
        except RuleError:
            if rule.effect is not Effect.ALLOW:
                return None
            continue
        if fits and rule.effect is Effect.DENY:
            return None
        permissible = permissible or fits
    if not permissible:
        return None
    return next((each for each in Reads if each in missing), None)


def _add_failure(matches: _Matches, rule: Rule, error: RuleError) -> None:
    if rule.shadow:
        matches.shadow.append(ShadowHit(rule.id, rule.effect, is_error=True))
    elif isinstance(error, UnreadableEvidence):
        matches.unread.append((rule, error))
    elif rule.effect is not Effect.ALLOW:
        matches.failures.append(rule)
    else:
        matches.unsure.append(rule)


def _verdict(matches: _Matches, request: PolicyRequest, revision: str) -> Decision:
    if matches.denials or matches.denials_by_lack:
        rule = _first(matches.denials or matches.denials_by_lack)
        message = rule.reason or f"the rule {rule.id} denies this call"
        if not matches.denials and request.operation is None:
            message = f"{_UNKNOWN}, and the rule {rule.id} denies what it can't tell apart"
        return _denial(matches, Reason.DENIED_BY_RULE, rule, message, revision)
    if matches.unread:
        rule, error = min(matches.unread, key=lambda each: each[0].id)
        message = f"the rule {rule.id} reads {_WHAT[error.reads]}: {error.why}"
        return _denial(matches, _UNREADABLE[error.reads], rule, message, revision)
    if matches.failures:
        rule = _first(matches.failures)
        message = f"the rule {rule.id} could not be evaluated on this call, so it is denied"
        return _denial(matches, Reason.POLICY_ERROR, rule, message, revision)
    if not matches.approvals and not matches.allows:
        return _denial(matches, Reason.NO_RULE, None, _nothing_allows(request.operation), revision)
    if matches.pending:
        message = "a rule reads what was not looked at, so the call is denied"
        return _denial(matches, Reason.POLICY_ERROR, None, message, revision)
    credentials = sorted({rule.credential for rule in matches.permitting if rule.credential is not None})
    if len(credentials) > 1:
        message = f"the rules that match name different credentials: {', '.join(credentials)}"
        return _denial(matches, Reason.AMBIGUOUS_CREDENTIAL, None, message, revision)
    try:
        limits = _limits(matches.permitting, request)
    except UnusableKey:
        message = "a limit's key could not be told of this call, so it is denied"
        return _denial(matches, Reason.POLICY_ERROR, None, message, revision)
    return _permission(matches, credentials[0] if credentials else None, limits, revision)


def _permission(
    matches: _Matches, credential: str | None, limits: tuple[LimitUse, ...], revision: str
) -> Decision:
    asking = sorted([*matches.approvals, *matches.restrictions], key=lambda rule: rule.id)
    rule = asking[0] if asking else _first(matches.allows)
    message = f"allowed by the rule {rule.id}"
    if asking:
        message = f"the rule {rule.id} wants a person to approve this call" + (
            f". {rule.reason}" if rule.reason else ""
        )
    masks_response = Masks()
    for each in matches.permitting:
        masks_response |= each.mask_response
    return Decision(
        effect=Effect.REQUIRE_APPROVAL if asking else Effect.ALLOW,
        reason=Reason.APPROVAL_REQUIRED if asking else Reason.ALLOWED,
        permitted=not asking,
        rule=rule.id,
        rules=_ids(matches.all()),
        message=message,
        revision=revision,
        credential=credential,
        mask_forward=_mask_forward(matches),
        mask_response=masks_response,
        limits=limits,
        log=_loudest(matches.all()),
        record=Recording.FULL if asking else _recording(matches),
        shadow=_shadow(matches),
        needs=added_up(each.needs for each in asking if each.needs is not None) if asking else None,
        asking=_ids(asking),
        why=tuple(each.reason for each in asking if each.reason),
    )


def _denial(matches: _Matches, reason: Reason, rule: Rule | None, message: str, revision: str) -> Decision:
    return Decision(
        effect=Effect.DENY,
        reason=reason,
        permitted=False,
        rule=rule.id if rule else None,
        rules=_ids(matches.all()),
        message=message,
        revision=revision,
        mask_forward=_mask_forward(matches),  # of what is kept of the refused request
        log=_loudest(matches.all()),
        shadow=_shadow(matches),
    )


def _mask_forward(matches: _Matches) -> Masks:
    masks = Masks()
    for rule in matches.permitting:
        masks |= rule.mask_forward
    return masks


def _limits(rules: Iterable[Rule], request: PolicyRequest) -> tuple[LimitUse, ...]:
    limits = {limit.name: limit for rule in rules for limit in rule.limits}
    return tuple(limits[name].use(request) for name in sorted(limits))


def _loudest(rules: Iterable[Rule]) -> LogLevel | None:
    return max((rule.log for rule in rules if rule.log is not None), key=_LEVELS.index, default=None)


def _recording(matches: _Matches) -> Recording:
    """A rule that says `full` stands against all that say `hash`, even if it may not fit."""
    said = {rule.record for rule in matches.allows}
    if Recording.HASH not in said or Recording.FULL in {*said, *(rule.record for rule in matches.unsure)}:
        return Recording.FULL
    return Recording.HASH


def _shadow(matches: _Matches) -> tuple[ShadowHit, ...]:
    return tuple(sorted(matches.shadow, key=lambda hit: hit.rule))


def _ids(rules: Iterable[Rule]) -> tuple[str, ...]:
    return tuple(sorted(rule.id for rule in rules))


def _first(rules: list[Rule]) -> Rule:
    return min(rules, key=lambda rule: rule.id)


def _nothing_allows(operation: Operation | None) -> str:
    if operation is None:
        return f"{_UNKNOWN}, and no rule allows such calls"
    risks = " and ".join(sorted(operation.risks))
    return f"no rule allows {operation.name} ({risks}) to this identity"
