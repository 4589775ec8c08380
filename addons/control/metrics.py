"""What the gateway processes say of themselves, and how approvals stand, in Prometheus' text format.

Every figure is read when it is asked for: from the processes' status files, and from the store. A process
that is gone takes its series along; one that starts anew counts from 0, which Prometheus sees as a reset.
Approvals are the installation's: every control process tells the same of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from addons.core.approvals.states import State
from addons.store.approvals.outbox import Outbox
from addons.store.approvals.reading import Approvals
from addons.store.gateway_status import GatewayStatus

CONTENT_TYPE = CONTENT_TYPE_LATEST

_PROCESS = ("gateway", "pid")


@dataclass(frozen=True, slots=True)
class ApprovalFigures:
    """Ages in seconds, 0 where there is nothing that could be old."""

    by_state: Mapping[State, int]
    oldest_pending: float
    reviews_due: int
    reviews_overdue: int
    messages_queued: int
    messages_dead: int
    oldest_message: float


def read_approval_figures(approvals: Approvals, outbox: Outbox, now: float) -> ApprovalFigures:
    """Blocks. Raises AuditLogUnusable."""
    due = [one.broken_glass.review_due for one in approvals.reviews_due() if one.broken_glass is not None]
    messages = outbox.figures()
    return ApprovalFigures(
        by_state=approvals.counts(),
        oldest_pending=_age(approvals.oldest_pending(), now),
        reviews_due=len(due),
        reviews_overdue=sum(1 for at in due if at <= now),
        messages_queued=messages.queued,
        messages_dead=messages.dead,
        oldest_message=_age(messages.oldest, now),
    )


def render(statuses: Iterable[GatewayStatus], approvals: ApprovalFigures | None = None) -> bytes:
    """`approvals` is None where the store can't be read: then those series are missing."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Statuses(tuple(statuses)))
    if approvals is not None:
        registry.register(_Approvals(approvals))
    return generate_latest(registry)


class _Approvals(Collector):
    def __init__(self, figures: ApprovalFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        states = GaugeMetricFamily("ddgate_approvals", "Approvals, by their state.", labels=("state",))
        for state in State:
            states.add_metric((state.value,), figures.by_state.get(state, 0))
        yield states
        for name, text, value in (
            ("approvals_oldest_pending_seconds", "Age of the oldest that waits.", figures.oldest_pending),
            ("approvals_reviews_due", "Broken glasses nobody has reviewed.", figures.reviews_due),
            ("approvals_reviews_overdue", "Those whose review is late.", figures.reviews_overdue),
            ("messages_queued", "Messages that receivers are still to get.", figures.messages_queued),
            ("messages_dead", "Messages that receivers did not take.", figures.messages_dead),
            ("messages_oldest_queued_seconds", "Age of the oldest in the queue.", figures.oldest_message),
        ):
            yield GaugeMetricFamily(f"ddgate_{name}", text, value=value)


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
        yield self._counter(
            "ddgate_redaction_findings",
            "What was masked in messages that were stored, by the detector that found it.",
            ("detector",),
            lambda status: status.counted.findings,
        )

    def _processes(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            "ddgate_policy_info", "The active policy's revision.", labels=(*_PROCESS, "revision")
        )
        ready = GaugeMetricFamily("ddgate_gateway_ready", "1 where the process serves.", labels=_PROCESS)
        calls = GaugeMetricFamily("ddgate_gateway_calls_in_flight", "Calls under way.", labels=_PROCESS)
        held = GaugeMetricFamily(
            "ddgate_gateway_calls_held", "Those that wait for a person.", labels=_PROCESS
        )
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
            held.add_metric(_process(status), status.holding)
        yield from (info, warnings, ready, calls, held)

    def _counter(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        rows_of: Callable[[GatewayStatus], Iterable[tuple[str | int, ...]]],
    ) -> Metric:
        family = CounterMetricFamily(name, text, labels=(*_PROCESS, *labels))
        for status in self._statuses:
            for *values, count in rows_of(status):
                family.add_metric((*_process(status), *map(str, values)), int(count))
        return family


def _process(status: GatewayStatus) -> tuple[str, str]:
    return status.listen, str(status.pid)


def _age(since: float | None, now: float) -> float:
    return 0.0 if since is None else max(now - since, 0.0)
