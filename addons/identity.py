"""Who asks: the token of a CONNECT or of a request, verified on every request, and removed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import time

from mitmproxy import http

from addons import flowstate
from addons.answers import refuse
from addons.core.model import Principal, Reason, Refusal
from addons.core.presented import Conflict, TokenProblem, UnverifiedToken, find_presented, reconcile
from addons.core.token_checks import TokenRejected
from addons.flowstate import Call, Stage
from addons.store.refusal_pace import RefusalPace
from addons.store.token_authority import IssuerUnavailable, TokenAuthority

# An answer this close to the end of the tunnel's token asks the client to come back with a new tunnel, so
# that a pool renews without ever meeting a refusal.
_RENEW_BEFORE = 30.0
_KEY_HEADERS = ("dd-api-key", "dd_api_key")
_INTENT_HEADER = "x-ddgate-intent"
_MAX_INTENT = 500
_HOW = "put a token of a configured issuer into HTTPS_PROXY, or run the agent under `ddgate run`"


class Identity:
    def __init__(self, authority: TokenAuthority, identity_header: str) -> None:
        self._authority = authority
        self._header = identity_header.lower()
        self._pace = RefusalPace()

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        """A CONNECT without a token opens a tunnel in which every request needs its own."""
        call = flowstate.call_of(flow)
        if call.refusal is not None:
            return
        presented = find_presented(proxy_authorization=flow.request.headers.get_all("proxy-authorization"))
        flow.request.headers.pop("proxy-authorization", None)
        principals = await self._verify(flow, call, presented, status=407)
        if principals is None:
            return
        call.principal = principals[0] if principals else None
        flowstate.open_tunnel(flow.client_conn).principal = call.principal
        call.permits.add(Stage.IDENTITY)

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is not None:
            return
        headers = flow.request.headers
        tunnel = flowstate.tunnel_of(flow.client_conn)
        at_proxy = tunnel is None
        presented = find_presented(
            proxy_authorization=headers.get_all("proxy-authorization") if at_proxy else (),
            identity_header=headers.get_all(self._header),
            api_key=[value for name in _KEY_HEADERS for value in headers.get_all(name)],
        )
        call.unverified_intent = _intent(headers.get_all(_INTENT_HEADER))
        for name in ("proxy-authorization", self._header, *_KEY_HEADERS, _INTENT_HEADER):
            headers.pop(name, None)
        status = 407 if at_proxy else 401
        principals = await self._verify(flow, call, presented, status=status)
        if principals is None:
            return
        tunnel_principal = tunnel.principal if tunnel is not None else None
        try:
            call.principal = reconcile(tunnel_principal, principals)
        except Conflict as conflict:
            refuse(flow, call, Refusal(401, conflict.reason, conflict.message, conflict.remedy))
            return
        refusal = _still_valid(call.principal, status)
        if refusal is not None:
            refuse(flow, call, refusal)
            return
        call.permits.add(Stage.IDENTITY)

    def request(self, flow: http.HTTPFlow) -> None:
        """A body may take longer to come than its token lives."""
        self.check_again(flow)

    def check_again(self, flow: http.HTTPFlow) -> None:
        """Refuses a call whose token has expired since, while its body came or a person thought about it."""
        call = flowstate.call_of(flow)
        if call.refusal is None and Stage.IDENTITY in call.permits:
            refusal = _still_valid(call.principal, 401 if call.in_tunnel else 407)
            if refusal is not None:
                refuse(flow, call, refusal)

    def response(self, flow: http.HTTPFlow) -> None:
        tunnel = flowstate.tunnel_of(flow.client_conn)
        principal = tunnel.principal if tunnel is not None else None
        if principal is None or principal.expires - time() > _RENEW_BEFORE:
            return
        answer = flowstate.call_of(flow).answer
        for response in (answer, flow.response):
            if response is not None:
                response.headers["Connection"] = "close"

    async def _verify(
        self,
        flow: http.HTTPFlow,
        call: Call,
        presented: Sequence[UnverifiedToken] | TokenProblem,
        *,
        status: int,
    ) -> list[Principal] | None:
        """The principals of all tokens that were presented; None if the call was refused over one."""
        if isinstance(presented, TokenProblem):
            await self._wait_turn(flow)
            refuse(flow, call, Refusal(status, Reason.BAD_TOKEN, presented.message, presented.remedy))
            return None
        principals = []
        for token in presented:
            unverified = token.unverified_value
            try:
                known = self._authority.known(unverified, time())
                principals.append(known or await self._authority.authenticate(unverified))
            except TokenRejected as error:
                await self._wait_turn(flow)
                refuse(flow, call, Refusal(status, error.reason, error.message, error.remedy))
                return None
            except IssuerUnavailable as error:
                refuse(flow, call, Refusal(503, error.reason, error.message, error.remedy))
                return None
        return principals

    async def _wait_turn(self, flow: http.HTTPFlow) -> None:
        """Keeps many bad logins of one client from slowing the others down."""
        peer = flow.client_conn.peername
        delay = self._pace.delay(peer[0] if peer else "")
        if delay:
            await asyncio.sleep(delay)


def _intent(unverified_values: Sequence[str]) -> str | None:
    """What the agent says it is about: free text, shown to people and never relied on."""
    text = " ".join(" ".join(unverified_values).split())[:_MAX_INTENT]
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") or None


def _still_valid(principal: Principal | None, status: int) -> Refusal | None:
    if principal is None:
        return Refusal(status, Reason.NO_IDENTITY, "the call carries no identity", _HOW)
    if principal.expires <= time():
        return Refusal(
            status,
            Reason.TOKEN_EXPIRED,
            "the token has expired",
            "get a new one, or run the agent under `ddgate run`, which renews it",
        )
    return None
