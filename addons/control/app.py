"""Control's HTTP side: is the gateway alive, and is it ready. A process and a port of its own, which agents
can't reach through the proxy.
"""

from __future__ import annotations

from pathlib import Path
from time import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from addons.control.metrics import CONTENT_TYPE, render
from addons.store.gateway_status import STALE_AFTER, GatewayStatus, read_statuses


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


def make_app(state_dir: Path) -> Starlette:
    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        """200 when every gateway process is ready; 503 when one is not, or there is none."""
        now = time()
        gateways = [_as_json(status, now) for status in read_statuses(state_dir, now)]
        ready = bool(gateways) and all(one["ready"] for one in gateways)
        return JSONResponse({"ready": ready, "gateways": gateways}, status_code=200 if ready else 503)

    async def metrics(_: Request) -> Response:
        """For Prometheus: figures of every gateway process, from its last status."""
        return Response(render(read_statuses(state_dir, time())), media_type=CONTENT_TYPE)

    routes = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in routes.items()])
