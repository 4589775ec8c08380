"""The TLS side of the proxy's own listener, for agents that reach it over a network."""

from __future__ import annotations

from pathlib import Path

from mitmproxy import tls
from mitmproxy.proxy.layers import modes
from OpenSSL import SSL

from addons.core.config_sections import Listen

_OUTER_LAYERS = 2  # the proxy mode's own layer and this handshake's


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

    def tls_start_client(self, data: tls.TlsData) -> None:
        layers = data.context.layers
        if (
            self._context is None
            or len(layers) != _OUTER_LAYERS
            or not isinstance(layers[0], modes.HttpProxy)
        ):
            return
        data.ssl_conn = SSL.Connection(self._context)
        data.ssl_conn.set_accept_state()
