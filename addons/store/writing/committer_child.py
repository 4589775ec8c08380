"""The process that commits for one gateway: see `process_writer`.

It is started with one end of a socket pair as its standard input. When the other end closes it completes what
it has, and ends; it is never told to by a signal, since the gateway still writes while it drains.
"""

from __future__ import annotations

import gc
import logging
import resource
import select
import signal
import socket
from contextlib import suppress

from addons.store.audit.changes import ChangeRefused, RefusedBecause
from addons.store.log_format import kind_and_place
from addons.store.writing.committer import Committer, Entry, JournalUnavailable, Outcome
from addons.store.writing.committer_frames import Answer, Hello, Logged, framed, receive, send

_log = logging.getLogger(__name__)

_COLLECT_AFTER = 50_000  # objects
_MOST_LINES = 100  # that wait to be told


class _Lines(logging.Handler):
    """Keeps what is logged until it can be told; of an exception, its type and place alone."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._kept: list[Logged] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text += f" ({kind_and_place(record.exc_info[0], record.exc_info[2])})"
        if len(self._kept) < _MOST_LINES:
            self._kept.append(Logged(record.name, record.levelno, text))

    def take(self) -> tuple[Logged, ...]:
        taken, self._kept = tuple(self._kept), []
        return taken


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # what is written is never dumped otherwise
    lines = _Lines()
    logging.basicConfig(level=logging.INFO, handlers=[lines])
    with suppress(EOFError, OSError), socket.socket(fileno=0) as connection:
        _serve(connection, lines)


def _serve(connection: socket.socket, lines: _Lines) -> None:
    hello = receive(connection)
    if not isinstance(hello, Hello):
        raise TypeError("the first message is not a Hello")
    committer = Committer(hello.place)
    try:
        opened = committer.open(hello.file)
    except JournalUnavailable as unavailable:
        send(connection, Answer(unavailable, lines.take()))
        return
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    try:
        send(connection, Answer(opened, lines.take()))
        while True:
            while not select.select([connection], [], [], committer.seconds_to_rotation())[0]:
                committer.rotate()
            outcomes = _committed(committer, receive(connection))
            connection.sendall(_told(outcomes, lines.take()))
    finally:
        committer.close()


def _committed(committer: Committer, entries: object) -> list[Outcome]:
    if not isinstance(entries, list) or not all(isinstance(entry, Entry) for entry in entries):
        raise TypeError("a message is not a list of entries")
    try:
        return committer.commit(entries)
    except Exception:  # noqa: BLE001 - every caller is refused, and the next are served
        _log.exception("The journal's writer failed unexpectedly.")
        committer.reopen_later()
        failed = JournalUnavailable("The journal failed unexpectedly.", "See the gateway's log.")
        return [failed] * len(entries)


def _told(outcomes: list[Outcome], said: tuple[Logged, ...]) -> bytes:
    try:
        return framed(Answer(outcomes, said))
    except Exception:  # noqa: BLE001 - its caller hears that it failed, though it happened
        _log.exception("What a change gave can't be sent.")
    failed = ChangeRefused(RefusedBecause.FAILED, "What it gave can't be sent; see ddgate's log.")
    return framed(Answer([each if _can_be_sent(each) else failed for each in outcomes], said))


def _can_be_sent(outcome: Outcome) -> bool:
    try:
        framed(outcome)
    except Exception:  # noqa: BLE001 - whatever it is
        return False
    return True


if __name__ == "__main__":
    main()
