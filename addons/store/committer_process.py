"""A committer in a process of its own, so that what it costs is none of the event loop's time: Python lets
one thread of a process run at a time. `committer_child` is the other end.
"""

from __future__ import annotations

import logging
import pickle
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from addons.core.start_problems import StartProblem
from addons.store.audit_record import RecordRefused
from addons.store.committer import Entry, JournalUnavailable, Opened, Outcome, Place
from addons.store.committer_frames import Answer, Hello, pickled, receive, send

_log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
_MODULE = "addons.store.committer_child"
_ENDING = 10.0  # seconds that the process has to complete its segment


class CommitterProcess:
    """Not for use by two threads at once. The process outlives this one for as long as it takes to complete
    what it was told: a journal that dies leaves no torn segment.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._file: tuple[int, int] | None = None
        self._running: tuple[subprocess.Popen[bytes], socket.socket] | None = None

    def open(self) -> Opened:
        """Start the process, and let it open the log. Raises `JournalUnavailable`."""
        try:
            self._running = _start()
            answer = self._ask(pickled(Hello(self._place, self._file)))
        except (OSError, EOFError) as error:
            self._end()
            what = error.strerror if isinstance(error, OSError) else "it ended"
            raise JournalUnavailable(
                f"The process that writes the audit log could not be started ({what}).",
                "See that this machine has memory and processes left.",
            ) from None
        if not isinstance(answer, Opened):
            self._end()
            raise answer if isinstance(answer, StartProblem) else _ended()
        self._file = answer.file
        return answer

    def commit(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        """Give one outcome per entry. Where the process is gone, nothing is acknowledged, and the next commit
        begins another.
        """
        message, refused = _message(entries)
        try:
            if self._running is not None and self._running[0].poll() is not None:
                self._end()  # while it was idle: nobody's call needs to fail for that
            if self._running is None:
                self.open()
            outcomes = self._ask(message)
        except JournalUnavailable as unavailable:
            return [unavailable] * len(entries)
        except (OSError, EOFError):
            self._end()
            return [_ended()] * len(entries)
        if not isinstance(outcomes, list):
            self._end()
            return [_ended()] * len(entries)
        for index, refusal in refused:
            outcomes.insert(index, refusal)
        return outcomes

    def seconds_to_rotation(self) -> None:
        """The process sees to that itself."""

    def rotate(self) -> None:
        """As `seconds_to_rotation`."""

    def reopen_later(self) -> None:
        self._end()

    def close(self) -> None:
        """Wait until the segment is complete and the log closed."""
        if self._running is None:
            return
        (process, connection), self._running = self._running, None
        connection.close()
        try:
            process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            _log.warning("The process that writes the audit log takes long to end; what it has is durable.")

    def _ask(self, message: bytes) -> object:
        assert self._running is not None  # noqa: S101 - the caller has seen to it
        _, connection = self._running
        send(connection, message)
        answer = receive(connection)
        if not isinstance(answer, Answer):
            raise EOFError  # noqa: TRY004 - as good as gone
        for line in answer.logged:
            logging.getLogger(line.logger).log(line.level, "%s", line.text)
        return answer.result

    def _end(self) -> None:
        if self._running is None:
            return
        (process, connection), self._running = self._running, None
        connection.close()
        process.kill()
        process.wait()


def _start() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-m", _MODULE],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # what it has to say comes with its answers
                cwd=_ROOT,
                env={"PYTHONPATH": str(_ROOT)},  # the gateway's own may hold keys
            )
    except OSError:
        ours.close()
        raise
    return process, ours


def _message(entries: Sequence[Entry]) -> tuple[bytes, list[tuple[int, RecordRefused]]]:
    """Those entries that can be sent; and of the others where they stood, and why not."""
    with suppress(Exception):
        return pickled(list(entries)), []
    good: list[Entry] = []
    refused: list[tuple[int, RecordRefused]] = []
    for index, entry in enumerate(entries):
        try:
            pickled(entry)
        except (TypeError, ValueError, AttributeError, RecursionError, pickle.PicklingError):
            refused.append(
                (index, RecordRefused("a record or a change holds what can't be sent to be written"))
            )
        else:
            good.append(entry)
    return pickled(good), refused


def _ended() -> JournalUnavailable:
    return JournalUnavailable(
        "The process that writes the audit log ended unexpectedly.",
        "It is begun anew with the next call; see the machine's log if that goes on.",
    )
