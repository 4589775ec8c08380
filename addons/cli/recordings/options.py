"""The options by which `ddgate recordings` is told which calls are meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, TypedDict

import typer

from addons.cli.time_option import read_time
from addons.core.model import Effect, Json
from addons.store.recording_selection import Selection

_STATUS = re.compile(r"([1-9])xx|([0-9]{3})(?:-([0-9]{3}))?", re.ASCII)


WhoOption = Annotated[str | None, typer.Option("--who", help="Whose calls: the subject.")]
OnBehalfOfOption = Annotated[str | None, typer.Option("--on-behalf-of", help="For whom they were made.")]
SessionOption = Annotated[str | None, typer.Option("--session", help="Of which agent run.")]
OperationOption = Annotated[
    str | None, typer.Option("--operation", help="Datadog's name of what was called; a glob: 'Delete*'.")
]
MethodOption = Annotated[str | None, typer.Option("--method", help="GET, POST, …")]
PathOption = Annotated[
    str | None, typer.Option("--path", help="The path without the query; a glob: '/api/v1/monitor/*'.")
]
StatusOption = Annotated[
    str | None, typer.Option("--status", help="What the agent got: 404, 4xx or 400-499.")
]
EffectOption = Annotated[
    str | None, typer.Option("--effect", help="What policy decided: allow, deny or require_approval.")
]
RuleOption = Annotated[str | None, typer.Option("--rule", help="By which rule.")]
ApprovalOption = Annotated[str | None, typer.Option("--approval", help="By which approval: its id.")]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", help="From when on: 2026-03-02, 2026-03-02T10:00 (UTC), or 2h, 3d ago."),
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Until when; as --since.")]


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
        status=None if status is None else _status_range(status),
        effect=None if effect is None else _effect(effect),
        rule=asked.get("rule"),
        approval=asked.get("approval"),
        since=None if since is None else read_time(since),
        until=None if until is None else read_time(until),
    )
    given = {name: value for name, value in asked.items() if isinstance(value, str)}
    return Question(selection, dict[str, Json](given), limit)


def _status_range(text: str) -> tuple[int, int]:
    found = _STATUS.fullmatch(text.strip().lower())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no status; write 404, 4xx or 400-499")
    if found[1]:
        return int(found[1]) * 100, int(found[1]) * 100 + 99
    return int(found[2]), int(found[3] or found[2])


def _effect(text: str) -> str:
    if text not in set(Effect):
        raise typer.BadParameter(f"{text!r} is no effect; write {', '.join(Effect)}")
    return text
