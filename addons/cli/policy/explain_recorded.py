"""The recorded call that `ddgate policy explain` is asked about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from addons.cli.policy.explanation import Explained, contents_of
from addons.cli.policy.recordings import followed, open_calls, print_rows, tell_unread, when
from addons.core.catalogue import Catalogue
from addons.core.policy.backtesting import NotHeld, fields_read, judge, name_of, operation_of, reads_claims
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Reads, Unreadable
from addons.core.start_problems import GatewayProblem
from addons.store.recordings.requests import RecordedCall

_LAST = "last"
_MAX_TABLE = 50
_NOT_HELD = Unreadable("the recording doesn't hold it")


def find_call(place: Path, wanted: str | None, catalogue: Catalogue) -> RecordedCall | None:
    """Find the call of that id (ddgate's or the flow's), the `last` one, or the only one; None where there
    are several to choose from, and they were listed.

    Raises:
        GatewayProblem: there is none.

    """
    calls = open_calls([place], place, catalogue, None)
    identifier = "" if wanted in {None, _LAST} else wanted or ""
    kept: list[RecordedCall] = []
    for each in followed(calls, "looking for the call", holding=identifier):
        if identifier and identifier not in {each.id, each.flow}:
            continue
        kept = [*kept[1 - _MAX_TABLE :], each] if wanted is None else [each]
        if identifier:
            break
    tell_unread(calls)
    if not kept:
        what = f"no call {identifier}" if identifier else "no Datadog call"
        raise GatewayProblem(f"there is {what} in {place}")
    if len(kept) == 1:
        return kept[0]
    _list(kept)
    return None


def _list(calls: list[RecordedCall]) -> None:
    console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)
    rows = [
        (call.id, when(call.at), name_of(call.request.principal), operation_of(call.request), _decided(call))
        for call in calls
    ]
    print_rows(console, ("call", "when", "who", "operation", "decided"), rows)
    Console(stderr=True, highlight=False, emoji=False, markup=False).print(
        "Choose one with --call ID, or the last with --call last."
    )


def explained_call(policy_set: PolicySet, call: RecordedCall) -> Explained:
    """Judge a recorded call by the policy as it is now."""
    body = call.evidence(Reads.BODY)
    target = call.evidence(Reads.TARGET, fields_read(policy_set, call.request, Reads.TARGET))
    whole = replace(call.request, body=body or _NOT_HELD, target=target or _NOT_HELD)
    explanation = policy_set.explain(whole)
    notes = []
    try:
        decision = judge(policy_set, call.request, call.evidence).decision
        if policy_set.is_observing(call.at):
            notes.append("The policy only observes for now: this is what will be enforced.")
    except NotHeld as missing:
        decision = explanation.decision
        notes.append(f"What would be decided can't be told for sure: {missing}.")
    if call.problem:
        notes.append(f"The gateway would not ask policy about this call: {call.problem}.")
    if call.unsure_claims and reads_claims(policy_set):
        notes.append("Rules read claims of the token, and the recording doesn't hold all of them.")
    if call.lacks_body:
        notes.append("The recording holds no body of this call, only its size and digest.")
    if call.has_masks:
        notes.append("Secrets in the body are masked in the recording, and rules saw the masks here.")
    return Explained(
        request=call.request,
        decision=decision,
        rules=explanation.rules,
        contents=contents_of(policy_set),
        at=when(call.at),
        recorded={
            "call": call.id,
            "flow": call.flow,
            "file": str(call.path),
            "offset": call.offset,
            "decided": _decided(call),
            "ran": call.ran,
            "status": call.status,
        },
        notes=tuple(notes),
    )


def _decided(call: RecordedCall) -> str:
    decided = call.decided
    if decided is None:
        return "nothing" if call.by_ddgate else "not by ddgate"
    text = f"{decided.effect} {decided.rule or decided.reason}"
    return f"{text}, refused: {decided.reason}" if decided.refused and decided.effect == "allow" else text
