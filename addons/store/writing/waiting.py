"""Callers of the journal that wait for what they handed over to be durable."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from addons.store.writing.committer import Appended, Entry, JournalUnavailable, Outcome


@dataclass(frozen=True, slots=True)
class Waiting:
    """One caller: what it wants written, and the future it waits for; without a `loop`, some thread's."""

    entry: Entry
    loop: asyncio.AbstractEventLoop | None
    future: asyncio.Future[Appended] | concurrent.futures.Future[Appended]


type Done = Callable[[Sequence[Waiting], Sequence[Outcome]], None]
"""Hears of each group that was committed, or refused: one outcome each."""


def tell(group: Sequence[Waiting], outcomes: Sequence[Outcome]) -> None:
    """Let each caller hear what became of its entry, on its own loop; from any thread."""
    here = _loop_here()
    per_loop: dict[asyncio.AbstractEventLoop, list[tuple[Waiting, Outcome]]] = {}
    for each, outcome in zip(group, outcomes, strict=True):
        if each.loop is None or each.loop is here:
            _answer([(each, outcome)])
        else:
            per_loop.setdefault(each.loop, []).append((each, outcome))
    for loop, answers in per_loop.items():
        try:
            loop.call_soon_threadsafe(_answer, answers)
        except RuntimeError:  # that loop is closed: nobody waits any more
            continue


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _answer(answers: Sequence[tuple[Waiting, Outcome]]) -> None:
    for waiting, outcome in answers:
        future = waiting.future
        if future.done():  # cancelled: its caller is gone
            continue
        if isinstance(outcome, Appended):
            future.set_result(outcome)
        elif isinstance(outcome, JournalUnavailable):
            # An exception of its own for each: raising one adds the raiser's frames to it.
            future.set_exception(JournalUnavailable(outcome.what, outcome.remedy))
        else:
            future.set_exception(outcome)
