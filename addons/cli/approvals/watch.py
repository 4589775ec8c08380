"""`ddgate approvals watch`: what waits, and what becomes of it, as it happens."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.text import Text

from addons.cli.approvals.client import ControlClient, Unreachable
from addons.cli.approvals.options import JsonOption, on_control
from addons.cli.approvals.reading import one_line, page
from addons.cli.approvals.showing import SHORT, places, who_asks
from addons.cli.approvals.words import STATE_STYLES, complain, out, print_json, shown
from addons.control.api.models import ApprovalSaid
from addons.core.approvals.states import LIVE, State

_PAGE = 200
_REMEMBERED = 10_000
_PAUSES = (0.2, 1.0, 2.0, 5.0)
"""Seconds before each further try to reach control again; the last goes on for ever."""


@on_control
def watch(client: ControlClient, *, as_json: JsonOption = False) -> None:
    """Show what waits for people now, then every change as it happens; Ctrl-C ends.

    Holds on when control restarts, and misses nothing meanwhile. With `--json`, one object a line.

    For example: `ddgate approvals watch --as alice`

    What you can decide on: `ddgate approvals watch --json | jq --unbuffered 'select(.may_approve).id'`
    """
    seen = _Seen(as_json)
    listed = page(client, sorted(LIVE), _PAGE, None)
    for one in reversed(listed.approvals):
        seen.tell(one)
    version = listed.version
    tries = 0
    while True:
        try:
            for changed, now in _changes(client, version):
                version, tries = now, 0
                for approval in changed:
                    found = one_line(client, approval)
                    if found is not None:
                        seen.tell(found)
        except Unreachable as problem:
            if tries == 0:
                complain(f"{problem}; trying again")
        # The stream ends when control stops, and when a token does: a new one may be there by now.
        client.forget_token()
        time.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
        tries += 1


def _changes(client: ControlClient, after: int) -> Iterator[tuple[list[str], int]]:
    """(ids, version) of each change after a version, until the stream ends."""
    with client.events(after) as events:
        for event, data in events:
            if event != "approvals":
                continue
            match _parsed(data):
                case {"changed": [*ids], "version": int(version)}:
                    yield [str(one) for one in ids], version
                case _:
                    raise Unreachable("control's stream isn't what this version of ddgate reads")


def _parsed(data: str) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None


@dataclass(slots=True)
class _Seen:
    """What was told last of each, so that the same isn't told twice."""

    as_json: bool
    _last: dict[str, object] = field(default_factory=dict)

    def tell(self, one: ApprovalSaid) -> None:
        now = (one.state, one.places_left, one.glass_broken, one.review_due)
        if self._last.get(one.id) == now:
            return
        self._last[one.id] = now
        if len(self._last) > _REMEMBERED:
            del self._last[next(iter(self._last))]
        if self.as_json:
            print_json(one.model_dump(mode="json"), lines=True)
        else:
            out().print(_line(one))


def _line(one: ApprovalSaid) -> Text:
    line = Text(f"{dt.datetime.now(dt.UTC):%H:%M:%SZ}  ", style="dim")
    line.append(f"{one.id[-SHORT:]}  ", style="dim")
    line.append(f"{one.state:<9}", style=STATE_STYLES[one.state])
    line.append(f"  {shown(one.summary)}", style="bold" if one.may_approve else "default")
    line.append(f"  {who_asks(one)}")
    if one.state is State.PENDING:
        line.append(f"  waits for {places(one.places_left)}", style="dim")
        if one.may_approve:
            line.append("  you can approve it", style="yellow")
    if one.review_due is not None:
        line.append("  the glass was broken, a review is due", style="bold red")
    return line
