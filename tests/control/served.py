"""A desk whose application is really served, for clients that speak to a socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from tests.control.desk import Desk
from tests.control.people_issuer import PeopleIssuer


@dataclass
class Served:
    desk: Desk
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return self.desk.control.parts.public.origin

    def do[T](self, what: Coroutine[object, object, T]) -> T:
        """In the loop that serves."""
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(30)


@contextlib.contextmanager
def served(directory: Path, issuer: PeopleIssuer) -> Iterator[Served]:
    """Listens on a port of its own, until the end of the context."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        desk = Desk.open(directory, issuer, listener.getsockname()[1])
        server = uvicorn.Server(uvicorn.Config(desk.app, log_config=None, lifespan="off", ws="none"))
        loop = asyncio.new_event_loop()

        async def run() -> None:
            feed = asyncio.create_task(desk.control.parts.feed.run())
            await server.serve(sockets=[listener])
            feed.cancel()

        thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
        thread.start()
        try:
            yield Served(desk, loop)
        finally:
            desk.control.parts.feed.close()
            server.should_exit = True
            thread.join()
            loop.run_until_complete(desk.close())
            loop.close()
