"""Answers of server-sent events: passed on as they come, scrubbed, ended with the token, and on record."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gateway_process import Gateway, wait_until
from tests.e2e.open_policy import write_open_policy
from tests.e2e.raw_upstream import API_KEY, KEYS, RawUpstream, records_of_call
from tests.e2e.streaming import MASKED, PATH, Stream, Streams, streaming
from tests.sandbox_processes import Issuer

_LIMIT = 256 * 1024
PASSWORD = "hunter2" + "-is-it"


def _policy(directory: Path) -> list[str]:
    masked = {
        "id": "masked-streams",
        "effect": "allow",
        "who": {"groups": ["agents"]},
        "op": {"risk": ["unknown"]},
        "http": {"path": MASKED},
        "mask": {"response": {"detect": ["secrets"]}},
    }
    path = directory / "masked.yaml"
    path.write_text(json.dumps({"version": 1, "rules": [masked]}))
    return [write_open_policy(directory), str(path)]


class Place:
    def __init__(self, gateway: Gateway, streams: Streams, issuer: Issuer) -> None:
        self.gateway = gateway
        self._streams = streams
        self._issuer = issuer

    @property
    def sent(self) -> int:
        return self._streams.sent

    def stream(
        self, path: str = PATH, *, ttl: int = 600, subject: str = "agent"
    ) -> AbstractContextManager[Stream]:
        token = self._issuer.mint(sub=subject, aud="ddgate", groups=["agents"], ttl=ttl)
        return streaming(self.gateway, self._streams, token, path)

    def outcome(self, call: str) -> dict[str, Any]:
        """The record of how a call ended, once it is there."""

        def ended() -> dict[str, Any] | None:
            mine = [one for one in self.gateway.records_of("outcome") if one.get("call") == call]
            return mine[0] if mine else None

        return wait_until(ended, what="an outcome")

    def recorded(self, call: str) -> bytes:
        for flow in self.gateway.flows():
            if flow.metadata["ddgate.call"] == call:
                assert flow.response is not None
                return flow.response.content or b""
        raise AssertionError(f"{call} is not recorded")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("streams")
    streams = Streams()
    scripts = {PATH: streams.script, MASKED: streams.script}
    with RawUpstream(directory / "upstream", scripts) as upstream:
        trusted = {"issuer": issuer.url, "audience": "ddgate", "algorithms": ["RS256"], "leeway": "0s"}
        gateway = Gateway(
            directory / "gateway",
            issuer.url,
            upstream.port,
            upstream.ca,
            KEYS,
            config={
                "policy": _policy(directory),
                "issuers": [trusted],
                "limits": {"body": _LIMIT},
                "drain": "1s",
            },
        ).start()
        yield Place(gateway, streams, issuer)
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.stop()
    said = gateway.log.read_text()
    assert "Traceback" not in said
    assert "crashed" not in said
    for path, content in gateway.files():
        assert API_KEY.encode() not in content, path
        assert PASSWORD.encode() not in content, path


def test_each_event_arrives_while_the_upstream_is_still_open(place: Place) -> None:
    with place.stream() as stream:
        stream.chunked()
        for number in range(3):
            stream.send(b"data: event %d\n\n" % number)
            stream.read_until(b"event %d" % number)  # only now does the upstream say more
        assert place.gateway.records_of("outcome") == [] or not stream.is_whole
        stream.end()
        stream.read_all()
        assert stream.is_whole
        call = stream.call
    assert records_of_call(place.gateway, call) == [("attempted", None), ("outcome", "answered")]
    assert place.recorded(call) == b"data: event 0\n\ndata: event 1\n\ndata: event 2\n\n"


def _json(**content: Any) -> bytes:
    return f"data: {json.dumps(content)}\n\n".encode()


@pytest.mark.parametrize("cut", [1, 16, 31])
def test_i3_a_key_split_over_chunks_never_shows(place: Place, cut: int) -> None:
    with place.stream() as stream:
        stream.chunked("X-Echo: KEY")
        stream.send(b"data: before\n\ndata: it is " + API_KEY[:cut].encode())
        stream.read_until(b"before")
        stream.send(API_KEY[cut:].encode() + b" they say\n\n")
        assert b"data: it is [REDACTED:datadog-api-key:" in stream.read_until(b"they say")
        stream.end()
        assert API_KEY.encode() not in stream.read_all()
        assert place.outcome(stream.call)["findings"]["gateway-credential"] == 2


@pytest.mark.parametrize(
    "events",
    [
        [b"data: 0123456789\ndata: abcdef0123456789abcde1\n\n"],
        [b"data: 0123456789\rdata: abcdef0123456789abcde1\r\r"],
        [_json(text="0123456789abc"), _json(text="def0123456789abcde1")],
        [b"data: %c\n\n" % digit for digit in API_KEY.encode()],
    ],
)
def test_i3_a_key_split_over_lines_or_events_cuts_the_stream(place: Place, events: list[bytes]) -> None:
    with place.stream() as stream:
        stream.chunked()
        stream.send(b"data: before\n\n")
        stream.read_until(b"before")
        for event in events:
            stream.send(event)
        stream.read_all()
        assert not stream.is_whole
        assert b": ddgate: the rest of this answer is withheld" in stream.got
        shown = b"".join(stream.text.partition(b"before")[2].replace(b"data: ", b"").split())
        assert b"0123456" not in shown
        outcome = place.outcome(stream.call)
    assert outcome["attributes"]["outcome"] == "answered in part"
    assert place.recorded(outcome["call"]).startswith(b"data: before\n\n")


def test_events_in_gzip_pass_as_they_come_and_plain(place: Place) -> None:
    packer = zlib.compressobj(wbits=31)

    def packed(event: bytes) -> bytes:
        return packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)

    with place.stream() as stream:
        stream.chunked("Content-Encoding: gzip")
        stream.send(packed(b"data: one\n\n"))
        stream.read_until(b"data: one\n\n")
        stream.send(packed(b"data: " + API_KEY.encode() + b"\n\n"))
        stream.read_until(b"data: [REDACTED:datadog-api-key:")
        stream.send(packer.flush())
        stream.end()
        stream.read_all()
        assert stream.is_whole
        assert b"content-encoding" not in stream.got.lower()
        call = stream.call
    place.outcome(call)
    assert place.recorded(call).startswith(b"data: one\n\ndata: [REDACTED:")


def test_a_rule_that_masks_answers_masks_each_event_and_texts_over_several(place: Place) -> None:
    half = len(PASSWORD) // 2
    with place.stream(MASKED) as stream:
        stream.chunked()
        stream.send(_json(jsonrpc="2.0", method="notifications/progress", params={"password": PASSWORD}))
        stream.read_until(b'"password": "[REDACTED:password:')  # a message of its own passes at once
        stream.send(_json(delta="the word "))
        stream.read_until(b"the word ")  # white space ends what could go on
        stream.send(_json(delta="is password=" + PASSWORD[:half]))
        stream.send(_json(delta=PASSWORD[half:]))
        stream.send(_json(delta=" and so on."))
        stream.end()
        stream.read_all()
        assert stream.is_whole
        assert PASSWORD.encode() not in stream.text
        assert PASSWORD[half:].encode() not in stream.text
        assert b"and so on" in stream.text
        outcome = place.outcome(stream.call)
    assert outcome["findings"]
    assert b"and so on" in place.recorded(outcome["call"])


def test_what_no_rule_masks_passes_as_it_is_and_is_masked_on_record(place: Place) -> None:
    with place.stream() as stream:
        stream.chunked()
        stream.send(
            _json(password=PASSWORD) + _json(delta="password=" + PASSWORD[:5]) + _json(delta=PASSWORD[5:])
        )
        stream.end()
        stream.read_all()
        assert stream.is_whole
        assert PASSWORD.encode() in stream.text
        call = stream.call
    place.outcome(call)
    recorded = place.recorded(call)
    assert b"[REDACTED:password:" in recorded
    assert PASSWORD[5:].encode() not in recorded


def test_an_upstream_that_breaks_off_leaves_what_had_passed_on_record(place: Place) -> None:
    with place.stream() as stream:
        stream.chunked()
        stream.send(b"data: one\n\ndata: half of")
        stream.read_until(b"one")
        stream.break_off()
        stream.read_all()
        assert not stream.is_whole
        outcome = place.outcome(stream.call)
    said = outcome["attributes"]
    assert (said["outcome"], said["because"]) == ("answered in part", "the upstream broke off")
    assert place.recorded(outcome["call"]) == b"data: one\n\n"


def test_a_client_that_leaves_is_on_record_with_what_it_got(place: Place) -> None:
    with place.stream() as stream:
        stream.chunked()
        stream.send(b"data: one\n\n")
        stream.read_until(b"one")
        call = stream.call
    outcome = place.outcome(call)
    said = outcome["attributes"]
    assert (said["outcome"], said["because"]) == ("answered in part", "the client left")
    assert place.recorded(call) == b"data: one\n\n"


def test_i6_a_stream_ends_with_its_token(place: Place) -> None:
    with place.stream(ttl=3) as stream:
        stream.chunked()
        stream.send(b"data: one\n\n")
        stream.read_until(b"one")
        stream.read_all()  # nothing more comes; the gateway itself ends it
        assert stream.is_closed
        assert not stream.is_whole
        outcome = place.outcome(stream.call)
    assert outcome["attributes"]["outcome"] == "answered in part"
    assert outcome["decision"]["reason"] == "token_expired"


def test_an_event_that_never_ends_is_cut_at_the_limit(place: Place) -> None:
    with place.stream() as stream:
        stream.chunked()
        stream.send(b"data: one\n\n")
        for _ in range(70):
            stream.send(b"data: " + b"x" * 4000 + b"\n")
        stream.read_all()
        assert not stream.is_whole
        assert b"xxxx" not in stream.got
        outcome = place.outcome(stream.call)
    assert "over the gateway's limit" in outcome["attributes"]["because"]


def test_of_a_long_stream_size_and_digest_are_recorded(place: Place) -> None:
    event = b"data: " + b"x" * 4000 + b"\n\n"
    with place.stream() as stream:
        stream.chunked()
        for _ in range(70):
            stream.send(event)
        stream.end()
        stream.read_all()
        assert stream.is_whole
        assert stream.text == event * 70
        outcome = place.outcome(stream.call)
    assert outcome["attributes"]["response_digest"].startswith("hmac-sha256:")
    assert outcome["http_response"]["length"] == len(event) * 70
    assert place.recorded(outcome["call"]).startswith(b"[ddgate: %d bytes" % (len(event) * 70))


def test_a_client_that_reads_nothing_fills_no_memory(place: Place) -> None:
    before = place.sent
    event = b"data: " + b"x" * 65000 + b"\n\n"
    with place.stream(ttl=4) as stream:
        stream.chunked()
        stream.send(b"data: one\n\n")
        stream.read_until(b"one")
        for _ in range(1000):
            stream.send(event)
        place.outcome(stream.call)  # its token ended it
    assert place.sent - before < 500 * len(event)


def test_a_stream_to_the_end_of_its_connection_is_told_from_one_that_broke(place: Place) -> None:
    with place.stream() as stream:
        stream.head("Content-Type: text/event-stream; charset=utf-8")
        stream.send_raw(b"data: one\n\n")
        stream.read_until(b"data: one\n\n")
        stream.send_raw(b"data: two\n\n")
        stream.break_off()
        stream.read_all()
        assert stream.is_whole
        assert stream.text == b"data: one\n\ndata: two\n\n"


def test_i2_a_stream_whose_outcome_cant_be_written_is_cut(place: Place) -> None:
    recordings, away = place.gateway.state / "recordings", place.gateway.state / "away"
    with place.stream() as stream:
        stream.chunked()
        stream.send(b"data: one\n\n")
        stream.read_until(b"one")
        recordings.rename(away)
        recordings.write_text("")
        stream.send(b"data: two\n\n")
        stream.end()
        stream.read_all()
        assert stream.is_closed
        assert not stream.is_whole
        recordings.unlink()
        away.rename(recordings)
        assert place.outcome(stream.call)["attributes"]["outcome"] == "answered in part"


def test_an_error_is_held_to_its_end(place: Place) -> None:
    with place.stream() as stream:
        stream.send_raw(
            b"HTTP/1.1 500 Oops\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        stream.send(b"data: 0123456789\ndata: abcdef0123456789abcde1\n\n")
        stream.break_off()
        stream.read_all()
    assert b" 502 " in stream.got.partition(b"\r\n")[0]


def test_a_gateway_that_stops_records_what_passed(place: Place) -> None:
    """The last test: the gateway is gone after it."""
    with place.stream() as stream:
        stream.chunked()
        stream.send(b"data: one\n\n")
        stream.read_until(b"one")
        assert place.gateway.stop() == 0
        stream.read_all()
        assert not stream.is_whole
    outcome = place.outcome(stream.call)
    assert outcome["attributes"]["outcome"] == "answered in part"
    assert outcome["decision"]["reason"] == "draining"
    assert place.recorded(stream.call) == b"data: one\n\n"
