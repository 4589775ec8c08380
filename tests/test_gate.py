"""I1 in the two addons that hold it, stage by stage; and in the guard that outlives them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest
from mitmproxy import connection, http
from mitmproxy.proxy import server_hooks
from mitmproxy.test import tflow

from addons import flowstate
from addons.answers import refuse
from addons.core.model import Reason, Refusal
from addons.flowstate import ANSWER_STAGES, REQUEST_STAGES, TUNNEL_STAGES, Stage
from addons.gate import DefaultDeny, Guard, Release
from tests.calls import make_flow

REFUSAL = Refusal(403, Reason.DENIED_BY_RULE, "no", "ask")


def status_of(flow: http.HTTPFlow) -> int | None:
    return flow.response.status_code if flow.response is not None else None


def begin(method: str = "GET") -> http.HTTPFlow:
    """A request whose head passed every stage."""
    flow, _ = make_flow(method)
    DefaultDeny().requestheaders(flow)
    Release().requestheaders(flow)
    return flow


def answered(method: str = "GET") -> http.HTTPFlow:
    """A call that was released and came back."""
    flow = begin(method)
    flowstate.call_of(flow).permits |= REQUEST_STAGES
    Release().request(flow)
    assert flow.response is None
    flow.response = http.Response.make(200, b"from Datadog")
    DefaultDeny().responseheaders(flow)
    Release().responseheaders(flow)
    DefaultDeny().response(flow)
    return flow


def test_i1_all_stages_together_release_a_request() -> None:
    flow = begin()
    flowstate.call_of(flow).permits |= REQUEST_STAGES
    Release().request(flow)
    assert flow.response is None
    assert flowstate.call_of(flow).released


@pytest.mark.parametrize("silent", sorted(REQUEST_STAGES))
def test_i1_one_silent_stage_holds_a_request(silent: Stage) -> None:
    flow = begin()
    flowstate.call_of(flow).permits |= REQUEST_STAGES - {silent}
    Release().request(flow)
    assert status_of(flow) == 503
    assert not flowstate.call_of(flow).released


def test_i1_a_refusal_stands_whatever_the_stages_say() -> None:
    flow = begin()
    call = flowstate.call_of(flow)
    call.permits |= REQUEST_STAGES
    refuse(flow, call, REFUSAL)
    Release().request(flow)
    assert status_of(flow) == 403
    assert not call.released


def test_i1_a_failure_over_the_head_is_not_made_good_by_the_body() -> None:
    flow, call = make_flow()
    DefaultDeny().requestheaders(flow)  # and then a stage raised
    call.permits |= REQUEST_STAGES
    Release().request(flow)
    assert status_of(flow) == 503


def test_i1_a_request_whose_head_no_stage_saw_is_refused() -> None:
    flow, _ = make_flow()
    DefaultDeny().request(flow)
    assert status_of(flow) == 503


@pytest.mark.parametrize("silent", [None, *sorted(TUNNEL_STAGES)])
def test_i1_a_tunnel_opens_only_when_all_its_stages_agree(silent: Stage | None) -> None:
    flow, call = make_flow("CONNECT")
    DefaultDeny().http_connect(flow)
    assert status_of(flow) == 503
    call.permits |= TUNNEL_STAGES - {silent}
    Release().http_connect(flow)
    assert status_of(flow) == (None if silent is None else 503)


def _dialled(server: connection.Server) -> bool:
    data = server_hooks.ServerConnectionHookData(server, tflow.tclient_conn())
    DefaultDeny().server_connect(data)
    Release().server_connect(data)
    return data.server.error is None


def test_i1_a_connection_is_dialled_only_where_a_stage_permitted_it() -> None:
    permitted = connection.Server(address=("api.datadoghq.com", 443))
    flowstate.permit_dial(permitted)
    assert _dialled(permitted)
    assert not _dialled(connection.Server(address=("api.datadoghq.com", 443)))


def test_i1_a_permit_to_dial_does_not_wipe_another_refusal() -> None:
    server = connection.Server(address=("api.datadoghq.com", 443))
    server.error = "refused by somebody else"
    flowstate.permit_dial(server)
    assert not _dialled(server)
    assert server.error == "refused by somebody else"


def test_i1_an_answer_passes_when_every_stage_cleared_it() -> None:
    flow = answered()
    assert status_of(flow) == 409
    flowstate.call_of(flow).clearances |= ANSWER_STAGES
    Release().response(flow)
    assert flow.response is not None
    assert (flow.response.status_code, flow.response.content) == (200, b"from Datadog")


@pytest.mark.parametrize("silent", sorted(ANSWER_STAGES))
def test_i1_one_silent_stage_withholds_an_answer(silent: Stage) -> None:
    flow = answered()
    call = flowstate.call_of(flow)
    call.clearances |= ANSWER_STAGES - {silent}
    Release().response(flow)
    assert flow.response is not None
    assert status_of(flow) == 409
    said = json.loads(flow.response.content or b"")
    assert said["ddgate"]["call"] == call.id
    assert b"from Datadog" not in (flow.response.content or b"")


def test_i1_a_failure_over_the_answers_head_withholds_it() -> None:
    flow = begin()
    call = flowstate.call_of(flow)
    call.permits |= REQUEST_STAGES
    Release().request(flow)
    flow.response = http.Response.make(200, b"from Datadog")
    DefaultDeny().responseheaders(flow)  # and then a stage raised
    DefaultDeny().response(flow)
    call.clearances |= ANSWER_STAGES
    Release().response(flow)
    assert status_of(flow) == 409


def test_a_head_request_gets_no_body_in_either_refusal() -> None:
    flow = begin("HEAD")
    assert flow.response is not None
    assert (flow.response.status_code, flow.response.raw_content) == (503, b"")
    flow = answered("HEAD")
    assert flow.response is not None
    assert (flow.response.status_code, flow.response.raw_content) == (409, b"")


def test_an_upstream_answer_is_never_streamed() -> None:
    flow, _ = make_flow(answered=True)
    assert flow.response is not None
    flow.response.stream = True
    DefaultDeny().responseheaders(flow)
    assert flow.response.stream is False


async def _call(hook: Callable[[http.HTTPFlow], Awaitable[None] | None], flow: http.HTTPFlow) -> None:
    """As mitmproxy calls a hook, whichever kind it is."""
    result = hook(flow)
    if result is not None:
        await result


@pytest.mark.parametrize("hook", ["http_connect", "request"])
async def test_the_guard_refuses_what_no_chain_has_seen(hook: str) -> None:
    flow = tflow.tflow()
    await _call(getattr(Guard(), hook), flow)
    assert status_of(flow) == 503


@pytest.mark.parametrize("hook", ["http_connect", "request"])
async def test_the_guard_refuses_what_the_chain_saw_and_did_not_release(hook: str) -> None:
    flow, _ = make_flow()
    await _call(getattr(Guard(), hook), flow)
    assert status_of(flow) == 503


def test_the_guard_leaves_alone_what_was_released_and_what_was_refused() -> None:
    flow = begin()
    flowstate.call_of(flow).permits |= REQUEST_STAGES
    Release().request(flow)
    Guard().request(flow)
    assert flow.response is None
    flow, call = make_flow()
    refuse(flow, call, REFUSAL)
    Guard().request(flow)
    assert status_of(flow) == 403


async def test_the_guard_withholds_an_answer_that_the_chain_did_not_deliver() -> None:
    unseen = tflow.tflow(resp=True)
    await Guard().response(unseen)
    assert status_of(unseen) == 409
    flow = begin()
    flowstate.call_of(flow).permits |= REQUEST_STAGES
    Release().request(flow)  # and then the chain broke
    flow.response = http.Response.make(200, b"from Datadog")
    await Guard().response(flow)
    assert status_of(flow) == 409


async def test_the_guard_lets_a_delivered_answer_pass() -> None:
    flow = answered()
    flowstate.call_of(flow).clearances |= ANSWER_STAGES
    Release().response(flow)
    await Guard().response(flow)
    assert status_of(flow) == 200


def test_the_guard_dials_nothing_that_no_stage_permitted() -> None:
    data = server_hooks.ServerConnectionHookData(
        connection.Server(address=("api.datadoghq.com", 443)), tflow.tclient_conn()
    )
    Guard().server_connect(data)
    assert data.server.error
