"""The calls that a stand-in knows, and which of them a call that comes in is."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from addons.core.redact.masking.mask import contains_mask
from addons.replaying.asked import Asked, Asking, Body, BodyKind, Pairs
from addons.replaying.exchange import Exchange, RecordedAnswer
from addons.replaying.masked_values import Fit, MaskedValues

_MOST_HELD = 1024 * 1024 * 1024  # bytes, packed
_FINAL = range(200, 600)  # RFC 9110 section 15
_MOST_LOOKED_AT = 5_000  # groups, for one call that comes in

type Key = tuple[Pairs, bytes]


class TooMuchRecorded(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """The recordings don't fit into memory; the text says what to do."""


@dataclass(frozen=True, slots=True)
class KnownCall:
    """One recorded answer, packed; `call` and `at` are the exchange's."""

    call: str
    at: float
    status: int
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    packed: bytes | None = field(repr=False)

    def answer(self) -> RecordedAnswer:
        body = None if self.packed is None else zlib.decompress(self.packed)
        return RecordedAnswer(self.status, self.headers, body)


@dataclass(slots=True)
class Group:
    """Every recording of one and the same call, in the order in which they were made. `given` counts the
    answers that were given.
    """

    method: str
    host: str
    path: str
    query: Pairs
    body_kind: BodyKind
    packed_body: bytes = field(repr=False)
    calls: list[KnownCall] = field(default_factory=list)
    given: int = 0

    def asked(self) -> Asked:
        value = json.loads(zlib.decompress(self.packed_body))
        return Asked(self.method, self.host, self.path, self.query, Body(self.body_kind, value))

    def next_call(self, *, once: bool) -> KnownCall | None:
        """Give the next, and after the last one that again; None then where each is given once."""
        place, self.given = self.given, self.given + 1
        if place < len(self.calls):
            return self.calls[place]
        return None if once else self.calls[-1]


class StandInCalls:
    """Calls whose answers are Datadog's: what ddgate itself refused never reached it, and isn't known."""

    def __init__(self, asking: Asking, values: MaskedValues) -> None:
        self.count = 0
        self.values, self._asking = values, asking
        self._places: dict[tuple[str, str], list[Group]] = {}
        self._groups: dict[tuple[str, str, str, Key], Group] = {}
        self._masked_paths: set[tuple[str, str]] = set()
        self._held = 0

    def add(self, exchanges: Iterable[Exchange]) -> None:
        """Raises TooMuchRecorded."""
        for exchange in exchanges:
            answer = exchange.answer
            if answer is not None and not exchange.refused and answer.status in _FINAL:
                self._add(exchange, answer)
        for group in self._groups.values():
            group.calls.sort(key=lambda known: known.at)

    def groups(self) -> Iterator[Group]:
        yield from self._groups.values()

    def find(self, asked: Asked) -> tuple[list[Group], Fit]:
        """Give the groups that fit best, in the order of their first recording, and how well they do."""
        best: list[Group] = []
        how = Fit.DIFFERENT
        exact = self._exactly(asked)
        if exact:
            return exact, Fit.SAME
        for group in self._candidates(asked):
            fit = self.fit(group, asked)
            if fit is not Fit.DIFFERENT and fit >= how:
                best = [group] if fit > how else [*best, group]
                how = fit
        return sorted(best, key=lambda group: group.calls[0].at), how

    def prefer(self, exchange: Exchange) -> None:
        """Give the answer of that very recording to the next call that is the same."""
        asked = self._asking.recorded(exchange)
        group = self._groups.get((asked.method, exchange.host, asked.path, asked.key()))
        if group is not None:
            group.given = next(
                (place for place, known in enumerate(group.calls) if known.call == exchange.call), 0
            )

    def fit(self, group: Group, asked: Asked) -> Fit:
        if group.method != asked.method or asked.host not in {None, group.host}:
            return Fit.DIFFERENT
        fit = min(self.values.texts(group.path, asked.path), self.fit_query(group.query, asked.query))
        if fit is Fit.DIFFERENT or group.body_kind is not asked.body.kind:
            return Fit.DIFFERENT
        if group.body_kind is BodyKind.EMPTY:
            return fit
        try:
            return min(fit, self.values.values(group.asked().body.value, asked.body.value))
        except RecursionError:
            return Fit.DIFFERENT

    def fit_query(self, recorded: Pairs, now: Pairs) -> Fit:
        if [name for name, _ in recorded] != [name for name, _ in now]:
            return Fit.DIFFERENT
        fits = [self.values.texts(ours[1], theirs[1]) for ours, theirs in zip(recorded, now, strict=True)]
        return min(fits, default=Fit.SAME)

    def _add(self, exchange: Exchange, answer: RecordedAnswer) -> None:
        asked = self._asking.recorded(exchange)
        place = (asked.method, asked.path)
        name = (asked.method, exchange.host, asked.path, asked.key())
        group = self._groups.get(name)
        if group is None:
            packed = zlib.compress(json.dumps(asked.body.value).encode(), 1)
            group = Group(asked.method, exchange.host, asked.path, asked.query, asked.body.kind, packed)
            self._groups[name] = group
            self._places.setdefault(place, []).append(group)
            self._held += len(packed) + 512
            if contains_mask(asked.path.encode("utf-8", "surrogatepass")):
                self._masked_paths.add(place)
        body = None if answer.body is None else zlib.compress(answer.body, 1)
        group.calls.append(KnownCall(exchange.call, exchange.at, answer.status, answer.headers, body))
        self.count += 1
        self._held += len(body or b"") + 512
        if self._held > _MOST_HELD:
            raise TooMuchRecorded(
                f"the recordings don't fit into {_MOST_HELD // 1024**2} MiB of memory; name fewer files, "
                "or export the calls that are needed: ddgate recordings export --format mitm"
            )

    def _exactly(self, asked: Asked) -> list[Group]:
        hosts = (
            [asked.host]
            if asked.host is not None
            else list(dict.fromkeys(group.host for group in self._places.get((asked.method, asked.path), ())))
        )
        key = asked.key()
        named = [(asked.method, host, asked.path, key) for host in hosts]
        return [self._groups[name] for name in named if name in self._groups]

    def _candidates(self, asked: Asked) -> Iterator[Group]:
        left = _MOST_LOOKED_AT
        places = [(asked.method, asked.path), *(self._masked_paths - {(asked.method, asked.path)})]
        for place in places:
            for group in self._places.get(place, ())[:left]:
                left -= 1
                yield group
