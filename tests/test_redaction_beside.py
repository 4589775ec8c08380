"""What comes with a message beside its target, header values and body holds no secret either: what a content
coding carries along, names of header fields, a reason phrase, the name of a host that is none."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Mapping

import brotli
import pytest
import zstandard
from mitmproxy import http

from addons.core.policy.request import Masks
from addons.core.redact.detectors.vendors import fill
from addons.core.redact.message_masks import MessageMasks
from addons.flowstate import Stage
from addons.recorder import Recorder
from addons.redaction import Redaction
from tests.calls import make_flow
from tests.test_redaction_masks import MASKER, answered, content, detecting, run, sending, stored

SECRET = "ghp_" + fill(36)
CLEAN = b'{"count": 7}'


@pytest.fixture
def stage() -> Redaction:
    return Redaction(MessageMasks(MASKER), b"digest key")


def named(data: bytes, name: str = SECRET) -> bytes:
    made = io.BytesIO()
    with gzip.GzipFile(name, "wb", fileobj=made) as file:
        file.write(data)
    return made.getvalue()


def skipped(text: str) -> bytes:
    return b"\x5a\x2a\x4d\x18" + len(text).to_bytes(4, "little") + text.encode()


BESIDE: Mapping[str, tuple[bytes, str]] = {
    "a file's name": (named(CLEAN), "gzip"),
    "that of another member": (gzip.compress(CLEAN) + named(b""), "gzip"),
    "that of no content": (named(b""), "gzip"),
    "a frame to skip": (zstandard.compress(CLEAN) + skipped(SECRET), "zstd1"),
    "a frame to skip first": (skipped(SECRET) + zstandard.compress(CLEAN), "zstd"),
    "a name under two codings": (zstandard.compress(named(CLEAN)), "gzip, zstd"),
}


@pytest.mark.parametrize("kind", BESIDE)
@pytest.mark.parametrize("masks", [Masks(), detecting("secrets")], ids=["stored", "forwarded"])
def test_what_a_coding_carries_beside_a_body_is_not_stored_nor_sent_where_a_rule_masks(
    stage: Redaction, kind: str, masks: Masks
) -> None:
    raw, encoding = BESIDE[kind]
    flow, call = sending(masks, CLEAN)
    flow.request.headers["content-encoding"], flow.request.raw_content = encoding, raw
    call.body = content(flow.request)
    run(stage, flow, "request")
    assert stored(call.stored_request) == call.body
    assert call.stored_request is not None
    kept = call.stored_request.content or b""
    assert SECRET.encode() not in (kept if "," not in encoding else zstandard.decompress(kept))
    assert content(flow.request) == call.body
    assert (flow.request.raw_content == raw) is not bool(masks)
    assert flow.request.headers["content-length"] == str(len(flow.request.raw_content or b"")) or not masks


def test_an_answers_coding_carries_nothing_into_its_recording(stage: Redaction) -> None:
    flow, call = answered(Masks(), CLEAN, "gzip")
    assert call.answer is not None
    call.answer.raw_content = named(CLEAN)
    run(stage, flow, "response")
    assert stored(call.stored_answer) == CLEAN
    assert call.stored_answer is not None
    assert SECRET.encode() not in (call.stored_answer.content or b"")
    assert call.answer.raw_content == named(CLEAN)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, brotli.compress])
def test_a_clean_body_under_a_plain_coding_is_stored_as_it_came(
    stage: Redaction, compress: Callable[[bytes], bytes]
) -> None:
    body = b'{"message":"checkout ready"}' * 50
    raw = compress(body)
    flow, call = sending(Masks(), body)
    encoding = {gzip.compress: "gzip", zstandard.compress: "zstd1"}.get(compress, "br")
    flow.request.headers["content-encoding"], flow.request.raw_content = encoding, raw
    run(stage, flow, "request")
    assert call.stored_request is not None
    assert call.stored_request.content == raw


def test_a_secret_in_the_name_of_a_field_is_masked_as_a_name(stage: Redaction) -> None:
    flow, call = sending(Masks(), CLEAN)
    flow.request.headers[SECRET] = "x"
    run(stage, flow, "request")
    assert call.stored_request is not None
    names = [name for name, value in call.stored_request.headers if value == b"x"]
    mask = MASKER.mask("github-token", SECRET).strip("[]").replace(":", "-")
    assert names == [mask.encode()]


def test_a_reason_phrase_with_a_secret_gives_way_to_the_usual_one(stage: Redaction) -> None:
    flow, call = answered(Masks(), CLEAN)
    assert call.answer is not None
    call.answer.data.reason = b"it was " + SECRET.encode()
    run(stage, flow, "response")
    assert call.answer.reason == "OK"
    call.answer.data.reason = b"All Good"
    run(stage, flow, "response")
    assert call.answer.reason == "All Good"


@pytest.mark.parametrize("permits", [set[Stage](), {Stage.IDENTITY}])
def test_a_host_that_is_a_secret_is_in_no_recording(stage: Redaction, permits: set[Stage]) -> None:
    flow, call = make_flow("GET", "/")
    flow.request.host, flow.request.headers["host"] = f"{SECRET}.example.net", f"{SECRET}.example.net"
    call.host, call.permits = None, permits
    flow.response = http.Response.make(403)
    run(stage, flow, "response")
    Recorder("http://127.0.0.1:1").response(flow)
    assert call.recorded_flow is not None
    assert SECRET.encode() not in bytes(call.recorded_flow)
    assert b"[REDACTED:github-token:" in bytes(call.recorded_flow)
