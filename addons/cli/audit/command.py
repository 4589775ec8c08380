"""`ddgate audit`: read the audit trail."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.console import Console

from addons.cli.audit.export import export
from addons.cli.audit.keeping import change_key, checkpoint, key, new_log, prove, prune
from addons.cli.audit.lines import console, render
from addons.cli.audit.looking import complain, nobody_reads, refuse
from addons.cli.audit.query import query
from addons.cli.audit.show import show
from addons.cli.audit.verify import check_proof, verify
from addons.cli.noted import note_read
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.core.model import Json
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.record import StoredRecord
from addons.store.state_dir import StateDir
from addons.store.trail import reader
from addons.store.trail.body import BodyUnreadable, read_body

app = typer.Typer(help="Read the audit trail.", no_args_is_help=True)
app.command("query")(query)
app.command("show")(show)
app.command("export")(export)
app.command("verify")(verify)
app.command("prove")(prove)
app.command("check-proof")(check_proof)
app.command("key")(key)
app.command("checkpoint")(checkpoint)
app.command("change-key")(change_key)
app.command("prune")(prune)
app.command("new-log")(new_log)


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
    where = StateDir(state)
    path = where.audit_log
    if not follow and not path.exists():
        refuse(
            f"There is no audit log at {path}.",
            "Start a gateway, or name its state directory with --state or DDGATE_STATE.",
        )
    look = {"lines": lines, "follow": follow or None}
    terminal = console()
    shown = 0
    try:
        last = reader.last_index(path)
        for stored in reader.tail(path, max(0, last - lines), follow=follow):
            sys.stdout.write(_line(stored, terminal, as_json=as_json))
            sys.stdout.flush()
            shown += 1
            if follow and shown == 1:  # a look that has no end is put on record at its beginning
                _note(where, look, min(lines, last))
    except AuditLogUnusable as error:
        refuse(error.what, error.remedy)
    except BrokenPipeError:
        nobody_reads()
    if not follow:
        _note(where, look, shown)


def _note(state: StateDir, look: Mapping[str, Json], found: int) -> None:
    if said := note_read(state, "audit tail", look, found):
        complain(said)


def _line(stored: StoredRecord, console: Console, *, as_json: bool) -> str:
    try:
        body = read_body(stored)
    except BodyUnreadable as error:
        complain(f"{error} It is left out here.")
        return ""
    if as_json:
        return json.dumps({"idx": stored.idx, **body}) + "\n"
    with console.capture() as printed:  # printing itself, rich would end the process on a closed pipe
        console.print(render(body))
    return printed.get()
