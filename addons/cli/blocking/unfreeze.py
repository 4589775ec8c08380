"""`ddgate unfreeze`: let an agent, or all, go on."""

from __future__ import annotations

import typer

from addons.cli.blocking import acting
from addons.cli.blocking.freeze import AllOption, SubjectArgument, whom
from addons.cli.blocking.options import IssuerOption, JsonOption, ReasonOption, read_reason
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.core.blocklist import Block, BlockKind, Named

app = typer.Typer()


@app.command()
def unfreeze(  # noqa: PLR0913 - an option each
    subject: SubjectArgument = None,
    *,
    everyone: AllOption = False,
    issuer: IssuerOption = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
    state: StateDirOption = DEFAULT_STATE_DIR,
) -> None:
    """Let an agent, or all, go on.

    To unfreeze everyone ends `freeze --all`; who is frozen by name stays so. Without --issuer a subject's
    freezes end whichever issuer they name. The exit status is 1 where there was nothing to end.

    For example: ddgate unfreeze demo-agent --reason "INC-42 is over"
    """
    wanted = whom(subject, issuer, everyone=everyone)
    ended = acting.end(state, wanted, read_reason(reason))
    if as_json:
        acting.print_blocks(ended, as_json=True)
    name = "everyone" if everyone else wanted.name
    left = [one for one in acting.in_force(state, BlockKind.FREEZE) if everyone or _concerns(one, wanted)]
    if ended and not as_json:
        acting.say(f"No longer frozen: {name}.")
    if not ended:
        acting.warn(f"Nobody has frozen {name}; see `ddgate freeze --list`.")
    for one in left:
        whose = f"{one.name} of {one.issuer}" if one.issuer else one.name
        acting.warn(f"Still frozen: {whose or 'everyone (ddgate unfreeze --all)'}.")
    if not ended:
        raise typer.Exit(1)


def _concerns(block: Block, wanted: acting.Wanted) -> bool:
    return block.named is Named.EVERYONE or block.name == wanted.name
