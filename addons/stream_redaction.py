"""Masks an answer that is passed on while it comes: part by part as the rule says, and once more, at its end,
for the record.
"""

from __future__ import annotations

import hmac
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

from mitmproxy import http

from addons import flowstate
from addons.answers import refuse
from addons.core.model import Reason, Refusal
from addons.core.redact.event_window import EventsMerged, EventWindow
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.scrubber import Scrubbed
from addons.flowstate import Call, Stage, Streamed
from addons.store.masking.workers import MaskingUnavailable
from addons.stored_forms import without_digests

logger = logging.getLogger(__name__)

_NOT_MASKED = Refusal(
    409,
    Reason.ANSWER_WITHHELD,
    "the call ran; its answer could not be masked as the policy demands, and what follows is withheld",
    "don't repeat a call that changes something; tell the gateway's operator if it lasts",
)


class StreamRedaction:
    """`mask` applies what the call's rule asks of an answer; raises TooComplex, MaskingUnavailable. `store`
    makes the storable form of what passed. Of that no more than `limit` bytes are kept: past it, size and
    digest. `digest_key`: as for other bodies.
    """

    def __init__(
        self,
        mask: Callable[[bytes, http.Message, Call], Awaitable[Scrubbed]],
        store: Callable[[http.Response, Call], Awaitable[None]],
        *,
        limit: int,
        digest_key: bytes,
    ) -> None:
        self._mask = mask
        self._store = store
        self._limit = limit
        self._digest_key = digest_key
        self._windows: WeakKeyDictionary[http.HTTPFlow, EventWindow] = WeakKeyDictionary()
        self._digests: WeakKeyDictionary[http.HTTPFlow, hmac.HMAC] = WeakKeyDictionary()

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        stream = call.streamed
        if stream is None:
            return
        stream.head.headers.fields = tuple(without_digests(stream.head.headers.fields))
        if not call.stores_bodies:
            stream.kept = None
        self._windows[flow] = EventWindow()
        self._digests[flow] = hmac.new(self._digest_key, digestmod="sha256")
        stream.clearances.add(Stage.REDACTION)

    async def answer_part(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        stream = call.stream
        if stream is None or call.refusal is not None or call.decision is None:
            return
        if call.decision.mask_response:
            try:
                await self._masked(self._windows[flow], stream, call)
            except (TooComplex, EventsMerged):
                refuse(flow, call, _NOT_MASKED)
                return
            except MaskingUnavailable as error:
                logger.error("the rest of the answer to call %s is withheld: %s", call.id, error)  # noqa: TRY400 - no traceback
                refuse(flow, call, _NOT_MASKED)
                return
        self._keep(self._digests[flow], stream)
        stream.clearances.add(Stage.REDACTION)

    async def _masked(self, window: EventWindow, stream: Streamed, call: Call) -> None:
        """Raises TooComplex, EventsMerged, MaskingUnavailable."""
        events = window.add(stream.events)
        if not events:
            return
        is_new = not window.has_context
        done = await self._mask(events, stream.head, call)
        stream.events = window.take(done.data, is_last=stream.is_last)
        found = Counter(done.findings)
        # What was looked at before is not counted again.
        stream.findings = stream.findings + found if is_new else stream.findings | found

    def _keep(self, digest: hmac.HMAC, stream: Streamed) -> None:
        digest.update(stream.events)
        stream.size += len(stream.events)
        if stream.kept is not None and stream.size <= self._limit:
            stream.kept += stream.events
        else:
            stream.kept = None

    async def response(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.stream is None or call.answer is None:
            return
        await self._store_what_passed(flow, call, call.stream)
        if call.refusal is None and call.stream.is_whole:
            call.clearances.add(Stage.REDACTION)

    async def error(self, flow: http.HTTPFlow) -> None:
        """It broke off, on either side."""
        call = flowstate.call_of(flow)
        if call.stream is not None and call.stored_answer is None:
            await self._store_what_passed(flow, call, call.stream)

    async def _store_what_passed(self, flow: http.HTTPFlow, call: Call, stream: Streamed) -> None:
        stream.digest = f"hmac-sha256:{self._digests[flow].hexdigest()}"
        await self._store(stream.head, call)
