"""The approvals page of a real control process, with requests that stand in its store, for a browser."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from addons.core.approvals.approval import Approval, CallAsked, Requester
from addons.core.approvals.needs import BreakGlass, Needs
from addons.core.approvals.preview import PreviewOf, make_preview
from addons.core.approvals.states import State
from addons.core.model import Json, Operation, Risk
from addons.core.policy.request import Evidence, Seen
from addons.store.approvals.reading import Approvals
from addons.store.approvals.requests import Ask
from addons.store.audit.record import new_id
from addons.store.moment import now
from tests.e2e.approving import Control, running, settings
from tests.e2e.gateway_process import Gateway
from tests.sandbox_processes import Issuer, StandIn
from tests.store.approval_samples import Store

UPDATE = Operation("UpdateMonitor", "v1", "PUT", "/api/v1/monitor/{monitor_id}", ("Monitors",), Risk.WRITE)
DELETE = Operation(
    "DeleteDashboard", "v1", "DELETE", "/api/v1/dashboard/{id}", ("Dashboards",), Risk.DESTRUCTIVE
)
MONITOR: dict[str, Json] = {
    "id": 1234,
    "name": "prod latency",
    "type": "metric alert",
    "query": "avg(last_5m):avg:trace.http.request.duration{env:prod} > 500",
    "message": "Latency is high.\nSee the runbook.\n@slack-sre",
    "options": {"thresholds": {"critical": 500, "warning": 400}, "notify_no_data": True},
    "tags": ["team:sre", "env:prod"],
    "creator": {"email": "ops@example.com"},
}
CHANGED: dict[str, Json] = {
    "query": "avg(last_5m):avg:trace.http.request.duration{env:prod} > 900",
    "message": "Latency is high.\nSee the new runbook.\n@slack-sre",
    "options": {"thresholds": {"critical": 900, "warning": 400}, "notify_no_data": True},
}
ONE_LEAD = Needs((("sre-leads", 1),), False, 1800.0, 600.0, 60.0)
TWO_PEOPLE = Needs(
    (("secops", 1), ("sre-leads", 1)), True, 1800.0, 600.0, 60.0, BreakGlass(("incident",), 86400.0)
)
TWO_LEADS = replace(ONE_LEAD, groups=(("sre-leads", 2),))
URGENT = replace(ONE_LEAD, pending=120.0)
MORE_PEOPLE = {"dave": ["incident"], "sre-agent-owner": ["sre-leads"]}


@dataclass(frozen=True)
class Asking:
    """What an agent asks for; texts may be anything."""

    body: Json = field(default_factory=lambda: CHANGED)
    resource: Evidence | None = field(default_factory=lambda: Seen(MONITOR))
    operation: Operation | None = UPDATE
    method: str = "PUT"
    target: str = "/api/v1/monitor/1234"
    host: str = "api.datadoghq.com"
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"), ("accept", "*/*"))
    content_type: str | None = "application/json"
    raw: bytes | None = None
    needs: Needs = ONE_LEAD
    agent: str = "sre-agent"
    on_behalf_of: str | None = None
    session: str | None = "run-7"
    intent: str | None = "The alert fires every night during the backup; raise it."
    thread: str = ""
    supersede: bool = False
    more: Mapping[str, object] = field(default_factory=dict)

    def approval(self) -> Approval:
        body = self.raw if self.raw is not None else json.dumps(self.body).encode() if self.body else b""
        asked = PreviewOf(
            self.operation,
            self.method,
            self.host,
            self.target,
            self.headers,
            self.content_type,
            None,
            body,
            self.resource,
        )
        preview = make_preview(asked)
        names = {self.agent} | ({self.on_behalf_of} if self.on_behalf_of else set())
        call = CallAsked(
            call=new_id(),
            operation=preview.operation,
            version=preview.version,
            risk=preview.risks[0],
            method=self.method,
            host=self.host,
            target=self.target,
            credential="default",
            rule="production-monitors",
            rules=("production-monitors",),
            why=("Monitors of production page people.",),
            policy_revision="2d7a90c4",
            summary=preview.summary,
            intent=self.intent,
        )
        return Approval(
            id=new_id(),
            state=State.PENDING,
            digest=secrets.token_hex(32),
            thread=self.thread or secrets.token_hex(16),
            basis="",
            requester=Requester(
                "https://agents.example", self.agent, self.on_behalf_of, self.session, frozenset(names)
            ),
            asked=replace(call, **self.more),  # type: ignore[arg-type]
            needs=self.needs,
            preview=preview.to_json(),
            requested_at=0.0,
            pending_until=0.0,
        )


@dataclass
class ApprovalsPage:
    control: Control
    store: Store
    reader: Approvals

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.control.port}"

    def get(self, asked: Approval) -> Approval:
        found = self.reader.get(asked.id)
        assert found is not None
        return found

    def ask(self, asking: Asking | None = None, **changes: object) -> Approval:
        """Puts a request into the store, as a gateway does."""
        wanted = replace(asking or Asking(), **changes)  # type: ignore[arg-type]
        asked = self.store.do(Ask(wanted.approval(), now(), 1000, supersede=wanted.supersede))
        return asked.approval


@contextmanager
def page_on(directory: Path, issuer: Issuer, datadog: StandIn) -> Iterator[ApprovalsPage]:
    """Control alone: nothing here needs a gateway that runs."""
    people = issuer.dir / "clients.json"
    known = json.loads(people.read_text())
    for name, groups in MORE_PEOPLE.items():
        known.setdefault(name, {"client_secret": secrets.token_urlsafe(), "groups": groups})
    people.write_text(json.dumps(known))
    directory.mkdir(parents=True, exist_ok=True)
    config = settings(directory, issuer)
    gateway = Gateway(directory, issuer.url, datadog.port, datadog.ca, datadog.keys, config)
    with running(gateway, issuer) as control:
        log = gateway.state / "audit.sqlite3"
        yield ApprovalsPage(control, Store(log), Approvals.open(log))
