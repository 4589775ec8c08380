"""The options that `ddgate freeze`, `unfreeze` and `revoke` share, and what may stand in them."""

from __future__ import annotations

from typing import Annotated

import typer

from addons.core.quantities import parse_duration

_MAX_NAME = 1024  # as in tokens
_MAX_REASON = 500

IssuerOption = Annotated[
    str | None,
    typer.Option("--issuer", metavar="URL", help="Only of this issuer, as it stands in tokens' `iss`."),
]
ReasonOption = Annotated[str, typer.Option("--reason", "-m", help="Why; it goes on record.")]
ForOption = Annotated[
    str | None, typer.Option("--for", metavar="DURATION", help="For how long: 30m, 1h, 7d.")
]
ListOption = Annotated[bool, typer.Option("--list", help="Only show what is in force.")]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, a line each.")]


def read_duration(text: str | None) -> float | None:
    """Seconds. Raises typer.BadParameter."""
    if text is None:
        return None
    seconds = parse_duration(text.strip())
    if not seconds:
        raise typer.BadParameter(f"{text!r} is no duration; write 30m, 1h or 7d", param_hint="--for")
    return seconds


def read_name(text: str, hint: str) -> str:
    """What can stand in a token. Raises typer.BadParameter."""
    if not 0 < len(text) <= _MAX_NAME or not text.isprintable():
        raise typer.BadParameter(
            f"no token has that: one line of at most {_MAX_NAME} characters", param_hint=hint
        )
    return text


def read_reason(text: str) -> str:
    """One line. Raises typer.BadParameter."""
    if len(text) > _MAX_REASON or not text.isprintable():
        raise typer.BadParameter(
            f"a reason is one line of at most {_MAX_REASON} characters", param_hint="--reason"
        )
    return text
