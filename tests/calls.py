"""Flows at a chosen point of their way, for tests of single hooks."""

from __future__ import annotations

from mitmproxy import certs, connection, http
from mitmproxy.test import tflow

from addons import flowstate
from addons.core import hosts
from addons.core.model import Principal
from addons.flowstate import Call
from tests.ca_files import make_pair

API = "api.datadoghq.com"
PRINCIPAL = Principal("https://issuer.example", "agent", frozenset({"agents"}), expires=2e9)


def make_flow(
    method: str = "GET", path: str = "/api/v1/monitor", *, content: bytes = b"", answered: bool = False
) -> tuple[http.HTTPFlow, Call]:
    """One call of an identified agent to `api.datadoghq.com`, not decided on yet."""
    flow = tflow.tflow(resp=answered)
    flow.client_conn = tflow.tclient_conn()
    flow.server_conn = tflow.tserver_conn()
    headers = http.Headers([(b"Host", API.encode()), (b"X-A", b"b")])
    flow.request = http.Request.make(method, f"https://{API}{path}", content, headers)
    call = flowstate.call_of(flow)
    call.principal = PRINCIPAL
    call.host = hosts.lookup(API)
    return flow, call


def secured(server: connection.Server, name: str = API) -> None:
    """As after a TLS handshake with a verified host."""
    server.timestamp_tls_setup = 1.0
    server.tls = True
    server.sni = name
    server.address = (name, 443)
    server.certificate_list = [certs.Cert.from_pem(make_pair(name=name)[1])]
