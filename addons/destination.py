"""Binds a call to one Datadog host: CONNECT target, SNI, Host and request target must name the same one,
out of a closed registry.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from mitmproxy import connection, http

from addons import flowstate
from addons.answers import refuse
from addons.core import hosts
from addons.core.model import Reason, Refusal
from addons.core.request_target import METHOD_OVERRIDE_HEADERS
from addons.flowstate import Call, Stage

_HTTPS_PORT = 443
_VERSIONS = frozenset({"HTTP/1.0", "HTTP/1.1"})
# Methods are case-sensitive (RFC 9110 section 9.1), and mitmproxy shows every one in upper case: another
# spelling would be decided on as one method and sent as another.
_METHOD = re.compile(rb"[A-Z][A-Z-]*")
_MAX_FIELDS = 200
_MAX_PARAMETERS = 1000
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_UNKNOWN_HOST = Refusal(
    403,
    Reason.UNKNOWN_HOST,
    "the host is not one of Datadog's that this gateway serves",
    "send calls to other hosts directly; `ddgate run` does so by itself",
)
_MISMATCH = Refusal(
    403,
    Reason.DESTINATION_MISMATCH,
    "CONNECT target, TLS server name and Host header must name the same Datadog host",
    "mend the client's proxy or Host settings",
)
_NOT_TLS = Refusal(403, Reason.NOT_TLS, "Datadog is reached over https only", "use an https:// URL")
_UPGRADE = Refusal(403, Reason.UPGRADE_REFUSED, "protocol upgrades are not forwarded", "use plain HTTP/1.1")
_MALFORMED = Refusal(400, Reason.MALFORMED_REQUEST, "the request is not well-formed HTTP", "mend the client")
_TOO_MANY = Refusal(
    431,
    Reason.MALFORMED_REQUEST,
    "the request has too many headers or query parameters",
    f"send at most {_MAX_FIELDS} headers and {_MAX_PARAMETERS} parameters",
)

# RFC 9110 section 7.6.1: meant for one hop. Forwarded, they could name the credential's header. The Host that
# goes on is the canonical one, and a method is what the request line says.
_NOT_FORWARDED = frozenset(
    {
        b"connection",
        b"host",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"upgrade",
    }
) | {name.encode() for name in METHOD_OVERRIDE_HEADERS}
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class Destination:
    """`sites` are the Datadog sites that the configuration permits."""

    def __init__(self, sites: Collection[str]) -> None:
        self._sites = frozenset(sites)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is not None:
            return
        host = self._host(flow.request.host)
        if host is None or flow.request.port != _HTTPS_PORT:
            refuse(flow, call, _UNKNOWN_HOST)
            return
        if any(_authority(value) != host.name for value in flow.request.headers.get_all("host")):
            refuse(flow, call, _MISMATCH)
            return
        call.host = host
        flowstate.open_tunnel(flow.client_conn).host = host
        flow.request.host = host.name
        call.permits.add(Stage.DESTINATION)

    def client_disconnected(self, client: connection.Client) -> None:
        flowstate.close_tunnel(client)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is not None:
            return
        refusal = self._check(flow, call)
        if refusal is not None:
            refuse(flow, call, refusal)
            return
        _make_end_to_end(flow.request, call)
        call.permits.add(Stage.DESTINATION)

    def _host(self, unverified_host: str) -> hosts.DatadogHost | None:
        name = hosts.normalise_host(unverified_host)
        host = hosts.lookup(name) if name else None
        return host if host is not None and host.site in self._sites else None

    def _check(self, flow: http.HTTPFlow, call: Call) -> Refusal | None:  # noqa: C901 - a list of checks
        request = flow.request
        if len(request.headers.fields) > _MAX_FIELDS or request.path.count("&") > _MAX_PARAMETERS:
            return _TOO_MANY
        if request.http_version not in _VERSIONS or _is_malformed(request):
            return _MALFORMED
        tunnel = flowstate.tunnel_of(flow.client_conn)
        host = self._host(request.host)
        if host is None:
            return _UNKNOWN_HOST
        call.host = host
        if request.scheme != "https":
            return _NOT_TLS
        named = [_authority(value) for value in request.headers.get_all("host")]
        if len(named) > 1 or (tunnel is not None and not named):
            return _MISMATCH
        if request.authority:
            named.append(_authority(request.authority))
        if tunnel is not None:
            if not flow.client_conn.tls_established or tunnel.host is None:
                return _NOT_TLS
            named.append(hosts.normalise_host(flow.client_conn.sni or ""))
            named.append(tunnel.host.name)
        if request.port != _HTTPS_PORT or any(name != host.name for name in named):
            return _MISMATCH
        if request.headers.get_all("upgrade"):
            return _UPGRADE
        return None


def _is_malformed(request: http.Request) -> bool:
    """No method in capitals, control characters in a value (RFC 9110 section 5.5), or a transfer coding that
    nobody here undoes.
    """
    return (
        _METHOD.fullmatch(request.data.method) is None
        or any(_CONTROL.search(value) for _, value in request.headers.fields)
        or any(coding.lower() != "chunked" for coding in request.headers.get_all("transfer-encoding"))
    )


def _authority(unverified_authority: str) -> str | None:
    """The host of `host` or `host:443`, in normal form."""
    name, colon, port = unverified_authority.rpartition(":")
    if not colon:
        name = unverified_authority
    elif port != str(_HTTPS_PORT):
        return None
    return hosts.normalise_host(name)


def _make_end_to_end(request: http.Request, call: Call) -> None:
    """What goes on: the canonical Host, origin form, and no field that speaks to the next hop."""
    assert call.host is not None  # noqa: S101 - set by _check
    fields = request.headers.fields
    listed = {
        token.strip().lower()
        for name, value in fields
        if name.lower() == b"connection"
        for token in value.split(b",")
    }
    dropped = _NOT_FORWARDED | (listed - _FRAMING)
    kept = [field for field in fields if field[0].lower().replace(b"_", b"-") not in dropped]
    if b"close" in listed:
        kept.append((b"Connection", b"close"))
    # Assigned as they are: a new Headers object would check each field once more.
    request.headers.fields = ((b"Host", call.host.name.encode()), *kept)
    if request.host != call.host.name:
        request.host = call.host.name
    request.authority = ""
