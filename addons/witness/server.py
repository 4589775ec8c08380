"""One witness process: served on its own port, and ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from addons.core.transparency.signed_note import VerifierKey
from addons.store.log_format import Formatter, LogFormat
from addons.store.state_dir import StateDirUnusable
from addons.witness.app import make_app
from addons.witness.identity import open_identity
from addons.witness.judging import Witness

HEAD_SECONDS = 10.0
_DRAIN = 3  # seconds that open answers may take at the end
_log = logging.getLogger(__name__)


def serve(  # noqa: PLR0913 - what the command is given
    directory: Path,
    logs: Sequence[VerifierKey],
    host: str,
    port: int,
    *,
    name: str | None = None,
    log_format: LogFormat = LogFormat.TEXT,
) -> None:
    """Until it is told to stop. Raises `StateDirUnusable`, with a text for the operator."""
    _log_to_stderr(log_format)
    with contextlib.closing(_bound(host, port)) as listener:
        identity = open_identity(directory, name)
        with contextlib.closing(identity.memory):
            witness = Witness(identity.key, identity.memory, logs, time.time)
            place = f"[{host}]" if ":" in host else host
            _log.info(
                "The witness %s listens on http://%s:%d and watches %s.",
                witness.verifier.encode(),
                place,
                listener.getsockname()[1],
                ", ".join(sorted({log.name for log in logs})),
            )
            asyncio.run(_Server(_config(witness)).serve(sockets=[listener]))


def _config(witness: Witness) -> uvicorn.Config:
    return uvicorn.Config(
        make_app(witness),
        http=HurriedProtocol,
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here depends on what a proxy says of the client
        lifespan="off",
        ws="none",
        h11_max_incomplete_event_size=16 * 1024,
        limit_concurrency=256,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_DRAIN,
    )


class HurriedProtocol(H11Protocol):
    """Ends a connection on which no request begins, or whose head doesn't come to an end: uvicorn waits for
    ever, and a few hundred such connections would shut everybody out.
    """

    head_seconds = HEAD_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._seen: Any = None
        self._watch = self.loop.call_later(self.head_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        cycle = self.cycle
        waits = cycle is None or cycle.response_complete
        if waits and cycle is self._seen and self.timeout_keep_alive_task is None:
            self.transport.close()
            return
        self._seen = cycle
        self._watch = self.loop.call_later(self.head_seconds, self._look)


class _Server(uvicorn.Server):
    """Ends in order, where uvicorn's own handlers would raise the signal again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.force_exit = self.should_exit  # told twice: at once
        self.should_exit = True


def _bound(host: str, port: int) -> socket.socket:
    """Raises `StateDirUnusable`."""
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
        raise StateDirUnusable(
            f"The witness can't listen on {host}:{port} ({error.strerror}).",
            "Free the port, or choose another with --listen.",
        ) from None
    return listener


def _log_to_stderr(log_format: LogFormat) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(log_format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("asyncio", "uvicorn"):
        logging.getLogger(name).setLevel(logging.ERROR)
