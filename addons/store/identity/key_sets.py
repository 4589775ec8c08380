"""The keys of every trusted issuer, kept fresh.

Fetched in the background, on demand for an unknown `kid` at a bounded rate, and kept through an outage of
the issuer for a bounded time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType

from addons.core.issuer_trust import IssuerTrust
from addons.core.verification_keys import KeysById
from addons.store.identity.issuer_http import FetchFailed, FetchLimits
from addons.store.identity.key_set_fetch import IssuerSettings, fetch_keys

_GRACE = 1.0  # seconds that a worker may run over its own deadline, in a name look-up that can't be ended


@dataclass(frozen=True, slots=True)
class RefreshPace:
    """When keys are fetched, in seconds.

    Between background fetches, never over half of how long an issuer's keys count; before the first repeat
    after a failure (doubled each time up to `interval`); between two fetches that unknown keys may cause.
    """

    interval: float = 300.0
    first_retry: float = 1.0
    cooldown: float = 30.0


@dataclass(frozen=True, slots=True)
class IssuerFreshness:
    """State of one issuer's keys.

    `ready`: its tokens can be verified now. `age`: seconds since the keys were fetched, None if they never
    were. `last_error`: why the last fetch failed, None if it didn't.
    """

    issuer: str
    ready: bool
    keys: int
    age: float | None
    last_error: str | None


class KeySets:
    """Trusts of all issuers. Belongs to one event loop; `clock` is monotonic, in seconds."""

    def __init__(
        self,
        issuers: Sequence[IssuerSettings],
        *,
        clock: Callable[[], float] = time.monotonic,
        pace: RefreshPace | None = None,
        limits: FetchLimits | None = None,
    ) -> None:
        self._clock = clock
        self._pace = pace or RefreshPace()
        self._limits = limits or FetchLimits()
        self._issuers = {settings.issuer: _Issuer(settings) for settings in issuers}
        if len(self._issuers) != len(issuers):
            raise ValueError("an issuer is configured twice")
        self._generation = 0
        # A thread each: one issuer that hangs holds up no other.
        self._workers = ThreadPoolExecutor(max(1, len(issuers)), thread_name_prefix="key-sets")

    @property
    def generation(self) -> int:
        """Grows whenever the keys of any issuer change."""
        return self._generation

    def trust_of(self, issuer: str) -> IssuerTrust | None:
        """Look an issuer up; None for one that is not configured.

        The same object for as long as the keys stay the same; one without keys while none were fetched or
        they are too old.
        """
        state = self._issuers.get(issuer)
        if state is None:
            return None
        return state.trust if self._is_ready(state) else state.without_keys

    def trusts(self) -> Mapping[str, IssuerTrust]:
        return MappingProxyType(
            {
                name: state.trust if self._is_ready(state) else state.without_keys
                for name, state in self._issuers.items()
            }
        )

    def freshness(self) -> tuple[IssuerFreshness, ...]:
        now = self._clock()
        return tuple(
            IssuerFreshness(
                issuer=name,
                ready=self._is_ready(state),
                keys=sum(len(keys) for keys in state.trust.keys.values()),
                age=None if state.fetched_at is None else now - state.fetched_at,
                last_error=state.last_error,
            )
            for name, state in self._issuers.items()
        )

    async def run(self) -> None:
        """Keep every issuer's keys fresh until cancelled."""
        async with asyncio.TaskGroup() as group:
            for state in self._issuers.values():
                group.create_task(self._keep_fresh(state))

    async def refresh_on_demand(self, issuer: str) -> None:
        """Fetch an issuer's keys because a token needs one that isn't there.

        Callers at the same time share one fetch; within the cooldown after such a fetch nothing happens.
        Never raises for an issuer's failure: look at the trust again afterwards.
        """
        state = self._issuers[issuer]
        if state.fetching is None:
            now = self._clock()
            if state.demanded_at is not None and 0 <= now - state.demanded_at < self._pace.cooldown:
                return
            state.demanded_at = now
        await self._refresh(state)

    def close(self) -> None:
        """Start no further fetch; one that is under way ends by its own deadline."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _is_ready(self, state: _Issuer) -> bool:
        return state.fetched_at is not None and self._clock() - state.fetched_at <= state.settings.max_stale

    async def _keep_fresh(self, state: _Issuer) -> None:
        retry = self._pace.first_retry
        interval = min(self._pace.interval, state.settings.max_stale / 2)
        while True:
            await self._refresh(state)
            if state.last_error is None:
                retry = self._pace.first_retry
                await asyncio.sleep(interval)
            else:
                await asyncio.sleep(min(retry, interval))
                retry = min(retry * 2, interval)

    async def _refresh(self, state: _Issuer) -> None:
        if state.fetching is None:
            state.fetching = asyncio.create_task(self._fetch(state))
            state.fetching.add_done_callback(lambda _task: state.forget_task())
        # A caller that goes away must not end the fetch for the others.
        await asyncio.shield(state.fetching)

    async def _fetch(self, state: _Issuer) -> None:
        if state.worker is not None and not state.worker.done():
            state.last_error = "the previous fetch is still waiting for the name look-up"
            return
        state.worker = self._workers.submit(fetch_keys, state.settings, self._limits)
        asked_at = self._clock()
        try:
            async with asyncio.timeout(self._limits.seconds + _GRACE):
                keys = await asyncio.shield(asyncio.wrap_future(state.worker))
        except (FetchFailed, TimeoutError) as error:
            state.last_error = str(error) or "no answer in time"
            return
        state.last_error = None
        state.fetched_at = asked_at
        if keys != state.trust.keys:
            state.trust = state.settings.trust(keys)
            self._generation += 1


class _Issuer:
    """What is known of one issuer now."""

    def __init__(self, settings: IssuerSettings) -> None:
        self.settings = settings
        self.without_keys = settings.trust(MappingProxyType({}))
        self.trust = self.without_keys
        self.fetched_at: float | None = None
        self.demanded_at: float | None = None
        self.last_error: str | None = "not fetched yet"
        self.fetching: asyncio.Task[None] | None = None
        self.worker: Future[KeysById] | None = None

    def forget_task(self) -> None:
        self.fetching = None
