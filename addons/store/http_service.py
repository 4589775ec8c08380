"""What the processes with an HTTP port of their own share: taking the port, ending in order, logging."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn

from addons.core.start_problems import GatewayProblem
from addons.store.log_format import Formatter, LogFormat

# Their lines carry URLs, and with them codes and tokens.
_TALKATIVE = ("asyncio", "httpx", "httpcore", "uvicorn", "watchfiles")


class OrderlyServer(uvicorn.Server):
    """Ends in order, where uvicorn's own handlers would raise the signal again, and leave nothing the time to
    close. `on_stop` is called first: it ends what would never end by itself.
    """

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None] = lambda: None) -> None:
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


def take_port(who: str, host: str, port: int, remedy: str) -> socket.socket:
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
            f"{who} can't listen on {host}:{port} ({error.strerror}); free the port, or choose another: "
            f"{remedy}"
        ) from None
    return listener


def log_to_stderr(log_format: LogFormat, level: str = "INFO") -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(log_format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
