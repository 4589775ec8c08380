"""The options by which `ddgate audit` is told which records are meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer

from addons.core.model import Effect, Json, Reason
from addons.store.audit_record import RecordKind

_STATUS = re.compile(r"([1-9])xx|([0-9]{3})(?:-([0-9]{3}))?", re.ASCII)
_LIMIT = 50

WhoOption = Annotated[str | None, typer.Option("--who", help="Whose records: the subject.")]
OnBehalfOfOption = Annotated[str | None, typer.Option("--on-behalf-of", help="For whom the actor acted.")]
OperationOption = Annotated[
    str | None, typer.Option("--operation", help="Datadog's name of what was called; a glob: 'Delete*'.")
]
RuleOption = Annotated[str | None, typer.Option("--rule", help="By which rule it was decided.")]
EffectOption = Annotated[
    str | None, typer.Option("--effect", help="What policy decided: allow, deny or require_approval.")
]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="For which reason: no_rule, bad_token, …")]
KindOption = Annotated[
    str | None, typer.Option("--kind", help="Which kind of record: outcome, refused, read, …")
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", help="From when on: 2026-03-02, 2026-03-02T10:00 (UTC), or 2h, 3d ago."),
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Until when; as --since.")]
StatusOption = Annotated[
    str | None, typer.Option("--status", help="What the agent got: 404, 4xx or 400-499.")
]
ApprovalOption = Annotated[
    str | None, typer.Option("--approval", help="Of which approval: its id, or how that begins or ends.")
]
SessionOption = Annotated[
    str | None, typer.Option("--session", help="Of which agent run: the session, else the token's id.")
]
CallOption = Annotated[str | None, typer.Option("--call", help="Of which call: its id.")]
HostOption = Annotated[str | None, typer.Option("--host", help="To which host; a glob.")]
PathOption = Annotated[
    str | None, typer.Option("--path", help="With or without its query; a glob: '/api/v1/monitor/*'.")
]
TextOption = Annotated[
    str | None,
    typer.Option(
        "--text",
        help="Text anywhere in record or request, in any case; of a secret, where it was masked.",
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 shows all.")]
OldestFirstOption = Annotated[bool, typer.Option("--oldest-first", help="Begin with the oldest.")]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, a line each, as stored, with its idx.")]
CountOption = Annotated[bool, typer.Option("--count", help="Only say how many there are.")]
DEFAULT_LIMIT = _LIMIT


def read_status(text: str) -> tuple[int, int]:
    """Read 404, 4xx or 400-499. Raises typer.BadParameter."""
    found = _STATUS.fullmatch(text.strip().lower())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no status; write 404, 4xx or 400-499")
    if found[1]:
        return int(found[1]) * 100, int(found[1]) * 100 + 99
    return int(found[2]), int(found[3] or found[2])


def read_effect(text: str) -> Effect:
    return _member(Effect, text, "effect")


def read_reason(text: str) -> Reason:
    return _member(Reason, text, "reason")


def read_kind(text: str) -> RecordKind:
    return _member(RecordKind, text, "kind of record")


def given(options: Mapping[str, Json]) -> dict[str, Json]:
    """Those of the options that were given, for the record of the look."""
    return {name: value for name, value in options.items() if value is not None and value is not False}


def _member[E: StrEnum](choices: type[E], text: str, what: str) -> E:
    if text not in set(choices):
        raise typer.BadParameter(f"{text!r} is no {what}; there are {', '.join(choices)}")
    return choices(text)
