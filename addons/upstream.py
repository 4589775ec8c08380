"""The way out: where a Datadog name is dialled, and whose certificate it must show.

Names are resolved in one place, the event loop's `getaddrinfo`: what was checked is what is dialled, and
the connection keeps the name it was asked for, so that mitmproxy goes on reusing it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

from mitmproxy import ctx, tls
from mitmproxy.addons import tlsconfig
from mitmproxy.net import tls as net_tls
from mitmproxy.proxy import server_hooks
from OpenSSL import SSL

from addons import flowstate
from addons.core import hosts
from addons.store.dialling import HTTPS, Dialling, Route


class Upstream:
    """Dials Datadog's hosts and nothing else."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._dialling = Dialling(routes)
        self._original: Any = None

    def running(self) -> None:
        loop = asyncio.get_running_loop()
        if self._original is None:
            self._original = loop.getaddrinfo
            loop.getaddrinfo = self._getaddrinfo  # type: ignore[method-assign]

    def done(self) -> None:
        if self._original is not None:
            asyncio.get_running_loop().getaddrinfo = self._original  # type: ignore[method-assign]
            self._original = None

    async def _getaddrinfo(self, host: Any, port: Any, **options: int) -> list[Any]:
        """`loop.getaddrinfo` for Datadog's hosts, and as it was for all else.

        Raises:
            OSError: see `Dialling.addresses_of`.

        """
        text = host.decode("latin-1") if isinstance(host, bytes) else host  # anyio gives names in bytes
        name = hosts.normalise_host(text) if isinstance(text, str) else None
        if name is None or hosts.lookup(name) is None:
            return list(await self._original(host, port, **options))
        return await self._dialling.addresses_of(name, port, self._original, **options)

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Refuses what is no Datadog host on its HTTPS port, whoever asked for it.

        And everything while names are not resolved here: mitmproxy listens a moment before it says `running`.
        """
        address = data.server.address
        name = hosts.normalise_host(address[0]) if address else None
        if self._original is None:
            data.server.error = "ddgate is not running yet"
            return
        if address is None or name is None or hosts.lookup(name) is None or address[1] != HTTPS:
            data.server.error = "ddgate dials Datadog's hosts only"
            return
        data.server.sni = name
        flowstate.permit_dial(data.server)

    def tls_start_server(self, data: tls.TlsData) -> None:
        """For a host with a CA of its own; mitmproxy does the rest."""
        address = data.conn.address if hasattr(data.conn, "address") else None
        name = hosts.normalise_host(address[0]) if address else None
        route = self._dialling.route(name) if name else None
        if name is None or route is None or route.ca is None:
            return
        context = net_tls.create_proxy_server_context(
            method=net_tls.Method.TLS_CLIENT_METHOD,
            min_version=net_tls.Version[ctx.options.tls_version_server_min],
            max_version=net_tls.Version[ctx.options.tls_version_server_max],
            cipher_list=None,
            ecdh_curve=None,
            verify=net_tls.Verify.VERIFY_PEER,
            ca_path=None,
            ca_pemfile=route.ca,
            client_cert=None,
            legacy_server_connect=False,
        )
        connection = SSL.Connection(context)
        connection.set_tlsext_host_name(name.encode())
        connection.set_verify(SSL.VERIFY_PEER)
        _require_name(connection, name)
        connection.set_alpn_protos([b"http/1.1"])
        connection.set_connect_state()
        data.ssl_conn = connection


def _require_name(connection: SSL.Connection, name: str) -> None:
    """Host name verification (RFC 9525), which pyOpenSSL leaves to the binding."""
    binding: Any = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public way
    parameters = binding.SSL_get0_param(connection._ssl)  # noqa: SLF001 - as above
    binding.X509_VERIFY_PARAM_set_hostflags(parameters, tlsconfig.DEFAULT_HOSTFLAGS)
    encoded = name.encode()
    if binding.X509_VERIFY_PARAM_set1_host(parameters, encoded, len(encoded)) != 1:
        raise ValueError("the host name can't be verified")


def listening_problem(host: str, port: int) -> str | None:
    """Why nothing can listen there, or None. Asked before mitmproxy binds, because its own message names
    neither the setting nor the way out.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return f"{error.strerror}"
    return None
