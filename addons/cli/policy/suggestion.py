"""Makes a suggested policy out of recordings: gather, propose, and try it on the same calls again."""

from __future__ import annotations

from dataclasses import dataclass

from addons.cli.policy.recordings import followed, when
from addons.core.catalogue import Catalogue
from addons.core.model import Risk
from addons.core.policy.backtesting import NotHeld, judge
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Decision, Reads
from addons.core.policy.suggesting.sightings import Sighting, Sightings
from addons.core.policy.suggesting.suggest import Proposal, propose
from addons.core.policy.suggesting.suggested_conditions import Enough
from addons.core.policy.suggesting.suggested_review import Review
from addons.core.policy.suggesting.suggested_text import Case, Writer
from addons.core.start_problems import GatewayProblem
from addons.core.yaml_source import ProblemsError
from addons.store.recordings.requests import RecordedCall, RecordedCalls

_FIRST_BAD_STATUS = 400
_FEW_DAYS = 3
_WARNING = (
    "Suggested by `ddgate policy suggest` from recorded calls. Read it before you use it: what was a habit "
    "may still be wrong. What was left out stands at the end, with the reason."
)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The policy's text, and what to tell of it."""

    text: str
    summary: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Draft:
    proposals: list[Proposal]
    cases: list[tuple[Case, Decision]]
    review: Review


def make_suggestion(calls: RecordedCalls, seen: int, approvers: str) -> Suggestion:
    """Read the recordings twice: to gather what was done, and to tell what the rules make of it.

    Raises:
        GatewayProblem: the recordings hold no call to suggest from.

    """
    sightings = Sightings()
    for call in followed(calls, "gathering"):
        sightings.add(sighting_of(call))
    if not sightings.uses:
        raise GatewayProblem("the recordings hold no call of a known agent that was let through")
    writer = Writer(calls.catalogue, approvers, when)
    draft = _draft(calls, sightings, writer, seen)
    review = draft.review
    asked = f" and ask about {review.asking:,}" if review.asking else ""
    left_out = review.calls - review.permitted - review.asking
    rules = f"{len(draft.proposals)} rules let" if len(draft.proposals) != 1 else "1 rule lets"
    headline = (
        f"{review.calls:,} calls, {when(sightings.first)} to {when(sightings.last)}: {rules} "
        f"{review.permitted:,} of them through{asked}; {left_out:,} are left out."
    )
    summary = [headline, *review.too_strict(), *_alike(sightings)]
    days = (sightings.last - sightings.first) / 86_400
    if seen > 1 and days < _FEW_DAYS:
        summary.append("A habit is told by days, and these are few: --seen 1 takes whatever was done.")
    text = writer.text([_WARNING, *summary], draft.proposals, draft.cases, review.left_out)
    _check(text, calls.catalogue)
    return Suggestion(text, tuple(summary))


def sighting_of(call: RecordedCall) -> Sighting:
    operation = call.request.operation
    refused = call.problem
    if not refused and call.by_ddgate and not call.ran:
        refused = call.decided.reason if call.decided else "no verdict"
    return Sighting(
        call=call.id,
        request=call.request,
        counts=call.status is not None and call.status < _FIRST_BAD_STATUS,
        refused=refused,
        held_secrets=call.request_findings > 0,
        # only of writes is it looked at, and reading it costs
        body=call.evidence(Reads.BODY) if operation and operation.risks == {Risk.WRITE} else None,
    )


def _draft(calls: RecordedCalls, sightings: Sightings, writer: Writer, seen: int) -> _Draft:
    proposals = propose(sightings, calls.catalogue, Enough(seen))
    cases = [case for proposal in proposals for case in writer.cases(proposal)]
    undecided = [(case, None) for case in cases]
    policy_set = PolicySet.from_files(
        [("suggested.yaml", writer.text((), proposals, undecided, {}))], calls.catalogue
    )
    decisions = [policy_set.decide(trial.request) for trial in policy_set.trials()]
    review = Review(proposals)
    for call in followed(calls, "trying it"):
        review.add(sighting_of(call), _decided(policy_set, call))
    return _Draft(proposals, list(zip(cases, decisions, strict=True)), review)


def _decided(policy_set: PolicySet, call: RecordedCall) -> Decision | None:
    if call.problem:
        return None
    try:
        return judge(policy_set, call.request, call.evidence).decision
    except NotHeld:
        return None


def _alike(sightings: Sightings) -> list[str]:
    return [
        f"The groups {', '.join(names)} have the same members here: see which of them the rules should name."
        for names in sightings.twins()
    ]


def _check(text: str, catalogue: Catalogue) -> None:
    """The file is good, or there is none."""
    try:
        policy_set = PolicySet.from_files([("suggested.yaml", text)], catalogue)
        failed = [outcome for outcome in policy_set.run_tests() if not outcome.passed]
    except ProblemsError as error:
        raise GatewayProblem(f"the suggestion is not a policy, which is ddgate's fault: {error}") from None
    if failed:
        first = failed[0]
        raise GatewayProblem(
            f"the suggestion fails its own test {first.name!r}, which is ddgate's fault: {first.message}"
        )
