"""The Datadog key: added while a request's head is serialised, and nowhere else.

The flow never holds it. The request's headers are an object whose `fields` (what recordings, views, exports
and crash dumps read) lack the key, and whose `bytes()` (what mitmproxy's HTTP/1 serialiser writes to the
upstream) adds it, once, on a verified TLS connection to the host that the call was decided for. On the way
back every answer is searched for every known key, in every encoding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from mitmproxy import http

from addons import flowstate
from addons.answers import refuse
from addons.core import agent_keys
from addons.core.body import BodyTooLarge, UndecodableBody, decode_body, encode_body
from addons.core.model import Reason, Refusal, Risk
from addons.core.redact.masking.exact import ExactScrubber, without_pauses
from addons.core.redact.masking.split_secrets import KeyInPieces, SplitSecrets
from addons.flowstate import Call, Stage
from addons.store.credentials import Credential, CredentialProblem, Credentials

DEFAULT = "default"
ECHOED = "gateway-credential"
"""Under which name keys of the gateway that an answer held are counted among what was found."""
_IN_THREAD = 64 * 1024  # larger answers are searched in a thread, so that other calls go on meanwhile

# What can be read back, and so searched for a key.
_READABLE_ENCODINGS = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "identity"})

_UNAVAILABLE = Refusal(
    503,
    Reason.CREDENTIAL_UNAVAILABLE,
    "the gateway's Datadog key can't be read",
    "tell the gateway's operator; `/readyz` names the source",
)
_OUT_OF_SCOPE = Refusal(
    403,
    Reason.CREDENTIAL_OUT_OF_SCOPE,
    "the credential that the policy chose is not for this Datadog site",
    "ask for a rule that chooses a credential of that site",
)
_UNREADABLE = Refusal(
    409,
    Reason.ANSWER_WITHHELD,
    "the call ran; its answer can't be decoded, so it is withheld",
    "don't repeat the call; tell the gateway's operator the call id",
)


class WireHeaders(http.Headers):
    """Headers that grow the key when, and only when, they are written to the upstream.

    `grant` is asked at that moment and returns the fields to add: none, if the call was not released or the
    connection is not the right one.
    """

    def __init__(self, fields: Any, grant: Callable[[], tuple[tuple[bytes, bytes], ...]]) -> None:
        super().__init__(fields)
        self._grant = grant

    def __bytes__(self) -> bytes:
        return super().__bytes__() + b"".join(b"%s: %s\r\n" % field for field in self._grant())

    def copy(self) -> http.Headers:  # type: ignore[override]  # a copy must not carry the grant along
        return http.Headers(self.fields)

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> http.Headers:
        return self.copy()

    def __reduce__(self) -> tuple[type[http.Headers], tuple[Any]]:
        return http.Headers, (self.fields,)


class CredentialOnTheWire:
    name = "credential"

    def __init__(self, credentials: Credentials, decoded_limit: int) -> None:
        self._credentials = credentials
        self._decoded_limit = decoded_limit
        self._scrubber = ExactScrubber(())
        self._scrubbed_for: tuple[tuple[str, bytes], ...] = ()
        self._split: WeakKeyDictionary[http.HTTPFlow, SplitSecrets] = WeakKeyDictionary()

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Drops whatever keys the agent sent: they are never used, stored or forwarded."""
        call = flowstate.call_of(flow)
        if call.refusal is None:
            _strip_keys(flow.request)

    async def request(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is not None or call.decision is None or call.host is None:
            return
        name = call.decision.credential or DEFAULT
        try:
            if self._credentials.is_slow(name):
                credential = await asyncio.to_thread(self._credentials.get, name)
            else:
                credential = self._credentials.get(name)
        except CredentialProblem:
            refuse(flow, call, _UNAVAILABLE)
            return
        if call.host.site not in credential.sites:
            refuse(flow, call, _OUT_OF_SCOPE)
            return
        # Made now: a key that can't be searched for in the answer must not be sent.
        secrets = self._credentials.known_secrets()
        if secrets != self._scrubbed_for:
            self._scrubber, self._scrubbed_for = ExactScrubber(secrets), secrets
        call.credential = name
        flow.request.headers = WireHeaders(flow.request.headers.fields, _granting(flow, call, credential))
        call.permits.add(Stage.CREDENTIAL)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        _put_plain_headers_back(flow)
        stream = flowstate.call_of(flow).streamed
        if stream is not None:
            stream.echoed += self._scrub_head(stream.head)
            self._split[flow] = SplitSecrets(self._scrubber)
            stream.clearances.add(Stage.CREDENTIAL)

    async def answer_part(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        stream, split = call.stream, self._split.get(flow)
        if stream is None or split is None or call.refusal is not None:
            return

        def scrubbed(events: bytes) -> tuple[bytes, int]:
            events, removed = self._scrubber.scrub(events)
            # What the other check of whole answers is for, too: a key in UTF-16, or in lines of base64.
            if self._scrubber.found(without_pauses(events)):
                raise KeyInPieces("a key in pieces")
            return split.feed(events, is_last=stream.is_last), removed

        try:
            if len(stream.events) > _IN_THREAD:
                stream.events, removed = await asyncio.to_thread(scrubbed, stream.events)
            else:
                stream.events, removed = scrubbed(stream.events)
        except KeyInPieces:
            refuse(flow, call, _UNREADABLE)
            return
        stream.echoed += removed
        stream.clearances.add(Stage.CREDENTIAL)

    def error(self, flow: http.HTTPFlow) -> None:
        _put_plain_headers_back(flow)

    async def response(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        _put_plain_headers_back(flow)
        if call.answer is None or call.refusal is not None:
            return
        if call.stream is not None:
            call.echoed_keys = {ECHOED: call.stream.echoed} if call.stream.echoed else {}
            if call.stream.is_whole:
                call.clearances.add(Stage.CREDENTIAL)
            return
        try:
            if len(call.answer.raw_content or b"") > _IN_THREAD:
                await asyncio.to_thread(self._scrub, call, call.answer)
            else:
                self._scrub(call, call.answer)
        except (UndecodableBody, BodyTooLarge):
            refuse(flow, call, _UNREADABLE)
            return
        call.clearances.add(Stage.CREDENTIAL)

    def _scrub(self, call: Call, answer: http.Response) -> None:
        """Searches status line, headers and decoded body.

        Raises:
            UndecodableBody, BodyTooLarge: the body can't be searched, or holds a key in pieces.

        """
        if any(coding.lower() != "chunked" for coding in answer.headers.get_all("transfer-encoding")):
            raise UndecodableBody("a transfer coding that isn't undone here")
        if answer.status_code == 101:  # noqa: PLR2004 - Switching Protocols
            raise UndecodableBody("another protocol")
        removed = self._scrub_head(answer)
        raw = answer.raw_content or b""
        encoding = answer.headers.get("content-encoding")
        call.answer_body = decode_body(raw, encoding, limit=self._decoded_limit) if raw else b""
        # In the coding itself, too: beside what it holds there is room for a name, or a comment.
        if self._scrubber.found(call.answer_body) or (encoding and self._scrubber.found(raw)):
            call.answer_body, count = self._scrubber.scrub(call.answer_body)
            removed += count
            answer.raw_content = encode_body(call.answer_body, encoding)
            if "content-length" in answer.headers:
                answer.headers["content-length"] = str(len(answer.raw_content))
        # UTF-16, base64 in lines (in JSON, too), quoted-printable: found, but not replaced in place.
        joined = without_pauses(call.answer_body)
        if len(joined) != len(call.answer_body) and self._scrubber.found(joined):
            raise UndecodableBody("a key in pieces")
        if removed:
            call.echoed_keys = {ECHOED: removed}

    def _scrub_head(self, answer: http.Response) -> int:
        """Give how many keys were removed."""
        removed = 0

        def scrub(data: bytes) -> bytes:
            nonlocal removed
            data, count = self._scrubber.scrub(data)
            removed += count
            return data

        head = b"\r\n".join(name + b": " + value for name, value in answer.headers.fields)
        if self._scrubber.found(head):
            answer.headers = http.Headers(
                [(scrub(name), scrub(value)) for name, value in answer.headers.fields]
            )
        reason = answer.data.reason
        if self._scrubber.found(reason):
            answer.reason = scrub(reason).decode("latin-1")
        return removed


def _strip_keys(request: http.Request) -> None:
    fields = request.headers.fields
    kept = tuple(
        field for field in fields if field[0].lower().replace(b"_", b"-") not in agent_keys.DROPPED_HEADERS
    )
    if len(kept) != len(fields):
        request.headers.fields = kept
    path, mark, query = request.path.partition("?")
    if mark:
        query = agent_keys.without_keys_in_query(query)
        request.path = f"{path}?{query}" if query else path
    accepted = [value for line in request.headers.get_all("accept-encoding") for value in line.split(",")]
    if accepted:
        readable = [one.strip() for one in accepted if _coding(one) in _READABLE_ENCODINGS]
        request.headers["accept-encoding"] = ", ".join(readable) or "identity"


def _coding(element: str) -> str:
    return element.partition(";")[0].strip().lower()


def _granting(
    flow: http.HTTPFlow, call: Call, credential: Credential
) -> Callable[[], tuple[tuple[bytes, bytes], ...]]:
    """The keys, once, if this very call was released and goes over a verified connection to its host."""
    fields: list[tuple[bytes, bytes]] = [(b"DD-API-KEY", credential.api_key)]
    is_ingest = call.operation is not None and call.operation.risk is Risk.INGEST
    if credential.application_key is not None and not is_ingest:
        fields.append((b"DD-APPLICATION-KEY", credential.application_key))

    def grant() -> tuple[tuple[bytes, bytes], ...]:
        server = flow.server_conn
        if not (call.released and call.host is not None and not call.head_sent and not call.closed):
            return ()
        call.head_sent = True
        if not (server.tls_established and server.sni == call.host.name and server.certificate_list):
            return ()
        granted = tuple(fields)
        fields.clear()
        return granted

    return grant


def _put_plain_headers_back(flow: http.HTTPFlow) -> None:
    if isinstance(flow.request.headers, WireHeaders):
        flow.request.headers = http.Headers(flow.request.headers.fields)
