"""Decides on large bodies in another process.

Parsing JSON holds the interpreter's lock: a megabyte would stall every other call for tens of milliseconds,
in a thread as well. So large bodies go as bytes to a child that holds the same policy set,
and its verdict comes back, never the document. One child a policy set; one call at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field

from addons.core.policy.compiling.operation_fits import OperationCatalogue
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Decision, PolicyRequest, Reads
from addons.store.policy.decision_frames import (
    MAX_ANSWER,
    Answer,
    Failed,
    Hello,
    Question,
    Ready,
    dump,
    load_answer,
)
from addons.store.worker_process import WorkerProcess

logger = logging.getLogger(__name__)

_MODULE = "addons.store.policy.decision_child"


class WorkerUnavailable(Exception):  # noqa: N818 - named for what the caller is told
    """There is no verdict, so nothing may be forwarded; `why` names no value of the call."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """`seconds` for one judgement, `starting` for a child to compile its set, `waiting` for one's turn;
    `queue` calls may wait at once; `memory` in bytes, for the documents.
    """

    seconds: float = 5.0
    starting: float = 60.0
    waiting: float = 15.0
    queue: int = 32
    memory: int = 1 << 30


class DecisionWorker:
    """`prepare` and `judge` belong to the event loop's thread, which must be the one that lives as long as
    the process: Linux ends a child with the thread that started it.
    """

    def __init__(self, catalogue: OperationCatalogue, limits: WorkerLimits | None = None) -> None:
        self._catalogue = catalogue
        self._limits = limits or WorkerLimits()
        self._seats: dict[str, _Seat] = {}
        self._current: str | None = None

    def prepare(self, policy_set: PolicySet) -> None:
        """Start a child for a set that is about to be used, in the background, if it reads bodies. Children
        of other sets end with their last call.
        """
        self._current = policy_set.digest
        if policy_set.reads_bodies:
            self._seat(policy_set).start_soon()
        self._end_idle()

    async def judge(
        self, policy_set: PolicySet, request: PolicyRequest, body: bytes, content_type: str | None
    ) -> Reads | Decision:
        """Tell what has to be read beside the body, or else the decision, as `policy_set` would.

        `request` comes without its body; `body` is decoded.

        Raises:
            WorkerUnavailable: the child can't be started, ended, took too long, or too many calls wait.

        """
        self._current = self._current or policy_set.digest
        try:
            answer = await self._seat(policy_set).ask(dump(Question(request, content_type)), body)
        finally:
            self._end_idle()
        if isinstance(answer, Reads | Decision):
            return answer
        raise WorkerUnavailable("the decision worker gave no verdict")

    def close(self) -> None:
        """End every child at once."""
        for seat in self._seats.values():
            seat.close()
        self._seats.clear()

    def processes(self) -> tuple[int, ...]:
        """Ids of the children that run."""
        return tuple(seat.pid for seat in self._seats.values() if seat.pid is not None)

    def _seat(self, policy_set: PolicySet) -> _Seat:
        seat = self._seats.get(policy_set.digest)
        if seat is None:
            seat = self._seats[policy_set.digest] = _Seat(policy_set, self._catalogue, self._limits)
        return seat

    def _end_idle(self) -> None:
        for digest, seat in list(self._seats.items()):
            if digest != self._current and not seat.asking:
                seat.close()
                del self._seats[digest]


@dataclass(slots=True)
class _Seat:
    """The place of the child for one policy set. Whatever goes wrong with a child ends it, and another takes
    the seat.
    """

    policy_set: PolicySet
    catalogue: OperationCatalogue
    limits: WorkerLimits
    asking: int = 0
    _child: WorkerProcess | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _closed: bool = False

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.is_alive else None

    def start_soon(self) -> None:
        async def start() -> None:
            with suppress(WorkerUnavailable):  # the log has it, and the next call tries again
                async with self._turn:
                    await self._seated()

        self._run(start())

    async def ask(self, message: bytes, body: bytes) -> Answer:
        """Raises WorkerUnavailable."""
        if self.asking >= self.limits.queue:
            raise WorkerUnavailable("too many calls with large bodies wait for a decision")
        self.asking += 1
        try:
            await self._take_turn()
            try:
                return await self._answer(message, body)
            finally:
                self._turn.release()
        finally:
            self.asking -= 1

    def close(self) -> None:
        self._closed = True
        for task in self._tasks:
            task.cancel()
        self._unseat()

    async def _take_turn(self) -> None:
        try:
            async with asyncio.timeout(self.limits.waiting):
                await self._turn.acquire()
        except TimeoutError:
            raise WorkerUnavailable("the decision worker is busy with other large bodies") from None

    async def _answer(self, message: bytes, body: bytes) -> Answer:
        child = await self._seated()
        done = False
        try:
            async with asyncio.timeout(self.limits.seconds):
                answer = load_answer(await child.ask(message, body, longest=MAX_ANSWER))
            done = not isinstance(answer, Failed)
        except TimeoutError:
            raise WorkerUnavailable(self._ended(f"took over {self.limits.seconds:g} s")) from None
        except (OSError, EOFError, ValueError):
            raise WorkerUnavailable(self._ended("ended in the middle of a decision")) from None
        finally:
            if not done:  # also where the caller was cancelled: an answer that nobody reads may be on its way
                self._unseat()
                if not self._closed:
                    self.start_soon()
        if isinstance(answer, Failed):
            raise WorkerUnavailable(self._ended(f"failed: {answer.why}"))
        return answer

    async def _seated(self) -> WorkerProcess:
        """The child, started and checked if need be. Only for whoever has the turn."""
        if self._closed:
            raise WorkerUnavailable("the gateway is stopping")
        if self._child is not None and self._child.is_alive:
            return self._child
        self._unseat()
        of = self.policy_set
        hello = Hello(of.files, self.catalogue, of.detectors, self.limits.memory, self.limits.seconds + 1)
        data = await asyncio.to_thread(dump, hello)
        ready = False
        try:
            self._child = child = WorkerProcess.start(_MODULE)
            async with asyncio.timeout(self.limits.starting):
                answer = load_answer(await child.ask(data, b"", longest=MAX_ANSWER))
            ready = answer == Ready(self.policy_set.digest)
        except TimeoutError:
            raise WorkerUnavailable(self._ended(f"was not ready in {self.limits.starting:g} s")) from None
        except (OSError, EOFError, ValueError):
            raise WorkerUnavailable(self._ended("could not start")) from None
        finally:
            if not ready:
                self._unseat()
        if not ready:
            raise WorkerUnavailable(self._ended("made another policy set of the same files"))
        return child

    def _ended(self, how: str) -> str:
        logger.warning("the decision worker of %s %s", self.policy_set.revision, how)
        return f"the decision worker {how}"

    def _unseat(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def _run(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
