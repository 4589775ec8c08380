"""Decides one call, fetching what its rules read: the parsed body, and the resource as Datadog holds it."""

from __future__ import annotations

from dataclasses import replace

from addons.core.json_document import UnreadableDocument, parse_document
from addons.core.model import Json
from addons.core.policy import Decision, PolicyRequest, PolicySet
from addons.core.policy.request import Evidence, Reads, Seen, Unreadable
from addons.store.decision_worker import DecisionWorker
from addons.store.target_reader import Subject, TargetReader

_IN_WORKER = 32 * 1024
"""Parsing holds the interpreter, so a body of more bytes is read in another process."""


class Decider:
    def __init__(self, worker: DecisionWorker, targets: TargetReader) -> None:
        self._worker = worker
        self._targets = targets

    async def decide(
        self, policy_set: PolicySet, request: PolicyRequest, subject: Subject
    ) -> tuple[Decision, Json]:
        """Decide, and tell what was seen of the resource, redacted, None where nobody looked.

        Raises:
            WorkerUnavailable: the decision on a large body could not be made.

        """
        seen: Json = None
        while True:
            judged = await self._judge(policy_set, request, subject)
            if isinstance(judged, Decision):
                return judged, seen
            target = await self._targets.read(policy_set, request, subject)
            seen, request = target.record, replace(request, target=target.evidence)

    async def _judge(
        self, policy_set: PolicySet, request: PolicyRequest, subject: Subject
    ) -> Reads | Decision:
        wanted = policy_set.wants(request)
        if wanted is Reads.BODY:
            if len(subject.body) > _IN_WORKER:
                return await self._worker.judge(policy_set, request, subject.body, subject.content_type)
            request = replace(request, body=read_body(subject.body, subject.content_type))
            wanted = policy_set.wants(request)
        return policy_set.decide(request) if wanted is None else wanted

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
