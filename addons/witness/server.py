"""One witness process: served on its own port, and ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from addons.core.transparency.signed_note import VerifierKey
from addons.store.http_service import OrderlyServer, log_to_stderr, take_port
from addons.store.log_format import LogFormat
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
    """Until it is told to stop. Raises StartProblem, with a text for the operator."""
    log_to_stderr(log_format)
    with contextlib.closing(take_port("the witness", host, port, "--listen")) as listener:
        identity = open_identity(directory, name)
        with contextlib.closing(identity.memory):
            witness = Witness(identity.key, identity.memory, logs, time.time)
            place = f"[{host}]" if ":" in host else host
            listener.listen()  # whoever reads the next line may connect at once
            _log.info(
                "The witness %s listens on http://%s:%d and watches %s.",
                witness.verifier.encode(),
                place,
                listener.getsockname()[1],
                ", ".join(sorted({log.name for log in logs})),
            )
            asyncio.run(OrderlyServer(_config(witness)).serve(sockets=[listener]))


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
