"""What a change of a field looks like on a page."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from addons.control.pages.words import compared, json_shown, shown, spelled
from addons.core.approvals.changes import Change, ChangeKind, line_changes

_LONG = 1200
"""Characters from which a value is shown in a box of its own, to be scrolled: whole, and not in the way."""
_OPENERS = ("{", "[")


@dataclass(frozen=True, slots=True)
class ChangeShown:
    """`lines` stands for `before` and `after` where both are texts of several lines; the first of each is
    ` `, `-` or `+`.
    """

    path: Markup
    kind: ChangeKind
    before: Markup | None
    after: Markup | None
    lines: tuple[tuple[str, Markup], ...] | None
    is_long: bool


def change_shown(change: Change) -> ChangeShown:
    path = _path(change.path) if change.path else Markup("the whole body")
    is_long = max(len(change.before or ""), len(change.after or "")) > _LONG
    lines = line_changes(change)
    if lines is not None:
        told = tuple((sign, shown(line)) for sign, line in lines)
        return ChangeShown(path, change.kind, None, None, told, is_long)
    before, after = change.before, change.after
    if before is not None and after is not None and _is_leaf(before) and _is_leaf(after):
        old, new = compared(before, after)
        return ChangeShown(path, change.kind, old, new, None, is_long)
    return ChangeShown(path, change.kind, _value(before), _value(after), None, is_long)


def _path(path: str) -> Markup:
    """Broken after its dots, where it has to be."""
    return Markup(f"<bdi>{'.<wbr>'.join(map(spelled, path.split('.')))}</bdi>")  # noqa: S704 - escaped


def _value(text: str | None) -> Markup | None:
    return None if text is None else json_shown(text)


def _is_leaf(text: str) -> bool:
    return not text.startswith(_OPENERS)
