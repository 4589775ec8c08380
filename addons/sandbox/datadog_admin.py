"""The stand-in's plain-HTTP side, for tests and the demo: what came in, what is kept."""

from __future__ import annotations

from addons.sandbox.datadog_journal import Journal
from addons.sandbox.datadog_state import State
from addons.sandbox.server import Answer, Counters, Request, json_answer


class AdminApi:
    """`GET|DELETE /requests`, `GET /state`, `GET /connections`; no key needed, so on loopback only."""

    def __init__(self, state: State, journal: Journal, counters: Counters) -> None:
        self._state = state
        self._journal = journal
        self._counters = counters

    async def answer(self, request: Request) -> Answer:
        match request.method, request.path:
            case "GET", "/requests":
                return json_answer(self._journal.as_json())
            case "DELETE", "/requests":
                self._journal.clear()
                return json_answer({})
            case "GET", "/state":
                return json_answer(self._state.as_json())
            case "GET", "/connections":
                counters = self._counters
                return json_answer(
                    {
                        "accepted": counters.accepted,
                        "established": counters.established,
                        "malformed": counters.malformed,
                    }
                )
        return json_answer({"errors": ["here are /requests, /state and /connections"]}, 404)
