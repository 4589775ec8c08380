"""Who asks: the token of a CONNECT or of a request, verified on every request, and removed. Who is frozen, or
comes with a token that is revoked, is refused, wherever the call is on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from time import time

from mitmproxy import http

from addons import flowstate
from addons.answers import refuse
from addons.core.blocklist import Block, BlockKind, Named
from addons.core.model import Principal, Reason, Refusal
from addons.core.presented import Conflict, TokenProblem, UnverifiedToken, find_presented, reconcile
from addons.core.token_checks import TokenRejected
from addons.flowstate import Call, Stage
from addons.store.blocking.watch import BlockWatch
from addons.store.identity.refusal_pace import RefusalPace
from addons.store.identity.token_authority import IssuerUnavailable, TokenAuthority

# An answer this close to the end of the tunnel's token asks the client to come back with a new tunnel, so
# that a pool renews without ever meeting a refusal.
_RENEW_BEFORE = 30.0
_KEY_HEADERS = ("dd-api-key", "dd_api_key")
_INTENT_HEADER = "x-ddgate-intent"
_MAX_INTENT = 500
_HOW = "put a token of a configured issuer into HTTPS_PROXY, or run the agent under `ddgate run`"
_ASK = "stop, and ask whoever runs this gateway; nothing was forwarded"
_FROZEN = Refusal(
    403, Reason.IDENTITY_FROZEN, "the identity of this call, or whom it acts for, is frozen", _ASK
)
_ALL_FROZEN = Refusal(403, Reason.IDENTITY_FROZEN, "the calls of everyone are frozen", _ASK)
_REVOKED = Refusal(
    401,
    Reason.TOKEN_REVOKED,
    "the token is revoked",
    "get a new one; if that is refused as well, ask whoever runs this gateway",
)
_UNTOLD = Refusal(
    503,
    Reason.IDENTITY_UNAVAILABLE,
    "it can't be told now whether this identity is frozen or its token revoked",
    "try again; if it lasts, tell the gateway's operator. Nothing was forwarded",
)
_ENDS_CONNECTION = frozenset({Reason.IDENTITY_FROZEN, Reason.TOKEN_REVOKED})


class Identity:
    """`blocks` knows who is frozen or revoked, and is begun and ended with this stage. `pace` is that of its
    refusals.
    """

    def __init__(
        self,
        authority: TokenAuthority,
        identity_header: str,
        blocks: BlockWatch,
        pace: RefusalPace | None = None,
    ) -> None:
        self._authority = authority
        self._header = identity_header.lower()
        self._blocks = blocks
        self._pace = pace or RefusalPace()

    def running(self) -> None:
        self._blocks.start()

    def done(self) -> None:
        self._blocks.close()

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        """A CONNECT without a token opens a tunnel in which every request needs its own."""
        call = flowstate.call_of(flow)
        if call.refusal is None:
            await self._identify_tunnel(flow, call)
            await self._wait_if_refused(flow, call)

    async def _identify_tunnel(self, flow: http.HTTPFlow, call: Call) -> None:
        presented = find_presented(proxy_authorization=flow.request.headers.get_all("proxy-authorization"))
        flow.request.headers.pop("proxy-authorization", None)
        principals = await self._verify(flow, call, presented, status=407)
        if principals is None:
            return
        call.principal = principals[0] if principals else None
        call.proofs = tuple(principals)
        if self.check_blocked(flow):
            return
        flowstate.open_tunnel(flow.client_conn).principal = call.principal
        call.permits.add(Stage.IDENTITY)

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if call.refusal is None:
            await self._identify(flow, call)
            await self._wait_if_refused(flow, call)

    async def _identify(self, flow: http.HTTPFlow, call: Call) -> None:
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
        call.proofs = (*principals, tunnel_principal) if tunnel_principal is not None else tuple(principals)
        try:
            call.principal = reconcile(tunnel_principal, principals)
        except Conflict as conflict:
            refuse(flow, call, Refusal(401, conflict.reason, conflict.message, conflict.remedy))
            return
        refusal = _still_valid(call.principal, status)
        if refusal is not None:
            refuse(flow, call, refusal)
            return
        if not self.check_blocked(flow):
            call.permits.add(Stage.IDENTITY)

    def request(self, flow: http.HTTPFlow) -> None:
        """A body may take longer to come than its token lives."""
        self.check_again(flow)

    def check_again(self, flow: http.HTTPFlow) -> None:
        """Refuses a call whose token has expired since, while its body came or a person thought about it, or
        that has been stopped.
        """
        call = flowstate.call_of(flow)
        if call.refusal is None and Stage.IDENTITY in call.permits:
            refusal = _still_valid(call.principal, 401 if call.in_tunnel else 407)
            if refusal is not None:
                refuse(flow, call, refusal)
            else:
                self.check_blocked(flow)

    def check_blocked(self, flow: http.HTTPFlow) -> bool:
        """Refuses a call of somebody who is frozen, or by a token that is revoked, and of anybody while that
        can't be told. Gives whether it did.
        """
        call = flowstate.call_of(flow)
        if not call.proofs:
            return False
        blocklist = self._blocks.current
        if blocklist is None:
            # Once people are asked for it, never a 5xx: clients repeat that blindly.
            later = replace(_UNTOLD, status=429, retry_after=5.0)
            refuse(flow, call, _UNTOLD if call.approval is None else later)
            return True
        found = [block for proof in call.proofs if (block := blocklist.find(proof)) is not None]
        if found:
            refuse(flow, call, _stopped_by(found, 401 if call.in_tunnel else 407))
        return bool(found)

    def answer_part(self, flow: http.HTTPFlow) -> None:
        """A stream ends when its token does."""
        call = flowstate.call_of(flow)
        self.check_again(flow)
        if call.stream is not None and call.refusal is None:
            call.stream.clearances.add(Stage.IDENTITY)

    def response(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        tunnel = flowstate.tunnel_of(flow.client_conn)
        principal = tunnel.principal if tunnel is not None else None
        stopped = call.refusal is not None and call.refusal.reason in _ENDS_CONNECTION
        if not stopped and (principal is None or principal.expires - time() > _RENEW_BEFORE):
            return
        for response in (call.answer, flow.response):
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
            refuse(flow, call, Refusal(status, Reason.BAD_TOKEN, presented.message, presented.remedy))
            return None
        principals = []
        for token in presented:
            unverified = token.unverified_value
            try:
                known = self._authority.known(unverified, time())
                principals.append(known or await self._authority.authenticate(unverified))
            except TokenRejected as error:
                refuse(flow, call, Refusal(status, error.reason, error.message, error.remedy))
                return None
            except IssuerUnavailable as error:
                refuse(flow, call, Refusal(503, error.reason, error.message, error.remedy))
                return None
        return principals

    async def _wait_if_refused(self, flow: http.HTTPFlow, call: Call) -> None:
        """Keeps many bad logins of one client, and an agent that goes on although it is frozen, from slowing
        the others down.
        """
        if call.refusal is None:
            return
        peer = flow.client_conn.peername
        delay = self._pace.delay(peer[0] if peer else "")
        if delay:
            await asyncio.sleep(delay)


class LastLook:
    """Asks once more who the caller is, when all but the record is done: to look at the resource, or to wait
    for others, may have taken long.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def request(self, flow: http.HTTPFlow) -> None:
        self._identity.check_again(flow)


def _stopped_by(found: Sequence[Block], status: int) -> Refusal:
    if any(block.named is Named.EVERYONE for block in found):
        return _ALL_FROZEN
    if any(block.kind is BlockKind.FREEZE for block in found):
        return _FROZEN
    return replace(_REVOKED, status=status)


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
