"""`ddgate approvals`: see what waits for people, and decide on it."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from addons.cli.approvals import deciding as approvals_deciding
from addons.cli.approvals import messages as approvals_messages
from addons.cli.approvals import request as approvals_request
from addons.cli.approvals import watch as approvals_watch
from addons.cli.approvals.client import ControlClient
from addons.cli.approvals.deciding import IdArgument
from addons.cli.approvals.options import JsonOption, on_control
from addons.cli.approvals.reading import page, read, whole_id
from addons.cli.approvals.showing import print_list, print_whole
from addons.cli.approvals.words import out, print_json
from addons.control.api.models import ApprovalWhole
from addons.core.approvals.states import LIVE, State

app = typer.Typer(
    help="See which calls wait for people, and decide on them.",
    epilog="Exit status of each: 0 done, 1 refused (the text says why), 2 misuse, 3 control isn't reached.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

OnlyOption = Annotated[
    list[State] | None,
    typer.Option(
        "--only",
        metavar="STATE",
        help="Only those that are `pending`, say; may be given several times.",
        show_default="those of which something may still become",
    ),
]
AllOption = Annotated[bool, typer.Option("--all", "-a", help="Those in any state.")]
MineOption = Annotated[bool, typer.Option("--mine", help="Only those that you can approve.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="How many at most.")]
BeforeOption = Annotated[
    str | None, typer.Option("--before", metavar="ID", help="Go on with those that are older than this.")
]


@app.command("list")
@on_control
def list_approvals(  # noqa: PLR0913 - one parameter for each option
    client: ControlClient,
    only: OnlyOption = None,
    limit: LimitOption = 50,
    before: BeforeOption = None,
    *,
    every: AllOption = False,
    mine: MineOption = False,
    as_json: JsonOption = False,
) -> None:
    """List approvals, newest first.

    Elsewhere than on a terminal: id, state, summary, risk, who, waits for, time, between tabs.

    What waits for you: `ddgate approvals list --mine`

    On the sandbox: `ddgate approvals list --as alice`

    For other programs: `ddgate approvals list --json | jq -r '.approvals[].id'`
    """
    states = [] if every else (only or sorted(LIVE))
    found = page(client, states, limit, whole_id(client, before) if before is not None else None)
    if mine:
        kept = [one for one in found.approvals if one.may_approve]
        found = found.model_copy(update={"approvals": kept})
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    print_list(out(), found.approvals, time.time())
    if not found.approvals:
        typer.echo("Nothing waits." if not every and only is None else "There is none.", err=True)
    if found.before is not None:
        typer.echo(f"There are older ones: --before {found.before}", err=True)


@app.command()
@on_control
def show(client: ControlClient, approval: IdArgument, *, as_json: JsonOption = False) -> None:
    """Show one in full: what would run, what that changes, who asks, who has said what.

    What ddgate masked stays masked. What hides in a text (a change of direction, an invisible character, a
    letter that looks like another) is spelled out. That you have seen it is put on record.

    For example: `ddgate approvals show 5e6f7081 --as alice`

    Its digest, for `approve --digest`: `ddgate approvals show $ID --json | jq -r .digest`
    """
    answer = client.get("approvals", whole_id(client, approval))
    if as_json:
        print_json(answer)
    else:
        print_whole(out(), read(ApprovalWhole, answer), time.time())


app.command("approve")(approvals_deciding.approve)
app.command("deny")(approvals_deciding.deny)
app.command("cancel")(approvals_deciding.cancel)
app.command("break-glass")(approvals_deciding.break_glass)
app.command("review")(approvals_deciding.review)
app.command("resolve")(approvals_deciding.resolve)
app.command("watch")(approvals_watch.watch)
app.command("messages")(approvals_messages.messages)
app.command("request")(approvals_request.request)
