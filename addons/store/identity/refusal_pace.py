"""How fast one client is refused over its identity, so that a flood of bad calls slows nobody else down.

A refusal costs the gateway a hundred times what it costs the sender: it is answered, and goes on record. Only
refusals wait, and only behind others of the same address; a good token is never held back.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

_IPV6_CLIENT = 64  # bits: what one subscriber has addresses of


class RefusalPace:
    """The generic cell rate algorithm for each address. `clock` is monotonic; times in seconds."""

    def __init__(
        self,
        *,
        per_second: float = 20.0,
        burst: int = 20,
        longest: float = 10.0,
        remembered: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = 1 / per_second
        self._ahead = burst * self._interval
        self._longest = longest
        self._remembered = remembered
        self._clock = clock
        self._due: OrderedDict[str, float] = OrderedDict()

    def delay(self, address: str) -> float:
        """Count one refusal of `address`, and say how long it has to wait for it."""
        client = _client(address)
        now = self._clock()
        due = max(self._due.pop(client, now), now)
        wait = max(0.0, due - now - self._ahead)
        # At the longest wait the queue is full; who comes then joins its end without making it longer.
        self._due[client] = due if wait >= self._longest else due + self._interval
        if len(self._due) > self._remembered:
            self._due.popitem(last=False)
        return min(wait, self._longest)


def _client(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.ip_network((int(parsed), _IPV6_CLIENT), strict=False))
