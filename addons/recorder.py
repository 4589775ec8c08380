"""Makes the bytes of one redacted flow, as stock mitmproxy reads them.

Nothing of the live flow goes in but what was masked, and what names the two ends. The bytes are put together
from its parts, in the form that mitmproxy's own FlowWriter gives a flow: a flow object to fill and take apart
again would cost several times as much, and the two ends of a kept connection are the same for all its calls.
"""

from __future__ import annotations

import secrets
import time
from weakref import WeakKeyDictionary

from mitmproxy import connection, http, version
from mitmproxy.proxy import mode_specs

from addons import flowstate, netstring
from addons.flowstate import MAX_METHOD, Stage, StoredMessage

_NOT_STORED = b"[ddgate: %d bytes, %s; not stored]"


class Recorder:
    """`gateway_url` is where `mitmdump -C` sends a recorded call again: the gateway's own listener."""

    def __init__(self, gateway_url: str) -> None:
        self._mode = mode_specs.ProxyMode.parse(f"upstream:{gateway_url}")
        self._ends: WeakKeyDictionary[connection.Connection, netstring.Dumped] = WeakKeyDictionary()

    def error(self, flow: http.HTTPFlow) -> None:
        """Of an answer that broke off what had passed is recorded."""
        if flowstate.call_of(flow).stream is not None:
            self.response(flow)

    def response(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.stored_request is None or call.stored_answer is None:
            return
        is_upstream = call.answer is not None and (call.refusal is None or call.stream is not None)
        response = call.answer if is_upstream else flow.response
        if response is None:
            return
        described = flowstate.describe(call, flow.request.method)
        call.recorded_flow = netstring.dumps(
            {
                "version": version.FLOW_FORMAT_VERSION,
                "type": "http",
                "id": _flow_id(),
                "error": None,
                "client_conn": self._client(flow.client_conn),
                "server_conn": self._server(flow.server_conn),
                "request": _request(flow.request, call.stored_request),
                "response": _response(response, call.stored_answer),
                "intercepted": False,
                "is_replay": None,
                "marked": described.marker,
                "metadata": dict(described.metadata),
                "comment": described.comment,
                "timestamp_created": flow.timestamp_created,
                "backup": None,
                "websocket": None,
            }
        )
        if is_upstream:
            call.clearances.add(Stage.RECORDER)

    def _client(self, live: connection.Client) -> netstring.Dumped:
        known = self._ends.get(live)
        if known is None:
            end = connection.Client(
                peername=live.peername,
                sockname=live.sockname,
                timestamp_start=live.timestamp_start,
                proxy_mode=self._mode,
                tls=live.tls,
                sni=live.sni,
                timestamp_tls_setup=live.timestamp_tls_setup,
            )
            known = self._ends[live] = netstring.Dumped(netstring.dumps(end.get_state()))
        return known

    def _server(self, live: connection.Server) -> netstring.Dumped:
        """Without its certificates: kilobytes that are the same in every flow."""
        known = self._ends.get(live)
        if known is None:
            end = connection.Server(
                address=live.address,
                peername=live.peername,
                sockname=live.sockname,
                timestamp_start=live.timestamp_start,
                tls=live.tls,
                sni=live.sni,
                timestamp_tls_setup=live.timestamp_tls_setup,
            )
            known = netstring.Dumped(netstring.dumps(end.get_state()))
            if live.tls_established:  # before, there is more to come
                self._ends[live] = known
        return known


def _flow_id() -> str:
    """A random id in the form that mitmweb's URLs know."""
    digits = secrets.token_hex(16)
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _request(live: http.Request, stored: StoredMessage) -> dict[str, netstring.Value]:
    return {
        "http_version": live.data.http_version,
        "headers": _fitting(stored),
        "content": _content(stored),
        "trailers": None,
        "timestamp_start": live.timestamp_start,
        "timestamp_end": live.timestamp_end or time.time(),
        "host": live.host if stored.host is None else stored.host,
        "port": live.port,
        "method": live.data.method[:MAX_METHOD],
        "scheme": live.data.scheme,
        "authority": b"",
        "path": stored.target.encode("utf-8", "surrogateescape"),
    }


def _response(live: http.Response, stored: StoredMessage) -> dict[str, netstring.Value]:
    return {
        "http_version": live.data.http_version,
        "headers": _fitting(stored),
        "content": _content(stored),
        "trailers": None,
        "timestamp_start": live.timestamp_start,
        "timestamp_end": live.timestamp_end or time.time(),
        "status_code": live.status_code,
        "reason": live.data.reason,
    }


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
