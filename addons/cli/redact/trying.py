"""How `ddgate redact test` reads what it is given, and shows what would be masked in it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from addons.cli.audit.lines import plain
from addons.cli.redact.masking import Chosen, existing, searcher_for
from addons.core.body import BodyTooLarge, UndecodableBody, decode_body
from addons.core.model import Json
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.reporting.difference import Change, Hunk, Piece, hunks
from addons.core.redact.reporting.http_text import Section, is_http, search_http
from addons.core.redact.reporting.message_findings import Searcher, Spot
from addons.core.redact.reporting.places import Place
from addons.core.start_problems import GatewayProblem

_STANDARD_INPUT = Path("-")
_MOST = 64 * 1024 * 1024
_HTTP = "message/http"  # RFC 9112, section 10.1
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}
_STYLES = {Change.SAME: "", Change.REMOVED: "bold red", Change.ADDED: "bold green"}


def try_file(file: Path, media_type: str | None, state: Path, chosen: Chosen, *, as_json: bool) -> bool:
    """Show what would be masked; whether anything would. Raises GatewayProblem, StateDirUnusable, OSError."""
    name = "the standard input" if file == _STANDARD_INPUT else str(file)
    data = _read(file, name)
    try:
        sections = _searched(searcher_for(existing(state), chosen), data, media_type)
    except TooComplex as error:
        raise GatewayProblem(
            f"{name}: {error}; of such a message ddgate stores the size and a digest alone"
        ) from None
    for section in sections:
        if section.problem:
            typer.echo(f"{name}: {section.problem}", err=True)
    if as_json:
        typer.echo(
            json.dumps({"findings": [found for section in sections for found in _json(section)]}, indent=2)
        )
    else:
        _print(sections)
    return any(section.searched.spots or section.searched.inside for section in sections)


def _read(file: Path, name: str) -> bytes:
    if file == _STANDARD_INPUT:
        data = sys.stdin.buffer.read(_MOST + 1)
    else:
        with file.open("rb") as opened:
            data = opened.read(_MOST + 1)
    if len(data) > _MOST:
        raise GatewayProblem(f"{name}: over {_MOST // 1024**2} MiB, which is more than is masked; cut it up")
    return data


def _searched(searcher: Searcher, data: bytes, media_type: str | None) -> list[Section]:
    coding = _COMPRESSED.get(data[:2])
    problem = ""
    if coding is not None:
        try:
            data = decode_body(data, coding, limit=_MOST)
        except (UndecodableBody, BodyTooLarge) as error:
            problem = f"it is searched as it is, for it can't be decoded: {error}"
    media = (media_type or "").partition(";")[0].strip().lower()
    if media == _HTTP or (media_type is None and is_http(data)):
        return list(search_http(searcher, data))
    return [Section("", searcher.body(data, media_type), problem)]


def _print(sections: Sequence[Section]) -> None:
    console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)
    counts: Counter[str] = Counter()
    for section in sections:
        searched = section.searched
        counts.update(spot.mark.detector for spot in searched.spots)
        counts.update(searched.inside)
        for hunk in hunks(searched):
            for line in _lines(section, hunk):
                with (
                    console.capture() as printed
                ):  # printing itself, rich would end the process on a closed pipe
                    console.print(line)
                typer.echo(printed.get(), nl=False)
        for detector, count in searched.inside.items():
            where = section.name or "it"
            typer.echo(f"@@ inside of what is compressed in {plain(where)}: {detector} {count} @@")
    if not counts:
        typer.echo("Nothing would be masked.")
        return
    total = counts.total()
    by_detector = ", ".join(f"{detector} {count}" for detector, count in counts.most_common())
    typer.echo(f"{total} {'value' if total == 1 else 'values'} would be masked: {by_detector}")


def _lines(section: Section, hunk: Hunk) -> Iterable[Text]:
    told = dict.fromkeys(f"{_where(section.name, spot.place)}: {spot.mark.detector}" for spot in hunk.spots)
    yield Text(plain(f"@@ {'; '.join(told)} @@"), style="cyan")
    yield _line("-", "red", hunk.before)
    yield _line("+", "green", hunk.after)


def _line(sign: str, style: str, pieces: Iterable[Piece]) -> Text:
    line = Text(sign, style=style)
    for piece in pieces:
        line.append(plain(piece.text), style=_STYLES[piece.change])
    return line


def _where(section: str, place: Place) -> str:
    return " ".join(word for word in (section, f"line {place.line}", place.path) if word)


def _json(section: Section) -> Iterable[Json]:
    part: dict[str, Json] = {"part": section.name} if section.name else {}
    for spot in section.searched.spots:
        yield part | _finding(spot)
    for detector, count in section.searched.inside.items():
        yield part | {"detector": detector, "count": count}


def _finding(spot: Spot) -> dict[str, Json]:
    """`length` is that of the value, in bytes."""
    where: dict[str, Json] = {"line": spot.place.line}
    where |= {"path": spot.place.path} if spot.place.path else {}
    mark = spot.mark
    return {**where, "detector": mark.detector, "kind": mark.kind, "length": mark.length, "mask": mark.mask}
