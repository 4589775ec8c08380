"""Messages that take long to mask, sent to make others wait, or so that they are not masked at all."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from addons.core.model import Reason
from addons.core.policy.request import Masks
from addons.core.redact import scrubber
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.message_masks import MessageMasks
from addons.flowstate import Stage
from addons.redaction import Redaction
from addons.store.masking.fair_turns import TurnLimits
from addons.store.masking.workers import WorkerLimits
from tests.test_redaction_masks import (
    MASKER,
    PASSWORD,
    answered,
    assert_refused,
    detecting,
    run,
    sending,
    stored,
)

DIRTY = json.dumps([{"password": f"{PASSWORD}{number}"} for number in range(100)]).encode()
NO_TURNS = WorkerLimits(turns=TurnLimits(at_once=1, queue=0, each=0))
NO_TIME = WorkerLimits(seconds=0.0)


class Slow(MessageMasks):
    """Takes until it is told to go on."""

    go_on = threading.Event()

    def is_clean(self, masks: Masks, body: bytes, content_type: str | None) -> bool:
        assert self.go_on.wait(60)
        return super().is_clean(masks, body, content_type)


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


def test_a_request_that_can_not_be_masked_now_goes_nowhere() -> None:
    """Else whoever sends much at a time would have it forwarded with nothing on record but its hash."""
    flow, call = sending(Masks(), DIRTY)
    run(Redaction(MessageMasks(MASKER), b"digest key", NO_TURNS), flow, "request", "response")
    assert assert_refused(call, 503, Reason.NOT_READY).retry_after
    assert Stage.REDACTION not in call.permits
    assert call.stored_request is not None
    assert call.stored_request.content is None
    assert call.stored_request.digest.startswith("hmac-sha256:")


async def test_a_head_that_can_not_be_masked_now_goes_nowhere() -> None:
    flow, call = sending(Masks(), b"")
    flow.request.headers["x-long"] = "a" * 5000
    stage = Redaction(MessageMasks(MASKER), b"digest key", NO_TURNS)
    await stage.request(flow)
    assert_refused(call, 503, Reason.NOT_READY)


def test_a_long_head_is_masked_off_the_loop_as_a_short_one_is() -> None:
    flow, call = sending(Masks(), b"")
    flow.request.headers["x-long"] = f"{'a' * 3000} password={PASSWORD}"
    flow.request.path = f"/api/v2/logs?password={PASSWORD}&a={'b' * 3000}"
    run(Redaction(MessageMasks(MASKER), b"digest key"), flow, "request")
    kept = call.stored_request
    assert kept is not None
    assert PASSWORD not in kept.target
    assert not any(PASSWORD.encode() in value for _, value in kept.headers)
    assert Stage.REDACTION in call.permits


def test_a_request_that_takes_too_long_to_mask_is_stored_as_its_hash_and_forwarded_as_it_is() -> None:
    flow, call = sending(Masks(), DIRTY)
    run(Redaction(MessageMasks(MASKER), b"digest key", NO_TIME), flow, "request")
    assert Stage.REDACTION in call.permits
    assert call.stored_request is not None
    assert call.stored_request.content is None
    assert call.body == DIRTY


def test_a_request_that_takes_too_long_to_mask_as_a_rule_wants_goes_nowhere() -> None:
    flow, call = sending(detecting("secrets"), DIRTY)
    run(Redaction(MessageMasks(MASKER), b"digest key", NO_TIME), flow, "request")
    assert_refused(call, 403, Reason.UNREADABLE_BODY)


@pytest.mark.parametrize("limits", [NO_TURNS, NO_TIME])
def test_an_answer_that_can_not_be_masked_is_withheld_where_a_rule_wants_it_masked(
    limits: WorkerLimits,
) -> None:
    flow, call = answered(detecting("secrets"), DIRTY)
    run(Redaction(MessageMasks(MASKER), b"digest key", limits), flow, "response")
    assert_refused(call, 409, Reason.ANSWER_WITHHELD)
    assert Stage.REDACTION not in call.clearances


@pytest.mark.parametrize("limits", [NO_TURNS, NO_TIME])
def test_an_answer_that_can_not_be_masked_is_stored_as_its_hash(limits: WorkerLimits) -> None:
    flow, call = answered(Masks(), DIRTY)
    call.released = True
    run(Redaction(MessageMasks(MASKER), b"digest key", limits), flow, "response")
    assert Stage.REDACTION in call.clearances
    assert call.stored_answer is not None
    assert call.stored_answer.content is None
    assert call.answer_body == DIRTY


def test_findings_are_counted_once_a_message() -> None:
    stage = Redaction(MessageMasks(MASKER), b"digest key")
    flow, _ = sending(detecting("secrets"))
    run(stage, flow, "request")
    flow, call = answered(detecting("secrets"))
    call.echoed_keys = {"gateway-credential": 2}
    run(stage, flow, "response")
    assert dict(stage.counted()) == {"gateway-credential": 2, "key-password": 2}
    assert call.stored_answer is not None
    assert PASSWORD.encode() not in stored(call.stored_answer)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/msgpack"])
def test_more_secrets_than_a_message_may_have_are_too_complex(
    monkeypatch: pytest.MonkeyPatch, content_type: str
) -> None:
    packed = b"".join(b"\xa8password\xb1" + f"{PASSWORD}{number:02}".encode() for number in range(10))
    body = {
        "application/json": DIRTY,
        "text/plain": b"\n".join(b"password=Tr0ub4dor%d" % number for number in range(10)),
        "application/msgpack": b"\x8a" + packed,
    }[content_type]
    masks = MessageMasks(MASKER)
    assert masks.apply(detecting("secrets"), body, content_type).changed
    monkeypatch.setattr(scrubber, "MAX_FINDINGS", 8)
    with pytest.raises(TooComplex, match="too many secrets"):
        masks.apply(detecting("secrets"), body, content_type)
