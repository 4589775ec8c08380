"""`ddgate freeze`: stop an agent, or all, at once."""

from __future__ import annotations

from typing import Annotated

import typer

from addons.cli.blocking import acting
from addons.cli.blocking.options import (
    ForOption,
    IssuerOption,
    JsonOption,
    ListOption,
    ReasonOption,
    read_duration,
    read_name,
    read_reason,
)
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.core.blocklist import BlockKind, Named

app = typer.Typer()

SubjectArgument = Annotated[
    str | None,
    typer.Argument(metavar="SUBJECT", help="Whom: `sub` of its tokens, as `ddgate sessions` shows it."),
]
AllOption = Annotated[bool, typer.Option("--all", help="Everyone.")]


@app.command()
def freeze(  # noqa: PLR0913 - an option each
    subject: SubjectArgument = None,
    *,
    everyone: AllOption = False,
    issuer: IssuerOption = None,
    reason: ReasonOption = "",
    lasts: ForOption = None,
    show: ListOption = False,
    as_json: JsonOption = False,
    state: StateDirOption = DEFAULT_STATE_DIR,
) -> None:
    """Stop an agent, or all, at once: within a second each gateway of this state directory refuses its calls.

    That holds for any token it has or gets, in tunnels that are open, and for calls that wait for approval.
    What Datadog is answering already comes to its end. A subject is frozen as whoever it takes part: as the
    one who calls, as one that the caller acts through (`act`), and as the one on whose behalf it calls.

    It lasts until `ddgate unfreeze`, or as long as --for says. The agent hears that it is frozen, not why.

    For example: ddgate freeze demo-agent --reason "INC-42: deletes monitors in a loop"

    Everyone, for an hour: ddgate freeze --all --for 1h

    Who is frozen, by whom and why: ddgate freeze --list
    """
    if show:
        if subject is not None or everyone:
            raise typer.BadParameter("--list shows all that is frozen: name nobody with it")
        acting.show_in_force(state, BlockKind.FREEZE, "Nobody is frozen.", as_json=as_json)
        return
    wanted = whom(subject, issuer, everyone=everyone)
    undo = f"ddgate unfreeze {'--all' if everyone else acting.quoted(wanted.name)}"
    seconds = read_duration(lasts)
    acting.begin_aloud(state, wanted, read_reason(reason), seconds, as_json=as_json, undo=undo)


def whom(subject: str | None, issuer: str | None, *, everyone: bool) -> acting.Wanted:
    """Raises typer.BadParameter."""
    if (subject is not None) is everyone:
        raise typer.BadParameter("name one SUBJECT, or say --all")
    if everyone and issuer is not None:
        raise typer.BadParameter("--issuer goes with a SUBJECT; --all is everyone, of any issuer")
    if subject is None:
        return acting.Wanted(BlockKind.FREEZE, Named.EVERYONE, "", None)
    return acting.Wanted(BlockKind.FREEZE, Named.SUBJECT, read_name(subject, "SUBJECT"), issuer)
