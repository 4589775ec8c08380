"""The agent's current token, renewed before it ends."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from addons.sidecar.token_sources import TokenError, TokenSource, WatchedSource

_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_MAX_LENGTH = 16384
_LONGEST_MARGIN = 30.0


@dataclass(frozen=True, slots=True)
class Token:
    """A token and when it says that it ends. Nothing here is verified: the times serve for scheduling alone.

    `expires` is in seconds since the epoch, `life` in seconds.
    """

    value: str = field(repr=False)
    expires: float
    life: float

    @property
    def renew_at(self) -> float:
        """When less than a third of its life remains."""
        return self.expires - self.life / 3

    @property
    def retire_at(self) -> float:
        """From when on a connection that was opened with it should not be used for another call.

        As the gateway closes on its own within 30 s of the end; of a short life only the last quarter.
        """
        return self.expires - min(_LONGEST_MARGIN, self.life / 4)


def read_token(unverified_token: str, now: float) -> Token:
    """Take the schedule out of a JWT's payload (RFC 7519 section 4.1), unverified. Raises TokenError.

    Where there is no `iat`, its life is taken to begin now.
    """
    if len(unverified_token) > _MAX_LENGTH or not _JWT.fullmatch(unverified_token):
        raise TokenError("what came from the token source isn't a JWT")
    payload = unverified_token.split(".")[1]
    try:
        unverified_claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise TokenError("what came from the token source isn't a JWT: its payload can't be read") from None
    claims = unverified_claims if isinstance(unverified_claims, dict) else {}
    expires, issued = _seconds(claims.get("exp")), _seconds(claims.get("iat"))
    if expires is None:
        raise TokenError("the token has no `exp`: the gateway takes no token that never ends")
    begin = issued if issued is not None and issued < expires else min(now, expires - 1)
    return Token(unverified_token, expires, expires - begin)


def _seconds(claim: object) -> float | None:
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        return None
    try:
        seconds = float(claim)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


@dataclass(frozen=True, slots=True)
class Patience:
    """How a failing source is asked again, in seconds: `first`, doubled up to `longest`."""

    first: float = 1.0
    longest: float = 30.0
    start_attempts: int = 2


class TokenKeeper:
    """Holds one token and renews it in the background.

    `report` gets a line for a person when there is no new token, once for each new reason, and when there
    is one again.
    """

    def __init__(
        self,
        source: TokenSource,
        report: Callable[[str], None],
        *,
        patience: Patience = Patience(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._report = report
        self._patience = patience
        self._clock = clock
        self._token: Token | None = None
        self._trouble: str | None = None
        self._reported: tuple[str, bool] | None = None
        self._failures = 0
        self._not_before = 0.0
        self._is_rejected = False
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> Token:
        """Get the first token and begin to renew it. Raises TokenError when a few attempts brought none."""
        for attempt in range(self._patience.start_attempts):
            if attempt:
                await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
            await self._renew()
            if self._token is not None and self._token.expires > self._clock():
                self._task = asyncio.create_task(self._keep())
                return self._token
        raise TokenError(self._trouble or "the token has expired already")

    async def current(self) -> Token:
        """Give a token that hasn't ended, waiting for a new one where it is needed. Raises TokenError."""
        token = self._token
        needs_new = (
            token is None or token.retire_at <= self._clock() or self._is_rejected or self._has_changed()
        )
        if needs_new:
            await self._renew()
            token = self._token
        if token is None or token.expires <= self._clock():
            raise TokenError(f"the token has ended: {self._trouble or 'no new one came in time'}")
        return token

    def reject(self, token: Token) -> None:
        """Say that the gateway refused a token, so that the next call asks for another."""
        if token is self._token:
            self._is_rejected = True

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _has_changed(self) -> bool:
        return isinstance(self._source, WatchedSource) and self._source.has_changed()

    def _is_due(self) -> bool:
        if self._has_changed():
            return True
        if time.monotonic() < self._not_before:
            return False
        return self._token is None or self._is_rejected or self._token.renew_at <= self._clock()

    async def _renew(self) -> None:
        async with self._lock:
            if not self._is_due():
                return
            try:
                token = read_token(await self._source.fetch(), self._clock())
            except TokenError as error:
                self._fail(str(error))
                return
            is_same = self._token is not None and self._token.value == token.value
            if token.renew_at > self._clock() and not (is_same and self._is_rejected):
                self._take(token)
                return
            if is_same:
                self._fail("the token source has nothing newer than the token in use")
                return
            # New to us, but already old: use it and ask again soon.
            self._token, self._is_rejected = token, False
            self._not_before = time.monotonic() + self._pause()

    def _take(self, token: Token) -> None:
        self._token, self._is_rejected = token, False
        self._failures, self._not_before = 0, time.monotonic() + self._patience.first
        if self._trouble is not None:
            self._trouble = self._reported = None
            self._report("there is a new token again")

    def _fail(self, reason: str) -> None:
        self._not_before = time.monotonic() + self._pause()
        self._failures += 1
        left = 0.0 if self._token is None else self._token.expires - self._clock()
        state = (reason, left > 0)
        if state != self._reported and self._token is not None:  # before the first, `start` raises it
            good = f"the one in use ends in {left:.0f} s"
            self._report(
                f"no new token: {reason}; {good if left > 0 else 'calls to Datadog fail until there is one'}"
            )
        self._trouble, self._reported = reason, state

    def _pause(self) -> float:
        return float(min(self._patience.first * 2 ** min(self._failures, 16), self._patience.longest))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._seconds_to_renewal())
            await self._renew()

    def _seconds_to_renewal(self) -> float:
        due = 0.0 if self._token is None else self._token.renew_at - self._clock()
        # Never longer than half a minute: the wall clock may jump, the machine may have slept.
        return max(0.05, min(30.0, max(due, self._not_before - time.monotonic())))
