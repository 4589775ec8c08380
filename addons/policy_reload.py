"""Reads the policy anew when its files change and on SIGHUP. The new set is whole, tested and on record
before it decides anything; else the last good one stays, and whoever looks is told why.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time
from typing import Protocol

from addons.core.model import Json
from addons.core.policy.policy_set import PolicySet
from addons.core.yaml_source import Position, Problem, ProblemsError
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind, RecordRefused
from addons.store.policy.files import PolicyTexts, read_texts
from addons.store.policy.watch import PolicyWatch
from addons.store.writing.journal import Journal, JournalUnavailable

logger = logging.getLogger(__name__)

_LOOK_EVERY = 2.0  # seconds, where nothing tells of a change
_QUIET = 0.1  # seconds in which files must not change to be taken for whole
_RESTLESS = 100  # times that they may nevertheless, before somebody is told
_SWITCH_INTERVAL = 0.0003  # seconds, as in the gateway's own process
_MAX_LINES, _MAX_LINE = 50, 500
_UNEXPECTED = Problem(
    Position("the policy"),
    "reading it failed in a way that ddgate does not know",
    "the log says where; tell the maintainers",
)


class HoldsPolicy(Protocol):
    """`policy_set` decides from the moment it is assigned; calls under way keep the one they began with."""

    policy_set: PolicySet | None


class PolicyReload:
    """`load` makes a set of texts, tests it, and raises ProblemsError. `prepare` runs in a thread for each
    set before it is on record, `announce` on the event loop just before it decides; neither may fail for a
    good set. `warnings` is what an operator should know until a good set is in.
    """

    def __init__(  # noqa: PLR0913 - what is replaced, by what, and who is told
        self,
        holder: HoldsPolicy,
        paths: Sequence[Path],
        load: Callable[[PolicyTexts], PolicySet],
        journal: Journal,
        *,
        prepare: Sequence[Callable[[PolicySet], None]] = (),
        announce: Sequence[Callable[[PolicySet], None]] = (),
    ) -> None:
        self._holder = holder
        self._paths = tuple(paths)
        self._load = load
        self._journal = journal
        self._prepare = prepare
        self._announce = announce
        # The last texts that were dealt with, and are so on record; None where that could not be written.
        self._done_with: PolicyTexts | None = None
        self._woken = asyncio.Event()
        self._asked = False
        self._had_terminal = False
        self._watch: PolicyWatch | None = None
        self._task: asyncio.Task[None] | None = None
        self.warnings: tuple[str, ...] = ()

    def running(self) -> None:
        loop = asyncio.get_running_loop()
        policy_set = self._holder.policy_set
        if policy_set is not None:
            self._done_with = PolicyTexts(policy_set.files)
            for announce in self._announce:
                announce(policy_set)
        self._had_terminal = _has_terminal()
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        self._watch = PolicyWatch(self._paths, lambda: _in(loop, self._woken.set))
        self._watch.start()
        self._task = loop.create_task(self._keep_current())

    def done(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        if self._task is not None:
            self._task.cancel()
            self._task.get_loop().remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # or it would break off a stop that loses nothing

    def _on_hangup(self) -> None:
        if self._had_terminal and not _has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)  # nobody asks for a reload: the terminal was closed
            return
        self._asked = True
        self._woken.set()

    async def _keep_current(self) -> None:
        """One look after the other: two never overlap, and the last one sees the files' last state."""
        await self._record_start()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._woken.wait()
            self._woken.clear()
            asked, self._asked = self._asked, False
            try:
                await self._look(asked=asked)
            except Exception:
                logger.exception("the policy could not be read anew")
                with suppress(Exception):  # the warning stands before anything in it can fail
                    await self._reject(self._done_with, [_UNEXPECTED])

    async def _look(self, *, asked: bool) -> None:
        texts = await self._read()
        if not asked and texts == self._done_with:
            return
        if not asked and self._done_with is None and not self._journal.healthy():
            return  # it would fail as it did before
        self._done_with = texts = await self._settled(texts)
        try:
            policy_set = await asyncio.to_thread(self._build, texts)
        except ProblemsError as error:
            await self._reject(texts, error.problems)
            return
        if await self._read() == texts:
            await self._activate(texts, policy_set)
        else:  # the next look takes what they hold then, be it this again
            self._done_with = None
            self._woken.set()

    async def _read(self) -> PolicyTexts:
        return await asyncio.to_thread(read_texts, self._paths)

    async def _settled(self, texts: PolicyTexts) -> PolicyTexts:
        """Wait until the files stay as they are for a moment: whoever writes them may not be done."""
        for looks in itertools.count(1):
            await asyncio.sleep(_QUIET)
            before, texts = texts, await self._read()
            if before == texts:
                break
            if looks == _RESTLESS:
                self._stand(
                    "the policy files change all the time, so they are not read; stop what writes them"
                )
        return texts

    def _build(self, texts: PolicyTexts) -> PolicySet:
        with _giving_way():
            policy_set = self._load(texts)
            self._prepare_for(policy_set)
        return policy_set

    def _prepare_for(self, policy_set: PolicySet) -> None:
        for prepare in self._prepare:
            prepare(policy_set)

    async def _activate(self, texts: PolicyTexts, policy_set: PolicySet) -> None:
        before = self._holder.policy_set
        if before is not None and before.digest == policy_set.digest:
            self.warnings = ()
            logger.info("the policy files were read anew and say the same: %s", before.revision)
            return
        message = f"the policy files changed: {len(policy_set.rules)} rules"
        if not await self._append(_activated(texts, policy_set, before, message)):
            return
        for announce in self._announce:
            announce(policy_set)
        self._holder.policy_set = policy_set
        self.warnings = ()
        then = before.revision if before is not None else "none"
        logger.info("policy %s -> %s: %d rules", then, policy_set.revision, len(policy_set.rules))

    async def _reject(self, texts: PolicyTexts | None, problems: Sequence[Problem]) -> None:
        stays = self._holder.policy_set
        revision = stays.revision if stays is not None else None
        lines = _shown(problems)
        self._stand(f"the policy files are refused, {revision or 'no policy'} stays in force", lines)
        facts = CallFacts(policy_revision=revision)
        attributes: dict[str, Json] = {
            "pid": os.getpid(),
            "texts_sha256": texts.sha256 if texts is not None else None,
            "files": _files(texts),
            "problems": list[Json](lines),
            "problem_count": len(problems),
        }
        message = "the policy files are refused; the policy stays as it was"
        await self._append(
            AuditRecord(RecordKind.POLICY_REJECTED, time(), None, facts, message, attributes=attributes)
        )

    async def _append(self, record: AuditRecord) -> bool:
        """False where it can't be put on record; the files are then looked at again once it can."""
        try:
            await self._journal.append([record])
        except (JournalUnavailable, RecordRefused) as error:
            self._done_with = None
            if record.kind is RecordKind.POLICY_ACTIVATED:
                self._stand("the new policy waits, because it can't be put on record", [str(error)])
            else:
                logger.error("a %s record waits: %s", record.kind, error)  # noqa: TRY400 - no traceback
            return False
        return True

    def _stand(self, summary: str, lines: Iterable[str] = ()) -> None:
        self.warnings = (summary, *lines)
        for line in self.warnings:
            logger.error(line)

    async def _record_start(self) -> None:
        """The set of the start decides already; what it decides is on record after this, or not forwarded."""
        policy_set, texts = self._holder.policy_set, self._done_with
        if policy_set is None or texts is None:
            return
        record = _activated(texts, policy_set, None, "the policy set of the start")
        while True:
            try:
                with suppress(RecordRefused):  # one that failed at the last moment was written after all
                    await self._journal.append([record])
            except JournalUnavailable:
                await asyncio.sleep(_LOOK_EVERY)
            else:
                break
        await asyncio.to_thread(self._prepare_for, policy_set)


@contextmanager
def _giving_way() -> Iterator[None]:
    """Let the event loop have the interpreter soon after it asks, in mitmdump too, where it would wait for
    Python's 5 ms each time while a set is compiled.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(min(interval, _SWITCH_INTERVAL))
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def _activated(
    texts: PolicyTexts, policy_set: PolicySet, before: PolicySet | None, message: str
) -> AuditRecord:
    attributes: dict[str, Json] = {
        "pid": os.getpid(),
        "digest": f"sha256:{policy_set.digest}",
        "before": before.revision if before is not None else None,
        "rules": len(policy_set.rules),
        "texts_sha256": texts.sha256,
        "files": _files(texts),
    }
    facts = CallFacts(policy_revision=policy_set.revision)
    return AuditRecord(RecordKind.POLICY_ACTIVATED, time(), None, facts, message, attributes=attributes)


def _files(texts: PolicyTexts | None) -> list[Json]:
    read = texts.files if texts is not None else ()
    return [{"name": name, "sha256": hashlib.sha256(text.encode()).hexdigest()} for name, text in read]


def _shown(problems: Sequence[Problem]) -> list[str]:
    lines = [str(problem) for problem in problems[:_MAX_LINES]]
    lines = [line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}…" for line in lines]
    if len(problems) > _MAX_LINES:
        lines.append(f"and {len(problems) - _MAX_LINES} more; `ddgate policy check` lists them all")
    return lines


def _has_terminal() -> bool:
    return any(os.isatty(stream) for stream in (0, 1, 2))


def _in(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # it is closed: nobody is left to be told
        loop.call_soon_threadsafe(call)
