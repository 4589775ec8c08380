"""Masks: always in what is stored and shown; in what is forwarded or answered, as the rule says."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from urllib.parse import quote

from mitmproxy import http

from addons import flowstate
from addons.answers import refuse
from addons.core.body import encode_body
from addons.core.model import Reason, Refusal, Risk
from addons.core.redact.findings import TooComplex
from addons.core.redact.mask import contains_mask
from addons.core.redact.scrubber import Scrubbed, ScrubbedText, Scrubber
from addons.flowstate import Call, Stage, StoredMessage

# Larger bodies are masked in a thread, so that other calls go on meanwhile.
_IN_THREAD = 16 * 1024
_MAX_CLEAN = 4096
_MAX_CLEAN_VALUE = 256
_MAX_OUTLINE = 512
# Stands for what could not be searched; in the form of a mask, so that it can't travel back either.
UNREAD = "[REDACTED:unread:00000000]"
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))
_READS = frozenset({Risk.READ, Risk.SENSITIVE_READ})

_ANSWER_TOO_COMPLEX = Refusal(
    409,
    Reason.ANSWER_WITHHELD,
    "the call ran; its answer is too deep or too large to be masked as the policy demands, so it is withheld",
    "ask for less at a time",
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


class Redaction:
    """`scrubbers` are named as rules name them: `secrets`, and `pii`, which finds both."""

    def __init__(self, scrubbers: Mapping[str, Scrubber], digest_key: bytes) -> None:
        self._scrubbers = scrubbers
        self._digest_key = digest_key
        # Fields without a finding: a client repeats most of them. One that holds a secret is never kept.
        self._clean: set[tuple[bytes, bytes]] = set()

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Keeps what a refused CONNECT asked for, so that the trail can tell."""
        target = self._scrubbers["secrets"].scrub_text(f"{flow.request.host}:{flow.request.port}"[:300]).text
        flowstate.call_of(flow).stored_request = StoredMessage((), None, 0, "", target)

    async def request(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is not None or call.decision is None:
            return
        request = flow.request
        if not _is_read(call) and (contains_mask(call.body) or contains_mask(request.path.encode())):
            refuse(flow, call, _MASKED_VALUE)
            return
        masked = call.decision.mask_forward
        if masked:
            try:
                scrubbed = await _scrub(self._named(masked), call.body, request)
            except TooComplex:
                refuse(flow, call, _TOO_COMPLEX)
                return
            if scrubbed.changed:
                call.body = scrubbed.data
                _replace_body(request, scrubbed.data)
            call.forwarded_findings = scrubbed.findings
        call.stored_request = await self._storable_request(request, call, is_masked=bool(masked))
        call.permits.add(Stage.REDACTION)

    async def response(self, flow: http.HTTPFlow) -> None:
        """Makes the storable form of both messages, whether the call ran or was refused."""
        call = flowstate.call_of(flow)
        if call.stored_request is None:
            call.stored_request = await self._storable_request(flow.request, call, is_masked=False)
        answer = call.answer
        if answer is None or call.refusal is not None:
            call.stored_answer = _verbatim(flow.response)
            return
        masked = call.decision.mask_response if call.decision is not None else frozenset()
        if masked:
            try:
                scrubbed = await _scrub(self._named(masked), call.answer_body, answer)
            except TooComplex:
                refuse(flow, call, _ANSWER_TOO_COMPLEX)
                return
            if scrubbed.changed:
                call.answer_body = scrubbed.data
                _replace_body(answer, scrubbed.data)
        call.stored_answer = await self._storable(answer, call.answer_body, is_masked=bool(masked))
        call.clearances.add(Stage.REDACTION)

    def _named(self, names: Iterable[str]) -> Scrubber:
        return self._scrubbers["pii" if "pii" in names else "secrets"]

    def error(self, flow: http.HTTPFlow) -> None:
        """Keeps what can be said of a call that ended before it got here."""
        call = flowstate.call_of(flow)
        if call.stored_request is None:
            call.stored_request = self._outline(flow.request, call)

    def _outline(self, request: http.Request, call: Call) -> StoredMessage:
        """What is kept of a request that nobody answers for: little, and at little cost, since anyone can
        send such requests in any number.
        """
        path = _ascii(request.path[:_MAX_OUTLINE].partition("?")[0])[:_MAX_OUTLINE]
        host = ((b"Host", _ascii(request.host)[:_MAX_OUTLINE].encode()),)  # a replay needs it
        length = call.discarded + len(request.raw_content or b"")
        return StoredMessage(host, None, length, "", self._scrub_target(path).text)

    async def _storable_request(self, request: http.Request, call: Call, *, is_masked: bool) -> StoredMessage:
        if Stage.IDENTITY not in call.permits:
            return self._outline(request, call)
        url = self._scrub_target(_ascii(request.path))
        if Stage.BODY in call.permits:
            stored = await self._storable(request, call.body, is_masked=is_masked)
        else:
            # Refused before anyone read the body: its size and digest are enough, and cost no work.
            stored = self._unstored(await self._storable(request, b"", is_masked=True), request)
            if call.discarded:
                stored = replace(stored, length=stored.length + call.discarded, digest="")
        findings = Counter(stored.findings)
        findings.update(url.findings)
        findings.update(call.forwarded_findings)
        return replace(stored, target=url.text, findings=dict(findings))

    def _scrub_target(self, target: str) -> ScrubbedText:
        try:
            return self._scrubbers["secrets"].scrub_url(target)
        except TooComplex:
            return ScrubbedText(f"{target.partition('?')[0][:_MAX_OUTLINE]}?{UNREAD}", {}, changed=True)

    async def _storable(self, message: http.Message, body: bytes, *, is_masked: bool) -> StoredMessage:
        """`body` is the decoded body; one that was masked before it was forwarded is not read again."""
        raw = message.raw_content or b""
        headers, findings = self._scrub_headers(message.headers.fields)
        counted = Counter(findings)
        content = raw
        if body and not is_masked:
            try:
                scrubbed = await _scrub(self._scrubbers["secrets"], body, message)
            except TooComplex:
                return self._unstored(StoredMessage(tuple(headers), None, len(raw), ""), message)
            counted.update(scrubbed.findings)
            if scrubbed.changed:
                content = encode_body(scrubbed.data, message.headers.get("content-encoding"))
        return StoredMessage(tuple(headers), content, len(raw), _sha256(content), findings=dict(counted))

    def _scrub_headers(
        self, fields: Iterable[tuple[bytes, bytes]]
    ) -> tuple[list[tuple[bytes, bytes]], Mapping[str, int]]:
        masked, findings = [], Counter[str]()
        for field in fields:
            if field in self._clean:
                masked.append(field)
                continue
            try:
                (done,), found = self._scrubbers["secrets"].scrub_headers([field])
            except TooComplex:
                done, found = (field[0], UNREAD.encode()), {"unread": 1}
            masked.append(done)
            findings.update(found)
            if done == field and not found and len(field[1]) <= _MAX_CLEAN_VALUE:
                if len(self._clean) >= _MAX_CLEAN:
                    self._clean.clear()
                self._clean.add(field)
        return masked, findings

    def _unstored(self, stored: StoredMessage, message: http.Message) -> StoredMessage:
        mac = hmac.digest(self._digest_key, message.raw_content or b"", "sha256").hex()
        return replace(stored, content=None, digest=f"hmac-sha256:{mac}")


def _ascii(target: str) -> str:
    """A target as it came, its raw bytes escaped, so that every reader of JSON can read the record."""
    return quote(target.encode("utf-8", "surrogateescape"), safe=_PRINTABLE)


def _is_read(call: Call) -> bool:
    return call.operation is not None and call.operation.risk in _READS


async def _scrub(scrubber: Scrubber, body: bytes, message: http.Message) -> Scrubbed:
    content_type = message.headers.get("content-type")
    if len(body) > _IN_THREAD:
        return await asyncio.to_thread(scrubber.scrub_body, body, content_type)
    return scrubber.scrub_body(body, content_type)


def _replace_body(message: http.Message, decoded: bytes) -> None:
    """Puts `decoded` into the message under its own Content-Encoding, with the length that goes with it."""
    message.raw_content = encode_body(decoded, message.headers.get("content-encoding"))
    if "transfer-encoding" not in message.headers:
        message.headers["content-length"] = str(len(message.raw_content))


def _verbatim(response: http.Response | None) -> StoredMessage | None:
    """One of ddgate's own answers: there is nothing in it to mask."""
    if response is None:
        return None
    raw = response.raw_content or b""
    return StoredMessage(tuple(response.headers.fields), raw, len(raw), _sha256(raw))


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
