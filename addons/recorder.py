"""Makes the bytes of one redacted flow, as stock mitmproxy reads them. Nothing of the live flow goes in but
what was masked, and what names the two ends."""

from __future__ import annotations

import io
import time

from mitmproxy import connection, http
from mitmproxy.io import FlowWriter
from mitmproxy.proxy import mode_specs

from addons import flowstate
from addons.flowstate import Call, Stage, StoredMessage

_NOT_STORED = b"[ddgate: %d bytes, %s; not stored]"


class Recorder:
    """`gateway_url` is where `mitmdump -C` sends a recorded call again: the gateway's own listener."""

    def __init__(self, gateway_url: str) -> None:
        self._mode = mode_specs.ProxyMode.parse(f"upstream:{gateway_url}")

    def response(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.stored_request is None or call.stored_answer is None:
            return
        recorded = self._recorded(flow, call, call.stored_request, call.stored_answer)
        flowstate.describe(recorded, call)
        buffer = io.BytesIO()
        FlowWriter(buffer).add(recorded)
        call.recorded_flow = buffer.getvalue()
        if call.answer is not None and call.refusal is None:
            call.clearances.add(Stage.RECORDER)

    def _recorded(
        self, flow: http.HTTPFlow, call: Call, request: StoredMessage, answer: StoredMessage
    ) -> http.HTTPFlow:
        recorded = http.HTTPFlow(self._client(flow.client_conn), _server(flow.server_conn))
        live, now = flow.request, time.time()
        recorded.request = http.Request(
            host=live.host,
            port=live.port,
            method=live.data.method,
            scheme=live.data.scheme,
            authority=b"",
            path=request.target.encode("utf-8", "surrogateescape"),
            http_version=live.data.http_version,
            headers=http.Headers(_fitting(request)),
            content=_content(request),
            trailers=None,
            timestamp_start=live.timestamp_start,
            timestamp_end=live.timestamp_end or now,
        )
        response = call.answer if call.answer is not None and call.refusal is None else flow.response
        assert response is not None  # noqa: S101 - there is a stored answer only where there is an answer
        recorded.response = http.Response(
            http_version=response.data.http_version,
            status_code=response.status_code,
            reason=response.data.reason,
            headers=http.Headers(_fitting(answer)),
            content=_content(answer),
            trailers=None,
            timestamp_start=response.timestamp_start,
            timestamp_end=response.timestamp_end or now,
        )
        recorded.timestamp_created = flow.timestamp_created
        return recorded

    def _client(self, live: connection.Client) -> connection.Client:
        return connection.Client(
            peername=live.peername,
            sockname=live.sockname,
            timestamp_start=live.timestamp_start,
            proxy_mode=self._mode,
            tls=live.tls,
            sni=live.sni,
            timestamp_tls_setup=live.timestamp_tls_setup,
        )


def _server(live: connection.Server) -> connection.Server:
    """Without its certificates: kilobytes that are the same in every flow."""
    return connection.Server(
        address=live.address,
        peername=live.peername,
        sockname=live.sockname,
        timestamp_start=live.timestamp_start,
        tls=live.tls,
        sni=live.sni,
        timestamp_tls_setup=live.timestamp_tls_setup,
    )


def _content(stored: StoredMessage) -> bytes:
    if stored.content is not None:
        return stored.content
    return _NOT_STORED % (stored.length, stored.digest.encode()) if stored.length else b""


def _fitting(stored: StoredMessage) -> list[tuple[bytes, bytes]]:
    """The headers, telling the length and encoding of what is stored rather than of what travelled."""
    length = str(len(_content(stored))).encode()
    headers = []
    for name, value in stored.headers:
        match name.lower():
            case b"content-length":
                headers.append((name, length))
            case b"transfer-encoding":
                headers.append((b"Content-Length", length))
            case b"content-encoding" if stored.content is None:
                continue
            case _:
                headers.append((name, value))
    return headers
