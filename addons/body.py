"""Undoes a request body's content encoding, once, for every stage that reads it."""

from __future__ import annotations

import asyncio
from functools import partial

from mitmproxy import http

from addons import flowstate
from addons.answers import refuse
from addons.core.body import BodyTooLarge, UndecodableBody, decode_body
from addons.core.model import Reason, Refusal
from addons.flowstate import Stage

_IN_THREAD = 4096


class DecodedBody:
    name = "body"

    def __init__(self, decoded_limit: int) -> None:
        self._limit = decoded_limit

    async def request(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is not None:
            return
        encodings = flow.request.headers.get_all("content-encoding")
        raw = flow.request.raw_content or b""
        try:
            if raw and encodings:
                # In a thread: a small body may decode to a very large one.
                decode = partial(decode_body, raw, ", ".join(encodings), limit=self._limit)
                call.body = await asyncio.to_thread(decode) if len(raw) > _IN_THREAD else decode()
            else:
                call.body = raw
        except BodyTooLarge:
            refuse(flow, call, _TOO_LARGE)
            return
        except UndecodableBody:
            refuse(flow, call, _UNREADABLE)
            return
        call.body_size = len(call.body)
        call.permits.add(Stage.BODY)


_TOO_LARGE = Refusal(
    413,
    Reason.BODY_TOO_LARGE,
    "the decoded body is over the gateway's limit",
    "send less in one request",
)
_UNREADABLE = Refusal(
    400,
    Reason.UNREADABLE_BODY,
    "the body can't be decoded as its Content-Encoding says",
    "send it as gzip, deflate, zstd, br or plain",
)
