"""The options by which `ddgate recordings` is told which calls are meant."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, TypedDict

import typer

from addons.cli.call_options import read_effect, read_status
from addons.cli.time_option import read_time
from addons.core.model import Json
from addons.store.recordings.selection import Selection

MethodOption = Annotated[str | None, typer.Option("--method", help="GET, POST, …")]
PathOption = Annotated[
    str | None, typer.Option("--path", help="The path without the query; a glob: '/api/v1/monitor/*'.")
]
ApprovalOption = Annotated[str | None, typer.Option("--approval", help="By which approval: its id.")]


class Format(StrEnum):
    """What `export` writes."""

    MITM = "mitm"
    HAR = "har"
    CURL = "curl"


class Asked(TypedDict, total=False):
    """The options as they were given, by their names."""

    who: str | None
    on_behalf_of: str | None
    session: str | None
    operation: str | None
    method: str | None
    path: str | None
    status: str | None
    effect: str | None
    rule: str | None
    approval: str | None
    since: str | None
    until: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """Which calls are meant: `asked` is what was given, for the record of the look; `limit` 0 is all."""

    selection: Selection
    asked: dict[str, Json]
    limit: int


def question_of(asked: Asked, limit: int) -> Question:
    """Raises typer.BadParameter for what can't be read."""
    status, effect = asked.get("status"), asked.get("effect")
    since, until = asked.get("since"), asked.get("until")
    selection = Selection(
        who=asked.get("who"),
        on_behalf_of=asked.get("on_behalf_of"),
        session=asked.get("session"),
        operation=asked.get("operation"),
        method=asked.get("method"),
        path=asked.get("path"),
        status=None if status is None else read_status(status),
        effect=None if effect is None else read_effect(effect),
        rule=asked.get("rule"),
        approval=asked.get("approval"),
        since=None if since is None else read_time(since),
        until=None if until is None else read_time(until),
    )
    given = {name: value for name, value in asked.items() if isinstance(value, str)}
    return Question(selection, dict[str, Json](given), limit)
