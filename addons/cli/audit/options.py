"""The options by which `ddgate audit` is told which records are meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from addons.cli.call_options import read_member
from addons.core.model import Json, Reason
from addons.store.audit.record import RecordKind

_LIMIT = 50

ReasonOption = Annotated[str | None, typer.Option("--reason", help="For which reason: no_rule, bad_token, …")]
KindOption = Annotated[
    str | None, typer.Option("--kind", help="Which kind of record: outcome, refused, read, …")
]
ApprovalOption = Annotated[
    str | None, typer.Option("--approval", help="Of which approval: its id, or how that begins or ends.")
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


def read_reason(text: str) -> Reason:
    return read_member(Reason, text, "reason")


def read_kind(text: str) -> RecordKind:
    return read_member(RecordKind, text, "kind of record")


def given(options: Mapping[str, Json]) -> dict[str, Json]:
    """Those of the options that were given, for the record of the look."""
    return {name: value for name, value in options.items() if value is not None and value is not False}
