"""Holds a call that needs a person's yes, and lets it pass once: when it was given, to exactly this call.

A call is known by its digest, so whoever repeats it joins the approval that is there. While it waits nothing
of it has left; a client that leaves has not lost it, since its next identical call finds the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from time import monotonic, time

from mitmproxy import http

from addons import flowstate
from addons.answers import answer_here, refuse
from addons.approval_answers import about, answered_again, refusal_of
from addons.core.approvals.approval import Approval as Stored
from addons.core.approvals.digest import DigestedCall, call_digest
from addons.core.approvals.forwarded_headers import SINGLE, bound, kept
from addons.core.approvals.patience import wait_for
from addons.core.approvals.states import State
from addons.core.catalogue import makes_something_new
from addons.core.config_approvals import Approvals as Settings
from addons.core.model import Effect, Reason, Refusal
from addons.core.policy.request import Decision
from addons.flowstate import Call, Grant, Stage
from addons.store import moment
from addons.store.approvals.reading import Approvals
from addons.store.approvals.requests import Ask, SetHolders, Withdraw
from addons.store.approvals.rows import ApprovalUnreadable
from addons.store.approvals.watch import ApprovalWatch
from addons.store.audit.changes import ChangeRefused, RefusedBecause
from addons.store.audit.problems import AuditLogUnusable
from addons.store.moment import SLACK
from addons.store.writing.journal import Journal, JournalUnavailable

logger = logging.getLogger(__name__)

_DEFAULT_CREDENTIAL = "default"
_LOOK_AGAIN = 0.25  # seconds between two looks whether the client of a held call is still there
_OPEN = frozenset({State.PENDING, State.APPROVED, State.EXECUTING})  # something may still happen to the call
_IN_THREAD = 256 * 1024  # larger bodies are hashed in a thread

_CHANGED = "what a person looked at has changed since"
_GONE = Refusal(429, Reason.CLIENT_GONE, "the client left while its call was held")
_TOO_MANY = Refusal(
    429,
    Reason.TOO_MANY_APPROVALS,
    "people were asked for too many calls of this identity: too many wait, or too many came in the last hour",
    "wait for those that are pending, and ask for less",
)
_TWICE = Refusal(
    400,
    Reason.MALFORMED_REQUEST,
    "a header field that a person's yes is bound to is there twice",
    "send Content-Type and Idempotency-Key once",
)
_NOT_NOW = Refusal(
    429,
    Reason.APPROVAL_PENDING,
    "a person was asked to approve this call, and what they said can't be read now",
    "repeat the same request",
    retry_after=5.0,
)
_UNAVAILABLE = Refusal(
    503,
    Reason.APPROVALS_UNAVAILABLE,
    "nobody can be asked, because approvals can't be read or written",
    "try again; if it lasts, tell the gateway's operator. Nothing was forwarded",
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the stage asks of others. Each may refuse the call, and then says so with False or None.

    `draft` makes the approval that a new call asks for. `still_holds` looks whether what a person saw of the
    resource is so still. `decide_again` asks policy, `check_again` identity; `is_current` tells whether the
    policy that was asked is still the one; `check_blocked` refuses what is frozen or revoked. `count` counts
    the call against limits. `process` is this one's name.
    """

    draft: Callable[[http.HTTPFlow, str], Awaitable[Stored | None]]
    still_holds: Callable[[http.HTTPFlow, Stored], Awaitable[bool]]
    decide_again: Callable[[http.HTTPFlow], Awaitable[bool]]
    count: Callable[[http.HTTPFlow], Awaitable[bool]]
    check_again: Callable[[http.HTTPFlow], None]
    check_blocked: Callable[[http.HTTPFlow], bool]
    is_current: Callable[[Call], bool]
    is_draining: Callable[[], bool]
    process: str


class Approval:
    def __init__(  # noqa: PLR0913, PLR0917 - the parts of one process
        self,
        settings: Settings,
        around: Surroundings,
        journal: Journal,
        approvals: Approvals,
        watch: ApprovalWatch,
        digest_key: bytes,
    ) -> None:
        self._settings = settings
        self._around = around
        self._journal = journal
        self._approvals = approvals
        self._watch = watch
        self._digest_key = digest_key
        self._holders = Counter[str]()
        self._held_bytes = Counter[tuple[str, str]]()  # by whose calls they are
        self._using: dict[str, str] = {}  # by approval, the call of this process that is about to use it

    @property
    def holding(self) -> int:
        return self._holders.total()

    async def request(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is not None or call.decision is None or Stage.POLICY not in call.permits:
            return
        if not _needs_somebody(call):
            call.permits.add(Stage.APPROVAL)
            return
        if any(len(flow.request.headers.get_all(name.decode())) > 1 for name in SINGLE):
            refuse(flow, call, _TWICE)
            return
        deadline = monotonic() + self._patience(flow, call.decision)
        try:
            while call.refusal is None and Stage.APPROVAL not in call.permits:
                await self._ask(flow, call, deadline)
        except (JournalUnavailable, AuditLogUnusable, ApprovalUnreadable, ChangeRefused) as error:
            if call.refusal is not None:
                return
            logger.error("a call was refused, because nobody can be asked: %s", error)  # noqa: TRY400 - no traceback
            # Once it is asked for, never a 5xx: clients repeat that blindly.
            refuse(flow, call, _UNAVAILABLE if call.approval is None else _NOT_NOW)

    def response(self, flow: http.HTTPFlow) -> None:
        self._stop_using(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._stop_using(flow)

    def _stop_using(self, flow: http.HTTPFlow) -> None:
        """Whatever became of it, another identical call may go on."""
        call = flowstate.call_of(flow)
        if call.approval is not None:
            self._give_up_use(call, call.approval)

    def _patience(self, flow: http.HTTPFlow, decision: Decision) -> float:
        """For how many seconds the call may be held: as long as its client is known to wait."""
        headers, settings = flow.request.headers, self._settings
        agent, prefer = headers.get("user-agent"), headers.get_all("prefer")
        known = wait_for(agent, prefer, settings.default_wait, settings.longest_wait)
        return min(known, decision.needs.hold) if decision.needs is not None else known

    async def _ask(self, flow: http.HTTPFlow, call: Call, deadline: float) -> None:
        """One round: find the approval of this call or ask for one, wait, and do what it says. It decides on
        the call, or finds that it has to be asked anew.
        """
        digest = await self._digest(flow, call)
        found = await self._found(digest)
        approval = found or await self._asked_for(flow, call, digest)
        if approval is None:
            return  # refused
        call.approval = approval.id
        approval = await self._held(flow, call, approval, deadline, is_new=found is None)
        if approval is None or call.refusal is not None:
            return  # the client or the gateway leaves
        if approval.state is State.APPROVED and self._using.get(approval.id) == call.id:
            whole = await asyncio.to_thread(self._approvals.get, approval.id)
            if whole is not None:
                await self._use(flow, call, whole)
            return
        if approval.state in {State.SUCCEEDED, State.FAILED}:
            answer = await asyncio.to_thread(self._approvals.answer, approval.id)
            if answer is not None and 0 < answer.expires - time() <= self._settings.replay_window + SLACK:
                answer_here(flow, call, Reason.ANSWERED_AGAIN, answered_again(approval, answer))
                return
        refuse(flow, call, refusal_of(approval, self._settings.retry_after), about(approval, call.host))

    async def _found(self, digest: str) -> Stored | None:
        """The approval that an identical call has already."""
        return await asyncio.to_thread(self._approvals.standing, digest, time(), self._settings.replay_window)

    async def _asked_for(self, flow: http.HTTPFlow, call: Call, digest: str) -> Stored | None:
        if await self._has_too_many(call):  # before any work is done for it
            refuse(flow, call, replace(_TOO_MANY, retry_after=self._settings.retry_after))
            return None
        draft = await self._around.draft(flow, digest)
        if draft is None:
            return None
        ask = Ask(
            draft,
            moment.now(),
            self._settings.pending_per_principal,
            supersede=_replaces(call),
            process=self._around.process,
            window=self._settings.replay_window,
            most_an_hour=self._settings.requests_per_hour,
        )
        try:
            asked = await self._journal.change(ask)
        except ChangeRefused as refused:
            if refused.reason is not RefusedBecause.TOO_MANY:
                raise
            refuse(flow, call, replace(_TOO_MANY, retry_after=self._settings.retry_after))
            return None
        return asked.approval

    async def _has_too_many(self, call: Call) -> bool:
        principal = call.principal
        if principal is None:
            return True
        load = await asyncio.to_thread(self._approvals.load_of, principal.issuer, principal.subject, time())
        if load.lately >= self._settings.requests_per_hour:
            return True
        return load.waiting >= self._settings.pending_per_principal and not _replaces(call)

    async def _held(
        self, flow: http.HTTPFlow, call: Call, approval: Stored, deadline: float, *, is_new: bool
    ) -> Stored | None:
        """Wait until the call can go on or never will, its client would give up, or the gateway is to stop.

        None where the call was refused meanwhile: its client left, say. One that is new counts as held since
        it was asked for, and here it ceases to.
        """
        if approval.state not in _OPEN:
            return approval
        size = len(call.body) + len(flow.request.raw_content or b"")
        if not self._has_room(call, size):
            deadline = monotonic()
        if deadline <= monotonic() and not is_new:
            return await self._looked_at(call, approval.id)
        async with self._holder(call, approval.id, size), self._watch.watching(approval.id) as watched:
            changed = True
            while True:
                if changed:
                    found = await self._looked_at(call, approval.id)
                    if found.state not in _OPEN or self._using.get(found.id) == call.id:
                        return found
                left = deadline - monotonic()
                if left <= 0 or self._around.is_draining():
                    return found
                changed = await watched.changed(min(left, _LOOK_AGAIN))
                if call.refusal is not None or self._around.check_blocked(flow):
                    return None
                if not flow.client_conn.connected:
                    refuse(flow, call, _GONE)
                    return None

    async def _looked_at(self, call: Call, approval: str) -> Stored:
        """Look at it, without its preview.

        Of the calls here that find a grant, one goes on; the others wait for what becomes of it.
        """
        found = await asyncio.to_thread(self._approvals.get, approval, preview=False)
        if found is None:
            raise JournalUnavailable("An approval is gone from the store.", "Restore the store.")
        if found.state is State.APPROVED:
            self._using.setdefault(approval, call.id)
        return found

    def _has_room(self, call: Call, size: int) -> bool:
        """No identity takes more than half of the memory for held bodies from the others."""
        memory = self._settings.held_memory
        mine = self._held_bytes[_whose(call)]
        return self._held_bytes.total() + size <= memory and (not mine or mine + size <= memory // 2)

    @asynccontextmanager
    async def _holder(self, call: Call, approval: str, size: int) -> AsyncIterator[None]:
        """Counts the call among those that wait, so that nothing supersedes what a client waits for."""
        whose = _whose(call)
        self._held_bytes[whose] += size
        self._holders[approval] += 1
        try:
            if self._holders[approval] == 1:
                await self._journal.change(SetHolders(approval, self._around.process, 1))
            yield
        finally:
            self._held_bytes[whose] -= size
            if not self._held_bytes[whose]:
                del self._held_bytes[whose]
            self._holders[approval] -= 1
            if not self._holders[approval]:
                del self._holders[approval]
                with suppress(JournalUnavailable, ChangeRefused):  # it ends with this process at the latest
                    await self._journal.change(SetHolders(approval, self._around.process, 0))

    async def _use(self, flow: http.HTTPFlow, call: Call, approval: Stored) -> None:
        """Everything is asked again; then the call may go on, and the audit stage uses up the grant."""
        self._around.check_again(flow)
        if call.refusal is not None or not await self._around.decide_again(flow):
            return
        if await self._digest(flow, call) != approval.digest:
            # It would go out with another credential, and so is another request.
            self._give_up_use(call, approval.id)
            await self._pass_if_free(flow, call)
            return
        if not await self._around.still_holds(flow, approval):
            if call.refusal is None:
                await self._withdraw(call, approval.id)
                await self._pass_if_free(flow, call)
            return
        if not self._around.is_current(call):
            return  # the policy changed meanwhile: once more
        self._around.check_again(flow)
        flow.request.headers.fields = kept(flow.request.headers.fields)
        call.grant = Grant(approval.id, approval.digest)
        call.permits.add(Stage.APPROVAL)

    async def _withdraw(self, call: Call, approval: str) -> None:
        """What a person looked at is no more: their yes counts no longer, and the call is asked for anew."""
        try:
            await self._journal.change(Withdraw(approval, _CHANGED, moment.now()))
        except ChangeRefused as refused:
            if refused.reason is not RefusedBecause.NOT_WAITING:
                raise
        self._give_up_use(call, approval)

    async def _pass_if_free(self, flow: http.HTTPFlow, call: Call) -> None:
        """By the policy of now it may need nobody any more; then it counts as any call does."""
        if not _needs_somebody(call) and await self._around.count(flow):
            call.permits.add(Stage.APPROVAL)

    def _give_up_use(self, call: Call, approval: str) -> None:
        if self._using.get(approval) == call.id:
            del self._using[approval]
            self._watch.touch(approval)

    async def _digest(self, flow: http.HTTPFlow, call: Call) -> str:
        asked = _digested(flow.request, call)
        if len(call.body) > _IN_THREAD:
            return await asyncio.to_thread(call_digest, self._digest_key, asked)
        return call_digest(self._digest_key, asked)


def _whose(call: Call) -> tuple[str, str]:
    return (call.principal.issuer, call.principal.subject) if call.principal is not None else ("", "")


def _needs_somebody(call: Call) -> bool:
    return call.decision is None or call.decision.effect is Effect.REQUIRE_APPROVAL


def _replaces(call: Call) -> bool:
    """Whether the call stands for an older one to the same target. Two that make something new are two."""
    return call.operation is not None and not makes_something_new(call.operation)


def _digested(request: http.Request, call: Call) -> DigestedCall:
    principal, host, target, decision = call.principal, call.host, call.target, call.decision
    if principal is None or host is None or target is None or decision is None:
        raise ValueError("a call that policy has not decided on")
    return DigestedCall(
        issuer=principal.issuer,
        subject=principal.subject,
        on_behalf_of=principal.on_behalf_of,
        credential=decision.credential or _DEFAULT_CREDENTIAL,
        method=request.method,
        host=host.name,
        path=target.path,
        query=target.query,
        content_type=request.headers.get("content-type"),
        body=call.body,
        idempotency_key=request.headers.get("idempotency-key"),
        bound=bound(request.headers.fields),
    )
