"""`ddgate sessions`: what agents did, run by run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated

import typer
from rich.text import Text

from addons.cli.audit.lines import console, plain, print_json, print_lines, render, when
from addons.cli.audit.looking import looking, refuse
from addons.cli.audit.options import LimitOption, given
from addons.cli.call_options import SinceOption, WhoOption
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.cli.time_option import read_time
from addons.store.audit.question import Question
from addons.store.audit.record import RecordKind
from addons.store.trail.query import OLDEST_FIRST, AuditTrail
from addons.store.trail.sessions import Session, list_sessions, names_of, session_of
from addons.store.trail.story import read_or_tell

app = typer.Typer(help="See what agents did, run by run.", invoke_without_command=True)

_DEFAULT_LIMIT = 20
_MOST_OPERATIONS = 4
_WIDTH = 16
_MINUTE, _HOUR, _DAY = 60, 3600, 86400

JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, a line each.")]


@app.callback(invoke_without_command=True)
def list_them(  # noqa: PLR0913 - an option each
    context: typer.Context,
    *,
    state: StateDirOption = DEFAULT_STATE_DIR,
    who: WhoOption = None,
    since: SinceOption = None,
    limit: LimitOption = _DEFAULT_LIMIT,
    as_json: JsonOption = False,
) -> None:
    """List agent runs, the latest first: who, for whom, how long, how many calls, what came of them.

    A run is all calls with the same session claim in their tokens, or else with the same token. Calls whose
    token has neither a session nor an id belong to no run.

    All calls of one: ddgate sessions show ID
    """
    if context.invoked_subcommand is not None:
        return
    seconds = None if since is None else read_time(since)
    asked = given({"who": who, "since": since, "limit": limit})
    with looking(state, "sessions", asked) as look:
        terminal = console()
        for session in islice(list_sessions(look.trail, who=who, since=seconds), limit or None):
            look.found += 1
            if as_json:
                print_json(session.to_json())
            else:
                print_lines(terminal, _entry(session))


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="The session, or how its id begins.")],
    *,
    state: StateDirOption = DEFAULT_STATE_DIR,
    as_json: JsonOption = False,
) -> None:
    """Show one agent run: who, how long, counts, and every call in order.

    With --json: the counts on the first line, then its records.
    """
    with looking(state, "sessions show", {"session": name}) as look:
        names = names_of(look.trail, name)
        if len(names) != 1:
            look.noted = True  # nothing was shown
            what = (
                f"More than one session's id begins with {name!r}." if names else f"No session is {name!r}."
            )
            refuse(what, " ".join(names) or "`ddgate sessions` lists them.")
        session = session_of(look.trail, names[0])
        look.asked["session"], look.found = session.id, session.records
        if as_json:
            print_json(session.to_json())
            for stored in look.trail.find(Question(session=session.id), OLDEST_FIRST):
                if (body := read_or_tell(look.trail, stored)) is not None:
                    print_json({"idx": stored.idx, **body})
        else:
            terminal = console()
            print_lines(terminal, _whole(session))
            for line in _calls(look.trail, session):
                print_lines(terminal, [line])


def _entry(session: Session) -> Iterator[Text]:
    line = Text(when(session.first), style="dim")
    for text, style in (
        (_names(session.who), "bold"),
        (f"for {_names(session.on_behalf_of)}" if session.on_behalf_of else "", "bold"),
        (_span(session), ""),
        (f"{session.calls} calls", ""),
        (_counts(session.effects), "red" if session.effects["deny"] or session.effects["refused"] else ""),
        (f"{sum(session.findings.values())} masked" if session.findings else "", "yellow"),
        (f"{len(session.approvals)} approvals" if session.approvals else "", "yellow"),
        (_counts(session.operations, _MOST_OPERATIONS), "cyan"),
        (plain(session.id), "dim"),
    ):
        if text:
            line.append("  ")
            line.append(text, style=style)
    yield line


def _whole(session: Session) -> Iterator[Text]:
    yield Text(f"session {plain(session.id)}", style="bold cyan")
    for name, value in (
        ("who", _names(session.who)),
        ("issuer", _names(session.issuers)),
        ("on behalf of", _names(session.on_behalf_of)),
        ("first", when(session.first)),
        ("last", when(session.last)),
        ("duration", _span(session)),
        ("calls", f"{session.calls}, of which Datadog answered {session.answered}"),
        ("unfinished", f"{session.unfinished}" if session.unfinished else ""),
        ("looked up", f"{session.lookups} in order to decide" if session.lookups else ""),
        ("operations", _counts(session.operations)),
        ("effects", _counts(session.effects)),
        ("status", _counts(Counter({str(key): count for key, count in session.statuses.items()}))),
        ("masked", _counts(session.findings)),
        ("approvals", _names(session.approvals)),
    ):
        if value:
            yield Text.assemble((f"  {name:<{_WIDTH}}", "dim"), value)
    yield Text()


def _calls(trail: AuditTrail, session: Session) -> Iterator[Text]:
    """A line for each call: how it ended, or that it was begun where no end is on record."""
    ended = f"SELECT 1 FROM records WHERE call = ? AND kind = '{RecordKind.OUTCOME}' LIMIT 1"  # noqa: S608 - constants
    for stored in trail.find(Question(session=session.id), OLDEST_FIRST):
        body = read_or_tell(trail, stored)
        if body is None:
            continue
        call = body.get("call")
        begun = body.get("kind") == RecordKind.ATTEMPTED
        if begun and isinstance(call, str) and list(trail.each(ended, [call])):
            continue
        yield render(body)


def _names(names: Mapping[str, None]) -> str:
    return ", ".join(plain(name) for name in names)


def _counts(counts: Counter[str], most: int | None = None) -> str:
    shown = [f"{plain(name)} {count}" for name, count in counts.most_common(most)]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f", {more} more" if more > 0 else "")


def _span(session: Session) -> str:
    if session.first is None or session.last is None:
        return "?"
    seconds = session.last - session.first
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.1f} s"
