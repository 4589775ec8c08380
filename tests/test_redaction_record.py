"""Of a call whose rule says `record: hash` no body is stored, and all else is as without it."""

from __future__ import annotations

import hmac
import json
from dataclasses import replace

import pytest
from mitmproxy import http

from addons.core.model import Effect, Reason, Refusal
from addons.core.policy.request import Masks, Recording
from addons.core.redact.message_masks import MessageMasks
from addons.core.redact.scrubber import Scrubbed
from addons.flowstate import Call, Grant, Stage, StoredMessage, describe
from addons.recorder import Recorder
from addons.redaction import Redaction
from addons.store.recordings.flows import NOT_STORED, StoredFlow
from tests.test_redaction_masks import (
    BODY,
    BY_PATH,
    MASKER,
    NAME,
    PASSWORD,
    answered,
    assert_refused,
    content,
    detecting,
    masked,
    run,
    sending,
    stored,
)

KEY = b"digest key"
NOTHING = Masks()


class Watched(MessageMasks):
    """Tells what it was asked to mask."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        super().__init__(MASKER)
        self.asked: list[Masks] = []

    def apply(self, masks: Masks, body: bytes, content_type: str | None) -> Scrubbed:
        if masks and body:
            self.asked.append(masks)
        return super().apply(masks, body, content_type)


@pytest.fixture
def masks() -> Watched:
    return Watched()


@pytest.fixture
def stage(masks: Watched) -> Redaction:
    return Redaction(masks, KEY)


def by_hash(made: tuple[http.HTTPFlow, Call]) -> tuple[http.HTTPFlow, Call]:
    flow, call = made
    assert call.decision is not None
    call.decision = replace(call.decision, record=Recording.HASH)
    call.body_size = len(call.body)
    return flow, call


def assert_unstored(message: StoredMessage | None, travelled: bytes) -> StoredMessage:
    assert message is not None
    assert message.content is None
    assert message.length == len(travelled)
    assert message.digest == f"hmac-sha256:{hmac.digest(KEY, travelled, 'sha256').hex()}"
    return message


@pytest.mark.parametrize("encoding", ["", "gzip", "zstd1"])
def test_of_a_request_size_and_digest_are_stored_and_nothing_is_looked_for(
    stage: Redaction, masks: Watched, encoding: str
) -> None:
    flow, call = by_hash(sending(NOTHING, encoding=encoding))
    flow.request.path = "/api/v2/logs?ddtags=env:prod&password=hunter2hunter2"
    flow.request.headers["X-Password"] = PASSWORD
    flow.request.headers["Content-MD5"] = "of the body"
    sent = flow.request.raw_content or b""
    run(stage, flow, "request")
    assert Stage.REDACTION in call.permits
    kept = assert_unstored(call.stored_request, sent)
    assert masks.asked == []
    assert content(flow.request) == BODY  # the rule masks nothing of what leaves
    # head and target as ever
    assert kept.target.startswith("/api/v2/logs?ddtags=env:prod&password=")
    assert "hunter2" not in kept.target
    assert PASSWORD not in repr(kept.headers)
    assert (b"content-type", b"application/json") in [(name.lower(), value) for name, value in kept.headers]
    assert b"content-md5" not in {name.lower() for name, _ in kept.headers}
    assert "key-password" not in call.forwarded_findings
    assert sum(kept.findings.values()) == 2  # of the target and of the header


def test_of_an_answer_size_and_digest_are_stored_and_nothing_is_looked_for(
    stage: Redaction, masks: Watched
) -> None:
    flow, call = by_hash(answered(NOTHING, encoding="gzip"))
    assert call.answer is not None
    came = call.answer.raw_content
    call.answer.headers["X-Password"] = PASSWORD
    run(stage, flow, "response")
    assert Stage.REDACTION in call.clearances
    assert call.answer.raw_content == came  # which the agent gets
    kept = assert_unstored(call.stored_answer, came or b"")
    assert masks.asked == []
    assert PASSWORD not in repr(kept.headers)
    assert sum(kept.findings.values()) == 1


def test_what_travels_is_masked_as_the_rule_says_and_no_more_is_looked_for(
    stage: Redaction, masks: Watched
) -> None:
    flow, call = by_hash(sending(BY_PATH))
    run(stage, flow, "request")
    forwarded = flow.request.raw_content or b""
    assert forwarded == BODY.replace(NAME.encode(), masked(NAME).encode())
    assert assert_unstored(call.stored_request, forwarded).findings == {"policy": 1}
    flow, call = by_hash(answered(detecting("email"), encoding="gzip"))
    run(stage, flow, "response")
    assert call.answer is not None
    assert b"ines.roth@" not in content(call.answer)
    assert_unstored(call.stored_answer, call.answer.raw_content or b"")
    assert call.stored_answer is not None
    assert call.stored_answer.findings == {"email": 1}
    assert masks.asked == [BY_PATH, detecting("email")]


def test_a_mask_in_a_write_is_refused_and_that_is_stored_whole(stage: Redaction) -> None:
    flow, call = by_hash(sending(NOTHING, BODY.replace(NAME.encode(), masked(NAME).encode())))
    run(stage, flow, "request", "response")
    assert_refused(call, 403, Reason.MASKED_VALUE)
    assert masked(NAME).encode() in stored(call.stored_request)
    assert PASSWORD.encode() not in stored(call.stored_request)


def test_a_body_that_a_path_cannot_be_applied_to_is_refused(stage: Redaction) -> None:
    flow, call = by_hash(sending(BY_PATH, b"Ines Roth"))
    run(stage, flow, "request", "response")
    assert_refused(call, 403, Reason.UNREADABLE_BODY)


def test_an_answer_that_cannot_be_masked_is_withheld(stage: Redaction) -> None:
    flow, call = by_hash(answered(BY_PATH, b"name,mail\nInes Roth,x"))
    flow.response = call.answer
    run(stage, flow, "response")
    assert_refused(call, 409, Reason.ANSWER_WITHHELD)
    assert Stage.REDACTION not in call.clearances


def test_a_call_that_another_stage_refused_is_stored_whole(stage: Redaction) -> None:
    """A limit that is used up: the rule says `hash` of what passes."""
    flow, call = by_hash(sending(NOTHING))
    call.refusal = Refusal(429, Reason.RATE_LIMITED, "used up")
    run(stage, flow, "request", "response")
    kept = stored(call.stored_request)
    assert json.loads(kept)["data"][0]["name"] == NAME
    assert PASSWORD.encode() not in kept


def test_a_call_that_people_let_pass_is_stored_whole_also_by_a_newer_policy(stage: Redaction) -> None:
    """Policy is asked again before it runs, and may say `hash` by then."""
    flow, call = by_hash(sending(NOTHING))
    call.approval, call.grant = "01A", Grant("01A", "digest")
    run(stage, flow, "request")
    assert PASSWORD.encode() not in stored(call.stored_request)
    flow, call = by_hash(answered(NOTHING))
    call.approval = "01A"
    run(stage, flow, "response")
    assert PASSWORD.encode() not in stored(call.stored_answer)


@pytest.mark.parametrize("effect", list(Effect))
def test_without_a_word_of_the_rule_both_are_stored(stage: Redaction, effect: Effect) -> None:
    for flow, call in (sending(NOTHING), answered(NOTHING)):
        assert call.decision is not None
        call.decision = replace(call.decision, effect=effect)
        assert call.stores_bodies
        run(stage, flow, "response" if call.answer else "request")
        assert PASSWORD.encode() not in stored(call.stored_answer or call.stored_request)


def test_what_has_no_body_is_stored_as_ever(stage: Redaction) -> None:
    flow, call = by_hash(sending(NOTHING, b""))
    run(stage, flow, "request")
    assert call.stored_request is not None
    assert call.stored_request.content == b""
    flow, call = by_hash(answered(NOTHING, b"", status=204))
    run(stage, flow, "response")
    assert call.stored_answer is not None
    assert call.stored_answer.content == b""


def test_the_recorded_flow_holds_the_placeholder_and_the_size_that_rules_saw(stage: Redaction) -> None:
    flow, call = by_hash(sending(NOTHING, encoding="gzip"))
    call.answer = flow.response = http.Response.make(202, b'{"password": "x1x2x3x4"}')
    call.answer_body = call.answer.raw_content or b""
    sent = flow.request.raw_content or b""
    run(stage, flow, "request", "response")
    Recorder("http://127.0.0.1:8080").response(flow)
    assert call.recorded_flow is not None
    whole = StoredFlow(__file__, 0, call.recorded_flow).whole()  # type: ignore[arg-type]  # a place for messages
    assert whole is not None
    assert whole.response is not None
    for message, length in ((whole.request, len(sent)), (whole.response, 24)):
        found = NOT_STORED.fullmatch(message.raw_content or b"")
        assert found is not None
        assert int(found[1]) == length
        assert message.headers["content-length"] == str(len(message.raw_content or b""))
        assert "content-encoding" not in message.headers
    assert whole.metadata["ddgate.request_size"] == len(BODY)
    assert whole.metadata["ddgate.findings"] == 0


def test_a_recording_that_has_the_body_needs_no_size_beside_it(stage: Redaction) -> None:
    flow, call = sending(NOTHING)
    run(stage, flow, "request")
    assert "ddgate.request_size" not in describe(call, "POST").metadata
