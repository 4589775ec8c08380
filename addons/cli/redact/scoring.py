"""How `ddgate redact score` runs a corpus through redaction, and prints what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import typer
from rich.console import Console

from addons.cli.policy.recordings import print_rows, shown
from addons.cli.redact.masking import Chosen, progress, scrubber_for
from addons.core.model import Json
from addons.core.redact.scoring.score import Miss, Score, Share, Tally, redact_case
from addons.core.start_problems import GatewayProblem
from addons.store.masking.corpus import Corpus, CorpusUnreadable


def score_corpus(directory: Path, chosen: Chosen) -> Score:
    """Score every case, with the detectors of personal data where the case's policy, or `chosen`, says so.

    Raises GatewayProblem for what is no corpus.
    """
    tally = Tally()
    scrubbers = {pii: scrubber_for(chosen.with_pii(pii)) for pii in {chosen.pii, True}}
    try:
        corpus = Corpus(directory)
        with progress("scoring", corpus.total) as advance:
            for case in corpus.cases():
                wants_pii = chosen.pii or (case.hidden is not None and case.hidden.pii)
                tally.add(case, redact_case(scrubbers[wants_pii], case))
                advance(corpus.done)
    except CorpusUnreadable as problem:
        raise GatewayProblem(shown(str(problem))) from None
    return tally.score()


def print_score(score: Score, *, verbose: bool) -> None:
    console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)
    print_rows(console, ("hidden", "found", "of", "recall"), _recall_rows(score))
    if console.is_terminal:
        typer.echo()
    print_rows(console, ("clean", "changed", "of", "share"), _changed_rows(score))
    typer.echo(f"overkill: {len(score.overkill)}")
    if verbose:
        for title, misses in _lists(score):
            for miss in misses:
                typer.echo(f"{title}: {shown(miss.id)} ({shown(miss.kind)})")


def print_score_json(score: Score, *, failed: bool) -> None:
    told: dict[str, Json] = {
        "hidden": {
            **_share(score.found, "found", "recall"),
            "tiers": _shares(score.by_tier, "found", "recall"),
            "families": _shares(score.by_family, "found", "recall"),
            "missed": _ids(score.missed),
            "overkill": _ids(score.overkill),
        },
        "clean": {
            **_share(score.changed, "changed", "share"),
            "categories": _shares(score.changed_by_category, "changed", "share"),
            "ids": _ids(score.changes),
        },
        "failed": failed,
    }
    typer.echo(json.dumps(told, indent=2))


def _recall_rows(score: Score) -> Iterator[tuple[str, str, str, str]]:
    yield _row("all", score.found)
    for title, shares in (("tier", score.by_tier), ("family", score.by_family)):
        for label, share in shares.items():
            yield _row(f"{title} {label}", share)


def _changed_rows(score: Score) -> Iterator[tuple[str, str, str, str]]:
    """Of the categories only those of which any changed."""
    yield _row("all", score.changed)
    for label, share in score.changed_by_category.items():
        if share.count:
            yield _row(label, share)


def _row(label: str, share: Share) -> tuple[str, str, str, str]:
    return label, str(share.count), str(share.of), f"{share.part:.1%}" if share.of else "-"


def _lists(score: Score) -> tuple[tuple[str, Iterable[Miss]], ...]:
    return ("missed", score.missed), ("overkill", score.overkill), ("changed", score.changes)


def _share(share: Share, counted: str, part: str) -> dict[str, Json]:
    return {counted: share.count, "of": share.of, part: round(share.part, 6) if share.of else None}


def _shares(shares: Mapping[str, Share], counted: str, part: str) -> dict[str, Json]:
    return {label: _share(share, counted, part) for label, share in shares.items()}


def _ids(misses: Iterable[Miss]) -> list[Json]:
    return [miss.id for miss in misses]
