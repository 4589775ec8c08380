"""What goes between a journal and a committer in a process of its own: pickled, behind a length.

Both ends are this program, and the socket has no name: nobody else writes to it. Records have a shorter form
than pickle's own for dataclasses, since the journal's end is made while the event loop waits for the
interpreter.
"""

from __future__ import annotations

import copyreg
import functools
import io
import operator
import pickle
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from addons.core.model import Operation, Principal
from addons.store.audit.record import AuditRecord, CallFacts
from addons.store.writing.committer import Entry, JournalUnavailable, Opened, Outcome, Place

_LENGTH = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message: what to open; and, where that was in use already, which file the log is."""

    place: Place
    file: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Logged:
    """A line for the log of the process whose journal it is."""

    logger: str
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """To a `Hello`: `Opened`, or why not. To entries: one outcome each."""

    result: Opened | JournalUnavailable | list[Outcome]
    logged: tuple[Logged, ...] = ()


type _Reduced = tuple[Any, ...]


def framed(message: object) -> bytes:
    """The message behind its length. Raises whatever pickle raises for what has no such form."""
    file = io.BytesIO()
    file.write(bytes(_LENGTH.size))
    pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _reducers()
    pickler.dump(message)
    length = file.tell() - _LENGTH.size
    file.seek(0)
    file.write(_LENGTH.pack(length))
    return file.getvalue()  # no copy; a view of `file` in a reference cycle would crash the collector


@functools.cache
def _reducers() -> Mapping[type, Callable[[Any], Any]]:
    plain: dict[type, Callable[[Any], Any]] = {
        kind: _by_fields(kind) for kind in (AuditRecord, CallFacts, Principal, Operation, Entry)
    }
    return {**copyreg.dispatch_table, **plain, MappingProxyType: _mapping}


def _by_fields(kind: type) -> Callable[[Any], _Reduced]:
    values = operator.attrgetter(*(field.name for field in fields(kind)))
    return lambda made: (kind, values(made))


def _mapping(made: MappingProxyType[Any, Any]) -> _Reduced:
    return _unchanging, (dict(made),)


def _unchanging(values: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(values)


class Frames:
    """Puts messages together that come in any pieces."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[object]:
        """Give the messages that are whole by now. Raises EOFError for what is none."""
        self._data += data
        while len(self._data) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._data)[0]
            if len(self._data) < end:
                return
            message = bytes(self._data[_LENGTH.size : end])
            del self._data[:end]
            yield _loaded(message)


def send(connection: socket.socket, message: object) -> None:
    """Blocks. Raises OSError."""
    connection.sendall(framed(message))


def receive(connection: socket.socket) -> object:
    """Blocks. Raises OSError, and EOFError where the other end is closed."""
    (length,) = _LENGTH.unpack(_read(connection, _LENGTH.size))
    return _loaded(_read(connection, length))


def _loaded(message: bytes | bytearray) -> object:
    try:
        return pickle.loads(message)  # noqa: S301 - see above
    except Exception as error:
        raise EOFError("what came is no message") from error


def _read(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return data
