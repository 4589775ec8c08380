"""I4 in the object that holds it: the key leaves by the serialiser of one released call, once, on a verified
connection to its own host; by nothing else."""

from __future__ import annotations

import asyncio
import copy
import gzip
import io
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.io import FlowWriter
from mitmproxy.net.http import http1

from addons.core import hosts
from addons.core.model import Effect, Operation, Reason, Risk
from addons.core.policy.request import Decision
from addons.credential import CredentialOnTheWire, WireHeaders
from addons.flowstate import Call, Stage
from addons.store.credentials import Credentials, CredentialSettings, SecretSource
from tests.calls import API, make_flow, secured

API_KEY = "aaaabbbbccccddddaaaabbbbccccdddd"
APPLICATION_KEY = "ddapp_1234567890abcdefghij1234567890abcd"
ALLOWED = Decision(Effect.ALLOW, Reason.ALLOWED, True, "r", ("r",), "", "sha256:0")
READ = Operation("ListMonitors", "v1", "GET", "/api/v1/monitor", ("monitors",), Risk.READ)


@pytest.fixture
def stage(tmp_path: Path) -> CredentialOnTheWire:
    for name, key in (("api", API_KEY), ("application", APPLICATION_KEY)):
        (tmp_path / name).write_text(key)
    api, application = (SecretSource(file=tmp_path / name) for name in ("api", "application"))
    settings = CredentialSettings("default", api, application, frozenset({"datadoghq.com"}))
    return CredentialOnTheWire(Credentials([settings], {}), 1 << 20)


def prepared(
    stage: CredentialOnTheWire, *, released: bool = True, operation: Operation = READ
) -> tuple[http.HTTPFlow, Call]:
    """A call whose credential was chosen, on a verified connection to its host."""
    flow, call = make_flow()
    call.decision, call.operation = ALLOWED, operation
    asyncio.run(stage.request(flow))
    assert Stage.CREDENTIAL in call.permits
    secured(flow.server_conn)
    call.released = released
    return flow, call


def sent(flow: http.HTTPFlow) -> str:
    return bytes(http1.assemble_request_head(flow.request)).decode()


def test_i4_the_serialiser_adds_both_keys_once(stage: CredentialOnTheWire) -> None:
    flow, call = prepared(stage)
    head = sent(flow)
    assert head.count(f"DD-API-KEY: {API_KEY}\r\n") == 1
    assert head.count(f"DD-APPLICATION-KEY: {APPLICATION_KEY}\r\n") == 1
    assert head.endswith("\r\n\r\n")
    assert call.head_sent
    assert API_KEY not in sent(flow)


def test_telemetry_goes_without_the_application_key(stage: CredentialOnTheWire) -> None:
    flow, _ = prepared(stage, operation=replace(READ, risk=Risk.INGEST))
    head = sent(flow)
    assert API_KEY in head
    assert APPLICATION_KEY not in head


def _unreleased(_: http.HTTPFlow, call: Call) -> None:
    call.released = False


def _over_plain_tcp(flow: http.HTTPFlow, _: Call) -> None:
    flow.server_conn.timestamp_tls_setup = None


def _to_another_host(flow: http.HTTPFlow, _: Call) -> None:
    flow.server_conn.sni = "app.datadoghq.com"


def _without_a_name(flow: http.HTTPFlow, _: Call) -> None:
    flow.server_conn.sni = None


def _without_a_certificate(flow: http.HTTPFlow, _: Call) -> None:
    flow.server_conn.certificate_list = []


def _for_no_host(_: http.HTTPFlow, call: Call) -> None:
    call.host = None


@pytest.mark.parametrize(
    "wrong",
    [
        _unreleased,
        _over_plain_tcp,
        _to_another_host,
        _without_a_name,
        _without_a_certificate,
        _for_no_host,
    ],
)
def test_i4_no_key_without_release_and_a_verified_connection_to_the_host(
    stage: CredentialOnTheWire, wrong: Callable[[http.HTTPFlow, Call], None]
) -> None:
    flow, call = prepared(stage)
    wrong(flow, call)
    head = sent(flow)
    assert API_KEY not in head
    assert APPLICATION_KEY not in head


def test_i4_what_was_not_yet_released_may_still_be_sent_later(stage: CredentialOnTheWire) -> None:
    flow, call = prepared(stage, released=False)
    assert API_KEY not in sent(flow)  # an export, a view: too early to be the wire
    call.released = True
    assert API_KEY in sent(flow)


def _dumped(flow: http.HTTPFlow) -> bytes:
    buffer = io.BytesIO()
    FlowWriter(buffer).add(flow)
    return buffer.getvalue()


def _backed_up(flow: http.HTTPFlow) -> object:
    flow.backup()
    return flow.get_state()


WAYS: dict[str, Callable[[http.HTTPFlow], object]] = {
    "repr": repr,
    "headers repr": lambda flow: repr(flow.request.headers),
    "state": lambda flow: flow.get_state(),
    "headers state": lambda flow: flow.request.headers.get_state(),
    "fields": lambda flow: flow.request.headers.fields,
    "items": lambda flow: list(flow.request.headers.items(multi=True)),
    "get": lambda flow: flow.request.headers.get("dd-api-key"),
    "json": lambda flow: json.dumps(dict(flow.request.headers)),
    "dump": _dumped,
    "backup": _backed_up,
    "copy of the flow": lambda flow: bytes(flow.copy().request.headers),
    "copy of the request": lambda flow: bytes(flow.request.copy().headers),
    "copy": lambda flow: bytes(flow.request.headers.copy()),
    "copy.copy": lambda flow: bytes(copy.copy(flow.request.headers)),
    "copy.deepcopy": lambda flow: bytes(copy.deepcopy(flow.request.headers)),
    "pickle": lambda flow: pickle.dumps(flow.request.headers),
    "unpickled": lambda flow: bytes(pickle.loads(pickle.dumps(flow.request.headers))),  # noqa: S301 - our own
    "dict of the object": lambda flow: repr(vars(flow.request.headers)),
    "format": lambda flow: f"{flow.request.headers}",
}


@pytest.mark.parametrize("way", WAYS)
def test_i4_no_other_way_shows_the_key(stage: CredentialOnTheWire, way: str) -> None:
    flow, _ = prepared(stage)
    shown = WAYS[way](flow)
    said = shown if isinstance(shown, bytes) else repr(shown).encode()
    assert API_KEY.encode() not in said
    assert APPLICATION_KEY.encode() not in said
    assert API_KEY in sent(flow)


@pytest.mark.parametrize("hook", ["responseheaders", "error"])
def test_i4_plain_headers_are_back_when_the_call_is_over(stage: CredentialOnTheWire, hook: str) -> None:
    flow, _ = prepared(stage)
    flow.response = http.Response.make(200)
    before = flow.request.headers.fields
    getattr(stage, hook)(flow)
    assert type(flow.request.headers) is http.Headers
    assert flow.request.headers.fields == before
    assert API_KEY not in sent(flow)


def test_an_edit_by_a_later_stage_keeps_the_key(stage: CredentialOnTheWire) -> None:
    flow, _ = prepared(stage)
    flow.request.headers["content-length"] = "3"
    assert isinstance(flow.request.headers, WireHeaders)
    assert API_KEY in sent(flow)


def test_a_credential_goes_to_its_own_sites_only(stage: CredentialOnTheWire) -> None:
    flow, call = make_flow()
    call.decision, call.operation = ALLOWED, READ
    call.host = hosts.lookup("api.datadoghq.eu")
    asyncio.run(stage.request(flow))
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (403, Reason.CREDENTIAL_OUT_OF_SCOPE)
    assert Stage.CREDENTIAL not in call.permits
    assert not isinstance(flow.request.headers, WireHeaders)


def test_a_credential_that_is_not_configured_is_503(stage: CredentialOnTheWire) -> None:
    flow, call = make_flow()
    call.decision, call.operation = replace(ALLOWED, credential="another"), READ
    asyncio.run(stage.request(flow))
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (503, Reason.CREDENTIAL_UNAVAILABLE)
    assert Stage.CREDENTIAL not in call.permits


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("unheard-of", b"x"), ("gzip", b"no gzip"), ("identity", b"x" * ((1 << 20) + 1))],
)
def test_an_answer_that_cannot_be_searched_is_withheld(
    stage: CredentialOnTheWire, encoding: str, body: bytes
) -> None:
    flow, call = prepared(stage)
    call.answer = http.Response.make(200)
    call.answer.headers["content-encoding"] = encoding
    call.answer.raw_content = body
    asyncio.run(stage.response(flow))
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (409, Reason.ANSWER_WITHHELD)
    assert Stage.CREDENTIAL not in call.clearances


def test_a_key_in_what_a_coding_carries_beside_the_answer_is_gone(stage: CredentialOnTheWire) -> None:
    flow, call = prepared(stage)
    made = io.BytesIO()
    with gzip.GzipFile(API_KEY, "wb", fileobj=made) as file:
        file.write(b"{}")
    call.answer = http.Response.make(200, b"", {"content-encoding": "gzip", "content-length": "1"})
    call.answer.raw_content = made.getvalue()
    asyncio.run(stage.response(flow))
    assert Stage.CREDENTIAL in call.clearances
    assert API_KEY.encode() not in call.answer.raw_content
    assert gzip.decompress(call.answer.raw_content) == b"{}"
    assert call.answer.headers["content-length"] == str(len(call.answer.raw_content))


def test_the_host_is_the_one_the_call_was_decided_for(stage: CredentialOnTheWire) -> None:
    flow, call = prepared(stage)
    assert call.host is not None
    assert call.host.name == API
    secured(flow.server_conn, "api.us3.datadoghq.com")
    assert API_KEY not in sent(flow)
