"""What a stand-in says of a call that it doesn't know: which recorded one is nearest, and what differs."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from addons.core.approvals.changes import TooMuchToCompare
from addons.core.model import Json
from addons.replaying.asked import Asked, Body, BodyKind
from addons.replaying.differences import differences
from addons.replaying.masked_values import Fit, MaskedValues
from addons.replaying.stand_in_calls import Group, StandInCalls

_MOST_NEAR = 200
_MOST_TOLD = 8
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Nearest:
    """`differs` are sentences: what is recorded, and what came."""

    group: Group
    differs: tuple[str, ...]


def nearest(calls: StandInCalls, asked: Asked) -> Nearest | None:
    """None where nothing is recorded."""
    found = [Nearest(group, tuple(_differences(calls, group, asked))) for group in _near(calls, asked)]
    return min(found, key=lambda each: len(each.differs), default=None)


def _near(calls: StandInCalls, asked: Asked) -> list[Group]:
    groups = list(calls.groups())
    for fits in (
        [group for group in groups if (group.method, group.path) == (asked.method, asked.path)],
        [group for group in groups if group.path == asked.path],
    ):
        if fits:
            return fits[:_MOST_NEAR]
    paths = Counter(group.path for group in groups if group.method == asked.method) or Counter(
        group.path for group in groups
    )
    near = difflib.get_close_matches(asked.path[:2000], list(paths)[:5000], n=1, cutoff=0.0)
    return [group for group in groups if group.path in near][:_MOST_NEAR]


def _differences(calls: StandInCalls, group: Group, asked: Asked) -> list[str]:
    differs = []
    if group.method != asked.method:
        differs.append(f"the method is {group.method} there")
    if asked.host not in {None, group.host}:
        differs.append(f"the host is {group.host} there, and {cut(asked.host or '')} here")
    if calls.values.texts(group.path, asked.path) is Fit.DIFFERENT:
        differs.append(f"the path is {cut(group.path)} there")
    if calls.fit_query(group.query, asked.query) is Fit.DIFFERENT:
        differs += _query(dict(group.query), dict(asked.query))
    return differs + _body(calls.values, group.asked().body, asked.body)


def _query(there: dict[str, str], here: dict[str, str]) -> list[str]:
    differs = []
    for name in sorted(there.keys() | here.keys()):
        if name not in here:
            differs.append(f"the query lacks {cut(name)}={cut(there[name])}")
        elif name not in there:
            differs.append(f"the query has {cut(name)}={cut(here[name])}, which isn't there")
        elif there[name] != here[name]:
            differs.append(
                f"in the query {cut(name)} is {cut(there[name])} there, and {cut(here[name])} here"
            )
    return differs or ["the query's parameters are others, or more often there"]


def _body(values: MaskedValues, there: Body, here: Body) -> list[str]:
    if there.text() == here.text():
        return []
    if BodyKind.DIGEST in {there.kind, here.kind}:
        return ["the body isn't in the recording, so that only the very same bytes would fit"]
    if there.kind is not here.kind:
        return [f"the body is {_KINDS[there.kind]} there, and {_KINDS[here.kind]} here"]
    if there.kind is BodyKind.JSON:
        return _json(values, there.value, here.value)
    return [f"the body is {cut(str(there.value))} there, and {cut(str(here.value))} here"]


_KINDS = {
    BodyKind.EMPTY: "empty",
    BodyKind.JSON: "JSON",
    BodyKind.FORM: "a form",
    BodyKind.TEXT: "text",
    BodyKind.DIGEST: "not stored",
}


def _json(values: MaskedValues, there: Json, here: Json) -> list[str]:
    try:
        found = differences(there, here, values, enough=Fit.ALIKE)
    except TooMuchToCompare:
        return ["the body is another"]
    return _few(
        [
            f"in the body {cut(each.path)} is {cut(each.recorded or 'absent')} there, "
            f"and {cut(each.now or 'absent')} here"
            for each in found
        ]
    )


def _few(differs: Sequence[str]) -> list[str]:
    more = len(differs) - _MOST_TOLD
    return [*differs[:_MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]


def cut(text: str) -> str:
    """Make a text fit for one line of a message."""
    shown = "".join(char if char.isprintable() else "?" for char in text[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
