"""Replays on record: that one begins, and what became of each recorded call.

The attributes of a `replayed` record tie the ids: `{replay, to, recorded, replayed_as, result, os_user}`. Its
facts are those of the new call. It has no `call` of its own: it is told of both calls, and part of neither.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from addons.core.model import Json
from addons.core.start_problems import GatewayProblem
from addons.replaying.exchange import Exchange
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind, RecordRefused, new_id
from addons.store.audit.record_facts import facts_of
from addons.store.state_dir import StateDir
from addons.store.trail.reader import last_index, read_after
from addons.store.writing.audit_log import AuditLog
from addons.store.writing.read_record import person

_BUSY_SECONDS = 5.0
_PAGE = 500
_ENDS = frozenset({RecordKind.OUTCOME, RecordKind.REFUSED, RecordKind.READ, RecordKind.TUNNEL_REFUSED})


@dataclass(frozen=True, slots=True)
class ReplayLog:
    """The records of one replay; make it with `replay_log`. `to` says where the calls go, in a word;
    `in_log`, that they are calls of this installation's.
    """

    to: str
    in_log: bool
    replay: str
    _log: AuditLog

    def begin(self, count: int, source: str, gateway: str) -> None:
        """Before anything is sent. Raises GatewayProblem: then nothing may be."""
        attributes: dict[str, Json] = {"calls": count, "source": source, "gateway": gateway}
        self._append(CallFacts(), attributes, f"a replay of {count} recorded calls begins")

    def tell(self, exchange: Exchange, result: str, new: Mapping[str, Json] | None) -> None:
        """What became of one; `new` is the gateway's own record of the new call. Raises GatewayProblem."""
        told = new or {}
        # A file may claim any id: it must not pass for one of this installation's.
        recorded = exchange.call if self.in_log else f"{exchange.call}, as a file says"
        attributes: dict[str, Json] = {"recorded": recorded, "result": result}
        if isinstance(call := told.get("call"), str):
            attributes["replayed_as"] = call
        if self.to == "live":
            message = "a recorded call was made again"
        else:
            message = "a recorded call was rehearsed; a stand-in answered, and nothing reached Datadog"
        self._append(facts_of(told), attributes, message)

    def _append(self, facts: CallFacts, attributes: Mapping[str, Json], message: str) -> None:
        about: dict[str, Json] = {"replay": self.replay, "to": self.to, **attributes, **person()}
        record = AuditRecord(RecordKind.REPLAYED, time.time(), None, facts, message=message, attributes=about)
        try:
            for outcome in self._log.append([[(record, record.encode())]]):
                if isinstance(outcome, RecordRefused):
                    raise outcome
        except (AuditLogUnusable, RecordRefused) as error:
            raise _not_on_record(error) from None


@contextlib.contextmanager
def replay_log(state: StateDir, to: str, *, in_log: bool) -> Iterator[ReplayLog]:
    """Open the log for writing: the only place here that does. Raises GatewayProblem."""
    try:
        log = AuditLog.open(state.audit_log, busy_seconds=_BUSY_SECONDS, create=False)
    except AuditLogUnusable as error:
        raise _not_on_record(error) from None
    with contextlib.closing(log):
        yield ReplayLog(to, in_log, new_id(), log)


def _not_on_record(error: Exception) -> GatewayProblem:
    return GatewayProblem(f"the replay can't be put on record, so it ends here: {error}")


def end_of_log(audit_log: Path) -> int:
    """Give the index of the newest record, 0 where there is no log. Raises GatewayProblem."""
    try:
        return last_index(audit_log)
    except AuditLogUnusable as error:
        raise GatewayProblem(str(error)) from None


def record_of(audit_log: Path, after: int, client: tuple[str, int]) -> Mapping[str, Json] | None:
    """Find the gateway's record of the call that came from the connection `client` (address, port), among
    those with a larger index than `after`; None where there is none. Raises GatewayProblem.
    """
    endpoint = {"ip": client[0], "port": client[1]}
    try:
        while page := read_after(audit_log, after, _PAGE):
            after = page[-1].idx
            for stored in page:
                with contextlib.suppress(ValueError):
                    body = stored.to_json()
                    if body.get("src_endpoint") == endpoint and body.get("kind") in _ENDS:
                        return body
    except AuditLogUnusable as error:
        raise GatewayProblem(str(error)) from None
    return None
