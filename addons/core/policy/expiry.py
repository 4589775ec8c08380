"""What a policy's dates mean at a given time: rules that have ended, and a profile that only observes."""

from __future__ import annotations

from collections.abc import Iterator

from addons.core.policy.conditions.schedule import load_zone, parse_instant
from addons.core.policy.forms.document import PolicyDocument
from addons.core.policy.policy_set import PolicySet
from addons.core.yaml_form import validate
from addons.core.yaml_source import Problem, Source, load


def date_warnings(policy_set: PolicySet, at: float) -> tuple[Problem, ...]:
    """List what to know before the policy is live at `at`, in seconds since the epoch."""
    found: list[Problem] = []
    for name, text in policy_set.files:
        source = load(text, name)
        document = validate(PolicyDocument, source)
        found += _observing(policy_set, source, document, at)
        found += _ended(source, document, at)
    return tuple(found)


def _observing(
    policy_set: PolicySet, source: Source, document: PolicyDocument, at: float
) -> Iterator[Problem]:
    until = document.observe_until
    if until is None:
        return
    position = source.at(("observe_until",))
    if policy_set.is_observing(at):
        message = f"nothing is enforced until {until}: every call of a known agent passes"
        yield Problem(position, message, "to enforce now, remove profile and observe_until")
    else:
        yield Problem(position, f"observing ended: {until} is past", "remove profile and observe_until")


def _ended(source: Source, document: PolicyDocument, at: float) -> Iterator[Problem]:
    for index, rule in enumerate(document.rules):
        time = rule.time
        if time is None or time.until is None:
            continue
        if parse_instant(time.until, load_zone(time.zone)) <= at:
            position = source.at(("rules", index, "time", "until"))
            message = f"the rule {rule.id!r} has ended and matches nothing: {time.until} is past"
            yield Problem(position, message, "remove the rule, or let it end later")
