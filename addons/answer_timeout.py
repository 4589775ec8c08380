"""Ends a call that Datadog doesn't answer in time, and an answer that goes on for too long: no agent waits
for ever, no outcome is missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from weakref import WeakKeyDictionary, ref

from mitmproxy import http

from addons import flowstate
from addons.answers import refuse
from addons.core.model import Reason, Refusal
from addons.streamed_answer import break_off, keep_open

logger = logging.getLogger(__name__)

_PACE = 0.5
_LONGEST_STREAM = 3600.0
_TOO_LONG = Refusal(
    409, Reason.ANSWER_WITHHELD, "the call ran; its answer went on for over an hour", "connect again"
)


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

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flowstate.call_of(flow).streamed is not None:
            self._cancel(flow)  # it has come, and how long it goes on is another question

    def response(self, flow: http.HTTPFlow) -> None:
        self._cancel(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._cancel(flow)

    def _cancel(self, flow: http.HTTPFlow) -> None:
        timer = self._timers.pop(flow, None)
        if timer is not None:
            timer.cancel()

    def _expire(self, flow_ref: ref[http.HTTPFlow]) -> None:
        flow = flow_ref()
        if flow is not None and flow.live:
            logger.warning("no answer within %g s; the call is broken off", self._seconds)
            break_off(flow, "no answer in time")


class StreamWatch:
    """Ends an answer that is passed on while it comes, whether or not anything comes of it: within a second
    when its token expires or is revoked, or its agent is frozen, and after an hour. `check_again` refuses a
    call whose identity doesn't hold any more.
    """

    def __init__(
        self, check_again: Callable[[http.HTTPFlow], None], longest: float = _LONGEST_STREAM
    ) -> None:
        self._check_again = check_again
        self._longest = longest

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flowstate.call_of(flow).streamed is not None:
            self._look_later(ref(flow), monotonic() + self._longest)

    def _look_later(self, flow_ref: ref[http.HTTPFlow], until: float) -> None:
        asyncio.get_running_loop().call_later(_PACE, self._look, flow_ref, until)

    def _look(self, flow_ref: ref[http.HTTPFlow], until: float) -> None:
        flow = flow_ref()
        if flow is None or not flow.live:
            return
        call = flowstate.call_of(flow)
        if call.closed:
            return
        if monotonic() > until:
            refuse(flow, call, _TOO_LONG)
        else:
            self._check_again(flow)
        if call.refusal is None:
            keep_open(flow.client_conn)  # a stream may be silent: how long it may last is said here
            self._look_later(flow_ref, until)
        else:
            logger.info("the answer to call %s is cut: %s", call.id, call.refusal.message)
            break_off(flow, "the stream was stopped")
