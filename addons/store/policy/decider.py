"""Decides one call, fetching what its rules read: the parsed body, and the resource as Datadog holds it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from addons.core.json_document import UnreadableDocument, parse_document
from addons.core.model import Json, Reason
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Decision, Evidence, PolicyRequest, Reads, Seen, Unreadable
from addons.store.policy.decision_worker import DecisionWorker, WorkerUnavailable
from addons.store.targets.reader import Subject, TargetReader
from addons.store.targets.seen import TargetShown

_HERE = 64 * 1024
"""What may be done to a body while every other call waits: its bytes, times the weight of reading them and of
all that rules ask of them. At worst that takes some 10 ms; more is done in another process.
"""


_LARGEST = 8 * 1024 * 1024
"""Bytes of a body up to which rules read it. Datadog's own largest, of logs, have 5 MB."""

_AT_ONCE = 8
"""Calls of one agent that may be with the other process: one is judged, the others wait. Agents share it."""


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    calls: int = 0

    def check(self) -> None:
        """Raise WorkerUnavailable where an agent asks for too much at once."""
        if self.calls > _AT_ONCE:
            raise WorkerUnavailable("too many large bodies of this agent wait to be judged")


class Decider:
    def __init__(self, worker: DecisionWorker, targets: TargetReader) -> None:
        self._worker = worker
        self._targets = targets
        self._turns: dict[tuple[str, str], _Turn] = {}

    async def decide(
        self, policy_set: PolicySet, request: PolicyRequest, subject: Subject, *, fresh: bool = False
    ) -> tuple[Decision, Json]:
        """Decide, and tell what was seen of the resource, redacted, None where nobody looked. `fresh` looks
        at it now, whatever is known.

        Raises:
            WorkerUnavailable: the decision on a large body could not be made.

        """
        seen: Json = None
        while True:
            judged = await self._judge(policy_set, request, subject)
            if isinstance(judged, Decision):
                return judged, seen
            target = await self._targets.read(policy_set, request, subject, fresh=fresh)
            seen, request = target.record, replace(request, target=target.evidence)

    async def _judge(
        self, policy_set: PolicySet, request: PolicyRequest, subject: Subject
    ) -> Reads | Decision:
        wanted = policy_set.wants(request)
        if wanted is Reads.BODY:
            if len(subject.body) > _LARGEST:
                body: Evidence = Unreadable("it is larger than rules read")
            elif len(subject.body) * (1 + policy_set.body_weight(request)) > _HERE:
                return await self._judge_elsewhere(policy_set, request, subject)
            else:
                body = read_body(subject.body, subject.content_type)
            request = replace(request, body=body)
            wanted = policy_set.wants(request)
        return policy_set.decide(request) if wanted is None else wanted

    async def _judge_elsewhere(
        self, policy_set: PolicySet, request: PolicyRequest, subject: Subject
    ) -> Reads | Decision:
        whose = (request.principal.issuer, request.principal.subject)
        turn = self._turns.setdefault(whose, _Turn())
        turn.calls += 1
        try:
            turn.check()
            async with turn.lock:
                return await self._worker.judge(policy_set, request, subject.body, subject.content_type)
        except WorkerUnavailable:
            unread = replace(request, body=Unreadable("it could not be judged in time"))
            wanted = policy_set.wants(unread)
            verdict = policy_set.decide(unread) if wanted is None else wanted
            if isinstance(verdict, Decision) and verdict.reason is Reason.UNREADABLE_BODY:
                raise
            return verdict  # no rule that is enforced reads it
        finally:
            turn.calls -= 1
            if not turn.calls:
                self._turns.pop(whose, None)

    async def show(self, policy_set: PolicySet, request: PolicyRequest, subject: Subject) -> TargetShown:
        """Look at the resource for a person, as it is now; see `TargetReader.show`."""
        return await self._targets.show(policy_set, request, subject, fresh=True)

    def close(self) -> None:
        self._worker.close()

    def forget(self, host: str, path: str, method: str) -> None:
        """Drop what was read of a resource that a call may have changed."""
        if method not in {"GET", "HEAD"}:
            self._targets.forget(host, path)


def read_body(body: bytes, content_type: str | None) -> Evidence:
    try:
        return Seen(parse_document(body, content_type))
    except UnreadableDocument as error:
        return Unreadable(error.why)
