"""A masking worker's own process: masks bodies that are large, or not clean, away from the event loop."""

from __future__ import annotations

import gc
import pickle
from contextlib import suppress

from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.json_masks import NotMaskable
from addons.core.redact.message_masks import MessageMasks
from addons.store.masking.frames import Hello, Outcome, answer, masked, read_question
from addons.store.worker_channel import Channel, bound_memory, bound_work, run

_COLLECT_AFTER = 200_000  # objects; what masking makes has no cycles


def serve(channel: Channel) -> None:
    """Answer until the other side is gone."""
    hello = pickle.loads(channel.receive()[0])  # noqa: S301 - from the gateway that started this process
    if not isinstance(hello, Hello):
        raise TypeError("the first message is not a Hello")
    bound_memory(hello.memory)
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    channel.send(*answer(Outcome.READY))
    while True:
        head, body = channel.receive()
        bound_work(hello.seconds)
        try:
            made = _made(hello.masks, head, body)
        except Exception as error:
            with suppress(OSError):
                channel.send(*answer(Outcome.FAILED, f"{type(error).__name__} while it masked"))
            raise
        del body
        bound_work(0)
        channel.send(*made)


def _made(masks: MessageMasks, head: bytes, body: bytes) -> tuple[bytes, bytes]:
    wanted, content_type = read_question(head)
    try:
        return masked(masks.apply(wanted, body, content_type))
    except TooComplex as error:
        return answer(Outcome.TOO_COMPLEX, str(error))
    except NotMaskable as error:
        return answer(Outcome.NOT_MASKABLE, str(error))
    except MemoryError:
        return answer(Outcome.TOO_COMPLEX, "it takes too much memory to mask")


if __name__ == "__main__":
    run(serve)
