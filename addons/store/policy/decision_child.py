"""The decision worker's own process: reads JSON bodies and decides on them, away from the event loop."""

from __future__ import annotations

import gc
import pickle
from contextlib import suppress
from dataclasses import replace

from addons.core.json_document import UnreadableDocument, parse_document
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Evidence, Seen, Unreadable
from addons.store.policy.decision_frames import (
    Answer,
    Failed,
    Hello,
    Question,
    Ready,
    dump,
)
from addons.store.worker_channel import Channel, bound_memory, bound_time, run

_COLLECT_AFTER = 200_000  # objects; a document has no cycles, and walking it while it grows doubles the time


def evidence_of(body: bytes, content_type: str | None) -> Evidence:
    try:
        return Seen(parse_document(body, content_type))
    except UnreadableDocument as error:
        return Unreadable(error.why)
    except MemoryError:
        return Unreadable("it takes too much memory to read")


def serve(channel: Channel) -> None:
    """Answer until the other side is gone."""
    hello = pickle.loads(channel.receive()[0])  # noqa: S301 - from the gateway that started this process
    if not isinstance(hello, Hello):
        raise TypeError("the first message is not a Hello")
    policy_set = PolicySet.from_files(hello.files, hello.catalogue, hello.detectors)
    bound_memory(hello.memory)
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    channel.send(dump(Ready(policy_set.digest)))
    while True:
        head, body = channel.receive()
        bound_time(hello.seconds)
        try:
            answer = _judge(policy_set, pickle.loads(head), body)  # noqa: S301 - as above
        except Exception as error:
            with suppress(OSError):
                channel.send(dump(Failed(f"{type(error).__name__} while it decided")))
            raise
        del body
        bound_time(0)
        channel.send(dump(answer))


def _judge(policy_set: PolicySet, question: Question, body: bytes) -> Answer:
    request = replace(question.request, body=evidence_of(body, question.content_type))
    return policy_set.wants(request) or policy_set.decide(request)


if __name__ == "__main__":
    run(serve)
