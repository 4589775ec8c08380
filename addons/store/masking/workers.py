"""Masks bodies in other processes.

Finding secrets in a body that has some is Python's work, and holds the interpreter's lock: a megabyte would
stall every other call for as long as it takes, in a thread as well. So such bodies go to a few children that
hold the same detectors and the same key, and come back masked. Whatever goes wrong with a child ends it, and
another takes its place with the next body.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Hashable
from dataclasses import dataclass

from addons.core.redact.masking.asked import Masks
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.json_masks import NotMaskable
from addons.core.redact.message_masks import MessageMasks
from addons.core.redact.scrubber import Scrubbed
from addons.store.masking.fair_turns import FairTurns, NoTurn, TurnLimits
from addons.store.masking.frames import (
    Hello,
    MaskingFailed,
    is_ready,
    longest_answer,
    question,
    read_answer,
)
from addons.store.worker_process import WorkerProcess

logger = logging.getLogger(__name__)

_MODULE = "addons.store.masking.child"
_LONGEST_HELLO = 1 << 20


class MaskingUnavailable(Exception):  # noqa: N818 - named for what the caller is told
    """A body could not be masked now, whatever is in it; `why` names no value of it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """`work` for one body, in seconds of processor time, and `seconds` of any; `starting` for a child to
    compile its detectors; `memory` in bytes; `turns` says how many children there may be, and how they are
    shared.
    """

    work: float = 10.0
    seconds: float = 30.0
    starting: float = 60.0
    memory: int = 1 << 30
    turns: TurnLimits = TurnLimits(at_once=2)  # noqa: RUF009 - frozen


class MaskingWorkers:
    """Belongs to the event loop's thread, which must be the one that lives as long as the process: Linux ends
    a child with the thread that started it. Children are started when they are first needed.
    """

    def __init__(self, masks: MessageMasks, limits: WorkerLimits | None = None) -> None:
        self._masks = masks
        self._limits = limits or WorkerLimits()
        self._turns = FairTurns(self._limits.turns)
        self._idle: list[WorkerProcess] = []
        self._running: set[WorkerProcess] = set()
        self._closed = False

    async def apply(self, masks: Masks, body: bytes, content_type: str | None, user: Hashable) -> Scrubbed:
        """As `MessageMasks.apply`, for `user`, who shares the children with others.

        Raises:
            TooComplex: as there, or the child took too long or did not survive.
            NotMaskable: as there.
            MaskingUnavailable: it was not the body's fault.

        """
        try:
            async with self._turns.turn(user):
                return await self._masked(await self._seated(), masks, body, content_type)
        except NoTurn as error:
            raise MaskingUnavailable(f"the masking workers are busy: {error}") from None

    def close(self) -> None:
        """End every child at once."""
        self._closed = True
        for child in list(self._running):
            self._end(child)

    def processes(self) -> tuple[int, ...]:
        """Ids of the children that run."""
        return tuple(child.pid for child in self._running if child.is_alive)

    async def _masked(
        self, child: WorkerProcess, masks: Masks, body: bytes, content_type: str | None
    ) -> Scrubbed:
        is_sound = False
        try:
            async with asyncio.timeout(self._limits.seconds):
                data = await child.ask(question(masks, content_type), body, longest=longest_answer(body))
            done = read_answer(data, body)
            is_sound = True
        except (TooComplex, NotMaskable):
            is_sound = True
            raise
        except TimeoutError:
            raise TooComplex(_logged(f"took over {self._limits.seconds:g} s for a body")) from None
        except (OSError, EOFError):
            raise TooComplex(_logged("ended in the middle of a body")) from None
        except (ValueError, MaskingFailed) as error:
            raise MaskingUnavailable(_logged(f"failed: {error}")) from None
        finally:
            if is_sound and not self._closed:
                self._idle.append(child)
            else:  # also where the caller was cancelled: an answer that nobody reads may be on its way
                self._end(child)
        return done

    async def _seated(self) -> WorkerProcess:
        """A child that has nothing to do. Raises MaskingUnavailable."""
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
            self._end(child)
        if self._closed:
            raise MaskingUnavailable("the gateway is stopping")
        return await self._started()

    async def _started(self) -> WorkerProcess:
        hello = pickle.dumps(Hello(self._masks, self._limits.memory, self._limits.work))
        child = None
        ready = False
        try:
            child = WorkerProcess.start(_MODULE)
            self._running.add(child)
            async with asyncio.timeout(self._limits.starting):
                ready = is_ready(await child.ask(hello, b"", longest=_LONGEST_HELLO))
        except TimeoutError:
            raise MaskingUnavailable(_logged(f"was not ready in {self._limits.starting:g} s")) from None
        except (OSError, EOFError, ValueError):
            raise MaskingUnavailable(_logged("could not start")) from None
        finally:
            if not ready and child is not None:
                self._end(child)
        if not ready:
            raise MaskingUnavailable(_logged("could not start"))
        return child

    def _end(self, child: WorkerProcess) -> None:
        self._running.discard(child)
        child.end()


def _logged(how: str) -> str:
    logger.warning("a masking worker %s", how)
    return f"the masking worker {how}"
