"""Recordings read for a stand-in or a replay: file by file, whatever is wrong with some of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from addons.replaying.exchange import Exchange, exchange_of
from addons.store.recordings.flows import NOT_A_FLOW, Damage, Recordings


@dataclass(slots=True)
class Exchanges:
    """`damage` is complete once all were handed out."""

    recordings: Recordings
    _unreadable: list[Damage] = field(default_factory=list)

    @property
    def damage(self) -> list[Damage]:
        found = [*self.recordings.damage, *self._unreadable]
        return sorted(found, key=lambda each: (str(each.path), each.offset or 0))

    def read(self) -> Iterator[Exchange]:
        self._unreadable.clear()
        for stored in self.recordings.flows():
            try:
                exchange = exchange_of(stored)
            except NOT_A_FLOW:
                self._unreadable.append(Damage(stored.path, stored.offset, "this is no flow; it is left out"))
                continue
            if exchange is not None:
                yield exchange
