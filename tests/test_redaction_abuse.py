"""Bodies that take long to mask, sent to make others wait."""

from __future__ import annotations

import asyncio
import threading

import pytest

from addons.core.policy.request import Masks
from addons.core.redact.message_masks import MessageMasks
from addons.core.redact.scrubber import Scrubbed
from addons.flowstate import Stage
from addons.redaction import Redaction
from tests.test_redaction_masks import MASKER, sending


class Slow(MessageMasks):
    """Takes until it is told to go on."""

    go_on = threading.Event()

    def apply(self, masks: Masks, body: bytes, content_type: str | None) -> Scrubbed:
        assert self.go_on.wait(60)
        return super().apply(masks, body, content_type)


@pytest.mark.timeout(30)
async def test_bodies_that_take_long_to_mask_take_no_thread_from_other_work() -> None:
    """Ten of 7 kB, which decompress to 3 MB of passwords, kept all calls of all agents waiting."""
    stage = Redaction(Slow(MASKER), b"digest key")
    sent = [sending(Masks(), b'["' + b"a" * 20_000 + b'"]') for _ in range(64)]
    running = [asyncio.create_task(stage.request(flow)) for flow, _ in sent]
    try:
        for _ in range(3):  # each task reaches its thread
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(lambda: "done") == "done"
    finally:
        Slow.go_on.set()
        await asyncio.gather(*running)
        stage.done()
    assert all(Stage.REDACTION in call.permits for _, call in sent)
