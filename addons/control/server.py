"""One control process: put together, served on its own port, and ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import uvicorn

from addons.control.app import make_app
from addons.control.assembly import Control, assemble
from addons.control.messages import Sender
from addons.core.start_problems import GatewayProblem
from addons.store.config_file import LoadedConfig
from addons.store.kept_alive import kept_alive
from addons.store.log_format import Formatter, LogFormat

_log = logging.getLogger(__name__)

_DRAIN = 3  # seconds that open answers may take at the end


def serve(loaded: LoadedConfig, state_path: Path, environment: Mapping[str, str]) -> None:
    """Until it is told to stop.

    Raises:
        StartProblem: with a text for the operator.

    """
    _log_to_stderr(loaded)
    place = loaded.config.control
    with contextlib.closing(_bound(place.host, place.port)) as listener:
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
    server = _Server(config, parts.feed.close)
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


class _Server(uvicorn.Server):
    """Ends the streams of events when it is told to stop; they would never end by themselves. Then it ends in
    order, where uvicorn's own handlers would raise the signal again, and leave nothing the time to close.
    """

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.force_exit = self.should_exit  # told twice: at once
        self.should_exit = True
        self._on_stop()


def _bound(host: str, port: int) -> socket.socket:
    """Taken at once, so that the port is known before anything else begins. Raises GatewayProblem."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise GatewayProblem(
            f"control can't listen on {host}:{port} ({error.strerror}); free the port, or choose another: "
            "`control: {port: …}`"
        ) from None
    return listener


def _log_to_stderr(loaded: LoadedConfig) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(LogFormat(loaded.config.log.format)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(loaded.config.log.level.upper())
    # Their lines carry URLs, and with them codes and tokens.
    for name in ("asyncio", "httpx", "httpcore", "uvicorn", "watchfiles"):
        logging.getLogger(name).setLevel(logging.ERROR)
