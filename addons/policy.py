"""Asks the decision point and applies what it says."""

from __future__ import annotations

from mitmproxy import http

from addons import flowstate
from addons.answers import refuse
from addons.core.agent_keys import without_key_in_path
from addons.core.catalogue import Catalogue
from addons.core.model import Reason, Refusal
from addons.core.policy import PolicyRequest, PolicySet
from addons.core.request_target import METHOD_OVERRIDE_KEYS, BadTarget, normalise, query_pairs
from addons.flowstate import Stage

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


class Policy:
    """`policy_set` is one immutable set; replacing it is one assignment, and calls in flight keep theirs."""

    def __init__(self, policy_set: PolicySet | None, catalogue: Catalogue) -> None:
        self.policy_set = policy_set
        self._catalogue = catalogue

    def request(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is not None or call.principal is None or call.host is None:
            return
        policy_set = self.policy_set
        if policy_set is None:
            refuse(flow, call, _UNAVAILABLE)
            return
        request = flow.request
        try:
            target = normalise(request.path)
            stripped = without_key_in_path(target.path)
            if stripped != target.path:
                target = normalise(f"{stripped}?{target.query}" if target.query else stripped)
                request.path = stripped  # also for the record, should the call be refused
            pairs = query_pairs(target.query)
        except BadTarget:
            refuse(flow, call, _BAD_TARGET)
            return
        if any(key.lower() in METHOD_OVERRIDE_KEYS for key, _ in pairs):
            refuse(flow, call, _BAD_TARGET)
            return
        call.target = target
        call.operation = self._catalogue.resolve(request.method, target.segments, call.host)
        call.decision = decision = policy_set.decide(
            PolicyRequest(
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
            )
        )
        if not decision.permitted:
            refuse(flow, call, Refusal(403, decision.reason, decision.message, "", decision.rule))
            return
        # What is forwarded is what was decided on: the one normal form.
        request.path = f"{target.path}?{target.query}" if target.query else target.path
        call.permits.add(Stage.POLICY)
