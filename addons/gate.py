"""No permit, no forward. The first addon of the chain refuses everything, the last lets pass what every
stage permitted. mitmproxy skips the later addons of a script when one raises, and then goes on with the
flow: so whatever breaks in between, the refusal of the first one stands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mitmproxy import http
from mitmproxy.proxy import server_hooks

from addons import flowstate
from addons.answers import NOT_PERMITTED, WITHHELD, Standing, response_of
from addons.flowstate import ANSWER_STAGES, PART_STAGES, REQUEST_STAGES, STREAM_STAGES, TUNNEL_STAGES
from addons.streamed_answer import catch_up, nothing_passes, stop_reading

_NOT_DIALLED = "ddgate: the connection was not permitted"


def _is_head(flow: http.HTTPFlow) -> bool:
    return flow.request.method == "HEAD"


class DefaultDeny:
    """First in the chain: puts a refusal in the place of every CONNECT and request, and takes every answer
    of the upstream out of the flow.
    """

    def __init__(self) -> None:
        self._refused = Standing(NOT_PERMITTED)
        self._withheld = Standing(WITHHELD)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        flow.response = self._refused.response(flowstate.call_of(flow).id, head_only=_is_head(flow))

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        flow.response = self._refused.response(flowstate.call_of(flow).id, head_only=_is_head(flow))

    def request(self, flow: http.HTTPFlow) -> None:
        if flow.response is None:
            flow.response = self._refused.response(flowstate.call_of(flow).id, head_only=_is_head(flow))

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        if data.server.error is None:
            data.server.error = _NOT_DIALLED

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None:
            flow.response.stream = False

    async def answer_part(self, flow: http.HTTPFlow) -> None:
        stream = flowstate.call_of(flow).stream
        if stream is not None:
            stream.out = None
            if stream.go_on is None:
                stream.go_on = await stop_reading(flow.client_conn)
            await catch_up(flow.client_conn)

    def error(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.stream is not None:
            call.answer = call.stream.head

    def response(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.stream is not None:
            call.answer = call.stream.head  # what isn't delivered in the end is cut
        elif call.released:
            call.answer = flow.response
            flow.response = self._withheld.response(call.id, head_only=_is_head(flow))


class Release:
    """Last in the chain. It is reached only if no stage raised, and what the stages must have said is counted
    besides: one that returned without a word has not permitted anything.
    """

    def http_connect(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is None and call.permits >= TUNNEL_STAGES:
            call.released = True
            flow.response = None
        else:
            flowstate.close_tunnel(flow.client_conn)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        flowstate.call_of(flow).head_passed = True

    def request(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is None and call.head_passed and call.permits >= REQUEST_STAGES:
            call.released = True
            flow.response = None

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        if data.server.error == _NOT_DIALLED and flowstate.may_dial(data.server):
            data.server.error = None

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        call.answer_head_passed = True
        stream = call.streamed
        if stream is not None and call.released and call.refusal is None and not call.closed:
            stream.is_released = stream.clearances >= STREAM_STAGES
        if stream is not None and stream.is_released:
            flow.response = stream.head
            flow.response.stream = nothing_passes

    def answer_part(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        stream = call.stream
        if (
            stream is not None
            and call.refusal is None
            and not call.closed
            and stream.clearances >= PART_STAGES
        ):
            stream.out = stream.events
            stream.is_whole = stream.is_last

    def response(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if (
            call.answer is not None
            and call.refusal is None
            and call.answer_head_passed
            and call.clearances >= ANSWER_STAGES
        ):
            call.delivered = True
            flow.response = call.answer


class Guard:
    """Stands in mitmproxy's own list of addons, outside the script, and so outlives it: when the chain is
    broken or deleted while the gateway runs, it refuses what the chain no longer sees.

    `settle` puts a call on record that ended without one, because a stage raised on the way.
    """

    name = "ddgate_guard"

    def __init__(self, settle: Callable[[http.HTTPFlow], Awaitable[None]] | None = None) -> None:
        self._settle = settle

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        self._hold_back(flow)
        if flow.response is not None and self._settle is not None:
            await self._settle(flow)

    def request(self, flow: http.HTTPFlow) -> None:
        self._hold_back(flow)

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        if data.server.error is None and not flowstate.may_dial(data.server):
            data.server.error = _NOT_DIALLED

    async def response(self, flow: http.HTTPFlow) -> None:
        call = flowstate.known_call(flow)
        if call is None or (call.released and call.answer in (None, flow.response) and not call.delivered):
            flow.response = response_of(WITHHELD, call.id if call else None)
        if self._settle is not None:
            await self._settle(flow)

    async def error(self, flow: http.HTTPFlow) -> None:
        if self._settle is not None:
            await self._settle(flow)

    def _hold_back(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)  # makes it known: what is refused here was not answered by Datadog
        if flow.response is None and not call.released:
            flow.response = response_of(NOT_PERMITTED, call.id)
