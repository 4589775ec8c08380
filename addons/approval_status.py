"""What the gateway itself answers inside a tunnel: `/.ddgate/approvals/ID`, to the requester alone.

Agents can't reach control, so this is where they ask what became of their call, wait for it, or take it back.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable
from time import monotonic

from mitmproxy import http

from addons import flowstate
from addons.answers import answer_here, refuse
from addons.approval_answers import PREFIX, not_found, status_response
from addons.core.approvals.approval import Approval, Requester
from addons.core.approvals.states import WAITING, State
from addons.core.approvals.voting import VoteRefused, requester_of
from addons.core.model import Reason, Refusal
from addons.flowstate import Call, Stage
from addons.store import moment
from addons.store.approvals.reading import Approvals
from addons.store.approvals.requests import CancelAsRequester
from addons.store.approvals.rows import ApprovalUnreadable
from addons.store.approvals.watch import ApprovalWatch
from addons.store.audit.changes import ChangeRefused
from addons.store.audit.problems import AuditLogUnusable
from addons.store.writing.journal import Journal, JournalUnavailable

logger = logging.getLogger(__name__)

_OWN = "/.ddgate"
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_WAIT = re.compile(r"wait=([0-9]{1,4})", re.ASCII)
_WAITING_AT_ONCE = 32  # of one identity
_LOOK_AGAIN = 0.25  # seconds between two looks whether the client is still there, and may be
_REASON = "taken back by the agent"
_UNAVAILABLE = Refusal(
    503, Reason.APPROVALS_UNAVAILABLE, "approvals can't be read now", "try again; nothing has changed"
)
_TOO_MANY = Refusal(
    429, Reason.TOO_MANY_APPROVALS, "too many of this identity wait here", "ask without wait", retry_after=5.0
)
_METHODS = Refusal(
    405, Reason.MALFORMED_REQUEST, "an approval can be looked at (GET) or taken back (DELETE) here", ""
)


class ApprovalStatus:
    """`longest_wait` is in seconds; `is_draining` tells that the gateway is to stop; `check_blocked` refuses
    who is frozen or revoked.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of one process
        self,
        approvals: Approvals,
        watch: ApprovalWatch,
        journal: Journal,
        longest_wait: float,
        is_draining: Callable[[], bool],
        check_blocked: Callable[[http.HTTPFlow], bool],
    ) -> None:
        self._approvals = approvals
        self._watch = watch
        self._journal = journal
        self._longest_wait = longest_wait
        self._is_draining = is_draining
        self._check_blocked = check_blocked
        self._waiting = Counter[tuple[str, str]]()

    async def request(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        path, _, query = flow.request.path.partition("?")
        if call.refusal is not None or not (path == _OWN or path.startswith(_OWN + "/")):
            return
        if not call.permits >= {Stage.IDENTITY, Stage.DESTINATION} or call.principal is None:
            return  # the last stage refuses it
        try:
            await self._answer(flow, call, path.removeprefix(PREFIX), query)
        except (AuditLogUnusable, ApprovalUnreadable, JournalUnavailable, ChangeRefused) as error:
            logger.error("an agent could not be told of its approval: %s", error)  # noqa: TRY400 - no traceback
            refuse(flow, call, _UNAVAILABLE)

    async def _answer(self, flow: http.HTTPFlow, call: Call, approval_id: str, query: str) -> None:
        assert call.principal is not None  # noqa: S101 - the caller has looked
        requester = requester_of(call.principal)
        found = await self._own(approval_id, requester)
        if found is None:
            answer_here(flow, call, Reason.GATEWAY_ANSWERED, not_found())
            return
        call.approval = found.id
        if flow.request.method == "DELETE":
            found = await self._cancelled(found, requester)
        elif flow.request.method not in {"GET", "HEAD"}:
            refuse(flow, call, _METHODS)
            return
        elif (wait := _WAIT.fullmatch(query)) is not None:
            whose = (requester.issuer, requester.subject)
            if self._waiting[whose] >= _WAITING_AT_ONCE:
                refuse(flow, call, _TOO_MANY)
                return
            self._waiting[whose] += 1
            try:
                found = await self._awaited(flow, found, requester, min(float(wait[1]), self._longest_wait))
            finally:
                self._waiting[whose] -= 1
                if not self._waiting[whose]:
                    del self._waiting[whose]
        if call.refusal is None:
            answer_here(flow, call, Reason.GATEWAY_ANSWERED, status_response(found))

    async def _own(self, approval_id: str, requester: Requester) -> Approval | None:
        """An approval of somebody else's is as unknown as none."""
        if not _ID.fullmatch(approval_id):
            return None
        found = await asyncio.to_thread(self._approvals.get, approval_id, preview=False)
        return found if found is not None and found.requester.is_same(requester) else None

    async def _cancelled(self, approval: Approval, requester: Requester) -> Approval:
        """What can't be taken back any more is shown as it is."""
        if approval.state not in WAITING:
            return approval
        change = CancelAsRequester(approval.id, requester, _REASON, moment.now())
        cancelled = await self._journal.change(change)
        if not isinstance(cancelled, VoteRefused):
            return cancelled
        return await self._own(approval.id, requester) or approval

    async def _awaited(
        self, flow: http.HTTPFlow, approval: Approval, requester: Requester, seconds: float
    ) -> Approval:
        """Wait while it is pending, as long as the client is there."""
        deadline = monotonic() + seconds
        async with self._watch.watching(approval.id) as watched:
            found, changed = approval, True
            while True:
                if changed:
                    found = await self._own(approval.id, requester) or approval
                left = deadline - monotonic()
                if found.state is not State.PENDING or left <= 0:
                    return found
                if self._is_draining() or not flow.client_conn.connected:
                    return found
                changed = await watched.changed(min(left, _LOOK_AGAIN))
                if self._check_blocked(flow):
                    return found
