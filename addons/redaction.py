"""Masks: always in what is stored and shown; in what is forwarded or answered, as the rule says.

Where it says `record: hash` no body is stored, and so none is masked for that.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from mitmproxy import http

from addons import flowstate
from addons.answers import error_body, refuse
from addons.core.body import carries_more, encode_body
from addons.core.model import Reason, Refusal, Risk
from addons.core.redact.masking.asked import NO_MASKS, Masks
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.json_masks import NotMaskable
from addons.core.redact.masking.mask import UNREAD, contains_mask
from addons.core.redact.message_masks import MessageMasks
from addons.core.redact.scrubber import Scrubbed, ScrubbedText
from addons.flowstate import Call, MaskedRequest, Stage, StoredMessage
from addons.store.masking.bodies import Masking
from addons.store.masking.finding_counts import FindingCounts
from addons.store.masking.heads import (
    Fields,
    HeadMasking,
    MaskedFields,
    in_ascii,
    unread_fields,
    unread_target,
)
from addons.store.masking.workers import MaskingUnavailable, WorkerLimits
from addons.stored_forms import sha256_of, together, verbatim, without_digests

logger = logging.getLogger(__name__)


_IN_THREAD = 64 * 1024  # larger bodies are encoded, searched and digested in a thread
_MAX_OUTLINE = 512
_READS = frozenset({Risk.READ, Risk.SENSITIVE_READ})
_SUCCESS_BELOW = 300

_ANSWER_TOO_COMPLEX = Refusal(
    409,
    Reason.ANSWER_WITHHELD,
    "the call ran; its answer is too deep or too large to be masked as the policy demands, so it is withheld",
    "ask for less at a time",
)
_ANSWER_NOT_JSON = replace(
    _ANSWER_TOO_COMPLEX,
    message="the call ran; the policy masks parts of its answer by their JSON path, and the answer is no "
    "JSON, so it is withheld",
    remedy="ask for JSON, if there is a choice",
)
_ERROR_NOT_JSON = replace(
    _ANSWER_NOT_JSON,
    message="the status is Datadog's; what came with it is withheld, for the policy masks parts of such "
    "answers by their JSON path, and this is no JSON",
    remedy="",
)
_MASKED_VALUE = Refusal(
    403,
    Reason.MASKED_VALUE,
    "the request contains a value that ddgate masked, and would overwrite the real one with the mask",
    "send only the fields that change, without the masked one",
)
_TOO_COMPLEX = Refusal(
    403,
    Reason.UNREADABLE_BODY,
    "the body is too deep or too large to be masked as the policy demands before it is sent",
    "send it flatter or in parts",
)
_NOT_MASKED = Refusal(
    503,
    Reason.NOT_READY,
    "the request could not be masked now, as it must be before it is stored or sent",
    "try again; if it lasts, tell the gateway's operator. Nothing was forwarded",
    retry_after=1.0,
)
_ANSWER_NOT_MASKED = replace(
    _ANSWER_TOO_COMPLEX,
    message="the call ran; its answer could not be masked now as the policy demands, so it is withheld",
    remedy="don't repeat a call that changes something; tell the gateway's operator if it lasts",
)
_NOT_JSON = replace(
    _TOO_COMPLEX,
    message="the policy masks parts of the body by their JSON path before it is sent, and it is no JSON",
    remedy="send it as JSON",
)


class Redaction:
    def __init__(self, masks: MessageMasks, digest_key: bytes, limits: WorkerLimits | None = None) -> None:
        self._masks = masks
        self._masking = Masking(masks, limits)
        self._heads = HeadMasking(masks.secrets, self._masking)
        self._digest_key = digest_key
        self._found = FindingCounts()

    def done(self) -> None:
        self._masking.close()

    def counted(self) -> tuple[tuple[str, int], ...]:
        """How often each detector found something in a message that was stored, since the start."""
        return self._found.counted()

    def prepare(self, detect_sets: Iterable[frozenset[str]]) -> None:
        """Compiles what the rules of a policy set will need, so that no call waits for it."""
        self._masking.prepare(detect_sets)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Keeps what a refused CONNECT asked for, so that the trail can tell."""
        host = self._heads.scrub_host(flow.request.host)
        target = f"{host}:{flow.request.port}"
        flowstate.call_of(flow).stored_request = StoredMessage((), None, 0, "", target, host=host)

    async def request(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is not None or call.decision is None:
            return
        request = flow.request
        masks = call.decision.mask_forward
        done = await self._as_forwarded(flow, call, masks)
        if done is None:
            return
        if done.changed:
            call.body = done.data
            await _replace_body(request, done.data)
        call.forwarded_findings = done.findings
        try:
            stored = await self._storable_request(request, call, applied=masks)
        except MaskingUnavailable as error:
            _refuse_unmasked(flow, call, error)
            return
        self._store_request(call, stored)
        call.permits.add(Stage.REDACTION)

    async def _as_forwarded(self, flow: http.HTTPFlow, call: Call, masks: Masks) -> Scrubbed | None:
        """The body that may leave; None where the call was refused over it."""
        request = flow.request
        if not _is_read(call) and (
            await _off_loop(call.body, contains_mask) or contains_mask(request.path.encode())
        ):
            refuse(flow, call, _MASKED_VALUE)
            return None
        try:
            return await self._masked(masks, call.body, request, call)
        except (TooComplex, NotMaskable) as error:
            refuse(flow, call, _NOT_JSON if isinstance(error, NotMaskable) else _TOO_COMPLEX)
        except MaskingUnavailable as error:
            _refuse_unmasked(flow, call, error)
        return None

    async def preview(self, flow: http.HTTPFlow) -> MaskedRequest | None:
        """Make what a person judges the call by: what would be forwarded, its secrets masked. None where the
        call was refused, because it could not be forwarded anyway.
        """
        call = flowstate.call_of(flow)
        masks = call.decision.mask_forward if call.decision is not None else NO_MASKS
        forwarded = await self._as_forwarded(flow, call, masks)
        if forwarded is None:
            return None
        body: bytes | None = forwarded.data
        if body:
            try:
                still = self._still_to_mask(masks, applied=masks)
                body = (await self._masked(still, body, flow.request, call)).data
            except (TooComplex, NotMaskable, MaskingUnavailable):
                body = None
        try:
            headers, _ = await self._headers(flow.request.headers.fields, call)
            target = (await self._target(flow.request, call)).text
        except MaskingUnavailable as error:
            _refuse_unmasked(flow, call, error)
            return None
        intent = self._scrub_intent(call.unverified_intent)
        return MaskedRequest(target, tuple(headers), body, intent)

    def _scrub_intent(self, unverified_intent: str | None) -> str | None:
        if unverified_intent is None:
            return None
        try:
            return self._masks.secrets.scrub_text(unverified_intent).text
        except TooComplex:
            return UNREAD

    async def response(self, flow: http.HTTPFlow) -> None:
        """Makes the storable form of both messages, whether the call ran or was refused."""
        call = flowstate.call_of(flow)
        if call.stored_request is None:
            self._store_request(call, await self._storable_request(flow.request, call, applied=NO_MASKS))
        answer = call.answer
        if call.stream is not None:
            return
        if answer is not None and call.refusal is None:
            await self._answer(flow, call, answer)
        if answer is None or call.refusal is not None:
            call.stored_answer = verbatim(flow.response)

    async def _answer(self, flow: http.HTTPFlow, call: Call, answer: http.Response) -> None:
        masks = call.decision.mask_response if call.decision is not None else NO_MASKS
        answer.data.reason = self._heads.scrub_reason(answer.data.reason, answer.status_code)
        try:
            done = await self._masked(masks, call.answer_body, answer, call)
        except TooComplex:
            refuse(flow, call, _ANSWER_TOO_COMPLEX)
            return
        except MaskingUnavailable as error:
            logger.error("the answer to call %s is withheld: %s", call.id, error)  # noqa: TRY400 - no traceback
            refuse(flow, call, _ANSWER_NOT_MASKED)
            return
        except NotMaskable:
            if answer.status_code < _SUCCESS_BELOW:
                refuse(flow, call, _ANSWER_NOT_JSON)
                return
            # The page of a proxy in between, most likely: a client needs its status, to wait or to try again.
            done = Scrubbed(error_body(_ERROR_NOT_JSON, call.id), {"unread": 1}, changed=True)
            answer.headers["content-type"] = "application/json"
        if done.changed:
            call.answer_body = done.data
            await _replace_body(answer, done.data)
        if call.stores_bodies or not answer.raw_content:
            stored = await self._storable(
                answer, call.answer_body, self._still_to_mask(masks, applied=masks), call
            )
        else:
            stored = await self._unstored(answer, call)
        findings = together(stored.findings, done.findings, call.echoed_keys)
        call.stored_answer = replace(stored, findings=findings)
        self._found.count(findings)
        call.clearances.add(Stage.REDACTION)

    async def mask_part(self, events: bytes, answer: http.Message, call: Call) -> Scrubbed:
        """Mask some of an answer as the call's rule says. Raises as `_masked`."""
        masks = call.decision.mask_response if call.decision is not None else NO_MASKS
        return await self._masked(masks, events, answer, call)

    async def store_stream(self, answer: http.Response, call: Call) -> None:
        """Make the storable form of what passed of an answer part by part."""
        stream = call.streamed
        assert stream is not None  # noqa: S101 - it has passed
        if stream.kept is None:
            headers, findings = await self._headers(answer.headers.fields, call)
            stored = StoredMessage(tuple(headers), None, stream.size, stream.digest, findings=findings)
        else:
            masks = call.decision.mask_response if call.decision is not None else NO_MASKS
            answer.raw_content = bytes(stream.kept)
            left = self._still_to_mask(masks, applied=masks)
            stored = await self._storable(answer, answer.raw_content, left, call)
        findings = together(stored.findings, stream.findings, call.echoed_keys)
        call.stored_answer = replace(stored, findings=findings)
        self._found.count(findings)

    async def _masked(self, masks: Masks, body: bytes, message: http.Message, call: Call) -> Scrubbed:
        """What is clean counts as changed where its coding holds more than the body: it is encoded anew, and
        without that. Raises TooComplex, NotMaskable, MaskingUnavailable.
        """
        done = await self._masking.apply(masks, body, message.headers.get("content-type"), _user(call))
        hides = carries_more(message.raw_content or b"", message.headers.get("content-encoding"))
        return replace(done, changed=True) if masks and hides else done

    def _store_request(self, call: Call, stored: StoredMessage) -> None:
        call.stored_request = stored
        self._found.count(stored.findings)

    def error(self, flow: http.HTTPFlow) -> None:
        """Keeps what can be said of a call that ended before it got here."""
        call = flowstate.call_of(flow)
        if call.stored_request is None:
            call.stored_request = self._outline(flow.request, call)

    def _outline(self, request: http.Request, call: Call) -> StoredMessage:
        """What is kept of a request that nobody answers for: little, and at little cost, since anyone can
        send such requests in any number.
        """
        path = in_ascii(request.path[:_MAX_OUTLINE].partition("?")[0])[:_MAX_OUTLINE]
        host = self._heads.scrub_host(request.host)
        length = call.discarded + len(request.raw_content or b"")
        headers = ((b"Host", host.encode()),)  # a replay needs it
        return StoredMessage(headers, None, length, "", self._heads.scrub_target(path).text, host=host)

    async def _storable_request(self, request: http.Request, call: Call, *, applied: Masks) -> StoredMessage:
        """`applied`: what the body was masked by already, before it was forwarded. Raises MaskingUnavailable,
        while the call can still be refused over it.
        """
        if Stage.IDENTITY not in call.permits:
            return self._outline(request, call)
        url = await self._target(request, call)
        if Stage.BODY in call.permits and (call.stores_bodies or not request.raw_content):
            masks = call.decision.mask_forward if call.decision is not None else NO_MASKS
            stored = await self._storable(
                request, call.body, self._still_to_mask(masks, applied=applied), call
            )
        else:
            # As its rule says, or it was refused before anyone read the body: size and digest are enough, and
            # cost little.
            stored = await self._unstored(request, call)
            if call.discarded:
                stored = replace(stored, length=stored.length + call.discarded, digest="")
        findings = together(stored.findings, url.findings, call.forwarded_findings)
        host = self._heads.scrub_host(request.host) if call.host is None else None
        return replace(stored, target=url.text, findings=findings, host=host)

    async def _storable(self, message: http.Message, body: bytes, masks: Masks, call: Call) -> StoredMessage:
        """`body` is the decoded body, `masks` what it is still to be masked by."""
        raw = message.raw_content or b""
        headers, findings = await self._headers(message.headers.fields, call)
        content = raw
        if raw and masks:
            try:
                done = await self._masked(masks, body, message, call)
            except (TooComplex, NotMaskable):
                return await self._unstored(message, call)
            except MaskingUnavailable:
                if call.is_open:
                    raise
                return await self._unstored(message, call)
            findings = together(findings, done.findings)
            if done.changed:
                content = await _encoded(done.data, message)
                headers = without_digests(headers)
        digest = await _off_loop(content, sha256_of)
        return StoredMessage(tuple(headers), content, len(raw), digest, findings=findings)

    async def _headers(self, fields: Fields, call: Call) -> MaskedFields:
        """Raises MaskingUnavailable, while the call can still be refused over it."""
        try:
            return await self._heads.fields(fields, _user(call))
        except MaskingUnavailable:
            if call.is_open:
                raise
            return unread_fields(fields)

    async def _target(self, request: http.Request, call: Call) -> ScrubbedText:
        """As `_headers`."""
        target = in_ascii(request.path)
        try:
            return await self._heads.target(target, _user(call))
        except MaskingUnavailable:
            if call.is_open:
                raise
            return unread_target(target)

    def _still_to_mask(self, masks: Masks, *, applied: Masks) -> Masks:
        """What the stored form lacks of what the rules ask for, and of what is masked always."""
        wanted = masks | Masks(detect=self._masks.stored)
        return Masks(wanted.detect - applied.detect, wanted.json - applied.json)

    async def _unstored(self, message: http.Message, call: Call) -> StoredMessage:
        """A message whose body is not stored. Nothing was looked for in that, so nothing counts as found."""
        raw = message.raw_content or b""
        headers, findings = await self._headers(message.headers.fields, call)
        digest = await _off_loop(raw, self._keyed_digest)
        return StoredMessage(tuple(without_digests(headers)), None, len(raw), digest, findings=findings)

    def _keyed_digest(self, raw: bytes) -> str:
        return f"hmac-sha256:{hmac.digest(self._digest_key, raw, 'sha256').hex()}"


def _refuse_unmasked(flow: http.HTTPFlow, call: Call, error: MaskingUnavailable) -> None:
    logger.error("call %s was refused: %s", call.id, error)
    refuse(flow, call, _NOT_MASKED)


def _user(call: Call) -> tuple[str, str] | None:
    """Whose share of the masking a call takes."""
    return (call.principal.issuer, call.principal.subject) if call.principal is not None else None


async def _off_loop[T](data: bytes, work: Callable[[bytes], T]) -> T:
    """Do what lets go of the interpreter's lock, and takes a while for much data."""
    return await asyncio.to_thread(work, data) if len(data) > _IN_THREAD else work(data)


def _is_read(call: Call) -> bool:
    return call.operation is not None and call.operation.risk in _READS


async def _encoded(decoded: bytes, message: http.Message) -> bytes:
    """`decoded` under the message's own Content-Encoding."""
    encoding = message.headers.get("content-encoding")
    if encoding and len(decoded) > _IN_THREAD:
        return await asyncio.to_thread(encode_body, decoded, encoding)
    return encode_body(decoded, encoding)


async def _replace_body(message: http.Message, decoded: bytes) -> None:
    """Puts `decoded` into the message, with the length that goes with it."""
    message.raw_content = await _encoded(decoded, message)
    if "transfer-encoding" not in message.headers:
        message.headers["content-length"] = str(len(message.raw_content))
    message.headers.fields = tuple(without_digests(message.headers.fields))
