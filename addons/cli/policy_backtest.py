"""`ddgate policy backtest`: which recorded calls a new policy would decide in another way."""

from __future__ import annotations

import json
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from addons.cli.errors import told_plainly
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.cli.policy_choice import JsonOption, names_of, read_chosen
from addons.core.model import Effect, Json
from addons.core.policy import PolicySet
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
from addons.core.policy.request import Reads
from addons.store.policy_files import read_catalogue

if TYPE_CHECKING:
    from addons.store.recorded_requests import RecordedCall, RecordedCalls

_SHOWN = 3


class FailOn(StrEnum):
    """What makes the exit status 1: changes to calls that ran, or any change."""

    DENIED = "denied"
    ASKED = "asked"
    CHANGED = "changed"
    NEVER = "never"


_FAILING = {
    FailOn.DENIED: (Change.DENIED,),
    FailOn.ASKED: (Change.DENIED, Change.ASKED),
    FailOn.NEVER: (),
}
_TITLES = {
    Change.DENIED: "would now be denied",
    Change.ASKED: "would now wait for approval",
    Change.PERMITTED: "would now be let through",
    Change.OTHER_REFUSAL: "would be refused otherwise than before",
    Change.OBLIGATIONS: "let through as before, with another credential, other masks or limits",
}

NewArgument = Annotated[Path, typer.Argument(metavar="NEW", help="The policy file to try.", dir_okay=False)]
FlowsArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FLOWS]...",
        help="Recordings: files (stock mitmproxy's too), or directories of them. Without any: the state "
        "directory's.",
    ),
]
AlsoOption = Annotated[
    list[Path] | None,
    typer.Option("--also", help="One more file of the new policy; may be given several times."),
]
AgainstOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--against",
        help="A file of the policy to compare with; may be given several times. Without it the comparison is "
        "with what was decided when the calls were made.",
    ),
]
NamelessOption = Annotated[
    list[str] | None,
    typer.Option(
        "--groups",
        help="The group of calls that name nobody, such as those that stock mitmproxy recorded. Without it "
        "they are not judged.",
    ),
]
FailOnOption = Annotated[
    FailOn,
    typer.Option(
        "--fail-on",
        help="What makes the exit status 1: a call that ran and would now be denied; also one that would "
        "wait for approval; any change; nothing.",
    ),
]


def backtest(  # noqa: PLR0913, PLR0917 - each is an option of the command
    new: NewArgument,
    flows: FlowsArgument = None,
    against: AgainstOption = None,
    also: AlsoOption = None,
    groups: NamelessOption = None,
    fail_on: FailOnOption = FailOn.DENIED,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    as_json: JsonOption = False,
) -> None:
    """Try a policy on recorded calls, before it is live: which of them would be decided otherwise.

    Shows the changes by rule and by identity, with the ids of some calls; `ddgate policy explain ID` tells
    more of one. Under `profile: observe` it is compared what would be enforced. Limits are not applied, and
    shadow rules are only counted. A call that can't be judged, because the recording doesn't hold what a rule
    reads, is counted with the reason.
    Exit status: 0 nothing that ran would be denied, 1 something would (see --fail-on), or the files have
    problems.

    On everything that this gateway recorded: `ddgate policy backtest new.yaml`

    On last week: `ddgate policy backtest new.yaml week/*.mitm`

    Two policies on the same calls: `ddgate policy backtest new.yaml week/ --against old.yaml`

    In CI: `ddgate policy backtest new.yaml week/ --json | jq '.changes[] | select(.change == "denied")'`
    """
    from addons.cli.policy_recordings import followed, open_calls, tell_unread  # noqa: PLC0415 - see below

    # mitmproxy takes half a second to load, and most of what `ddgate policy` does goes without it
    with told_plainly():
        catalogue = read_catalogue()
        files = [new, *(also or [])]
        policy = read_chosen(files, catalogue)
        before = read_chosen(against, catalogue) if against else None
        calls = open_calls(flows, state, catalogue, groups)
        comparison = Comparison()
        claims = any(reads_claims(each) for each in (policy, before) if each)
        for call in followed(calls, "judging"):
            _compare(comparison, call, policy, before, claims_matter=claims)
    if fail_on is FailOn.CHANGED:
        failed = comparison.total(*Change) > 0
    else:
        failed = comparison.would_stop(_FAILING[fail_on]) > 0
    if as_json:
        report = _as_json(comparison, calls, files, policy, before)
        typer.echo(json.dumps({**report, "failed": failed}, indent=2))
    else:
        tell_unread(calls)
        heading = f"{names_of(files)} ({policy.revision})"
        then = f"{names_of(against)} ({before.revision})" if against and before else "what was decided then"
        _print(comparison, f"{heading} compared with {then}")
    raise typer.Exit(1 if failed else 0)


def _compare(
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


def _as_json(
    comparison: Comparison,
    calls: RecordedCalls,
    files: list[Path],
    policy: PolicySet,
    before: PolicySet | None,
) -> dict[str, Json]:
    from addons.cli.policy_recordings import unread_json  # noqa: PLC0415 - as above

    return {
        "policy": {"files": [str(path) for path in files], "revision": policy.revision},
        "against": before.revision if before else None,
        "calls": comparison.calls,
        "judged": comparison.judged,
        "judged_by_masked_body": comparison.masked,
        "changes": [
            {"change": shift.change.value, "was": shift.old, "would_be": shift.new, **_tally_json(tally)}
            for shift, tally in _ordered(comparison)
        ],
        "by_identity": [
            {"identity": name, **{each.value: counts[each] for each in Change}}
            for name, counts in sorted(comparison.by_identity.items())
        ],
        "not_judged": [
            {"why": why, **_tally_json(tally)} for why, tally in sorted(comparison.unjudged.items())
        ],
        "shadow": [
            {"rule": rule, "outcome": outcome, "calls": count}
            for (rule, outcome), count in sorted(comparison.shadow.items())
        ],
        "limits_applied": False,
        **unread_json(calls),
    }


def _tally_json(tally: Tally) -> dict[str, Json]:
    from addons.cli.policy_recordings import when  # noqa: PLC0415 - as above

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
    from addons.cli.policy_recordings import print_rows  # noqa: PLC0415 - as above

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
    from addons.cli.policy_recordings import print_rows  # noqa: PLC0415 - as above

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
