"""The body of a stored record, read by somebody who doesn't trust it."""

from __future__ import annotations

import json
import math
from typing import cast

from addons.core.model import Json
from addons.store.audit.record import StoredRecord


class BodyUnreadable(ValueError):  # noqa: N818 - named after what is wrong, as the other refusals are
    """The record's text is not what ddgate writes: `idx` says which record, `why` what is wrong with it."""

    def __init__(self, idx: int, why: str) -> None:
        super().__init__(f"Record #{idx} of the audit log can't be read: {why}.")
        self.idx = idx
        self.why = why


def read_body(stored: StoredRecord) -> dict[str, Json]:
    """Parse the stored text strictly: an object, each name once, finite numbers.

    SQLite's columns take the first of two equal names and Python the last, so a text with two is refused
    rather than searched by one and shown by the other. Raises `BodyUnreadable`.
    """
    body = cast(object, stored.body)  # what lies in a foreign file needn't be text
    if body is None:
        raise BodyUnreadable(stored.idx, "its body was dropped when the log was pruned")
    if not isinstance(body, str):
        raise BodyUnreadable(stored.idx, "its body is no text")
    try:
        parsed = _STRICT.decode(body)
    except RecursionError:
        raise BodyUnreadable(stored.idx, "its JSON is nested too deep") from None
    except json.JSONDecodeError as error:
        raise BodyUnreadable(stored.idx, f"no JSON at character {error.pos}") from None
    except ValueError as error:
        raise BodyUnreadable(stored.idx, str(error).partition(";")[0]) from None
    if not isinstance(parsed, dict):
        raise BodyUnreadable(stored.idx, "its JSON is no object")
    return parsed


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("its JSON has a name twice")
    return made


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("its JSON has a number that is too large")
    return value


def _no_constant(name: str) -> Json:
    raise ValueError(f"its JSON has {name}, which is no number")


_STRICT = json.JSONDecoder(object_pairs_hook=_once, parse_float=_finite, parse_constant=_no_constant)
