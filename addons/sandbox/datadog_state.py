"""What the stand-in keeps of what it was sent: in memory, for this run."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import count

from addons.sandbox.server import Json

type Resource = dict[str, Json]

MAX_RECEIVED = 10_000  # of each kind of telemetry, the newest


def _bounded() -> deque[Resource]:
    return deque(maxlen=MAX_RECEIVED)


@dataclass(slots=True)
class State:
    """Each resource in the shape in which Datadog's API answers it.

    A log is `{"id", "type", "attributes": {host, service, status, message, tags, timestamp, attributes}}`, a
    series `{"metric", "tags", "host", "points": [[seconds, value]]}`.
    """

    logs: deque[Resource] = field(default_factory=_bounded)
    series: deque[Resource] = field(default_factory=_bounded)
    events: deque[Resource] = field(default_factory=_bounded)
    checks: deque[Resource] = field(default_factory=_bounded)
    monitors: dict[int, Resource] = field(default_factory=dict)
    dashboards: dict[str, Resource] = field(default_factory=dict)
    api_keys: dict[str, Resource] = field(default_factory=dict)
    ids: count[int] = field(default_factory=lambda: count(1001))

    def as_json(self) -> Json:
        return {
            "logs": list(self.logs),
            "series": list(self.series),
            "events": list(self.events),
            "checks": list(self.checks),
            "monitors": list(self.monitors.values()),
            "dashboards": list(self.dashboards.values()),
            "api_keys": list(self.api_keys.values()),
        }
