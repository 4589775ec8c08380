"""Ends a call that Datadog doesn't answer in time: no agent waits for ever, no outcome is missing."""

from __future__ import annotations

import asyncio
import logging
from weakref import WeakKeyDictionary, ref

from mitmproxy import connection, ctx, http

from addons import flowstate

logger = logging.getLogger(__name__)


class AnswerTimeout:
    """`seconds` from a request's release to the end of its answer."""

    name = "answer_timeout"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timers: WeakKeyDictionary[http.HTTPFlow, asyncio.TimerHandle] = WeakKeyDictionary()

    def request(self, flow: http.HTTPFlow) -> None:
        if flowstate.call_of(flow).refusal is None:
            loop = asyncio.get_running_loop()
            self._timers[flow] = loop.call_later(self._seconds, self._expire, ref(flow))

    def response(self, flow: http.HTTPFlow) -> None:
        self._cancel(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._cancel(flow)

    def _cancel(self, flow: http.HTTPFlow) -> None:
        timer = self._timers.pop(flow, None)
        if timer is not None:
            timer.cancel()

    def _expire(self, flow_ref: ref[http.HTTPFlow]) -> None:
        """Closes the way to the upstream; mitmproxy then reports the call as broken off."""
        flow = flow_ref()
        proxy = ctx.master.addons.get("proxyserver")
        if flow is None or not flow.live or proxy is None:
            return
        handler = proxy.connections.get(flow.client_conn.id)
        if handler is None:
            return
        logger.warning("no answer within %g s; the call is broken off", self._seconds)
        for end, transport in list(handler.transports.items()):
            if isinstance(end, connection.Server) and transport.handler is not None:
                transport.handler.cancel("no answer in time")
