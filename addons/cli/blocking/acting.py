"""What `ddgate freeze`, `unfreeze` and `revoke` do with the list, and how they show what is on it.

They need no running gateway: they write to the state directory, and each gateway of it looks there.
"""

from __future__ import annotations

import contextlib
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from rich.text import Text

from addons.cli.audit.lines import console, plain, print_json, print_lines, when
from addons.cli.audit.looking import nobody_reads, refuse
from addons.cli.noted import scrubbed
from addons.core.blocklist import Block, BlockKind, Named
from addons.core.model import Json
from addons.store import moment
from addons.store.audit.changes import Change
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.question import RUN
from addons.store.audit.reading import reading
from addons.store.audit.record import new_id
from addons.store.blocking.blocks import Blocks, LiftBlocks, PutBlock, StoredBlock, words
from addons.store.state_dir import StateDir, StateDirUnusable
from addons.store.writing.audit_log import AuditLog, Wish, Written
from addons.store.writing.read_record import person

_BUSY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person named."""

    kind: BlockKind
    named: Named
    name: str
    issuer: str | None


def begin(state: Path, wanted: Wanted, reason: str, seconds: float | None) -> Block:
    """Put it on the list, and on record with who did. Raises typer.Exit."""
    where, begun = StateDir(state), moment.now()
    by = person()
    stored = StoredBlock(
        Block(
            id=new_id(),
            kind=wanted.kind,
            named=wanted.named,
            name=wanted.name,
            issuer=wanted.issuer,
            reason=_masked(where, reason),
            by=_who(by),
            at=begun.wall,
            until=None if seconds is None else begun.wall + seconds,
        ),
        begun,
        seconds,
    )
    return cast(Block, _change(where, PutBlock(stored, by)))


def begin_aloud(  # noqa: PLR0913 - what a person said, and how to take it back
    state: Path, wanted: Wanted, reason: str, seconds: float | None, *, as_json: bool, undo: str
) -> None:
    """Do as `begin` does, and tell what it did and how to end that. Raises typer.Exit."""
    block = begin(state, wanted, reason, seconds)
    if as_json:
        print_blocks([block], as_json=True)
    else:
        said = words(block)
        say(f"{said[:1].upper()}{said[1:]}, in every gateway within a second.\nTo end it: {undo}")
    if not _has_called(state, wanted):
        warn(f"No call of {wanted.name} is on record: is it written so? `ddgate sessions` shows who calls.")


def show_in_force(state: Path, kind: BlockKind, nobody: str, *, as_json: bool) -> None:
    """Print those of a kind, or that there are none. Raises typer.Exit."""
    found = in_force(state, kind)
    print_blocks(found, as_json=as_json)
    if not found:
        warn(nobody)


def end(state: Path, wanted: Wanted, reason: str) -> Sequence[Block]:
    """Take it off the list; gives what was on it. Raises typer.Exit."""
    where = StateDir(state)
    change = LiftBlocks(
        wanted.kind,
        wanted.named,
        wanted.name,
        wanted.issuer,
        _masked(where, reason),
        person(),
        moment.now().wall,
    )
    return cast(Sequence[Block], _change(where, change))


def in_force(state: Path, kind: BlockKind) -> Sequence[Block]:
    """Those of a kind. Raises typer.Exit."""
    where = StateDir(state)
    _check_log(where)
    blocks = Blocks(where.audit_log)
    try:
        stored = blocks.all(before_there_were=())
    except AuditLogUnusable as error:
        refuse(error.what, error.remedy)
    finally:
        blocks.close()
    now = moment.now()
    # How long tokens live is for the gateways to know, which take off the list what is over.
    return [one.block for one in stored if one.block.kind is kind and not one.is_over(now, math.inf)]


def _has_called(state: Path, wanted: Wanted) -> bool:
    """Whether a call of that subject or session is on record; of a token's id nobody looks."""
    column = {Named.SUBJECT: "subject", Named.SESSION: RUN}.get(wanted.named)
    if column is None:
        return True
    try:
        with reading(StateDir(state).audit_log) as connection:
            found = connection.execute(f"SELECT 1 FROM records WHERE {column} = ? LIMIT 1", (wanted.name,))  # noqa: S608 - constants
            return found.fetchone() is not None
    except AuditLogUnusable:
        return True  # it is done already, and this is but a word about it


def say(text: str) -> None:
    sys.stdout.write(f"{plain(text)}\n")


def warn(text: str) -> None:
    sys.stderr.write(f"{plain(text)}\n")


def quoted(name: str) -> str:
    """As a shell takes it."""
    return shlex.quote(name)


def print_blocks(blocks: Sequence[Block], *, as_json: bool) -> None:
    try:
        if as_json:
            for block in blocks:
                print_json(as_object(block))
        else:
            print_lines(console(), map(_line, blocks))
    except BrokenPipeError:
        nobody_reads()


def as_object(block: Block) -> dict[str, Json]:
    return asdict(block)


def _line(block: Block) -> Text:
    line = Text(when(block.at), style="dim")
    line.append("  ").append(plain(words(block)), style="bold")
    line.append(f"  {_until(block)}  by {plain(block.by)}")
    if block.reason:
        line.append(f"  {plain(block.reason)}", style="yellow")
    return line


def _until(block: Block) -> str:
    if block.until is not None:
        return f"until {when(block.until)}"
    return "until unfrozen" if block.kind is BlockKind.FREEZE else "until tokens from then have expired"


def _change(where: StateDir, change: Change[object]) -> object:
    _check_log(where)
    try:
        log = AuditLog.open(where.audit_log, busy_seconds=_BUSY_SECONDS, create=False)
        with contextlib.closing(log):
            (done,) = log.append_with_changes([Wish((), change)])
    except AuditLogUnusable as error:
        refuse(error.what, error.remedy)
    if not isinstance(done, Written):
        refuse(f"Nothing was changed: {done}", "Run `ddgate audit verify`.")
    return done.changed


def _check_log(where: StateDir) -> None:
    if not where.audit_log.exists():
        refuse(
            f"There is no audit log at {where.audit_log}, so no gateway has run there.",
            "Name the gateway's state directory with --state or DDGATE_STATE.",
        )


def _masked(where: StateDir, reason: str) -> str:
    if not reason:
        return ""
    _check_log(where)
    try:
        masked = scrubbed({"reason": reason}, where)
    except (AuditLogUnusable, StateDirUnusable) as error:
        refuse(error.what, error.remedy)
    return str(masked["reason"]) if isinstance(masked, dict) else ""


def _who(by: dict[str, Json]) -> str:
    login = by.get("login_user")
    return f"{by['os_user']} (logged in as {login})" if login else str(by["os_user"])
