"""The gateway's end of a worker process: questions go over a socket pair, answers come back, one at a time.

A question is two lengths, a message, and a body as it is. An answer is a length and bytes, which say no more
than what the asker is ready to read: a worker reads hostile documents with C++ code. `worker_channel` is the
other end.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

QUESTION_LENGTHS = struct.Struct("!QQ")
ANSWER_LENGTH = struct.Struct("!Q")

_ROOT = Path(__file__).resolve().parents[2]


class WorkerProcess:
    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self._process = process
        self._connection = connection
        self._is_asked = self._is_over = False

    @classmethod
    def start(cls, module: str) -> WorkerProcess:
        """Start `module`, which ends with the thread that calls this, at the latest. Raises OSError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-s", "-m", module, str(os.getpid())],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # a traceback of a parser may quote what it parsed
                    cwd=_ROOT,
                    env={"PYTHONPATH": str(_ROOT)},  # the gateway's own may hold keys
                )
        except OSError:
            ours.close()
            raise
        return cls(process, ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    async def ask(self, message: bytes, body: bytes, *, longest: int) -> bytes:
        """Give the answer, of at most `longest` bytes.

        Raises OSError or EOFError where the process is gone, ValueError where it makes no sense.
        """
        loop, connection = asyncio.get_running_loop(), self._connection
        self._is_asked = True
        try:
            await loop.sock_sendall(connection, QUESTION_LENGTHS.pack(len(message), len(body)) + message)
            await loop.sock_sendall(connection, body)
            (length,) = ANSWER_LENGTH.unpack(await self._read(ANSWER_LENGTH.size))
            if length > longest:
                raise ValueError("an answer of that length is none")
            return await self._read(length)
        finally:
            self._is_asked = False
            if self._is_over:
                connection.close()

    def end(self) -> None:
        self._is_over = True
        self._process.kill()
        if not self._is_asked:  # whoever waits on the socket closes it, once the loop has let go of it
            self._connection.close()
        # What it held takes the system a while to take back, which is none of the loop's time.
        threading.Thread(target=self._process.wait, daemon=True).start()

    async def _read(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = await asyncio.get_running_loop().sock_recv_into(self._connection, view)
            if not count:
                raise EOFError
            view = view[count:]
        return bytes(data)
