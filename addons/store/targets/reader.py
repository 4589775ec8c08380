"""The resource that a call is about, as Datadog holds it now, for rules with `target:` conditions.

What is read serves every call that asks for the same within a few seconds, and those that ask meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from addons.core.catalogue import Catalogue, makes_something_new
from addons.core.hosts import DatadogHost, lookup
from addons.core.model import Json, Operation
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import PolicyRequest, Seen, Unreadable
from addons.core.request_target import normalise
from addons.store.targets.cache import CacheLimits, ReadCache, ReadKey
from addons.store.targets.call import Reading, TargetCall, Wish
from addons.store.targets.seen import TargetSeen, TargetShown, shown_fields

_log = logging.getLogger(__name__)

_DEFAULT = "default"
_CHANGING = frozenset({"PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Subject:
    """The call that is decided on: its id, host, decoded body and Content-Type."""

    call: str
    host: DatadogHost
    body: bytes
    content_type: str | None


class TargetReader:
    """For the event loop's thread alone."""

    def __init__(
        self,
        catalogue: Catalogue,
        call: TargetCall,
        limits: CacheLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._call = call
        self._clock = clock
        self._cache: ReadCache[Reading] = ReadCache(limits or CacheLimits())
        self._running: dict[ReadKey, asyncio.Task[Reading]] = {}
        self._tasks: set[asyncio.Task[Reading]] = set()

    async def read(
        self, policy_set: PolicySet, request: PolicyRequest, subject: Subject, *, fresh: bool = False
    ) -> TargetSeen:
        """Look at the resource of `request`; `fresh` asks Datadog now, whatever is known.

        Where there is none yet that is an empty document: rules find everything lacking. What may be there
        and can't be had is `Unreadable`.
        """
        reading = await self._read(policy_set, request, subject, fresh=fresh)
        if isinstance(reading, TargetSeen):
            return reading
        return TargetSeen(reading.evidence, self._record(reading, policy_set.target_fields(request)))

    async def show(
        self, policy_set: PolicySet, request: PolicyRequest, subject: Subject, *, fresh: bool = True
    ) -> TargetShown:
        """Look at the resource of a PUT, PATCH or DELETE as `read` does, for a person. Of other calls there
        is nothing to show, and nothing is asked.
        """
        operation = request.operation
        if operation is not None and operation.method not in _CHANGING:
            new = makes_something_new(operation)
            why = "there is nothing to read yet" if new else "the call changes no resource that can be read"
            return TargetShown(TargetSeen(Seen({}) if new else Unreadable(why), {"unread": why}), None)
        reading = await self._read(policy_set, request, subject, fresh=fresh)
        if isinstance(reading, TargetSeen):
            return TargetShown(reading, reading.evidence)
        seen = TargetSeen(reading.evidence, self._record(reading, policy_set.target_fields(request)))
        resource = reading.resource
        return TargetShown(seen, reading.evidence if resource is None else resource.shown)

    async def _read(
        self, policy_set: PolicySet, request: PolicyRequest, subject: Subject, *, fresh: bool
    ) -> Reading | TargetSeen:
        """Give what a read of the resource gave, or, where none can be made, what is to be said instead."""
        if request.operation is not None and makes_something_new(request.operation):
            return TargetSeen(Seen({}), {"unread": "there is nothing to read yet"})
        reader = self._reader(request, subject)
        if isinstance(reader, Unreadable):
            return TargetSeen(reader, {"unread": reader.why})
        name = policy_set.credential_for_reading(request) or _DEFAULT
        key = ReadKey(subject.host, request.path, name)
        reading = None if fresh else self._cache.get(key, self._clock())
        if reading is None:
            wish = Wish(key, reader, request.principal, subject.call, policy_set.revision)
            reading = await self._result_of(self._shared(wish, fresh=fresh))
        return reading

    def _reader(self, request: PolicyRequest, subject: Subject) -> Operation | Unreadable:
        reader = self._catalogue.reader_of(request.operation) if request.operation is not None else None
        if reader is None:
            return Unreadable("Datadog has no call that reads it")
        if self._catalogue.resolve(reader.method, normalise(request.path).segments, subject.host) != reader:
            return Unreadable("its path reads something else")
        return reader

    def forget(self, host: str, path: str) -> None:
        """Drop what was read of `path`, and what is being read: a call to it ran, and may have changed it."""
        found = lookup(host)
        if found is None:
            return
        self._cache.forget(found.site, path)
        for key in [key for key in self._running if key.is_touched_by(found.site, path)]:
            del self._running[key]

    async def close(self) -> None:
        """End the reads that are under way, each with its outcome on record."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _shared(self, wish: Wish, *, fresh: bool) -> asyncio.Task[Reading]:
        running = None if fresh else self._running.get(wish.key)
        if running is None:
            running = self._running[wish.key] = asyncio.create_task(self._call.read(wish))
            self._tasks.add(running)
            running.add_done_callback(partial(self._finish, wish.key))
        return running

    async def _result_of(self, task: asyncio.Task[Reading]) -> Reading:
        """Wait for a read that goes on when this caller leaves: for the others, and for its outcome."""
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            mine = asyncio.current_task()
            if not task.cancelled() or (mine is not None and mine.cancelling()):
                raise
            return Reading(Unreadable("the gateway is stopping"), self._clock())

    def _finish(self, key: ReadKey, task: asyncio.Task[Reading]) -> None:
        self._tasks.discard(task)
        is_current = self._running.get(key) is task  # else it was forgotten meanwhile, or overtaken
        if is_current:
            del self._running[key]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            _log.error("a read for a decision failed unexpectedly", exc_info=error)
            return
        reading = task.result()
        if is_current and isinstance(reading.evidence, Seen):
            self._cache.put(key, reading, reading.size, reading.started, self._clock())

    def _record(self, reading: Reading, fields: frozenset[str]) -> Json:
        """What the record of the served call says of the read: its id, what came, and how old that is."""
        said: dict[str, Json] = {}
        if reading.call is not None:
            said |= {"read": reading.call, "age": round(max(self._clock() - reading.started, 0.0), 3)}
        if reading.status is not None:
            said["status"] = reading.status
        if reading.resource is not None:
            said["digest"] = reading.resource.digest
        if isinstance(reading.evidence, Unreadable):
            said["unread"] = reading.evidence.why
        elif reading.resource is not None:
            said |= shown_fields(reading.resource.shown, fields)
        return said
