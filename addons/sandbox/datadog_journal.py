"""Everything the stand-in received and answered, to the byte: what proves what a gateway sent."""

from __future__ import annotations

import base64
from collections import deque
from dataclasses import dataclass

from addons.sandbox.server import Answer, Json, Request

MAX_ENTRIES = 10_000
MAX_OCTETS = 256 * 1024 * 1024  # of bodies


@dataclass(slots=True)
class Entry:
    """`answer` is None while the call is held, and stays None if it is broken off."""

    number: int
    request: Request
    answer: Answer | None = None

    def octets(self) -> int:
        return len(self.request.body) + (len(self.answer.body) if self.answer else 0)

    def as_json(self) -> Json:
        """`status` is null and the answer empty as long as there is no answer, or where it was no HTTP."""
        answer = self.answer if self.answer is not None and self.answer.raw is None else None
        sent = (
            b"" if self.answer is None else self.answer.body if self.answer.raw is None else self.answer.raw
        )
        return {
            "n": self.number,
            "method": self.request.method,
            "host": self.request.value("Host"),
            "path": self.request.path,
            "query": self.request.query,
            "headers": [[name, value] for name, value in self.request.headers],
            "body_b64": base64.b64encode(self.request.body).decode(),
            "status": answer.status if answer else None,
            "answer_headers": [[name, value] for name, value in answer.wire_headers()] if answer else [],
            "answer_b64": base64.b64encode(sent).decode(),
            "peer_connection": self.request.connection,
        }


class Journal:
    """In the order of arrival; the oldest goes when there are too many, or their bodies are too large."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._octets = 0
        self._number = 0

    def received(self, request: Request) -> Entry:
        self._number += 1
        entry = Entry(self._number, request)
        self._entries.append(entry)
        self._octets += entry.octets()
        self._shrink()
        return entry

    def answered(self, entry: Entry, answer: Answer) -> None:
        entry.answer = answer
        if entry.number >= self._first_number():
            self._octets += len(answer.body)
            self._shrink()

    def clear(self) -> None:
        self._entries.clear()
        self._octets = 0

    def as_json(self) -> Json:
        return [entry.as_json() for entry in self._entries]

    def _first_number(self) -> int:
        return self._entries[0].number if self._entries else self._number + 1

    def _shrink(self) -> None:
        while len(self._entries) > MAX_ENTRIES or (self._octets > MAX_OCTETS and len(self._entries) > 1):
            self._octets -= self._entries.popleft().octets()
