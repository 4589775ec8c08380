"""`ddgate audit show`: everything about one action."""

from __future__ import annotations

from typing import Annotated

import typer

from addons.cli.audit.lines import console, print_json, print_lines
from addons.cli.audit.looking import looking, refuse
from addons.cli.audit.options import JsonOption
from addons.cli.audit.telling import tell_story
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.core.model import Json
from addons.store.trail.story import NotFound, Story, find_story

FullOption = Annotated[bool, typer.Option("--full", help="The whole of a long request body.")]


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Of a call, an approval or a record; its beginning is enough. Or '#INDEX'."
        ),
    ],
    *,
    state: StateDirOption = DEFAULT_STATE_DIR,
    as_json: JsonOption = False,
    full: FullOption = False,
) -> None:
    """Tell all that is on record about one action.

    Who did it, for whom, what decided on it, who approved it, what was sent and answered, what was masked,
    whether its recording is what was recorded, and who has looked at it since.

    With --json: its records, a line each.
    """
    with looking(state, "audit show", {"id": name}) as look:
        try:
            story = find_story(look.trail, name)
        except NotFound as problem:
            look.noted = True  # nothing was shown
            refuse(str(problem), " ".join(problem.candidates) or "`ddgate audit query` finds what there is.")
        look.asked |= _named(story)
        records = story.every()
        look.found = len(records)
        if as_json:
            for told in records:
                print_json({"idx": told.idx, **told.body})
        else:
            print_lines(console(), tell_story(story, look.state.recordings, full=full))


def _named(story: Story) -> dict[str, Json]:
    """What was shown, by its whole id: a later look finds this one by it."""
    named: dict[str, Json] = {}
    if story.call is not None:
        named["call"] = story.call
    if story.approvals:
        named["approvals"] = list[Json](story.approvals)
    if not named and story.own:
        named["record"] = story.own[0].body.get("id")
    return named
