"""A stand-in for Datadog on loopback: a CA and keys of its own, everything it got on record.

`python -m addons.sandbox.datadog --dir DIR [--port 0] [--admin-port 0]`. `DIR/datadog.json` says pid, ports
and the CA's file for as long as it runs; `DIR/keys.json` holds the keys that it knows. The CA's common name,
`ddgate sandbox CA`, is the marker of a sandbox upstream. It never reads a real key: every `DD_*` variable is
dropped before anything else.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from addons.sandbox import datadog_keys, datadog_tls
from addons.sandbox.datadog_admin import AdminApi
from addons.sandbox.datadog_api import DatadogApi
from addons.sandbox.datadog_journal import Journal
from addons.sandbox.datadog_state import State
from addons.sandbox.lifecycle import (
    StopSignal,
    drop_datadog_environment,
    listen,
    owned_directory,
    parse_arguments,
    ready_file,
    run_program,
)
from addons.sandbox.server import Server

READY_FILE = "datadog.json"


async def _serve(
    directory: Path, listener: socket.socket, admin_listener: socket.socket, parent: int | None
) -> None:
    stop = StopSignal(parent)
    keys = datadog_keys.load_or_make(directory)
    state, journal = State(), Journal()
    tls = datadog_tls.server_context(directory)
    server = Server(listener, DatadogApi(keys, state, journal).answer, tls)
    admin = Server(admin_listener, AdminApi(state, journal, server.counters).answer)
    try:
        content = {
            "pid": os.getpid(),
            "port": listener.getsockname()[1],
            "admin_port": admin_listener.getsockname()[1],
            "ca": str((directory / datadog_tls.CA_FILE).resolve()),
        }
        with ready_file(directory / READY_FILE, content):
            await stop.wait()
    finally:
        await server.close()
        await admin.close()


def main(argv: Sequence[str] | None = None) -> None:
    """Run until SIGTERM, SIGINT or, with `--exit-with-parent`, the end of the starting process."""
    drop_datadog_environment()
    parent = os.getppid()
    options = parse_arguments(argv, "datadog", "A stand-in for Datadog on loopback.", ["port", "admin-port"])

    def program() -> None:
        with owned_directory(options.dir, "datadog"):
            (options.dir / READY_FILE).unlink(
                missing_ok=True
            )  # one left by a kill -9 would name a dead process
            with (
                listen(options.dir, "datadog", "port", options.port) as listener,
                listen(options.dir, "datadog", "admin-port", options.admin_port) as admin_listener,
            ):
                watched = parent if options.exit_with_parent else None
                asyncio.run(_serve(options.dir, listener, admin_listener, watched))

    run_program(program)


if __name__ == "__main__":
    main()
