"""One read of a resource as a call of its own: `attempted` is durable before it leaves, and `outcome` before
anybody relies on what came.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from addons.core.model import Json, Operation, Principal
from addons.core.policy.request import Evidence, Unreadable
from addons.core.redact.masking.exact import ExactScrubber
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.scrubber import Scrubber
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind
from addons.store.credentials import Credential, CredentialProblem, Credentials
from addons.store.targets.cache import ReadKey
from addons.store.targets.datadog_get import HEADERS, Answer, DatadogGet, GetFailed
from addons.store.targets.seen import Resource, resource_of
from addons.store.writing.journal import Journal, JournalUnavailable

_OK = 200
_IN_THREAD = 16 * 1024
_NOT_ON_RECORD = Unreadable("the gateway can't put the read on record")


@dataclass(frozen=True, slots=True)
class CallLimits:
    """`at_once` reads are under way; others wait for their turn, up to `waiting` seconds."""

    at_once: int = 32
    waiting: float = 5.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be read, and the call that first asked for it. `reader` is the operation that reads it."""

    key: ReadKey
    reader: Operation
    principal: Principal
    call: str
    policy_revision: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What one read gave. `started` is by the steady clock; `call` is the read's own id, None where nothing
    was sent; `length` is the answer's as it travelled, `size` its decoded one.
    """

    evidence: Evidence
    started: float
    call: str | None = None
    status: int | None = None
    length: int | None = None
    size: int = 0
    resource: Resource | None = None


class TargetCall:
    """`digest_key` is the installation's; `keep` takes outcomes that can't be written when they are due."""

    def __init__(  # noqa: PLR0913 - the parts of one process
        self,
        *,
        get: DatadogGet,
        credentials: Credentials,
        journal: Journal,
        scrubber: Scrubber,
        digest_key: bytes,
        new_call_id: Callable[[], str],
        keep: Callable[[AuditRecord], None],
        limits: CallLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._get = get
        self._credentials = credentials
        self._journal = journal
        self._scrubber = scrubber
        self._digest_key = digest_key
        self._new_call_id = new_call_id
        self._keep = keep
        self._limits = limits or CallLimits()
        self._clock = clock
        self._turns = asyncio.Semaphore(self._limits.at_once)
        self._keys = ExactScrubber(())
        self._keys_of: tuple[tuple[str, bytes], ...] = ()

    async def read(self, wish: Wish) -> Reading:
        """Ask Datadog, once. What was attempted gets its outcome on record, also when this is cancelled."""
        try:
            async with asyncio.timeout(self._limits.waiting):
                await self._turns.acquire()
        except TimeoutError:
            return Reading(Unreadable("too many reads are under way"), self._clock())
        try:
            credential = await self._credential(wish)
            if isinstance(credential, Unreadable):
                return Reading(credential, self._clock())
            return await self._on_record(wish, credential)
        finally:
            self._turns.release()

    async def _credential(self, wish: Wish) -> Credential | Unreadable:
        name = wish.key.credential
        try:
            if self._credentials.is_slow(name):
                credential = await asyncio.to_thread(self._credentials.get, name)
            else:
                credential = self._credentials.get(name)
        except CredentialProblem:
            return Unreadable("the gateway's Datadog key can't be read")
        if wish.key.host.site not in credential.sites:
            return Unreadable("the gateway's credential is not for this Datadog site")
        # Made now: a key that can't be searched for in the answer must not be sent.
        secrets = self._credentials.known_secrets()
        if secrets != self._keys_of:
            self._keys, self._keys_of = ExactScrubber(secrets), secrets
        return credential

    async def _on_record(self, wish: Wish, credential: Credential) -> Reading:
        attempted, started = self._attempted(wish), self._clock()
        try:
            await self._journal.append([attempted])
            reading, outcome = await self._ask(wish, credential, started)
        except JournalUnavailable:
            return Reading(_NOT_ON_RECORD, started)
        except BaseException:
            await self._conclude(attempted, Reading(Unreadable("it was broken off"), started), "unknown")
            raise
        if not await self._conclude(attempted, reading, outcome):
            reading = replace(reading, evidence=_NOT_ON_RECORD, resource=None)
        return replace(reading, call=attempted.call)

    async def _ask(self, wish: Wish, credential: Credential, started: float) -> tuple[Reading, str]:
        """Give what came, and the call's outcome in the audit trail's words."""
        try:
            answer = await self._get.get(wish.key.host.name, wish.key.path, credential)
        except GetFailed as failed:
            outcome = "answer withheld" if failed.status else "unknown" if failed.sent else "not sent"
            return Reading(Unreadable(failed.why), started, status=failed.status), outcome
        reading = Reading(
            Unreadable(f"Datadog answered {answer.status}"),
            started,
            status=answer.status,
            length=answer.length,
            size=len(answer.content),
        )
        if answer.status == _OK:
            resource = await self._resource(answer)
            reading = replace(reading, evidence=resource.evidence, resource=resource)
        return reading, "answered"

    async def _resource(self, answer: Answer) -> Resource:
        parts = (answer.content, answer.content_type, self._scrubber, self._keys, self._digest_key)
        if len(answer.content) > _IN_THREAD:
            return await asyncio.to_thread(resource_of, *parts)
        return resource_of(*parts)

    def _attempted(self, wish: Wish) -> AuditRecord:
        try:
            path = self._scrubber.scrub_url(wish.key.path).text
        except TooComplex:
            path = wish.reader.template
        facts = CallFacts(
            principal=wish.principal,
            operation=wish.reader,
            policy_revision=wish.policy_revision,
            method="GET",
            host=wish.key.host.name,
            path=path,
            request_length=0,
        )
        headers: list[Json] = [["Host", wish.key.host.name]]
        headers += [[name.decode("ascii"), value.decode("ascii")] for name, value in HEADERS]
        attributes: dict[str, Json] = {
            "purpose": "target",
            "for": wish.call,
            "credential": wish.key.credential,
            "request": {"headers": headers},
        }
        return AuditRecord(
            RecordKind.ATTEMPTED, time.time(), self._new_call_id(), facts, attributes=attributes
        )

    async def _conclude(self, attempted: AuditRecord, reading: Reading, outcome: str) -> bool:
        """Write the outcome; False if it has to wait until records can be written."""
        now = time.time()
        attributes = {name: value for name, value in attempted.attributes.items() if name != "request"}
        attributes |= {"outcome": outcome, "seconds": round(now - attempted.time, 6)}
        if reading.resource is not None:
            attributes["response_digest"] = reading.resource.digest
        if isinstance(reading.evidence, Unreadable) and outcome == "answered":
            attributes["unread"] = reading.evidence.why
        facts = replace(attempted.facts, status=reading.status, response_length=reading.length)
        record = AuditRecord(RecordKind.OUTCOME, now, attempted.call, facts, attributes=attributes)
        try:
            await self._journal.append([record])
        except JournalUnavailable:
            self._keep(record)
            return False
        return True
