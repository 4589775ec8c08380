"""Recordings read as policy sees their calls: ddgate's own, stock mitmproxy's, damaged and hostile ones."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy import io as flow_io
from mitmproxy.test import tflow

from addons import flowstate
from addons.core.catalogue import Catalogue
from addons.core.model import Actor, Effect, Principal, Reason
from addons.core.policy.request import Reads, Seen, Unreadable
from addons.store.policy.files import read_catalogue
from addons.store.recordings.flows import Recordings, find_recordings
from addons.store.recordings.requests import RecordedCall, RecordedCalls
from addons.store.recordings.target import recorded_target
from tests.recorded_calls import CallMaker, MadeCall, write_recording


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return read_catalogue()


def read(place: Path, catalogue: Catalogue, **options: object) -> tuple[list[RecordedCall], RecordedCalls]:
    calls = RecordedCalls(Recordings(find_recordings([place])), catalogue, **options)  # type: ignore[arg-type]
    return list(calls.read()), calls


def one(tmp_path: Path, catalogue: Catalogue, made: MadeCall) -> RecordedCall:
    write_recording(tmp_path, [made], catalogue)
    (call,), calls = read(tmp_path, catalogue)
    assert not calls.damage
    return call


def stock_flow(url: str, method: str = "GET", body: bytes = b"", *headers: tuple[bytes, bytes]) -> bytes:
    flow = tflow.tflow(resp=True)
    flow.request = http.Request.make(method, url, b"", headers)
    flow.request.raw_content = body  # as it stands, whatever its coding says
    file = io.BytesIO()
    flow_io.FlowWriter(file).add(flow)
    return file.getvalue()


# What ddgate recorded


def test_a_recorded_call_is_what_policy_saw(tmp_path: Path, catalogue: Catalogue) -> None:
    made = MadeCall(
        "PUT",
        "/api/v1/monitor/12?a=1&a=2",
        subject="sre",
        groups=("sre agents", "agents"),  # a group's name may have a space in it
        at=1000.5,
        body=b'{"name": "x"}',
        encoding="gzip",
        on_behalf_of="bob@example.com",
        claims={"team": "sre", "n": 3, "list": ["a", 1], "sub": "sre", "exp": 9},
        actors=(Actor("https://i", "outer"),),
        rule="monitors",
    )
    call = one(tmp_path, catalogue, made)
    principal, request = call.principal, call.request
    assert principal is not None
    assert (principal.subject, principal.issuer) == ("sre", made.issuer)
    assert principal.groups == {"sre agents", "agents"}
    assert principal.on_behalf_of == "bob@example.com"
    assert principal.actors == made.actors
    assert dict(principal.claims) == {"team": "sre", "n": 3, "list": ["a", 1]}
    assert not call.unsure_claims
    assert request.operation is not None
    assert request.operation.name == "UpdateMonitor"
    assert (request.method, request.host, request.path) == ("PUT", "api.datadoghq.com", "/api/v1/monitor/12")
    assert request.query == (("a", "1"), ("a", "2"))
    assert (request.size, request.at) == (13, 1000.5)
    assert call.evidence(Reads.BODY) == Seen({"name": "x"})
    assert call.decided is not None
    assert (call.decided.effect, call.decided.rule, call.decided.refused) == (
        Effect.ALLOW,
        "monitors",
        False,
    )
    assert call.ran
    assert not call.problem


def test_claims_that_are_left_out_are_known_to_be(tmp_path: Path, catalogue: Catalogue) -> None:
    deep = one(tmp_path / "a", catalogue, MadeCall("GET", "/api/v1/monitor", claims={"x": {"y": 1}}))
    long = one(tmp_path / "b", catalogue, MadeCall("GET", "/api/v1/monitor", claims={"x": "y" * 10_000}))
    for call in (deep, long):
        assert call.unsure_claims
        assert call.principal is not None
        assert not call.principal.claims


def test_what_describes_an_identity_is_bounded() -> None:
    claims = {f"c{number}": "v" * 100 for number in range(1000)}
    call = flowstate.Call("01", 0.0, "GET", principal=Principal("i", "s", frozenset(), 1.0, claims=claims))
    assert len(str(flowstate.describe(call, "GET").metadata["ddgate.identity"])) < 10_000


def test_a_recording_from_before_identities_were_described(tmp_path: Path, catalogue: Catalogue) -> None:
    _, data = CallMaker(catalogue).serialised(MadeCall("GET", "/api/v1/monitor", groups=("a", "b")))
    whole = next(iter(flow_io.FlowReader(io.BytesIO(data)).stream()))
    del whole.metadata["ddgate.identity"]
    with (tmp_path / "old.mitm").open("wb") as file:
        flow_io.FlowWriter(file).add(whole)
    (call,), _ = read(tmp_path, catalogue)
    assert call.principal is not None
    assert call.principal.groups == {"a", "b"}
    assert call.unsure_claims


def test_a_body_that_was_not_stored_is_not_held_and_its_size_is(tmp_path: Path, catalogue: Catalogue) -> None:
    made = MadeCall("POST", "/api/v1/monitor", body=b"x" * 1234, stored=False)
    call = one(tmp_path, catalogue, made)
    assert call.evidence(Reads.BODY) is None
    assert call.lacks_body
    assert call.request.size == 1234


def test_the_size_of_a_body_that_was_not_stored_is_what_rules_saw(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    """Not what travelled: a rule on `http.size` is about the decoded body."""
    made = MadeCall("POST", "/api/v2/logs", body=b"x" * 123_456, encoding="gzip", stored=False)
    call = one(tmp_path, catalogue, made)
    assert call.evidence(Reads.BODY) is None
    assert call.request.size == 123_456


def test_a_call_without_a_body_lacks_none(tmp_path: Path, catalogue: Catalogue) -> None:
    assert not one(tmp_path / "a", catalogue, MadeCall("GET", "/api/v1/monitor")).lacks_body
    assert not one(tmp_path / "b", catalogue, MadeCall("POST", "/api/v1/monitor", body=b"{}")).lacks_body


def test_a_body_that_is_not_json_is_held_and_not_readable(tmp_path: Path, catalogue: Catalogue) -> None:
    call = one(tmp_path, catalogue, MadeCall("POST", "/api/v1/monitor", body=b'{"a": 1, "a": 2}'))
    assert isinstance(call.evidence(Reads.BODY), Unreadable)


def test_refusals_tell_whether_the_call_ran(tmp_path: Path, catalogue: Catalogue) -> None:
    for number, (effect, refused, ran) in enumerate(
        [
            (Effect.ALLOW, None, True),
            (Effect.ALLOW, Reason.MASKED_VALUE, False),
            (Effect.ALLOW, Reason.ANSWER_WITHHELD, True),
            (Effect.DENY, Reason.DENIED_BY_RULE, False),
            (None, Reason.TOKEN_EXPIRED, False),
        ]
    ):
        made = MadeCall("GET", "/api/v1/monitor", effect=effect, refused=refused)
        call = one(tmp_path / str(number), catalogue, made)
        assert call.ran is ran
        assert bool(call.problem) is (effect is None)
        if effect is None:
            assert "token_expired" in call.problem


def test_a_target_in_no_normal_form_is_a_problem_and_no_crash(tmp_path: Path, catalogue: Catalogue) -> None:
    call = one(tmp_path, catalogue, MadeCall("GET", "/api/v1/../v1/monitor"))
    assert "more than one way" in call.problem
    assert call.request.operation is None


# The resource that the call is about

TARGET = '{"read":"01","status":200,"fields":{"tags":["a"],"options.x":null,"name":"long…"}}'


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        (TARGET, {"tags"}, Seen({"tags": ["a"]})),
        (TARGET, {"tags", "options.x"}, Seen({"tags": ["a"], "options": {"x": None}})),
        (TARGET, {"type"}, None),  # no rule read that then
        (TARGET, {"name"}, None),  # it was cut
        (TARGET, None, None),  # an expression may read anything
        (TARGET, {"tags[*].x"}, None),
        ('{"unread":"Datadog answered 404"}', {"tags"}, Unreadable("the gateway could not read it then")),
        (None, {"tags"}, None),
        ("[" * 100_000, {"tags"}, None),
        ('{"fields":[]}', {"tags"}, None),
        ('{"fields":{"a":"x","a.b":1}}', {"a", "a.b"}, None),
    ],
)
def test_of_the_resource_there_is_what_rules_read_then(
    text: str | None, fields: set[str] | None, expected: object
) -> None:
    assert recorded_target(text, fields) == expected


def test_where_nothing_can_be_read_the_resource_is_empty(tmp_path: Path, catalogue: Catalogue) -> None:
    created = one(tmp_path / "a", catalogue, MadeCall("POST", "/api/v1/downtime/cancel/by_scope"))
    updated = one(tmp_path / "b", catalogue, MadeCall("PUT", "/api/v1/monitor/1"))
    assert created.evidence(Reads.TARGET, {"tags"}) == Seen({})
    assert updated.evidence(Reads.TARGET, {"tags"}) is None


# What stock mitmproxy recorded


def test_stock_mitmproxys_flows_name_nobody_unless_somebody_is_named_for_them(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    place = tmp_path / "stock"
    url = "https://api.datadoghq.eu/api/v1/monitor?api_key=x&name=y"
    place.write_bytes(stock_flow(url, "GET", b"", (b"DD-API-KEY", b"k" * 32), (b"X-A", b"b")))
    (call,), _ = read(place, catalogue)
    assert call.principal is None
    assert "names nobody" in call.problem
    assert call.ran
    assert call.request.query == (("name", "y"),)
    assert "k" * 32 not in repr(call)
    (named,), _ = read(place, catalogue, nameless=Principal("", "n", frozenset({"agents"}), 1.0))
    assert not named.problem
    assert named.request.principal.groups == {"agents"}


def test_what_is_no_datadog_call_is_passed_over_and_counted(tmp_path: Path, catalogue: Catalogue) -> None:
    tcp = io.BytesIO()
    flow_io.FlowWriter(tcp).add(tflow.ttcpflow())
    flow_io.FlowWriter(tcp).add(tflow.tdnsflow())
    place = tmp_path / "stock.mitm"
    place.write_bytes(
        stock_flow("https://example.com/api/v1/monitor")
        + stock_flow("https://api.datadoghq.com.evil.com/")
        + tcp.getvalue()
        + stock_flow("https://api.datadoghq.com/api/v1/monitor")
    )
    found, calls = read(place, catalogue)
    assert len(found) == 1
    assert calls.skipped == {"not to Datadog": 2, "not HTTP": 2}
    assert not calls.damage


def test_a_body_that_the_gateway_would_refuse_is_not_judged(tmp_path: Path, catalogue: Catalogue) -> None:
    place = tmp_path / "stock.mitm"
    url = "https://api.datadoghq.com/api/v1/monitor"
    place.write_bytes(stock_flow(url, "POST", b"no gzip", (b"Content-Encoding", b"gzip")))
    (call,), _ = read(place, catalogue, nameless=Principal("", "n", frozenset(), 1.0))
    assert "Content-Encoding" in call.problem
