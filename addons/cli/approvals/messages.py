"""`ddgate approvals messages`: what could not be delivered to those who want to be told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from addons.cli.approvals.client import ControlClient
from addons.cli.approvals.options import JsonOption, on_control
from addons.cli.approvals.reading import read
from addons.cli.approvals.showing import SHORT, print_row
from addons.cli.approvals.words import out, print_json, shown, span
from addons.core.model import Json

if TYPE_CHECKING:
    from addons.control.api.messages import DeadLetterSaid, Messages

RetryOption = Annotated[
    int | None, typer.Option("--retry", min=1, metavar="NUMBER", help="Send this one once more.")
]


@on_control
def messages(client: ControlClient, retry: RetryOption = None, *, as_json: JsonOption = False) -> None:
    """Show the messages about approvals that no attempt has delivered, or send one of them once more.

    For example: `ddgate approvals messages`

    Once the receiver is well again: `ddgate approvals messages --retry 17`
    """
    if retry is not None:
        answer = client.post("messages", str(retry), "retry")
        if as_json:
            print_json(answer)
        else:
            typer.echo(f"Message {retry} is sent again, as often as a new one.")
        return
    answer = client.get("messages")
    if as_json:
        print_json(answer)
    else:
        _print(answer)


def _print(answer: Json) -> None:
    from addons.control.api.messages import Messages  # noqa: PLC0415 - it brings all of control's server along

    found = read(Messages, answer)
    now, console = time.time(), out()
    if console.is_terminal and found.dead:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for head in ("number", "receiver", "event", "approval", "age", "tries", "what was wrong"):
            table.add_column(head, overflow="fold")
        for one in found.dead:
            number, receiver, event, approval, *rest = _cells(one, now)
            table.add_row(number, receiver, event, approval[-SHORT:], *map(Text, rest))
        console.print(table, soft_wrap=False)
    else:
        for one in found.dead:
            print_row(*_cells(one, now))
    typer.echo(_summary(found, now), err=True)


def _cells(one: DeadLetterSaid, now: float) -> tuple[str, ...]:
    texts = (one.receiver, one.event, one.approval, span(now - one.at), str(one.attempts), one.error)
    return (str(one.id), *map(shown, texts))


def _summary(found: Messages, now: float) -> str:
    waiting = f"{found.queued} wait to be sent"
    if found.oldest is not None:
        waiting += f", the oldest for {span(now - found.oldest)}"
    more = f"; these are the newest of {found.dead_count}" if found.dead_count > len(found.dead) else ""
    return f"{found.dead_count} given up{more}; {waiting}"
