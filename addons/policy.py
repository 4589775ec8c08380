"""Asks the decision point and applies what it says."""

from __future__ import annotations

import asyncio
import datetime
import logging
from dataclasses import replace
from time import time

from mitmproxy import http

from addons import flowstate
from addons.answers import refuse
from addons.core.agent_keys import without_key_in_path
from addons.core.catalogue import Catalogue
from addons.core.model import Effect, Reason, Refusal
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Decision, LogLevel, PolicyRequest
from addons.core.request_target import METHOD_OVERRIDE_KEYS, BadTarget, Target, normalise, query_pairs
from addons.flowstate import Call, Stage
from addons.store.policy.counts import PolicyCounts
from addons.store.policy.decider import Decider
from addons.store.policy.decision_worker import WorkerUnavailable
from addons.store.policy.limit_counters import CountersUnavailable, LimitCounters
from addons.store.targets.reader import Subject
from addons.store.targets.seen import TargetShown

logger = logging.getLogger(__name__)

_BAD_TARGET = Refusal(
    400,
    Reason.MALFORMED_REQUEST,
    "the request target can be read in more than one way",
    "send a path without dot segments, double slashes or escaped separators",
)
_UNAVAILABLE = Refusal(
    503,
    Reason.POLICY_UNAVAILABLE,
    "no policy is loaded",
    "tell the gateway's operator; nothing was forwarded",
)
_UNDECIDED = Refusal(
    503,
    Reason.POLICY_UNAVAILABLE,
    "the call could not be decided on",
    "try again; if it lasts, tell the gateway's operator. Nothing was forwarded",
)
_UNCOUNTED = Refusal(
    503,
    Reason.POLICY_UNAVAILABLE,
    "the call counts against a limit, and the counts can't be had",
    "try again; if it lasts, tell the gateway's operator. Nothing was forwarded",
)
_LEVELS = {LogLevel.DEBUG: logging.DEBUG, LogLevel.INFO: logging.INFO, LogLevel.WARNING: logging.WARNING}


class Policy:
    """`policy_set` is one immutable set; replacing it is one assignment, and calls in flight keep theirs."""

    def __init__(
        self,
        policy_set: PolicySet | None,
        catalogue: Catalogue,
        *,
        decider: Decider,
        limits: LimitCounters,
        counts: PolicyCounts,
    ) -> None:
        self.policy_set = policy_set
        self._catalogue = catalogue
        self._decider = decider
        self._limits = limits
        self._counts = counts
        self._observing: PolicySet | None = None

    async def request(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is not None or call.principal is None or call.host is None:
            return
        policy_set = self.policy_set
        if policy_set is None:
            refuse(flow, call, _UNAVAILABLE)
            return
        try:
            call.target = target = _target_of(flow.request)
            call.operation = self._catalogue.resolve(flow.request.method, target.segments, call.host)
            request = self._asked(flow.request, call)
        except BadTarget:
            refuse(flow, call, _BAD_TARGET)
            return
        try:
            call.decision = decision = await self._decide(flow, call, policy_set, request)
        except WorkerUnavailable as error:
            logger.error("call %s could not be decided on: %s", call.id, error)  # noqa: TRY400 - no traceback
            refuse(flow, call, _UNDECIDED)
            return
        _tell(call, decision)
        self._tell_when_observing_ends(policy_set, decision)
        asks = decision.effect is Effect.REQUIRE_APPROVAL  # counted once it is known that it asks anew
        if not asks and not await self.count_against_limits(flow):
            return
        self._counts.count(decision)
        if not decision.permitted and not asks:
            refuse(flow, call, _denial(decision))
            return
        # What is forwarded is what was decided on: the one normal form.
        flow.request.path = f"{target.path}?{target.query}" if target.query else target.path
        call.permits.add(Stage.POLICY)

    async def decide_again(self, flow: http.HTTPFlow) -> bool:
        """Decide anew on a call that a person has let pass: by the policy of now, and by the resource as it
        is now. False where the call was refused, because a newer deny beats an older yes.
        """
        call = flowstate.call_of(flow)
        policy_set = self.policy_set
        if policy_set is None:
            refuse(flow, call, _UNAVAILABLE)
            return False
        request = self._asked(flow.request, call)
        try:
            decision = await self._decide(flow, call, policy_set, request, fresh=True)
        except WorkerUnavailable as error:
            logger.error("call %s could not be decided on: %s", call.id, error)  # noqa: TRY400 - no traceback
            refuse(flow, call, _UNDECIDED)
            return False
        call.decision = decision
        if not decision.permitted and decision.effect is not Effect.REQUIRE_APPROVAL:
            self._counts.count(decision)
            refuse(flow, call, _denial(decision))
            return False
        return True

    def is_current(self, call: Call) -> bool:
        """Whether a decision is that of the policy of now."""
        return (
            self.policy_set is not None
            and call.decision is not None
            and call.decision.revision == self.policy_set.revision
        )

    async def look(self, flow: http.HTTPFlow) -> TargetShown | None:
        """Look at what the call would change, as it is now; None where there is nothing to look at."""
        call = flowstate.call_of(flow)
        if self.policy_set is None or call.host is None:
            return None
        asked = self._asked(flow.request, call)
        return await self._decider.show(self.policy_set, asked, _subject(flow, call))

    async def count_against_limits(self, flow: http.HTTPFlow) -> bool:
        """False where the call was refused, because a limit of its rules is used up."""
        call = flowstate.call_of(flow)
        decision = call.decision
        if decision is None or not await self._is_over_a_limit(flow, call, decision):
            return True
        assert call.refusal is not None  # noqa: S101 - it was just refused
        self._counts.count(replace(decision, effect=Effect.DENY, reason=call.refusal.reason))
        return False

    def announce(self, policy_set: PolicySet) -> None:
        """Say loudly that a set which is about to decide enforces nothing."""
        if (warning := _observing(policy_set)) is not None:
            logger.warning(warning)

    def warnings(self) -> tuple[str, ...]:
        warning = _observing(self.policy_set) if self.policy_set is not None else None
        return (warning,) if warning is not None else ()

    def _tell_when_observing_ends(self, policy_set: PolicySet, decision: Decision) -> None:
        if decision.withheld is not None:
            self._observing = policy_set
        elif self._observing is policy_set:
            self._observing = None
            logger.warning("observing has ended: the policy is enforced from now on")

    def done(self) -> None:
        self._decider.close()
        self._limits.close()

    def response(self, flow: http.HTTPFlow) -> None:
        self._forget_resource(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._forget_resource(flow)

    def _forget_resource(self, flow: http.HTTPFlow) -> None:
        """What was read of a resource is old once a call to it may have run."""
        call = flowstate.call_of(flow)
        if call.attempted and call.host is not None and call.target is not None:
            self._decider.forget(call.host.name, call.target.path, flow.request.method)

    @staticmethod
    def _asked(request: http.Request, call: Call) -> PolicyRequest:
        """Put the call as policy sees it. Raises BadTarget where its query overrides the method."""
        target = call.target
        assert call.principal is not None  # noqa: S101 - the caller has looked
        assert call.host is not None  # noqa: S101 - as above
        assert target is not None  # noqa: S101 - as above
        pairs = query_pairs(target.query)
        if any(key.lower() in METHOD_OVERRIDE_KEYS for key, _ in pairs):
            raise BadTarget
        return PolicyRequest(
            principal=call.principal,
            operation=call.operation,
            host=call.host.name,
            method=request.method,
            path=target.path,
            query=pairs,
            headers=tuple(
                (name.decode("latin-1").lower(), value.decode("latin-1"))
                for name, value in request.headers.fields
            ),
            size=len(call.body),
            at=time(),
        )

    async def _decide(
        self,
        flow: http.HTTPFlow,
        call: Call,
        policy_set: PolicySet,
        request: PolicyRequest,
        *,
        fresh: bool = False,
    ) -> Decision:
        if policy_set.wants(request) is None:
            return policy_set.decide(request)
        subject = _subject(flow, call)
        decision, call.resource = await self._decider.decide(policy_set, request, subject, fresh=fresh)
        return decision

    async def _is_over_a_limit(self, flow: http.HTTPFlow, call: Call, decision: Decision) -> bool:
        """Count the call against the limits of its rules, and refuse it where one is used up."""
        if not decision.limits or decision.effect is Effect.DENY:
            return False
        try:
            exceeded = await asyncio.to_thread(self._limits.take, decision.limits, time())
        except CountersUnavailable as error:
            logger.error("call %s was refused: %s", call.id, error)  # noqa: TRY400 - no traceback
            refuse(flow, call, _UNCOUNTED)
            return True
        if exceeded is None:
            return False
        refusal = Refusal(
            429,
            Reason.QUOTA_EXCEEDED if exceeded.kind == "quota" else Reason.RATE_LIMITED,
            f"the {exceeded.kind} of the limit {exceeded.name} is used up",
            "wait as long as Retry-After says",
            decision.rule,
            exceeded.retry_after,
        )
        refuse(flow, call, refusal)
        return True


def _denial(decision: Decision) -> Refusal:
    return Refusal(403, decision.reason, decision.message, "", decision.rule)


def _subject(flow: http.HTTPFlow, call: Call) -> Subject:
    assert call.host is not None  # noqa: S101 - the caller has looked
    return Subject(call.id, call.host, call.body, flow.request.headers.get("content-type"))


def _observing(policy_set: PolicySet) -> str | None:
    until = policy_set.observe_until
    if until is None or not policy_set.is_observing(time()):
        return None
    when = datetime.datetime.fromtimestamp(until, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"the policy only observes until {when}: nothing is enforced, every call of a known agent passes"


def _target_of(request: http.Request) -> Target:
    """The target in its one normal form, less a key that stands in the path. Raises BadTarget."""
    target = normalise(request.path)
    stripped = without_key_in_path(target.path)
    if stripped != target.path:
        target = normalise(f"{stripped}?{target.query}" if target.query else stripped)
        request.path = stripped  # also for the record, should the call be refused
    return target


def _tell(call: Call, decision: Decision) -> None:
    """Log what a rule wants to be logged, and what rules in shadow mode would have done."""
    name = call.operation.name if call.operation else "an unknown operation"
    who = call.principal.subject if call.principal else "nobody"
    if decision.log is not None:
        rule = decision.rule or decision.reason.value
        logger.log(_LEVELS[decision.log], "%s: %s of %r: %s %s", call.id, name, who, decision.effect, rule)
    for hit in decision.shadow:
        what = "could not be evaluated" if hit.is_error else f"would {hit.effect}"
        logger.info("%s: %s of %r: the shadow rule %s %s", call.id, name, who, hit.rule, what)
