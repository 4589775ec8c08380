"""The commands of `ddgate approvals` that change something: each asks first, and sends what was shown."""

from __future__ import annotations

import re
import sys
import time
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from addons.cli.approvals.client import ControlClient, Misused
from addons.cli.approvals.options import JsonOption, on_control
from addons.cli.approvals.reading import read, whole, whole_id
from addons.cli.approvals.showing import places, print_whole
from addons.cli.approvals.words import STATE_STYLES, out, print_json, shown, span
from addons.control.api.models import MAX_REASON, ApprovalWhole
from addons.control.standing import Action
from addons.core.approvals.states import State
from addons.core.model import Json

_DIGEST = re.compile(r"[0-9a-f]{64}")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Its id, or the last six or more of it.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-m", metavar="TEXT", help="Why.")]
DigestOption = Annotated[
    str | None,
    typer.Option(
        "--digest",
        metavar="HEX",
        help="The digest that you were shown: the word counts for exactly that request.",
        show_default="that of what is shown now",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask again.")]


class Fate(StrEnum):
    RAN = "ran"
    NOT_RUN = "not-run"


FateArgument = Annotated[Fate, typer.Argument(help="What you found.")]


@on_control
def approve(  # noqa: PLR0913 - one parameter for each option
    client: ControlClient,
    approval: IdArgument,
    reason: ReasonOption = "",
    digest: DigestOption = None,
    *,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say yes to exactly the request that is shown. When nobody else is needed, the call runs, once.

    For example, on the sandbox: `ddgate approvals approve 5e6f7081 --as alice`

    In a script, for what `show --json` has shown: `ddgate approvals approve $ID --digest $DIGEST --yes`
    """
    _decide(client, Action.APPROVE, approval, reason, digest, yes=yes, as_json=as_json)


@on_control
def deny(  # noqa: PLR0913 - one parameter for each option
    client: ControlClient,
    approval: IdArgument,
    reason: ReasonOption = "",
    digest: DigestOption = None,
    *,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say no. One no ends it, also after others have said yes, as long as the call hasn't run.

    For example: `ddgate approvals deny 5e6f7081 -m "not during the sale"`
    """
    _decide(client, Action.DENY, approval, reason, digest, yes=yes, as_json=as_json)


@on_control
def break_glass(  # noqa: PLR0913 - one parameter for each option
    client: ControlClient,
    approval: IdArgument,
    reason: ReasonOption = "",
    digest: DigestOption = None,
    *,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let a call pass alone, in an emergency: everyone is told, and somebody else has to review it.

    For example: `ddgate approvals break-glass 5e6f7081 -m "checkout is down, INC-42"`
    """
    _decide(client, Action.BREAK_GLASS, approval, reason, digest, yes=yes, as_json=as_json)


@on_control
def review(
    client: ControlClient,
    approval: IdArgument,
    reason: ReasonOption = "",
    *,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what you found when you looked at a call for which somebody broke the glass.

    For example: `ddgate approvals review 5e6f7081 -m "right: INC-42 asked for it"`
    """
    _tell(client, Action.REVIEW, approval, {"reason": reason}, yes=yes, as_json=as_json)


@on_control
def resolve(  # noqa: PLR0913 - one parameter for each option
    client: ControlClient,
    approval: IdArgument,
    fate: FateArgument,
    reason: ReasonOption = "",
    *,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what became of a call that the gateway lost track of, after a look at Datadog.

    For example: `ddgate approvals resolve 5e6f7081 not-run -m "the monitor still has 500"`
    """
    given: dict[str, Json] = {"ran": fate is Fate.RAN, "reason": reason}
    _tell(client, Action.RESOLVE, approval, given, yes=yes, as_json=as_json)


@on_control
def cancel(
    client: ControlClient,
    approval: IdArgument,
    reason: ReasonOption = "",
    *,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take back a request that was made on your behalf, or your own.

    For example: `ddgate approvals cancel 5e6f7081 -m "done by hand"`
    """
    _tell(client, Action.CANCEL, approval, {"reason": reason}, yes=yes, as_json=as_json)


def _decide(  # noqa: PLR0913 - what the three commands have in common
    client: ControlClient,
    action: Action,
    given: str,
    reason: str,
    digest: str | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    if digest is not None and not _DIGEST.fullmatch(digest):
        raise Misused("--digest has 64 digits and letters a to f, as `show` says at its end")
    said = whole(client, whole_id(client, given))
    reason = _asked_first(said, action, reason, yes=yes)
    body: dict[str, Json] = {"reason": reason, "digest": digest or said.digest}
    _send(client, said.id, action, body, as_json=as_json)


def _tell(  # noqa: PLR0913 - as above
    client: ControlClient, action: Action, given: str, body: dict[str, Json], *, yes: bool, as_json: bool
) -> None:
    said = whole(client, whole_id(client, given))
    body["reason"] = _asked_first(said, action, str(body["reason"]), yes=yes)
    _send(client, said.id, action, body, as_json=as_json)


def _asked_first(said: ApprovalWhole, action: Action, reason: str, *, yes: bool) -> str:
    """Show what it is about and ask, unless `yes`; gives the reason. Raises Misused, typer.Exit."""
    if len(reason) > MAX_REASON:
        raise Misused(f"a reason has at most {MAX_REASON} characters")
    if yes:
        return reason
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Misused(f"nobody can be asked here; look at `ddgate approvals show {said.id}`, then say --yes")
    print_whole(out(), said, time.time())
    may = said.may.get(action)
    if may is not None and not may.allowed and may.text is not None:
        out().print(f"\nControl will refuse that: {shown(may.text)}", style="yellow")
    needs_reason = action in {Action.BREAK_GLASS, Action.REVIEW, Action.RESOLVE} or (
        action in {Action.APPROVE, Action.DENY} and said.needs.reason_required
    )
    typer.echo()
    while needs_reason and not reason.strip():
        reason = str(typer.prompt("Reason", default="", show_default=False))
    if not typer.confirm(f"{action.value}: are you sure?"):
        typer.echo("Nothing was sent.")
        raise typer.Exit(1)
    return reason


def _send(
    client: ControlClient, approval: str, action: Action, body: dict[str, Json], *, as_json: bool
) -> None:
    answer = client.post("approvals", approval, action.value, body=body)
    if as_json:
        print_json(answer)
        return
    said = read(ApprovalWhole, answer)
    line = Text(said.state, style=STATE_STYLES[said.state])
    line.append(f"  {shown(said.summary)}", style="default")
    line.append(f"  {said.id}", style="dim")
    out().print(line)
    if said.state is State.PENDING:
        out().print(f"  still waits for {places(said.places_left)}")
    elif said.state is State.APPROVED and said.grant_until is not None:
        left = span(said.grant_until - time.time())
        out().print(f"  it may run once, within {left}, when the agent asks again or still waits")
