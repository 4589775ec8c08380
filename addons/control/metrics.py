"""What the gateway processes say of themselves, in Prometheus' text format.

Every figure is read from the processes' status files when it is asked for. A process that is gone takes its
series along; one that starts anew counts from 0, which Prometheus sees as a reset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from addons.store.gateway_status import GatewayStatus

CONTENT_TYPE = CONTENT_TYPE_LATEST

_PROCESS = ("gateway", "pid")


def render(statuses: Iterable[GatewayStatus]) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Statuses(tuple(statuses)))
    return generate_latest(registry)


class _Statuses(Collector):
    def __init__(self, statuses: tuple[GatewayStatus, ...]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterator[Metric]:
        yield from self._processes()
        yield self._counter(
            "ddgate_policy_decisions",
            "Decisions, by what was enforced. `rule` is the one that decided.",
            ("effect", "reason", "rule"),
            lambda status: status.counted.decisions,
        )
        yield self._counter(
            "ddgate_policy_withheld",
            "Verdicts that `profile: observe` computed and did not enforce.",
            ("effect", "reason", "rule"),
            lambda status: status.counted.withheld,
        )
        yield self._counter(
            "ddgate_policy_shadow",
            "Calls that a rule in shadow mode matched, or could not be evaluated on.",
            ("rule", "effect", "outcome"),
            lambda status: status.counted.shadow,
        )

    def _processes(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            "ddgate_policy_info", "The active policy's revision.", labels=(*_PROCESS, "revision")
        )
        ready = GaugeMetricFamily("ddgate_gateway_ready", "1 where the process serves.", labels=_PROCESS)
        calls = GaugeMetricFamily("ddgate_gateway_calls_in_flight", "Calls under way.", labels=_PROCESS)
        warnings = GaugeMetricFamily(
            "ddgate_policy_warnings",
            "What an operator should know of the policy: files that were refused, rules that only observe.",
            labels=_PROCESS,
        )
        for status in self._statuses:
            warnings.add_metric(_process(status), len(status.warnings.get("policy", ())))
            info.add_metric((*_process(status), status.policy_revision), 1)
            ready.add_metric(_process(status), status.is_ready)
            calls.add_metric(_process(status), status.calls_in_flight)
        yield from (info, warnings, ready, calls)

    def _counter(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        rows_of: Callable[[GatewayStatus], Iterable[tuple[str, str, str, int]]],
    ) -> Metric:
        family = CounterMetricFamily(name, text, labels=(*_PROCESS, *labels))
        for status in self._statuses:
            for *values, count in rows_of(status):
                family.add_metric((*_process(status), *map(str, values)), count)
        return family


def _process(status: GatewayStatus) -> tuple[str, str]:
    return status.listen, str(status.pid)
