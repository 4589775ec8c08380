"""Which recorded calls are meant, and how the index is asked for them."""

from __future__ import annotations

from dataclasses import dataclass

from addons.store.sqlite_text import storable

type Value = str | int | float


@dataclass(frozen=True, slots=True)
class Selection:
    """Every field that is set must hold. `operation` and `path` are globs (`*`, `?`, `[…]`; `*` crosses `/`),
    compared with regard to case; `path` is without the query. `status` is the lowest and the highest that
    fit. `since` and `until` are seconds since the epoch; a call at `until` is left out.
    """

    who: str | None = None
    on_behalf_of: str | None = None
    session: str | None = None
    operation: str | None = None
    method: str | None = None
    path: str | None = None
    status: tuple[int, int] | None = None
    effect: str | None = None
    rule: str | None = None
    approval: str | None = None
    since: float | None = None
    until: float | None = None

    def where(self) -> tuple[str, list[Value]]:
        """Give the condition in SQL over the index's columns, and its parameters."""
        method = None if self.method is None else self.method.upper()
        asked: list[tuple[str, Value | None]] = [
            ("subject = ?", self.who),
            ("on_behalf_of = ?", self.on_behalf_of),
            ("session = ?", self.session),
            ("operation GLOB ?", self.operation),
            ("method = ?", method),
            ("path GLOB ?", self.path),
            ("status >= ?", self.status[0] if self.status else None),
            ("status <= ?", self.status[1] if self.status else None),
            ("effect = ?", self.effect),
            ("rule = ?", self.rule),
            ("approval = ?", self.approval),
            ("time >= ?", self.since),
            ("time < ?", self.until),
        ]
        given = [(condition, value) for condition, value in asked if value is not None]
        values = [storable(value) or "" if isinstance(value, str) else value for _, value in given]
        return " AND ".join(condition for condition, _ in given) or "TRUE", values
