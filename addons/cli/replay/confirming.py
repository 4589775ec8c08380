"""Asks before a call that is no read is made again for real."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import typer
from rich.console import Console

from addons.cli.policy.recordings import shown, when
from addons.core.body import BodyTooLarge, UndecodableBody, decode_body
from addons.core.json_layout import laid_out
from addons.replaying.exchange import Exchange
from addons.replaying.resending import Resent

_MOST_LINES = 40
_LIMIT = 4 * 1024 * 1024
_NOBODY = "it is no read, and nobody is there to be asked; --yes is the answer to all"


def confirming(*, asks: bool) -> Callable[[Exchange, Resent], str]:
    """Make what says why a call isn't sent; an empty text where it may be."""
    return _ask if asks else _never_ask


def _never_ask(_exchange: Exchange, _request: Resent) -> str:
    return ""


def _ask(exchange: Exchange, request: Resent) -> str:
    if not sys.stdin.isatty():
        return _NOBODY
    errors = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False, markup=False)
    operation = request.operation
    what = f"{operation.name}, {operation.risk}" if operation is not None else "unknown to ddgate"
    errors.print(f"\n{shown(request.shown)}  ({what})", style="bold yellow")
    errors.print(f"  recorded {when(exchange.at)} as {shown(exchange.call)}")
    for line in _body(exchange, request):
        errors.print(f"  {shown(line)}")
    try:
        yes = typer.confirm("Make this call again, for real?", default=False, err=True)
    except typer.Abort:
        yes = False
    return "" if yes else "you said no"


def _body(exchange: Exchange, request: Resent) -> list[str]:
    if not request.body:
        return []
    try:
        body = decode_body(request.body, ", ".join(exchange.values(b"content-encoding")), limit=_LIMIT)
        text = body.decode("utf-8", "replace")
    except (UndecodableBody, BodyTooLarge):
        return [f"[a body of {len(request.body)} bytes that can't be shown]"]
    with contextlib.suppress(ValueError):
        text = laid_out(text)  # as it stands: a name that stands twice is shown twice
    listed = text.split("\n")
    more = len(listed) - _MOST_LINES
    return listed[:_MOST_LINES] + ([f"… and {more} more lines"] if more > 0 else [])
