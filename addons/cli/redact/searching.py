"""How `ddgate redact scan` goes through recordings, and prints what it finds as it comes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer
from mitmproxy import http
from rich.console import Console
from rich.text import Text

from addons.cli.noted import note_read
from addons.cli.policy.recordings import shown, when
from addons.cli.recordings.reading import tell, until_nobody_reads
from addons.cli.redact.masking import Chosen, existing, progress, searcher_for
from addons.cli.sealed_recordings import keys_for
from addons.core.model import Json
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.reporting.message_findings import Searcher
from addons.core.start_problems import GatewayProblem
from addons.store.recordings.findings import PartFinding, PartUnread, search_flow
from addons.store.recordings.flows import (
    NOT_A_FLOW,
    Damage,
    NoRecordings,
    Recordings,
    StoredFlow,
    find_recordings,
)
from addons.store.state_dir import StateDir

_UNREAD_TOLD = 20
_INSIDE = "(inside of what is compressed)"
_LAST_TIME = 253_402_300_800.0  # the year 10000


@dataclass(slots=True)
class Searched:
    """What came of a search: how many flows, findings by detector, and what was not read."""

    flows: int = 0
    with_findings: int = 0
    unread: int = 0
    by_detector: Counter[str] = field(default_factory=Counter)

    @property
    def findings(self) -> int:
        return self.by_detector.total()


def search_recordings(
    places: Sequence[Path] | None, state_path: Path, chosen: Chosen, *, as_json: bool
) -> Searched:
    """Print what is found, call by call. Raises GatewayProblem, StateDirUnusable, OSError."""
    state = existing(state_path)
    try:
        files = find_recordings(places or [state_path])
    except NoRecordings as problem:
        raise GatewayProblem(shown(str(problem))) from None
    recordings = Recordings(files, keys=keys_for(files))
    search = _Search(searcher_for(state, chosen), as_json=as_json)
    with until_nobody_reads(), progress("searching", recordings.total) as advance:
        for stored in recordings.flows():
            search.damaged(recordings)
            search.flow(stored)
            advance(recordings.done)
        search.damaged(recordings)
        search.end()
    _put_on_record(state, places, search.searched.findings)
    return search.searched


class _Search:
    """Holds no flow longer than it takes to print what is in it."""

    def __init__(self, searcher: Searcher, *, as_json: bool) -> None:
        self.searched = Searched()
        self._searcher = searcher
        self._as_json = as_json
        self._console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)

    def damaged(self, recordings: Recordings) -> None:
        """Tell what could not be read since the last time."""
        for damage in recordings.damage:
            self._unread(damage)
        recordings.damage.clear()

    def flow(self, stored: StoredFlow) -> None:
        before = self.searched.findings
        try:
            flow = stored.whole()
            if flow is None:
                self._unread(Damage(stored.path, stored.offset, "it is not HTTP, and so it is not searched"))
                return
            call = self._call(flow)
            for part in search_flow(flow, self._searcher):
                if isinstance(part, PartUnread):
                    what = f"{part.part} of call {call}: {part.why}"
                    self._unread(Damage(stored.path, stored.offset, what))
                else:
                    self._found(stored, flow, call, part)
        except NOT_A_FLOW:
            self._unread(Damage(stored.path, stored.offset, "it is no flow that can be read to its end"))
        self.searched.flows += 1
        self.searched.with_findings += self.searched.findings > before

    def end(self) -> None:
        done = self.searched
        if self._as_json:
            told: dict[str, Json] = {
                "calls": done.flows,
                "findings": done.findings,
                "by_detector": dict[str, Json](done.by_detector),
                "unread": done.unread,
            }
            typer.echo(json.dumps(told))
            return
        said = [f"and {done.unread - _UNREAD_TOLD} more that can't be read"] * (done.unread > _UNREAD_TOLD)
        tell(said)
        by_detector = ", ".join(f"{detector} {count}" for detector, count in done.by_detector.most_common())
        found = f"{_counted(done.findings, 'finding')} in {done.with_findings} of them: {by_detector}"
        searched = f"{_counted(done.flows, 'call')} searched"
        typer.echo(f"{searched}; {found if done.findings else 'nothing found'}", err=True)

    def _call(self, flow: http.HTTPFlow) -> str:
        """The id that ddgate gave it, else the flow's; masked, for it is whatever the file says."""
        noted = flow.metadata.get("ddgate.call")
        try:
            return self._searcher.name(noted if isinstance(noted, str) else flow.id)
        except TooComplex:
            return "?"

    def _found(self, stored: StoredFlow, flow: http.HTTPFlow, call: str, found: PartFinding) -> None:
        self.searched.by_detector[found.detector] += found.count
        at = _seconds(flow.request.timestamp_start)
        line = None if found.place is None else found.place.line
        path = None if found.place is None else found.place.path or None
        if self._as_json:
            told: dict[str, Json] = {
                "call": call,
                "time": at,
                "part": found.part,
                "line": line,
                "path": path,
                "detector": found.detector,
                "kind": found.kind,
                "mask": found.mask,
                "count": found.count,
                "file": str(stored.path),
                "offset": stored.offset,
            }
            typer.echo(json.dumps({name: value for name, value in told.items() if value is not None}))
            return
        times = f"{found.detector} x{found.count}" if found.count > 1 else found.detector
        place = path or ("" if line is None or not found.part.endswith("body") else f"line {line}")
        where = f"{found.part} {place or ('' if line else _INSIDE)}".rstrip()
        self._print(
            "?" if at is None else when(at), call, where, times, f"{stored.path}, byte {stored.offset}"
        )

    def _print(self, *cells: str) -> None:
        """A line as it comes: a table would have to wait for the last one."""
        words = [shown(cell) for cell in cells]
        if not self._console.is_terminal:
            typer.echo("\t".join(words))
            return
        styles = ("dim", "bold", "", "bold red", "dim")
        line = Text("  ").join(Text(word, style=style) for word, style in zip(words, styles, strict=True))
        with self._console.capture() as printed:
            self._console.print(line)
        typer.echo(printed.get(), nl=False)

    def _unread(self, damage: Damage) -> None:
        self.searched.unread += 1
        if self._as_json:
            told: dict[str, Json] = {"unread": damage.what, "file": str(damage.path), "offset": damage.offset}
            typer.echo(json.dumps(told))
        elif self.searched.unread <= _UNREAD_TOLD:
            tell([str(damage)])


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value < _LAST_TIME else None


def _put_on_record(state: StateDir | None, places: Sequence[Path] | None, found: int) -> None:
    if state is None or not state.audit_log.exists():
        return
    asked: dict[str, Json] = {"files": [str(path) for path in places]} if places else {}
    if said := note_read(state, "redact scan", asked, found):
        tell([said])
