"""A development OIDC issuer on loopback, so that the first start needs no identity provider.

`python -m addons.sandbox.issuer --dir DIR [--port 0]`. Its URL is `http://127.0.0.1:PORT/ddgate-sandbox`;
that path is the marker of a sandbox issuer. All endpoints are below it:

- `GET .well-known/openid-configuration`, `GET jwks` (OpenID Connect Discovery 1.0, RFC 7517);
- `POST token`, grant `client_credentials` (RFC 6749, section 4.4) for the clients in `DIR/clients.json`, form
  parameters `audience` (default `ddgate`), `ttl` (seconds), `on_behalf_of` (gives an RFC 8693 `act` token);
- `GET` and `POST authorize`, then `POST token`, grant `authorization_code` (OpenID Connect Core 1.0, section
  3.1, with PKCE) for the people in `DIR/clients.json` and the public client `ddgate-control`: an ID token and
  an access token for the audience that `resource` or `audience` names (default `ddgate-control`);
- for tests, with `Authorization: Bearer ADMIN_SECRET`: `POST mint`, `rotate` and `outage`, `GET stats`.

`DIR/issuer.json` says pid, issuer, port and admin secret for as long as it runs. Plain HTTP: loopback only.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path

from addons.sandbox import issuer_keys
from addons.sandbox.issuer_clients import Clients
from addons.sandbox.issuer_tokens import ISSUER_PATH, IssuerApi
from addons.sandbox.lifecycle import (
    LOOPBACK,
    StopSignal,
    drop_datadog_environment,
    listen,
    owned_directory,
    parse_arguments,
    ready_file,
    run_program,
)
from addons.sandbox.server import Json, Server

READY_FILE = "issuer.json"


async def _serve(directory: Path, listener: socket.socket, parent: int | None) -> None:
    stop = StopSignal(parent)
    port = int(listener.getsockname()[1])
    url = f"http://{LOOPBACK}:{port}{ISSUER_PATH}"
    admin_secret = secrets.token_urlsafe(32)
    keys = await asyncio.to_thread(issuer_keys.load_or_make, directory)
    clients = Clients(directory)
    clients.make_if_absent()
    server = Server(listener, IssuerApi(url, directory, keys, clients, admin_secret).answer)
    try:
        content: dict[str, Json] = {
            "pid": os.getpid(),
            "issuer": url,
            "port": port,
            "admin_secret": admin_secret,
        }
        with ready_file(directory / READY_FILE, content):
            await stop.wait()
    finally:
        await server.close()


def main(argv: Sequence[str] | None = None) -> None:
    """Run until SIGTERM, SIGINT or, with `--exit-with-parent`, the end of the starting process."""
    drop_datadog_environment()
    parent = os.getppid()
    options = parse_arguments(argv, "issuer", "A development OIDC issuer on loopback.", ["port"])

    def program() -> None:
        with owned_directory(options.dir, "issuer"):
            (options.dir / READY_FILE).unlink(
                missing_ok=True
            )  # one left by a kill -9 would name a dead process
            with listen(options.dir, "issuer", "port", options.port) as listener:
                asyncio.run(_serve(options.dir, listener, parent if options.exit_with_parent else None))

    run_program(program)


if __name__ == "__main__":
    main()
