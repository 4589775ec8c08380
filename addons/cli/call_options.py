"""The options by which commands are told which calls are meant."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import typer

from addons.core.model import Effect

_STATUS = re.compile(r"([1-9])xx|([0-9]{3})(?:-([0-9]{3}))?", re.ASCII)

WhoOption = Annotated[str | None, typer.Option("--who", help="Whose: the subject.")]
OnBehalfOfOption = Annotated[str | None, typer.Option("--on-behalf-of", help="For whom the actor acted.")]
SessionOption = Annotated[
    str | None, typer.Option("--session", help="Of which agent run: the session, else the token's id.")
]
OperationOption = Annotated[
    str | None, typer.Option("--operation", help="Datadog's name of what was called; a glob: 'Delete*'.")
]
RuleOption = Annotated[str | None, typer.Option("--rule", help="By which rule it was decided.")]
EffectOption = Annotated[
    str | None, typer.Option("--effect", help="What policy decided: allow, deny or require_approval.")
]
StatusOption = Annotated[
    str | None, typer.Option("--status", help="What the agent got: 404, 4xx or 400-499.")
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", help="From when on: 2026-03-02, 2026-03-02T10:00 (UTC), or 2h, 3d ago."),
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Until when; as --since.")]


def read_status(text: str) -> tuple[int, int]:
    """Read 404, 4xx or 400-499. Raises typer.BadParameter."""
    found = _STATUS.fullmatch(text.strip().lower())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no status; write 404, 4xx or 400-499")
    if found[1]:
        return int(found[1]) * 100, int(found[1]) * 100 + 99
    return int(found[2]), int(found[3] or found[2])


def read_effect(text: str) -> Effect:
    return read_member(Effect, text, "effect")


def read_member[E: StrEnum](choices: type[E], text: str, what: str) -> E:
    """Raises typer.BadParameter, which names the choices."""
    if text not in set(choices):
        raise typer.BadParameter(f"{text!r} is no {what}; there are {', '.join(choices)}")
    return choices(text)
