"""The TLS side of the proxy's own listener, for agents that reach it over a network."""

from __future__ import annotations

from pathlib import Path

from mitmproxy import http, tls
from mitmproxy.proxy.layers.http import HttpStream
from OpenSSL import SSL

from addons import flowstate
from addons.answers import refuse
from addons.core.config_sections import Listen
from addons.core.model import Reason, Refusal

_CLEARTEXT = Refusal(
    403, Reason.NOT_TLS, "this gateway is reached over TLS only", "use an https:// URL for the proxy"
)


class Listener:
    """Shows the configured certificate to a client that speaks TLS to the proxy itself. Inside a tunnel
    mitmproxy goes on making Datadog's leaves.
    """

    def __init__(self, listen: Listen, base_dir: Path = Path()) -> None:
        self._context: SSL.Context | None = None
        if listen.tls is not None:
            context = SSL.Context(SSL.TLS_SERVER_METHOD)
            context.set_min_proto_version(SSL.TLS1_2_VERSION)
            context.use_certificate_chain_file(str(base_dir / listen.tls.certificate))
            context.use_privatekey_file(str(base_dir / listen.tls.key))
            context.check_privatekey()
            self._context = context

    def http_connect(self, flow: http.HTTPFlow) -> None:
        self._refuse_cleartext(flow)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._refuse_cleartext(flow)

    def _refuse_cleartext(self, flow: http.HTTPFlow) -> None:
        """A token that came in the clear is not accepted: otherwise nobody would notice."""
        if self._context is not None and not flow.client_conn.tls_established:
            refuse(flow, flowstate.call_of(flow), _CLEARTEXT)

    def tls_start_client(self, data: tls.TlsData) -> None:
        # A handshake inside a tunnel has the CONNECT's stream around it.
        if self._context is None or any(isinstance(one, HttpStream) for one in data.context.layers):
            return
        data.ssl_conn = SSL.Connection(self._context)
        data.ssl_conn.set_accept_state()
