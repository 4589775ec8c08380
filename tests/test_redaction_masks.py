"""What rules ask for under `mask` is done to what is forwarded and answered, and to what is stored of it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Collection

import pytest
import zstandard
from mitmproxy import http
from mitmproxy.test import taddons

from addons.core.body import decode_body, encode_body
from addons.core.model import Effect, Json, Operation, Reason, Refusal, Risk
from addons.core.policy.request import Decision, Masks
from addons.core.redact.masking.mask import Masker
from addons.core.redact.message_masks import MessageMasks
from addons.flowstate import Call, Stage, StoredMessage
from addons.redaction import Redaction
from tests.calls import make_flow

MASKER = Masker(b"k" * 16)
NAME, EMAIL, PASSWORD = "Ines Roth", "ines.roth@mail.example.net", "Tr0ub4dor&Zebra"
DOCUMENT: Json = {"data": [{"name": NAME, "mail": EMAIL, "password": PASSWORD, "count": 7}]}
BODY = json.dumps(DOCUMENT).encode()
BY_PATH = Masks(json=frozenset({"$.data[*].name"}))
SEND = Operation("SubmitLog", "v2", "POST", "/api/v2/logs", ("logs",), Risk.INGEST)
READ = Operation("ListUsers", "v2", "GET", "/api/v2/users", ("users",), Risk.READ)


def detecting(*names: str) -> Masks:
    return Masks(detect=frozenset(names))


def masked(text: str, kind: str = "policy") -> str:
    return MASKER.mask(kind, text)


@pytest.fixture
def stage() -> Redaction:
    return Redaction(MessageMasks(MASKER), b"digest key")


def decided(forward: Masks = Masks(), response: Masks = Masks()) -> Decision:  # noqa: B008 - frozen
    return Decision(Effect.ALLOW, Reason.ALLOWED, True, "r", ("r",), "", "sha256:0", None, forward, response)


def sending(masks: Masks, body: bytes = BODY, encoding: str = "") -> tuple[http.HTTPFlow, Call]:
    """A call that was decided on and is about to be masked."""
    flow, call = make_flow("POST", "/api/v2/logs", content=b"")
    call.operation, call.body, call.decision = SEND, body, decided(forward=masks)
    call.permits = {Stage.IDENTITY, Stage.BODY, Stage.POLICY}
    flow.request.headers["content-type"] = "application/json"
    if encoding:
        flow.request.headers["content-encoding"] = encoding
    flow.request.raw_content = encode_body(body, encoding)
    flow.request.headers["content-length"] = str(len(flow.request.raw_content or b""))
    return flow, call


def answered(
    masks: Masks, body: bytes = BODY, encoding: str = "", status: int = 200, method: str = "GET"
) -> tuple[http.HTTPFlow, Call]:
    """A call that ran, its answer searched for keys and about to be masked."""
    flow, call = make_flow(method, "/api/v2/users")
    call.operation, call.decision = READ, decided(response=masks)
    call.permits = {Stage.IDENTITY, Stage.BODY, Stage.POLICY}
    call.answer = http.Response.make(status, b"", {"Content-Type": "application/json"})
    if encoding:
        call.answer.headers["content-encoding"] = encoding
    call.answer.raw_content = encode_body(body, encoding) if body else b""
    call.answer.headers["content-length"] = str(len(call.answer.raw_content or b""))
    call.answer_body = body
    return flow, call


def run(stage: Redaction, flow: http.HTTPFlow, *hooks: str) -> None:
    async def all_hooks() -> None:
        for hook in hooks:
            await getattr(stage, hook)(flow)

    with taddons.context(stage):
        asyncio.run(all_hooks())


def content(message: http.Message) -> bytes:
    return decode_body(message.raw_content or b"", message.headers.get("content-encoding"), limit=1 << 24)


def stored(message: StoredMessage | None) -> bytes:
    assert message is not None
    assert message.content is not None
    fields = {name.lower(): value.decode() for name, value in message.headers}
    return decode_body(message.content, fields.get(b"content-encoding"), limit=1 << 24)


def assert_refused(call: Call, status: int, reason: Reason) -> Refusal:
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (status, reason)
    return call.refusal


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "zstd1", "br"])
def test_a_request_is_forwarded_with_what_a_path_names_masked(stage: Redaction, encoding: str) -> None:
    flow, call = sending(BY_PATH, encoding=encoding)
    flow.request.headers["Content-MD5"] = "of another body"
    run(stage, flow, "request")
    assert Stage.REDACTION in call.permits
    forwarded = content(flow.request)
    assert forwarded == BODY.replace(NAME.encode(), masked(NAME).encode()) == call.body
    assert flow.request.headers["content-length"] == str(len(flow.request.raw_content or b""))
    assert flow.request.headers.get("content-encoding", "") == encoding
    assert "content-md5" not in flow.request.headers
    assert call.stored_request is not None
    assert call.stored_request.findings == {"policy": 1, "key-password": 1}
    kept = json.loads(stored(call.stored_request))["data"][0]
    assert kept["name"] == masked(NAME)
    assert PASSWORD not in json.dumps(kept)  # forwarded as the rule says, and not stored


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "zstd", "br"])
def test_an_answer_is_handed_over_with_what_a_path_names_masked(stage: Redaction, encoding: str) -> None:
    flow, call = answered(BY_PATH, encoding=encoding)
    run(stage, flow, "response")
    assert Stage.REDACTION in call.clearances
    assert call.answer is not None
    assert content(call.answer) == BODY.replace(NAME.encode(), masked(NAME).encode()) == call.answer_body
    assert call.answer.headers["content-length"] == str(len(call.answer.raw_content or b""))
    assert call.answer.headers.get("content-encoding", "") == encoding
    assert call.stored_answer is not None
    assert call.stored_answer.findings == {"policy": 1, "key-password": 1}
    kept = stored(call.stored_answer)
    assert json.loads(kept)["data"][0]["name"] == masked(NAME)
    assert PASSWORD.encode() not in kept


@pytest.mark.parametrize(
    ("masks", "gone"),
    [
        (detecting("secrets"), {PASSWORD}),
        (detecting("pii"), {EMAIL}),
        (detecting("email"), {EMAIL}),
        (detecting("secrets", "pii"), {PASSWORD, EMAIL}),
        (detecting("github-token"), set()),
        (detecting("pii") | BY_PATH, {EMAIL, NAME}),
        (detecting("secrets") | BY_PATH, {PASSWORD, NAME}),
        (Masks(json=frozenset({"$..name", "$..mail", "$..nobody"})), {NAME, EMAIL}),
        (Masks(), set()),
    ],
)
def test_what_travels_is_masked_as_asked_and_what_is_stored_by_secrets_besides(
    stage: Redaction, masks: Masks, gone: Collection[str]
) -> None:
    everything = {NAME, EMAIL, PASSWORD}

    def absent(body: bytes) -> set[str]:
        return {text for text in everything if text.encode() not in body}

    flow, call = sending(masks)
    run(stage, flow, "request")
    assert absent(content(flow.request)) == set(gone)
    assert absent(stored(call.stored_request)) == {*gone, PASSWORD}
    flow, call = answered(masks)
    run(stage, flow, "response")
    assert call.answer is not None
    assert absent(content(call.answer)) == set(gone)
    assert absent(stored(call.stored_answer)) == {*gone, PASSWORD}


def test_a_body_that_is_clean_stays_the_bytes_that_came(stage: Redaction) -> None:
    body = gzip.compress(BODY, 1)
    flow, _ = sending(Masks(detect=frozenset({"iban"}), json=frozenset({"$.nobody"})), encoding="gzip")
    flow.request.raw_content = body
    flow.request.headers["Content-MD5"] = "its own"
    run(stage, flow, "request")
    assert flow.request.raw_content is body
    assert flow.request.headers["content-md5"] == "its own"


@pytest.mark.parametrize(
    "body", [b"password=x&name=Ines Roth", b"Ines Roth", b'{"name": "Ines Roth"', b"\xff\xfe{\x00}\x00"]
)
def test_a_request_that_a_path_cannot_be_applied_to_is_refused_and_not_stored(
    stage: Redaction, body: bytes
) -> None:
    flow, call = sending(BY_PATH, body)
    run(stage, flow, "request", "response")
    refusal = assert_refused(call, 403, Reason.UNREADABLE_BODY)
    assert "JSON path" in refusal.message
    assert Stage.REDACTION not in call.permits
    assert call.stored_request is not None
    assert call.stored_request.content is None
    assert call.stored_request.digest.startswith("hmac-sha256:")


def test_a_request_that_is_too_deep_for_a_path_is_refused_and_not_stored(stage: Redaction) -> None:
    flow, call = sending(BY_PATH, b"[" * 100 + b'"Ines Roth"' + b"]" * 100)
    run(stage, flow, "request", "response")
    assert "too deep" in assert_refused(call, 403, Reason.UNREADABLE_BODY).message
    assert call.stored_request is not None
    assert call.stored_request.content is None


def test_a_request_without_a_body_passes(stage: Redaction) -> None:
    flow, call = sending(BY_PATH | detecting("pii"), b"")
    run(stage, flow, "request")
    assert Stage.REDACTION in call.permits


def test_a_call_that_another_stage_refused_is_stored_with_the_masks_of_its_rules(stage: Redaction) -> None:
    """A limit that is used up, a key that can't be had: the body was read, and is not forwarded."""
    flow, call = sending(BY_PATH | detecting("pii"), encoding="gzip")
    call.refusal = Refusal(429, Reason.RATE_LIMITED, "used up")
    run(stage, flow, "request", "response")
    kept = stored(call.stored_request)
    for text in (NAME, EMAIL, PASSWORD):
        assert text.encode() not in kept
    assert json.loads(kept)["data"][0]["count"] == 7
    flow, call = sending(BY_PATH, b"Ines Roth")
    call.refusal = Refusal(429, Reason.RATE_LIMITED, "used up")
    run(stage, flow, "request", "response")
    assert call.stored_request is not None
    assert call.stored_request.content is None


@pytest.mark.parametrize("masks", [BY_PATH, detecting("secrets"), Masks()])
def test_a_write_that_came_with_a_mask_is_refused(stage: Redaction, masks: Masks) -> None:
    flow, call = sending(masks, BODY.replace(NAME.encode(), masked(NAME).encode()))
    run(stage, flow, "request")
    assert_refused(call, 403, Reason.MASKED_VALUE)


@pytest.mark.parametrize("value", [7, 1.5, True, False, NAME])
def test_an_answer_masked_by_path_cannot_be_written_back(stage: Redaction, value: Json) -> None:
    flow, call = answered(BY_PATH, json.dumps({"data": [{"name": value}]}).encode())
    run(stage, flow, "response")
    back, written = sending(Masks(), call.answer_body)
    run(stage, back, "request")
    assert_refused(written, 403, Reason.MASKED_VALUE)


def test_a_success_that_is_no_json_is_withheld(stage: Redaction) -> None:
    flow, call = answered(BY_PATH, b"name,mail\nInes Roth,x", status=200)
    flow.response = call.answer
    run(stage, flow, "response")
    assert "JSON path" in assert_refused(call, 409, Reason.ANSWER_WITHHELD).message
    assert Stage.REDACTION not in call.clearances
    assert flow.response is not None
    assert flow.response.status_code == 409
    assert NAME.encode() not in stored(call.stored_answer)


@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
@pytest.mark.parametrize("status", [302, 403, 429, 502])
def test_an_error_page_keeps_its_status_and_loses_its_text(
    stage: Redaction, status: int, encoding: str
) -> None:
    flow, call = answered(BY_PATH, b"<h1>Ines Roth</h1>", status=status, encoding=encoding)
    assert call.answer is not None
    call.answer.headers["content-type"] = "text/html"
    call.answer.headers["retry-after"] = "7"
    run(stage, flow, "response")
    assert call.refusal is None
    assert Stage.REDACTION in call.clearances
    assert call.answer.status_code == status
    assert call.answer.headers["retry-after"] == "7"
    assert call.answer.headers["content-type"] == "application/json"
    assert call.answer.headers["content-length"] == str(len(call.answer.raw_content or b""))
    told = json.loads(content(call.answer))
    assert told["errors"][0].startswith("ddgate: the status is Datadog's")
    assert told["ddgate"]["reason"] == "answer_withheld"
    for kept in (content(call.answer), stored(call.stored_answer), call.answer_body):
        assert NAME.encode() not in kept


def test_an_error_that_is_json_is_masked_like_any_answer(stage: Redaction) -> None:
    body = b'{"errors": ["Forbidden"], "data": [{"name": "Ines Roth"}]}'
    flow, call = answered(BY_PATH, body, status=403)
    run(stage, flow, "response")
    assert json.loads(call.answer_body) == {"errors": ["Forbidden"], "data": [{"name": masked(NAME)}]}


def test_an_answer_that_is_too_deep_is_withheld_whatever_its_status(stage: Redaction) -> None:
    for status in (200, 502):
        flow, call = answered(BY_PATH, b"[" * 100 + b"]" * 100, status=status)
        run(stage, flow, "response")
        assert_refused(call, 409, Reason.ANSWER_WITHHELD)
        assert call.stored_answer is not None  # ddgate's own, so that the call is recorded


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 502)])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_an_answer_without_a_body_passes_as_it_is(
    stage: Redaction, method: str, status: int, encoding: str
) -> None:
    flow, call = answered(BY_PATH | detecting("pii"), b"", status=status, method=method)
    assert call.answer is not None
    call.answer.headers["content-length"] = "1234"  # of what GET would have answered
    call.answer.headers["content-type"] = "text/html"
    if encoding:
        call.answer.headers["content-encoding"] = encoding
    before = call.answer.headers.fields
    run(stage, flow, "response")
    assert Stage.REDACTION in call.clearances
    assert call.answer.headers.fields == before
    assert call.answer.raw_content == b""


def test_lines_of_json_are_masked_line_by_line(stage: Redaction) -> None:
    masks = Masks(json=frozenset({"$.name"}))
    flow, call = sending(masks, b'{"name": "Ines Roth"}\n{"name": "Jens Bo"}\n', encoding="zstd1")
    run(stage, flow, "request")
    lines = content(flow.request).splitlines()
    assert [json.loads(line)["name"] for line in lines] == [masked(NAME), masked("Jens Bo")]
    assert (
        zstandard.ZstdDecompressor().decompressobj().decompress(flow.request.raw_content or b"") == call.body
    )


def test_a_digest_of_what_is_not_stored_is_not_stored(stage: Redaction) -> None:
    """Who has it could test guesses of the secret with it."""

    def is_kept(masks: Masks, body: bytes) -> bool:
        flow, call = sending(masks, body)
        call.refusal = Refusal(429, Reason.RATE_LIMITED, "used up")
        flow.request.headers["Content-Digest"] = "sha-256=:of all of it:"
        run(stage, flow, "response")
        assert call.stored_request is not None
        return any(name.lower() == b"content-digest" for name, _ in call.stored_request.headers)

    assert is_kept(Masks(), b'{"count": 7}')
    assert not is_kept(Masks(), BODY)  # masked
    assert not is_kept(BY_PATH, b"Ines Roth")  # not stored at all


def test_large_bodies_and_new_detectors_are_worked_on_beside_the_event_loop(stage: Redaction) -> None:
    rows: Json = [{"name": f"Ines Roth {number}", "mail": EMAIL} for number in range(2000)]
    flow, call = answered(BY_PATH | detecting("email", "card"), json.dumps({"data": rows}).encode())

    async def answer_while_others_run() -> int:
        turns = 0
        task = asyncio.create_task(stage.response(flow))
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        await task
        return turns

    with taddons.context(stage):
        assert asyncio.run(answer_while_others_run()) > 1
    assert call.stored_answer is not None
    assert call.stored_answer.findings["policy"] == 2000
    assert call.stored_answer.findings["email"] == 2000


def test_what_a_policy_set_needs_is_made_before_a_call_needs_it(stage: Redaction) -> None:
    masks = detecting("email", "card")
    stage.prepare([masks.detect])
    assert stage._masks.is_prepared(masks)
    with pytest.raises(ValueError, match="no detector"):
        stage.prepare([frozenset({"e-mail"})])
