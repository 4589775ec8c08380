"""What is named once for all files: lists, limits, and the profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from addons.core.policy.compiling.policy_file import PolicyFile
from addons.core.policy.conditions.limits import BadLimit, Limit, compile_limit
from addons.core.policy.conditions.schedule import BadSchedule, parse_instant


def compile_names(files: Sequence[PolicyFile]) -> None:
    """Tell every file the lists and limits that its rules can name.

    A file's own list goes before one of the same name elsewhere; two others of that name are none, because
    the order of files would choose. A limit has one name in all files, since its counts have.
    """
    _limits(files)
    for file in files:
        others: dict[str, list[tuple[str, ...]]] = {}
        for other in files:
            if other is not file:
                for name, texts in other.document.lists.items():
                    others.setdefault(name, []).append(texts)
        shared = {name: found[0] for name, found in others.items() if len(found) == 1}
        file.lists = shared | dict(file.document.lists)
        file.ambiguous = frozenset(others) - file.lists.keys()


def _limits(files: Sequence[PolicyFile]) -> None:
    limits: dict[str, Limit] = {}
    places: dict[str, str] = {}
    for file in files:
        for name, written in file.document.limits.items():
            path = ("limits", name)
            if name in places:
                message = f"the limit {name!r} is taken, at {places[name]}"
                file.add_key(path, message, "give each limit its own name")
                continue
            places[name] = str(file.source.key_at(path))
            try:
                limits[name] = compile_limit(name, written.key, written.rate, written.quota)
            except BadLimit as bad:
                file.add((*path, *bad.field), bad.message, bad.remedy)
    known: Mapping[str, Limit] = limits
    for file in files:
        file.limits = known


def observe_until(files: Sequence[PolicyFile]) -> float | None:
    """Find when observing ends: the earliest date that a file says, None where all enforce.

    A file that says `profile: observe` speaks for the whole set.
    """
    ends = []
    for file in files:
        if file.document.observe_until is None:
            continue
        try:
            ends.append(parse_instant(file.document.observe_until))
        except BadSchedule as bad:
            file.add(("observe_until",), bad.message, bad.remedy)
    return min(ends, default=None)
