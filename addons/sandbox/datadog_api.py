"""Which path of the stand-in is which operation, and what keys it needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from addons.sandbox import datadog_logs, datadog_resources, datadog_telemetry
from addons.sandbox.datadog_bodies import UnreadableBodyError, as_the_client_asked
from addons.sandbox.datadog_call import ApiError, Call, Operation
from addons.sandbox.datadog_echo import ECHO_PATH, echo
from addons.sandbox.datadog_journal import Journal
from addons.sandbox.datadog_keys import Access, Keys, Needs
from addons.sandbox.datadog_state import State
from addons.sandbox.server import Answer, Json, Request, json_answer

_NIL_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    template: str
    operation: Operation
    needs: Needs = Needs.BOTH_KEYS
    writes: bool = False

    def parameters(self, request: Request) -> dict[str, str] | None:
        """None where the request is for another route. `{id}` is a path segment, `{n}` a number, named id."""
        if request.method != self.method:
            return None
        pattern = re.escape(self.template).replace(r"\{id\}", r"(?P<id>[\w-]{1,64})")
        found = re.fullmatch(pattern.replace(r"\{n\}", r"(?P<id>[0-9]{1,18})"), request.path)
        return found.groupdict() if found else None


def _validate_v1(_: Call) -> Answer:
    return json_answer({"valid": True})


def _validate_v2(_: Call) -> Answer:
    """Say `valid` for those who read it at the top, `data` for the typed client."""
    attributes: Json = {"valid": True, "api_key_id": _NIL_ID, "api_key_scopes": []}
    return json_answer(
        {"valid": True, "data": {"type": "validate_v2", "id": _NIL_ID, "attributes": attributes}}
    )


def _validate_both_keys(_: Call) -> Answer:
    return json_answer({"status": "ok"})


def _intake(path: str, operation: Operation) -> _Route:
    return _Route("POST", path, operation, Needs.API_KEY, writes=True)


_MONITOR, _DASHBOARD = "/api/v1/monitor", "/api/v1/dashboard"
_ROUTES: Sequence[_Route] = (
    _Route("GET", "/api/v1/validate", _validate_v1, Needs.API_KEY),
    _Route("GET", "/api/v2/validate", _validate_v2, Needs.API_KEY),
    _Route("GET", "/api/v2/validate_keys", _validate_both_keys),
    _intake("/api/v2/logs", datadog_logs.submit_logs),
    _intake("/v1/input", datadog_logs.submit_logs),
    _intake("/v1/input/{id}", datadog_logs.submit_logs),
    _intake("/api/v2/series", datadog_telemetry.submit_series_v2),
    _intake("/api/v1/series", datadog_telemetry.submit_series_v1),
    _intake("/api/v1/distribution_points", datadog_telemetry.submit_series_v1),
    _intake("/api/v1/check_run", datadog_telemetry.submit_checks),
    _intake("/api/v1/events", datadog_telemetry.create_event),
    _Route("GET", "/api/v1/events", datadog_telemetry.list_events),
    _Route("GET", "/api/v1/events/{n}", datadog_telemetry.get_event),
    _Route("GET", "/api/v1/query", datadog_telemetry.query_metrics),
    _Route("POST", "/api/v2/logs/events/search", datadog_logs.search_logs),
    _Route("POST", _MONITOR, datadog_resources.create_monitor, writes=True),
    _Route("GET", _MONITOR, datadog_resources.list_monitors),
    _Route("GET", _MONITOR + "/search", datadog_resources.search_monitors),
    _Route("POST", _MONITOR + "/validate", datadog_resources.validate_monitor),
    _Route("POST", _MONITOR + "/{n}/validate", datadog_resources.validate_monitor),
    _Route("GET", _MONITOR + "/{n}", datadog_resources.get_monitor),
    _Route("PUT", _MONITOR + "/{n}", datadog_resources.update_monitor, writes=True),
    _Route("DELETE", _MONITOR + "/{n}", datadog_resources.delete_monitor, writes=True),
    _Route("POST", _DASHBOARD, datadog_resources.create_dashboard, writes=True),
    _Route("GET", _DASHBOARD, datadog_resources.list_dashboards),
    _Route("GET", _DASHBOARD + "/{id}", datadog_resources.get_dashboard),
    _Route("PUT", _DASHBOARD + "/{id}", datadog_resources.update_dashboard, writes=True),
    _Route("DELETE", _DASHBOARD + "/{id}", datadog_resources.delete_dashboard, writes=True),
    _Route("POST", "/api/v2/api_keys", datadog_resources.create_api_key, writes=True),
    _Route("GET", "/api/v2/api_keys", datadog_resources.list_api_keys),
)


class DatadogApi:
    """Answers each request, and enters both in the journal."""

    def __init__(self, keys: Keys, state: State, journal: Journal) -> None:
        self._keys = keys
        self._state = state
        self._journal = journal

    async def answer(self, request: Request) -> Answer:
        entry = self._journal.received(request)
        try:
            answer = await self._permitted(request)
        except ApiError as error:
            answer = json_answer({"errors": [str(error)]}, error.status)
        except UnreadableBodyError as error:
            answer = json_answer({"errors": [str(error)]}, 400)
        answer = as_the_client_asked(request, answer)
        self._journal.answered(entry, answer)
        return answer

    async def _permitted(self, request: Request) -> Answer:
        for route in _ROUTES:
            parameters = route.parameters(request)
            if parameters is not None:
                self._demand(request, route.needs, writes=route.writes)
                return route.operation(Call(request, self._state, parameters))
        self._demand(request, Needs.API_KEY, writes=False)
        if request.path == ECHO_PATH:
            return await echo(Call(request, self._state))
        raise ApiError(404, "Not found")

    def _demand(self, request: Request, needs: Needs, *, writes: bool) -> None:
        access = self._keys.access(request, needs)
        if access is Access.NOTHING or (writes and access is not Access.WRITE):
            raise ApiError(403, "Forbidden")
