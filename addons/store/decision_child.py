"""The decision worker's own process: reads JSON bodies and decides on them, away from the event loop.

It is started by `DecisionWorker` with one end of a socket pair as its standard input, no environment and no
other descriptor, and ends when that is closed, or with its parent.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from addons.core.json_document import UnreadableDocument, parse_document
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Evidence, Seen, Unreadable
from addons.store.decision_frames import (
    ANSWER_LENGTH,
    QUESTION_LENGTHS,
    Answer,
    Failed,
    Hello,
    Question,
    Ready,
    dump,
)

_PR_SET_PDEATHSIG = 1
_COLLECT_AFTER = 200_000  # objects; a document has no cycles, and walking it while it grows doubles the time


def evidence_of(body: bytes, content_type: str | None) -> Evidence:
    try:
        return Seen(parse_document(body, content_type))
    except UnreadableDocument as error:
        return Unreadable(error.why)
    except MemoryError:
        return Unreadable("it takes too much memory to read")


class _Channel:
    """The worker's end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def receive(self) -> tuple[bytes, bytes]:
        """A pickled message and the body that came with it. Raises EOFError."""
        head, body = QUESTION_LENGTHS.unpack(self._read(QUESTION_LENGTHS.size))
        return self._read(head), self._read(body)

    def send(self, answer: Answer) -> None:
        data = dump(answer)
        self._connection.sendall(ANSWER_LENGTH.pack(len(data)) + data)

    def _read(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = self._connection.recv_into(view)
            if not count:
                raise EOFError
            view = view[count:]
        return bytes(data)


def serve(connection: socket.socket) -> None:
    """Answer until the other side is gone."""
    channel = _Channel(connection)
    hello = pickle.loads(channel.receive()[0])  # noqa: S301 - from the gateway that started this process
    if not isinstance(hello, Hello):
        raise TypeError("the first message is not a Hello")
    policy_set = PolicySet.from_files(hello.files, hello.catalogue)
    _bound_memory(hello.memory)
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    channel.send(Ready(policy_set.digest))
    while True:
        head, body = channel.receive()
        # The default action of SIGALRM ends the process, also in the middle of C++ code.
        signal.setitimer(signal.ITIMER_REAL, hello.seconds)
        try:
            answer = _judge(policy_set, pickle.loads(head), body)  # noqa: S301 - as above
        except Exception as error:
            with suppress(OSError):
                channel.send(Failed(f"{type(error).__name__} while it decided"))
            raise
        del body
        signal.setitimer(signal.ITIMER_REAL, 0)
        channel.send(answer)


def _judge(policy_set: PolicySet, question: Question, body: bytes) -> Answer:
    request = replace(question.request, body=evidence_of(body, question.content_type))
    return policy_set.wants(request) or policy_set.decide(request)


def _bound_memory(extra: int) -> None:
    """Let the address space grow by `extra` bytes from here; what is over it fails in this process alone."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return  # not Linux: the size of a body is all that bounds it
    held = int(statm.read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = held + extra if hard == resource.RLIM_INFINITY else min(held + extra, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _die_with(parent: int) -> None:
    """Ask Linux to end this process when its parent ends (prctl(2)); a closed socket does so elsewhere."""
    prctl: Callable[..., int] | None = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def main() -> None:
    _die_with(int(sys.argv[1]))
    # The gateway still judges calls while it drains, and closes the socket when it is done.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a body is never written to disk
    with suppress(EOFError, ConnectionError), socket.socket(fileno=0) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
