"""Which recorded calls `ddgate replay` is to make again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from addons.cli.policy.recordings import shown
from addons.cli.recordings.reading import opened, proven_flow, the_one
from addons.cli.replay.stand_in import found_files
from addons.cli.sealed_recordings import keys_for
from addons.core.start_problems import GatewayProblem
from addons.replaying.exchange import Exchange, exchange_of
from addons.replaying.load_recording import Exchanges
from addons.store.recordings.entry import Entry
from addons.store.recordings.flows import NOT_A_FLOW, Recordings
from addons.store.recordings.index import RecordingIndex
from addons.store.recordings.segment_reader import SegmentDamaged
from addons.store.recordings.selection import Selection
from addons.store.state_dir import StateDir

_MOST_BESIDE = 20  # for one path


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options say: call ids or files, and what must hold of the calls. `is_narrowed` says that
    something must.
    """

    named: Sequence[str]
    selection: Selection
    is_narrowed: bool
    limit: int


@dataclass(slots=True)
class Chosen:
    """The calls in the order in which they were made. `beside` are others that a stand-in should know.
    `in_log` says that they are calls of this installation's, and not of some file's.
    """

    calls: list[Exchange]
    source: str
    in_log: bool
    beside: list[Exchange] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def choose(wanted: Wanted, state: StateDir | None) -> Chosen:
    """Raises GatewayProblem: nothing is meant, nothing fits, or more than the limit does."""
    files = [Path(name) for name in wanted.named if Path(name).exists()]
    if files and len(files) < len(wanted.named):
        raise GatewayProblem("name calls by their ids, or files, not both; one of the names is no file here")
    if files:
        chosen = _of_files(files, wanted)
    elif not wanted.named and not wanted.is_narrowed:
        raise GatewayProblem(
            "say which calls: an id, a .mitm file, or --session, --who, --operation, --since, --until"
        )
    elif state is None:
        raise GatewayProblem("there is no state directory, so no recorded calls; name it with --state")
    else:
        chosen = _of_state(state, wanted)
    if not chosen.calls:
        raise GatewayProblem(f"no recorded call fits, in {chosen.source}")
    chosen.calls.sort(key=lambda call: call.at)
    return chosen


def _of_files(files: Sequence[Path], wanted: Wanted) -> Chosen:
    found = found_files(files)
    exchanges = Exchanges(Recordings(found, keys=keys_for(found)))
    chosen = Chosen([], ", ".join(map(str, files)), in_log=False)
    for exchange in exchanges.read():
        if _fits(exchange, wanted.selection):
            _add(chosen, exchange, wanted.limit)
        else:
            chosen.beside.append(exchange)
    chosen.problems += [str(damage) for damage in exchanges.damage]
    return chosen


def _of_state(state: StateDir, wanted: Wanted) -> Chosen:
    if wanted.named and wanted.is_narrowed:
        raise GatewayProblem("name calls by their ids, or choose them by options, not both")
    chosen = Chosen([], str(state.recordings), in_log=True)
    with opened(state) as index:
        entries: Iterator[Entry] = (
            (the_one(index, name) for name in wanted.named)
            if wanted.named
            else index.select(wanted.selection, oldest_first=True)
        )
        for exchange in _read(index, entries, chosen.problems):
            _add(chosen, exchange, wanted.limit)
        chosen.beside += _beside(index, chosen.calls)
    return chosen


def _add(chosen: Chosen, exchange: Exchange, limit: int) -> None:
    if len(chosen.calls) >= limit:
        raise GatewayProblem(f"more than {limit} calls fit; narrow them, or raise --limit")
    chosen.calls.append(exchange)


def _read(index: RecordingIndex, entries: Iterator[Entry], problems: list[str]) -> Iterator[Exchange]:
    for entry in entries:
        if entry.method == "CONNECT":
            continue
        try:
            exchange = exchange_of(proven_flow(index, entry))
        except SegmentDamaged as damaged:
            problems.append(f"call {entry.call} is left out: {damaged}")
            continue
        except NOT_A_FLOW:
            problems.append(f"call {entry.call} is left out: it is no flow")
            continue
        if exchange is not None:
            yield exchange


def _beside(index: RecordingIndex, calls: Sequence[Exchange]) -> Iterator[Exchange]:
    """Read what rules may look at before a change: the recorded reads of what it is about."""
    for path in dict.fromkeys(call.target.partition("?")[0] for call in calls if call.method != "GET"):
        escaped = "".join(f"[{char}]" if char in "*?[" else char for char in path)
        found = index.select(Selection(method="GET", path=escaped))
        yield from _read(index, (entry for entry, _ in zip(found, range(_MOST_BESIDE), strict=False)), [])


def _fits(exchange: Exchange, asked: Selection) -> bool:
    if asked.operation is not None and not fnmatchcase(exchange.operation or "", asked.operation):
        return False
    return (
        asked.who in {None, exchange.who}
        and asked.session in {None, exchange.session}
        and (asked.since is None or exchange.at >= asked.since)
        and (asked.until is None or exchange.at < asked.until)
    )


def line_of(exchange: Exchange) -> str:
    """Method, host and target on one line that a terminal can take."""
    return shown(f"{exchange.method} {exchange.host}{exchange.target}")
