"""Is the gateway alive, and is it ready; figures for Prometheus. For machines: no login."""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing
from time import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from addons.control.metrics import CONTENT_TYPE, read_approval_figures, render
from addons.control.parts import ControlParts
from addons.store.approvals.outbox import Outbox
from addons.store.audit.problems import AuditLogUnusable
from addons.store.gateway_status import STALE_AFTER, GatewayStatus, read_statuses

PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_log = logging.getLogger(__name__)


def make_routes(parts: ControlParts) -> list[Route]:
    state_dir = parts.state.path

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        """200 when control and every gateway process are ready; 503 when one is not, or there is none."""
        now = time()
        gateways = [_as_json(status, now) for status in read_statuses(state_dir, now)]
        control = _control(parts)
        ready = bool(gateways) and all(one["ready"] for one in gateways) and bool(control["ready"])
        answer = {"ready": ready, "gateways": gateways, "control": control}
        return JSONResponse(answer, status_code=200 if ready else 503)

    async def metrics(_: Request) -> Response:
        """For Prometheus: figures of every gateway process, from its last status, and of approvals."""
        content = await asyncio.to_thread(_figures, parts)
        return Response(content, media_type=CONTENT_TYPE)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


def _figures(parts: ControlParts) -> bytes:
    now = parts.now().wall
    try:
        with closing(Outbox.open(parts.state.audit_log)) as outbox:
            approvals = read_approval_figures(parts.approvals, outbox, now)
    except AuditLogUnusable as error:
        _log.warning("Figures of approvals can't be read: %s", error)
        approvals = None
    return render(read_statuses(parts.state.path, time()), approvals)


def _control(parts: ControlParts) -> dict[str, object]:
    """Of this process itself: votes can't be taken while it can't write."""
    failure = parts.journal.failure()
    problems = {} if failure is None else {"audit": str(failure)}
    if (broken := parts.verifying.problem) is not None:
        problems["audit log"] = broken
    problems |= {f"witness {name}": said for name, said in parts.witnessing.problems().items()}
    warnings: dict[str, list[str]] = {}
    if lacking := parts.witnessing.warnings():
        warnings["witnesses"] = [f"{name}: {said}" for name, said in lacking.items()]
    login = parts.login
    if login is None:
        told = "nobody can decide on approvals: set control.login, or let no rule require approval"
        warnings["login"] = [told]
    elif (problem := login.problem()) is not None:
        warnings["login"] = [f"nobody can log in: {problem}"]
    return {"ready": not problems, "problems": problems, "warnings": warnings}


def _as_json(status: GatewayStatus, now: float) -> dict[str, object]:
    stuck = now - status.time > STALE_AFTER
    problems = dict(status.problems)
    if stuck:
        problems["process"] = (
            f"no sign of life for {now - status.time:.0f} s: it hangs or can't write its status; "
            "see whether the disk is full, look at the log, then restart it"
        )
    return {
        "pid": status.pid,
        "listen": status.listen,
        "state": "stuck" if stuck else status.state,
        "calls_in_flight": status.calls_in_flight,
        "policy_revision": status.policy_revision,
        "ready": status.is_ready and not stuck,
        "problems": problems,
        "warnings": status.warnings,
    }
