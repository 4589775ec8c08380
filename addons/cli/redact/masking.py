"""What the subcommands of `ddgate redact` share: the detectors they mask with, and a bar on long work."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from addons.cli.configured import configured
from addons.core.config_sections import Redaction
from addons.core.redact.detector_set import BUILT_IN, PII, SECRETS, DetectorSet
from addons.core.redact.masking.mask import MASK_KEY, Masker
from addons.core.redact.reporting.message_findings import Searcher
from addons.core.redact.scrubber import Scrubber
from addons.store.config_file import LoadedConfig
from addons.store.masking.detector_files import load_detectors
from addons.store.state_dir import StateDir


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which detectors: those of personal data too, with `pii`."""

    pii: bool

    def with_pii(self, pii: bool) -> Chosen:  # noqa: FBT001 - the value that it takes
        return replace(self, pii=pii)


def scrubber_for(chosen: Chosen) -> Scrubber:
    """Make the scrubber of what is stored, with a team's own detectors. Its masks are of this run alone.
    Raises ProblemsError.
    """
    scanner = _detectors(configured()).scanner(_names(pii=chosen.pii))
    return Scrubber(Masker(secrets.token_bytes(32)), scanner=scanner)


def searcher_for(state: StateDir | None, chosen: Chosen) -> Searcher:
    """Make what searches as `scrubber_for` masks. With the key of `state` its masks are those of the
    recordings there. It looks for personal data also where the configuration has it masked. Raises
    StateDirUnusable, ProblemsError.
    """
    has_key = state is not None and state.has_installation_key(MASK_KEY)
    key = state.installation_key(MASK_KEY) if state is not None and has_key else secrets.token_bytes(32)
    loaded = configured()
    redaction = loaded.config.redaction if loaded is not None else Redaction()
    scanner = _detectors(loaded).scanner(_names(pii=chosen.pii or redaction.pii))
    return Searcher(Masker(key, card_last_four=redaction.card_last_four), scanner=scanner)


def _detectors(loaded: LoadedConfig | None) -> DetectorSet:
    found = BUILT_IN if loaded is None else load_detectors(loaded)
    _tell(found.notes)
    return found


@cache
def _tell(notes: tuple[str, ...]) -> None:
    """Say, once, what of own files could not be honoured."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False, markup=False)
    for note in notes:
        errors.print(f"{note} [warning]", style="yellow")


def _names(*, pii: bool) -> frozenset[str]:
    return frozenset({SECRETS, PII} if pii else {SECRETS})


def existing(state: Path) -> StateDir | None:
    """Give the state directory where there is one; none is made."""
    return StateDir(state.absolute()) if state.is_dir() else None


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on the standard error output where a person watches; what is printed meanwhile goes above.
    Gives what tells the bar how much is done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=Console().is_terminal,  # else what is piped on would go to the terminal
    ) as bar:
        task = bar.add_task(what, total=total or None)
        yield lambda done: bar.update(task, completed=done)
