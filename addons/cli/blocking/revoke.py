"""`ddgate revoke`: end tokens before their time."""

from __future__ import annotations

from pathlib import Path
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

SubjectOption = Annotated[
    str | None,
    typer.Option("--subject", help="The tokens that it has now; those that it gets later are good."),
]
TokenOption = Annotated[str | None, typer.Option("--jti", help="The one token of this id.")]
SessionOption = Annotated[
    str | None, typer.Option("--session", help="All tokens of this agent run, later ones too.")
]
UndoOption = Annotated[bool, typer.Option("--undo", help="Take that back.")]


@app.command()
def revoke(  # noqa: PLR0913 - an option each
    *,
    subject: SubjectOption = None,
    jti: TokenOption = None,
    session: SessionOption = None,
    issuer: IssuerOption = None,
    reason: ReasonOption = "",
    lasts: ForOption = None,
    undo: UndoOption = False,
    show: ListOption = False,
    as_json: JsonOption = False,
    state: StateDirOption = DEFAULT_STATE_DIR,
) -> None:
    """End tokens before their time, as after a leak: within a second no gateway takes them any more.

    That holds too where they were seen before, and in tunnels that they opened. Of a subject, tokens that are
    issued afterwards are good (by how far the clocks may differ, `leeway`, later): to stop it whatever token
    it gets, use `ddgate freeze`.

    An entry ends when no token from before it can be alive, by the longest `max_lifetime` in ddgate.yaml, or
    after what --for says.

    For example: ddgate revoke --jti 5f0c2a9e --reason "in a build log"

    Tokens of an agent that leaked, without stopping it: ddgate revoke --subject demo-agent

    What is revoked: ddgate revoke --list
    """
    named = [
        (kind, value)
        for kind, value in ((Named.SUBJECT, subject), (Named.TOKEN, jti), (Named.SESSION, session))
        if value is not None
    ]
    if show:
        if named or undo:
            raise typer.BadParameter("--list shows all that is revoked: name nothing with it")
        acting.show_in_force(state, BlockKind.REVOCATION, "Nothing is revoked.", as_json=as_json)
        return
    if len(named) != 1:
        raise typer.BadParameter("say one of --subject, --jti and --session")
    if undo and lasts is not None:
        raise typer.BadParameter("--for says how long a revocation lasts: it doesn't go with --undo")
    wanted = acting.Wanted(
        BlockKind.REVOCATION, named[0][0], read_name(named[0][1], f"--{named[0][0]}"), issuer
    )
    if undo:
        _undo(state, wanted, reason, as_json=as_json)
        return
    seconds, how = read_duration(lasts), f"ddgate revoke --{wanted.named} {acting.quoted(wanted.name)} --undo"
    acting.begin_aloud(state, wanted, read_reason(reason), seconds, as_json=as_json, undo=how)


def _undo(state: Path, wanted: acting.Wanted, reason: str, *, as_json: bool) -> None:
    ended = acting.end(state, wanted, read_reason(reason))
    if as_json:
        acting.print_blocks(ended, as_json=True)
    elif ended:
        acting.say(f"No longer revoked: {wanted.name}.")
    if not ended:
        acting.warn("That isn't revoked; see `ddgate revoke --list`.")
        raise typer.Exit(1)
