"""`ddgate audit export`: the trail for other programs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from addons.cli.audit.lines import print_json
from addons.cli.audit.looking import looking
from addons.cli.audit.options import given
from addons.cli.call_options import SinceOption, UntilOption
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.cli.time_option import read_time
from addons.core.model import Json
from addons.core.ocsf import PRODUCT, to_ocsf
from addons.store.audit.question import Question
from addons.store.audit.record import StoredRecord
from addons.store.trail.query import AuditTrail
from addons.store.trail.story import read_or_tell

_POLL_SECONDS = 0.5

AfterOption = Annotated[
    int, typer.Option("--after", min=0, metavar="IDX", help="Only records behind this index: to go on.")
]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes; Ctrl-C ends.")]
RawOption = Annotated[bool, typer.Option("--raw", help="As stored, with the idx, instead of OCSF.")]


def export(  # noqa: PLR0913 - an option each
    *,
    state: StateDirOption = DEFAULT_STATE_DIR,
    since: SinceOption = None,
    until: UntilOption = None,
    after: AfterOption = 0,
    follow: FollowOption = False,
    raw: RawOption = False,
) -> None:
    """Write the trail as JSON, a line for each record, in the order of the log.

    The form is OCSF's API Activity (class 6003), which a SIEM reads; metadata.sequence is the index, so an
    export goes on where another ended with --after and the last one's metadata.sequence.

    For example: ddgate audit export --since 24h > audit.ocsf.jsonl
    """
    question = Question(
        since=None if since is None else read_time(since), until=None if until is None else read_time(until)
    )
    asked = given({"since": since, "until": until, "after": after or None, "follow": follow, "raw": raw})
    product = _product_version()
    with looking(state, "audit export", asked) as look:
        if follow:
            look.note()  # at its beginning, for it has no end
        for stored in _records(look.trail, question, after, follow=follow):
            body = read_or_tell(look.trail, stored)
            if body is not None:
                look.found += 1
                print_json(_raw(stored, body) if raw else to_ocsf(stored.idx, body, product))


def _records(trail: AuditTrail, question: Question, after: int, *, follow: bool) -> Iterator[StoredRecord]:
    while True:
        for stored in trail.find_after(question, after):
            after = stored.idx
            yield stored
        if not follow:
            return
        time.sleep(_POLL_SECONDS)


def _raw(stored: StoredRecord, body: dict[str, Json]) -> dict[str, Json]:
    return {"idx": stored.idx, **body}


def _product_version() -> str:
    try:
        return version(PRODUCT)
    except PackageNotFoundError:  # run from a checkout that isn't installed
        return "unknown"
