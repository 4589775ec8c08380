"""How approvals look on a terminal, and in plain text elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from addons.cli.approvals.reading import what_would_run
from addons.cli.approvals.words import STATE_STYLES, shown, span
from addons.control.api.models import ApprovalSaid, ApprovalWhole
from addons.core.approvals.states import State

SHORT = 8
"""Of an id, its last characters: enough to name it by, and they fit into a table."""

_RISKY = frozenset({"destructive", "privileged", "unknown"})
_SIGNS = {"+ ": "green", "- ": "red", "~ ": "yellow", "! ": "bold red"}


def print_list(console: Console, approvals: Sequence[ApprovalSaid], now: float) -> None:
    if not console.is_terminal:
        for one in approvals:
            print_row(one.id, one.state, *_cells(one, now))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in ("id", "state", "what", "risk", "who", "waits for", "time"):
        table.add_column(head, overflow="fold", no_wrap=head in {"id", "state"})
    for one in approvals:
        what, risk, who, left, when = _cells(one, now)
        table.add_row(
            one.id[-SHORT:],
            Text(one.state, style=STATE_STYLES[one.state]),
            Text(what, style="bold" if one.may_approve else ""),
            Text(risk, style="red" if risk in _RISKY else ""),
            who,
            left + (" (you can)" if one.may_approve else ""),
            when,
        )
    console.print(table, soft_wrap=False)


def print_row(*cells: str) -> None:
    """For other programs: between tabs, which rich would turn into spaces."""
    typer.echo("\t".join(cells))


def _cells(one: ApprovalSaid, now: float) -> tuple[str, str, str, str, str]:
    return shown(one.summary), shown(one.risk), who_asks(one), places(one.places_left), timing(one, now)


def who_asks(one: ApprovalSaid) -> str:
    requester = one.requester
    whom = f" for {shown(requester.on_behalf_of)}" if requester.on_behalf_of is not None else ""
    return shown(requester.subject) + whom


def places(left: Mapping[str, int]) -> str:
    """Who is still needed, such as `2 of sre-leads, 1 of secops`."""
    return ", ".join(f"{count} of {shown(group)}" for group, count in sorted(left.items())) or "-"


def timing(one: ApprovalSaid, now: float) -> str:
    asked = f"asked {span(now - one.requested_at)} ago"
    if one.state is State.PENDING:
        return f"{asked}, expires in {span(one.pending_until - now)}"
    if one.state is State.APPROVED and one.grant_until is not None:
        return f"{asked}, to be used within {span(one.grant_until - now)}"
    if one.review_due is not None:
        return f"{asked}, review due in {span(one.review_due - now)}"
    return asked


def print_whole(console: Console, said: ApprovalWhole, now: float) -> None:
    """All of it: what would run, who has said what, and what the one who asks may do."""
    for line in what_would_run(said):
        console.print(_styled(line))
    console.print()
    console.print(Text.assemble("State  ", (said.state, STATE_STYLES[said.state]), f", {timing(said, now)}"))
    for line in _standing(said, now):
        console.print(f"  {line}")
    if said.history:
        console.print("\nWhat has happened")
        for step in said.history:
            reason = f": {shown(step.reason)}" if step.reason else ""
            console.print(f"  {_clock(step.at)}  {shown(step.who)}: {shown(step.text)}{reason}")
    others = [one for one in said.thread if one.id != said.id]
    if others:
        console.print("\nThe same agent run, for the same target")
        for one in others:
            console.print(f"  {one.id[-SHORT:]}  {one.state}  {shown(one.summary)}")
    console.print(f"\n{said.id}  digest {said.digest}", style="dim")


def _standing(said: ApprovalWhole, now: float) -> Iterator[str]:
    for vote in said.votes:
        reason = f": {shown(vote.reason)}" if vote.reason else ""
        yield f"{shown(vote.person.display)} said {'yes' if vote.approves else 'no'}{reason}"
    if said.places_left:
        yield f"waits for {places(said.places_left)}"
    if said.needs.reason_required:
        yield "a reason is required"
    yield from _glass(said, now)
    if said.end is not None and not said.votes:
        yield f"ended by {shown(said.end.who)}: {shown(said.end.reason)}"
    if said.superseded_by is not None:
        yield f"another request of the same agent run took its place: {said.superseded_by}"
    if said.status is not None:
        yield f"it ran, and Datadog answered {said.status}"
    allowed = sorted(action for action, may in said.may.items() if may.allowed)
    if allowed:
        yield f"you can: {', '.join(allowed)}"
    if said.state is State.PENDING and said.why_not is not None:
        yield f"you can't approve it: {shown(said.why_not)}"


def _glass(said: ApprovalWhole, now: float) -> Iterator[str]:
    glass = said.broken_glass
    if glass is None:
        return
    yield f"the glass was broken by {shown(glass.person.display)}: {shown(glass.reason)}"
    if glass.reviewed_by is not None:
        yield f"reviewed by {shown(glass.reviewed_by.display)}: {shown(glass.review or '')}"
    else:
        yield f"somebody else has to review that, within {span(glass.review_due - now)}"


def _styled(line: str) -> Text:
    body = line.lstrip()
    style = next((style for sign, style in _SIGNS.items() if body.startswith(sign)), "")
    if line and line == body:
        style = style or "bold"  # the summary, and headings
    return Text(line, style=style)


def _clock(at: float) -> str:
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%d %H:%M:%SZ}"
