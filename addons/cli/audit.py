"""`ddgate audit`: read the audit trail."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.core.model import Json
from addons.store import audit_reader
from addons.store.audit_log import AuditLogUnusable
from addons.store.audit_record import StoredRecord
from addons.store.state_dir import StateDir

app = typer.Typer(help="Read the audit trail.", no_args_is_help=True)

_EFFECT_STYLES = {"allow": "green", "deny": "bold red", "require_approval": "yellow"}


@app.callback()
def _audit() -> None:
    """Read the audit trail."""


@app.command()
def tail(
    *,
    state: StateDirOption = DEFAULT_STATE_DIR,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="How many of the newest records to begin with.")
    ] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes; Ctrl-C ends.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, as stored, with its idx.")
    ] = False,
) -> None:
    """Show the newest audit records, and with -f what comes.

    A line reads: time, who [for whom], operation, method host path, effect reason rule, status, call id.

    For example, live: ddgate audit tail -f

    What was denied: ddgate audit tail -n 1000 --json | jq 'select(.decision.effect == "deny")'
    """
    path = StateDir(state).audit_log
    if not follow and not path.exists():
        _refuse(
            f"There is no audit log at {path}.",
            "Start a gateway, or name its state directory with --state or DDGATE_STATE.",
        )
    console = Console(soft_wrap=True, highlight=False, emoji=False, markup=False)
    try:
        begin = max(0, audit_reader.last_index(path) - lines)
        for stored in audit_reader.tail(path, begin, follow=follow):
            sys.stdout.write(_line(stored, console, as_json=as_json))
            sys.stdout.flush()
    except AuditLogUnusable as error:
        _refuse(error.what, error.remedy)
    except BrokenPipeError:
        # Whoever read has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line(stored: StoredRecord, console: Console, *, as_json: bool) -> str:
    try:
        body = stored.to_json()
    except ValueError:
        sys.stderr.write(f"Record {stored.idx} of the audit log is not JSON; it is left out here.\n")
        return ""
    if as_json:
        return json.dumps({"idx": stored.idx, **body}) + "\n"
    with console.capture() as printed:  # printing itself, rich would end the process on a closed pipe
        console.print(render(body))
    return printed.get()


def render(body: dict[str, Json]) -> Text:
    """Make the line for a person out of a record in the form of `audit_record`.

    Never fails on a field that is missing or of another type: an auditor must see the odd record too.
    """
    request, decision = _part(body, "http_request"), _part(body, "decision")
    effect = _word(decision, "effect")
    where = _word(request, "host") + _word(request, "path")
    line = Text(_when(body.get("time")), style="dim")
    for text, style in (
        (_who(body), "bold"),
        (_word(_part(body, "api"), "operation") or _word(body, "kind"), "cyan"),
        (_joined(_word(request, "method"), where), ""),
        (
            _joined(effect, _reason(decision), _word(decision, "rule")) or _word(body, "message"),
            _EFFECT_STYLES.get(effect, ""),
        ),
        (_status(body), ""),
        (_word(body, "call"), "dim"),
    ):
        line.append("  ")
        line.append(text or "-", style=style)
    return line


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


def _who(body: dict[str, Json]) -> str:
    who, whom = _word(_part(body, "actor"), "subject"), _word(body, "on_behalf_of")
    return f"{who} for {whom}" if whom else who


def _reason(decision: dict[str, Json]) -> str:
    reason = _word(decision, "reason")
    return "" if reason == "allowed" else reason  # the effect says it


def _status(body: dict[str, Json]) -> str:
    # The same call shows twice: at `attempted` there is no status yet.
    return _word(_part(body, "http_response"), "status") or _word(body, "kind")


def _when(seconds: Json) -> str:
    try:
        moment = dt.datetime.fromtimestamp(float(seconds), dt.UTC)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return "?"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _part(body: dict[str, Json], name: str) -> dict[str, Json]:
    part = body.get(name)
    return part if isinstance(part, dict) else {}


def _word(body: dict[str, Json], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    # Paths and names come from agents: no control or direction character of theirs reaches a terminal.
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _refuse(what: str, remedy: str) -> NoReturn:
    sys.stderr.write(f"{what}\n{remedy}\n")
    raise typer.Exit(1)
