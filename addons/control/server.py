"""One control process: put together, served on its own port, and ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import uvicorn

from addons.control.app import make_app
from addons.control.assembly import Control, assemble
from addons.control.messages.sending import Sender
from addons.store.config_file import LoadedConfig
from addons.store.http_service import OrderlyServer, log_to_stderr, take_port
from addons.store.log_format import LogFormat
from addons.store.writing.kept_alive import kept_alive

_DRAIN = 3  # seconds that open answers may take at the end


def serve(loaded: LoadedConfig, state_path: Path, environment: Mapping[str, str]) -> None:
    """Until it is told to stop.

    Raises:
        StartProblem: with a text for the operator.

    """
    log = loaded.config.log
    log_to_stderr(LogFormat(log.format), log.level.upper())
    place = loaded.config.control
    with contextlib.closing(take_port("control", place.host, place.port, "`control: {port: …}`")) as listener:
        port = listener.getsockname()[1]
        with contextlib.closing(assemble(loaded, state_path, environment, port)) as control:
            asyncio.run(_serve(control, listener))


async def _serve(control: Control, listener: socket.socket) -> None:
    parts = control.parts
    config = uvicorn.Config(
        make_app(parts),
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,  # nothing here depends on what a proxy says of the client
        lifespan="off",
        ws="none",
        h11_max_incomplete_event_size=32 * 1024,
        limit_concurrency=1024,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_DRAIN,
    )
    server = OrderlyServer(config, parts.feed.close)
    tasks: dict[str, Callable[[], Awaitable[None]]] = {
        "keys": control.key_sets.run,
        "changes": parts.feed.run,
        "time limits": control.keeper.run,
        "the audit log": control.log_keeper.run,
        "witnesses": parts.witnessing.run,
        "verifying the audit log": parts.verifying.run,
        "messages": lambda: Sender.of(parts).run(),
    }
    running = [asyncio.create_task(kept_alive(name, run), name=name) for name, run in tasks.items()]
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
