"""Recorded calls judged by a new policy, beside the verdicts of before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from addons.cli.policy.choice import names_of, read_chosen
from addons.cli.policy.recordings import followed, open_calls, print_rows, tell_unread, unread_json, when
from addons.core.model import Effect, Json
from addons.core.policy.backtesting import (
    Change,
    Comparison,
    NotHeld,
    Said,
    Shift,
    Tally,
    judge,
    reads_claims,
)
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Reads
from addons.store.policy.files import read_catalogue
from addons.store.recordings.requests import RecordedCall, RecordedCalls

_SHOWN = 3
_TITLES = {
    Change.DENIED: "would now be denied",
    Change.ASKED: "would now wait for approval",
    Change.PERMITTED: "would now be let through",
    Change.OTHER_REFUSAL: "would be refused otherwise than before",
    Change.OBLIGATIONS: "let through as before, with another credential, masks, limits or record",
}


@dataclass(frozen=True, slots=True)
class Compared:
    """`before` is None where the calls are compared with what was decided when they were made."""

    comparison: Comparison
    calls: RecordedCalls
    files: Sequence[Path]
    policy: PolicySet
    against: Sequence[Path]
    before: PolicySet | None

    def as_json(self) -> dict[str, Json]:
        return {
            "policy": {"files": [str(path) for path in self.files], "revision": self.policy.revision},
            "against": self.before.revision if self.before else None,
            "calls": self.comparison.calls,
            "judged": self.comparison.judged,
            "judged_by_masked_body": self.comparison.masked,
            "changes": [
                {"change": shift.change.value, "was": shift.old, "would_be": shift.new, **_tally_json(tally)}
                for shift, tally in _ordered(self.comparison)
            ],
            "by_identity": [
                {"identity": name, **{each.value: counts[each] for each in Change}}
                for name, counts in sorted(self.comparison.by_identity.items())
            ],
            "not_judged": [
                {"why": why, **_tally_json(tally)} for why, tally in sorted(self.comparison.unjudged.items())
            ],
            "shadow": [
                {"rule": rule, "outcome": outcome, "calls": count}
                for (rule, outcome), count in sorted(self.comparison.shadow.items())
            ],
            "limits_applied": False,
            **unread_json(self.calls),
        }

    def print(self) -> None:
        tell_unread(self.calls)
        before = self.before
        then = f"{names_of(self.against)} ({before.revision})" if before else "what was decided then"
        _print(self.comparison, f"{names_of(self.files)} ({self.policy.revision}) compared with {then}")


def compare(  # noqa: PLR0913, PLR0917 - what the command was given
    files: Sequence[Path],
    against: Sequence[Path],
    flows: Sequence[Path] | None,
    nameless_groups: Sequence[str] | None,
    state: Path,
    detectors: frozenset[str] | None,
) -> Compared:
    """Judge every recorded call.

    Raises:
        ProblemsError: with every problem of the policy files.
        GatewayProblem: there are no recordings.

    """
    catalogue = read_catalogue()
    policy = read_chosen(files, catalogue, detectors)
    before = read_chosen(against, catalogue, detectors) if against else None
    calls = open_calls(flows, state, catalogue, nameless_groups)
    comparison = Comparison()
    claims = any(reads_claims(each) for each in (policy, before) if each)
    for call in followed(calls, "judging"):
        _add(comparison, call, policy, before, claims_matter=claims)
    return Compared(comparison, calls, files, policy, against, before)


def _add(
    comparison: Comparison,
    call: RecordedCall,
    policy: PolicySet,
    before: PolicySet | None,
    *,
    claims_matter: bool,
) -> None:
    problem = call.problem
    if not problem and call.unsure_claims and claims_matter:
        problem = "a rule reads claims of the token, and the recording doesn't hold all of them"
    if problem:
        comparison.add_unjudged(call.id, call.request, problem, ran=call.ran)
        return
    try:
        judged = judge(policy, call.request, call.evidence)
        old = _before(call, before)
    except NotHeld as missing:
        comparison.add_unjudged(call.id, call.request, str(missing), ran=call.ran)
        return
    masked = Reads.BODY in judged.read and call.has_masks
    comparison.add(call.id, call.request, old, judged.decision, ran=call.ran, masked=masked)


def _before(call: RecordedCall, before: PolicySet | None) -> Said:
    """The verdict to compare with. A call of another program's recording was let through by nobody's rule."""
    if before is not None:
        return Said.by(judge(before, call.request, call.evidence).decision)
    if call.decided is None:
        return Said(Effect.ALLOW, None, "(no policy)")
    return Said(call.decided.effect, call.decided.rule, call.decided.reason)


def _tally_json(tally: Tally) -> dict[str, Json]:
    return {
        "calls": tally.calls,
        "ran": tally.ran,
        "identities": dict[str, Json](tally.identities.most_common()),
        "operations": dict[str, Json](tally.operations.most_common()),
        "first": when(tally.first),
        "last": when(tally.last),
        "examples": list[Json](tally.examples),
    }


def _ordered(comparison: Comparison) -> list[tuple[Shift, Tally]]:
    grave = list(Change)
    return sorted(
        comparison.shifts.items(), key=lambda each: (grave.index(each[0].change), -each[1].calls, each[0])
    )


def _print(comparison: Comparison, heading: str) -> None:
    console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)
    console.print(heading, style="bold")
    changed = comparison.total(*Change)
    console.print(
        f"{_calls(comparison.calls)}, {comparison.judged} judged: {comparison.judged - changed} as before, "
        f"{changed} otherwise"
    )
    for kind in Change:
        rows = [
            (str(tally.calls), shift.old, shift.new, _most(tally.operations), _most(tally.identities),
             " ".join(tally.examples[:_SHOWN]))
            for shift, tally in _ordered(comparison)
            if shift.change is kind
        ]  # fmt: skip
        if rows:
            style = "bold red" if kind is Change.DENIED else "bold"
            ran = comparison.would_stop([kind])
            title = f"{_TITLES[kind]}: {_calls(comparison.total(kind))}, {ran} of which ran"
            console.print(f"\n{title}", style=style)
            print_rows(console, ("calls", "was", "would be", "operations", "identities", "for example"), rows)
    if comparison.by_identity:
        console.print("\nby identity", style="bold")
        headings = ("identity", *(each.value.replace("_", " ") for each in Change))
        print_rows(
            console,
            headings,
            [
                (name, *(str(counts[each] or "-") for each in Change))
                for name, counts in sorted(comparison.by_identity.items(), key=lambda each: -each[1].total())
            ],
        )
    _print_rest(console, comparison)


def _print_rest(console: Console, comparison: Comparison) -> None:
    if comparison.unjudged:
        console.print("\nnot judged", style="bold yellow")
        unjudged = sorted(comparison.unjudged.items(), key=lambda each: -each[1].calls)
        rows = [(str(tally.calls), why, " ".join(tally.examples[:_SHOWN])) for why, tally in unjudged]
        print_rows(console, ("calls", "why", "for example"), rows)
    if comparison.shadow:
        console.print("\nrules in shadow mode", style="bold")
        shadow = [(str(count), *each) for each, count in sorted(comparison.shadow.items())]
        print_rows(console, ("calls", "rule", "outcome"), shadow)
    notes = ["Limits are not applied."]
    if comparison.masked:
        masked = _calls(comparison.masked)
        notes.append(f"Of {masked} the body was judged with masks where there were secrets.")
    console.print("\n" + " ".join(notes), style="dim")


def _calls(count: int) -> str:
    return f"{count} calls" if count != 1 else "1 call"


def _most(counts: Counter[str]) -> str:
    """The most frequent, and how many more there are."""
    told = [f"{name} ({count})" for name, count in counts.most_common(_SHOWN)]
    more = len(counts) - len(told)
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")
