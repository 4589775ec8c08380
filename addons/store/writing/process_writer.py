"""Commits in a process of its own, so that what they cost is none of the event loop's time: Python lets one
thread of a process run at a time. `committer_child` is the other end; the loop itself talks to it, for a
thread between the two would cost as much as it saves.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from addons.store.audit.record import RecordRefused
from addons.store.writing.committer import Entry, JournalUnavailable, Opened, Outcome, Place
from addons.store.writing.committer_frames import Answer, Frames, Hello, framed, receive, send
from addons.store.writing.waiting import Done, Waiting

_log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[3]
_MODULE = "addons.store.writing.committer_child"
_ENDING = 10.0  # seconds that the process has to complete its segment
_READ = 256 * 1024
_GROUP = 4 * 1024 * 1024  # bytes of flows that are sent at once: they are copied while the loop waits


class ProcessWriter:
    """For callers on one event loop. The process outlives this one for as long as it takes to complete what
    it was told: a gateway that is killed leaves no torn segment. Where the process itself is gone, what it
    was about to commit is refused, though it may be on the disk, and the next group begins another.
    """

    def __init__(self, place: Place, done: Done, *, inherits: Sequence[int] = ()) -> None:
        """`inherits`: descriptors that the process holds, too."""
        self._place = place
        self._done = done
        self._inherits = tuple(inherits)
        self._file: tuple[int, int] | None = None  # the log's, from the first time it was opened
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Task[None] | None = None
        self._starter = ThreadPoolExecutor(1, "journal-start")  # the loop's own may be busy for long
        self._opening = threading.Lock()  # guards the next, and lets one start at a time
        self._closed = False
        self._sending: asyncio.Handle | None = None
        self._queue: list[Waiting] = []
        # The group that is being committed, and the places of those in it that couldn't be sent.
        self._group: list[Waiting] = []
        self._refused: list[tuple[int, RecordRefused]] = []
        self._unsent = memoryview(b"")
        self._frames = Frames()

    def open(self) -> Opened:
        """Start the process, and let it open the log. Blocks. Raises `JournalUnavailable`."""
        with self._opening:
            if self._closed:
                raise _not_started("the journal is closed")
            return self._open()

    def _open(self) -> Opened:
        try:
            process, connection = _start(self._inherits)
        except OSError as error:
            raise _not_started(error.strerror) from None
        answer: object = None
        with suppress(OSError, EOFError):
            send(connection, Hello(self._place, self._file))
            answer = _read_answer(receive(connection))
        if not isinstance(answer, Opened):
            _end(process, connection)
            raise answer if isinstance(answer, JournalUnavailable) else _not_started("it ended")
        connection.setblocking(False)
        self._file = answer.file
        self._process, self._connection = process, connection
        return answer

    def put(self, waiting: Waiting) -> None:
        """With a loop it is sent soon, together with whatever comes until then; without, when all ends."""
        if waiting.loop is not None and self._loop is None:
            self._loop = waiting.loop
            self._attach()
        if waiting.loop is not None and waiting.loop is not self._loop:
            raise RuntimeError("a journal that commits in a process of its own has one event loop")
        self._queue.append(waiting)
        if waiting.loop is not None and not self._group:
            self._go_on()

    def close(self) -> None:
        """Commit what waits, let the process complete its segment and close the log. Blocks."""
        self._detach()
        with self._opening:  # a start that is under way ends first
            self._closed = True
        self._starter.shutdown(wait=False)
        if self._connection is not None:
            self._connection.setblocking(True)
        while self._group or self._queue:
            if not self._group:
                self._take_group()
                continue
            try:
                self._exchange()
            except JournalUnavailable as unavailable:
                self._settle([unavailable] * len(self._group))
            except (OSError, EOFError):
                self._lost()
        self._leave()

    def _exchange(self) -> None:
        """Blocks. Raises OSError, EOFError, `JournalUnavailable`."""
        if self._connection is None:
            self._open()
            assert self._connection is not None  # noqa: S101 - as `open` says
            self._connection.setblocking(True)
        self._connection.sendall(self._unsent)
        self._unsent = memoryview(b"")
        while self._group:
            data = self._connection.recv(_READ)
            if not data:
                raise EOFError
            self._take_answers(data)

    def _leave(self) -> None:
        process, connection, self._process, self._connection = self._process, self._connection, None, None
        if process is None or connection is None:
            return
        connection.close()
        try:
            process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            _log.warning("The process that writes the audit log takes long to end; what it has is durable.")

    def _attach(self) -> None:
        if self._loop is not None and self._connection is not None:
            self._loop.add_reader(self._connection, self._read)

    def _detach(self) -> None:
        for handle in (self._sending, self._starting):
            if handle is not None:
                handle.cancel()
        self._sending = self._starting = None
        if self._loop is None or self._connection is None or self._loop.is_closed():
            return
        self._loop.remove_reader(self._connection)
        self._loop.remove_writer(self._connection)

    def _send(self) -> None:
        self._sending = None
        if self._group or not self._queue:
            return
        if self._process is not None and self._process.poll() is not None:
            self._drop()  # while it was idle: nobody's call needs to fail for that
        if self._process is None:
            assert self._loop is not None  # noqa: S101 - whoever waits brought it
            self._starting = self._loop.create_task(self._start_anew())
            return
        self._take_group()
        if self._group:
            self._write()
        else:
            self._go_on()

    async def _start_anew(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._starter, self.open)
        except Exception as error:  # noqa: BLE001 - every caller is refused, and the next call tries anew
            self._starting = None
            unavailable = _not_started(type(error).__name__)
            if isinstance(error, JournalUnavailable):
                unavailable = error
            group, self._queue = self._queue, []
            self._done(group, [unavailable] * len(group))
            return
        self._starting = None
        self._attach()
        self._send()

    def _take_group(self) -> None:
        end = size = 0
        while end < len(self._queue) and size < _GROUP:
            size += len(self._queue[end].entry.flow or b"")
            end += 1
        self._group, self._queue = self._queue[:end], self._queue[end:]
        try:
            message, self._refused = _message([each.entry for each in self._group])
        except Exception as error:  # noqa: BLE001 - memory, say: all are refused, and the next are served
            self._settle([_not_sent(type(error).__name__)] * len(self._group))
            return
        self._unsent = memoryview(message)

    def _write(self) -> None:
        assert self._loop is not None  # noqa: S101 - as above
        assert self._connection is not None  # noqa: S101 - as above
        try:
            while self._unsent:
                self._unsent = self._unsent[self._connection.send(self._unsent) :]
        except BlockingIOError:
            self._loop.add_writer(self._connection, self._write)
            return
        except OSError:
            self._lost()
            self._go_on()
            return
        self._loop.remove_writer(self._connection)

    def _read(self) -> None:
        assert self._connection is not None  # noqa: S101 - or nobody listened to it
        try:
            data = self._connection.recv(_READ)
            if not data:
                raise EOFError  # noqa: TRY301 - as good as an error of the socket
            self._take_answers(data)
        except BlockingIOError:
            return
        except (OSError, EOFError):
            self._lost()
            self._go_on()
            return
        if not self._group:
            self._go_on()

    def _go_on(self) -> None:
        if self._sending is None and self._starting is None:
            assert self._loop is not None  # noqa: S101 - as above
            self._sending = self._loop.call_soon(self._send)

    def _take_answers(self, data: bytes) -> None:
        """Raises EOFError for an answer that is none to this group."""
        for message in self._frames.feed(data):
            outcomes = _read_answer(message)
            if not isinstance(outcomes, list) or len(outcomes) + len(self._refused) != len(self._group):
                raise EOFError
            for index, refusal in self._refused:
                outcomes.insert(index, refusal)
            self._settle(outcomes)

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        group, self._group, self._refused = self._group, [], []
        self._done(group, outcomes)

    def _lost(self) -> None:
        """The process is gone, and nobody knows what became of the group, if there is one."""
        try:
            self._drop()
        finally:
            if self._group:
                self._settle([_ended()] * len(self._group))

    def _drop(self) -> None:
        process, connection = self._process, self._connection
        if process is None or connection is None:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(connection)
            self._loop.remove_writer(connection)
        self._process = self._connection = None
        self._unsent, self._frames = memoryview(b""), Frames()
        _end(process, connection)


def _read_answer(message: object) -> object:
    if not isinstance(message, Answer):
        return None
    for line in message.logged:
        logging.getLogger(line.logger).log(line.level, "%s", line.text)
    return message.result


def _start(inherits: Sequence[int]) -> tuple[subprocess.Popen[bytes], socket.socket]:
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
                pass_fds=inherits,
            )
    except OSError:
        ours.close()
        raise
    return process, ours


def _end(process: subprocess.Popen[bytes], connection: socket.socket) -> None:
    connection.close()
    process.kill()
    # One that waits for the disk ends late, and that is none of the loop's time.
    with suppress(RuntimeError):  # no thread to be had: it is reaped with the next process that is started
        threading.Thread(target=process.wait, daemon=True).start()


def _message(entries: Sequence[Entry]) -> tuple[bytes, list[tuple[int, RecordRefused]]]:
    """Those entries that can be sent; and of the others where they stood, and why not."""
    try:
        return framed(list(entries)), []
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - which of them it is shows below
        _log.warning("What is to be written can't all be sent: %s", type(error).__name__)
    good: list[Entry] = []
    refused: list[tuple[int, RecordRefused]] = []
    for index, entry in enumerate(entries):
        try:
            framed(entry)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, this entry is refused and the others go on
            refused.append((index, RecordRefused("a record or a change can't be sent to be written")))
        else:
            good.append(entry)
    return framed(good), refused


def _not_started(why: str | None) -> JournalUnavailable:
    return JournalUnavailable(
        f"The process that writes the audit log could not be started ({why}).",
        "See that this machine has memory and processes left.",
    )


def _ended() -> JournalUnavailable:
    return JournalUnavailable(
        "The process that writes the audit log ended unexpectedly.",
        "It is begun anew with the next call; see the machine's log if that goes on.",
    )


def _not_sent(why: str) -> JournalUnavailable:
    return JournalUnavailable(
        f"The process that writes the audit log could not be told what to write ({why}).",
        "See that this machine has memory left.",
    )
