"""Which approval a call belongs to that is made once more: one that lives; one that ran a moment ago, whose
answer is given again; one that was denied, until its time, or that of its grant, has been over for a moment;
one that expired just now.
"""

from __future__ import annotations

from collections.abc import Mapping

from addons.core.approvals.states import LIVE, State
from addons.store.approvals.rows import SELECT_WITH_PREVIEW
from addons.store.moment import SLACK
from addons.store.sqlite_text import storable

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))
_OVER = "max(pending_until, coalesce(grant_until, 0))"

# `latest`: what happened in the future, by a clock that was put back since, happened long ago.
STANDING = f"""{SELECT_WITH_PREVIEW} WHERE digest = :digest AND (
    state IN ({_LIVE})
    OR (state IN ('{State.SUCCEEDED}', '{State.FAILED}') AND ran_at > :since AND ran_at <= :latest)
    OR (state = '{State.DENIED}' AND {_OVER} > :since AND requested_at <= :latest)
    OR (state = '{State.EXPIRED}' AND {_OVER} > :since AND {_OVER} <= :latest)
) ORDER BY id DESC LIMIT 1"""


def parameters(digest: str, at: float, window: float) -> Mapping[str, object]:
    """`at` is now, in seconds since the epoch; `window` how long an end still counts, in seconds."""
    return {"digest": storable(digest), "since": at - window, "latest": at + SLACK}
