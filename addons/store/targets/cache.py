"""What was read of Datadog's resources in the last seconds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from addons.core.hosts import DatadogHost


@dataclass(frozen=True, slots=True)
class ReadKey:
    """What makes two reads one: the same path of the same host, with the same credential."""

    host: DatadogHost
    path: str
    credential: str

    def is_touched_by(self, site: str, path: str) -> bool:
        """Tell whether a call to `path` may change what this key reads: it is the same resource, one within
        it or one around it. All hosts of a site serve the same resources.
        """
        if self.host.site != site:
            return False
        mine, other = self.path.rstrip("/") + "/", path.rstrip("/") + "/"
        return mine.startswith(other) or other.startswith(mine)


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """`max_age` in seconds, 0 for none; `content_bytes` is the sum of the entries' sizes."""

    max_age: float = 5.0
    entries: int = 256
    content_bytes: int = 8 * 1024 * 1024


class ReadCache[T]:
    """Keeps values until they are old, forgotten, or pushed out by newer ones. Times are the caller's, in
    seconds of one steady clock.
    """

    def __init__(self, limits: CacheLimits) -> None:
        self._limits = limits
        self._entries: OrderedDict[ReadKey, tuple[float, int, T]] = OrderedDict()
        self._size = 0

    def get(self, key: ReadKey, now: float) -> T | None:
        entry = self._entries.get(key)
        return entry[2] if entry is not None and self._is_fresh(entry[0], now) else None

    def put(self, key: ReadKey, value: T, size: int, read_at: float, now: float) -> None:
        self._drop(key)
        if self._is_fresh(read_at, now) and size <= self._limits.content_bytes:
            self._entries[key] = (read_at, size, value)
            self._size += size
        for other, (at, _, _) in list(self._entries.items()):
            crowded = len(self._entries) > self._limits.entries or self._size > self._limits.content_bytes
            if crowded or not self._is_fresh(at, now):
                self._drop(other)

    def forget(self, site: str, path: str) -> None:
        for key in [key for key in self._entries if key.is_touched_by(site, path)]:
            self._drop(key)

    def _is_fresh(self, read_at: float, now: float) -> bool:
        return 0 <= now - read_at < self._limits.max_age

    def _drop(self, key: ReadKey) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._size -= entry[1]
