"""Makes recorded calls again, one after the other, and compares what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from addons.cli.replay.record import ReplayLog, end_of_log, record_of
from addons.cli.replay.sending import Person, SendFailed, Sent, Way, send
from addons.core.catalogue import Catalogue
from addons.core.model import Json, Reason
from addons.core.start_problems import GatewayProblem
from addons.replaying.comparing import Comparing, Comparison, told_by_ddgate
from addons.replaying.exchange import Exchange
from addons.replaying.resending import NotSendable, Resent, resent
from addons.replaying.stand_in import StandIn
from addons.sidecar.token_sources import TokenError
from addons.sidecar.tokens import TokenKeeper

# What the stand-in says in place of an answer of Datadog's.
_UNANSWERED = frozenset({"not_recorded", "not_stored", "given_already"})
_ASKED = frozenset({Reason.APPROVAL_PENDING, Reason.APPROVAL_REQUIRED})


class Became(StrEnum):
    """What became of a recorded call. `LEFT_OUT`: it was not sent. `FAILED`: no answer came."""

    SAME = "same"
    DIFFERS = "differs"
    LEFT_OUT = "left out"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """`why` says why it was left out or failed; `told` is what ddgate said where it answered itself; `new` is
    the gateway's own record of the new call.
    """

    exchange: Exchange
    became: Became
    why: str = ""
    comparison: Comparison | None = None
    told: Mapping[str, Json] | None = None
    new: Mapping[str, Json] | None = None

    @property
    def needs_approval(self) -> bool:
        return self.told is not None and self.told.get("reason") in _ASKED


@dataclass(frozen=True, slots=True)
class Replay:
    """How calls are made again. `audit_log` is the log that the gateway writes, where it is on this machine;
    `log` the one that tells of the replay. `confirm` is asked before a call is sent that is no read, and
    says why not, or nothing. `stand_in`, if there is one, is to give each call's own recorded answer.
    """

    way: Way
    keeper: TokenKeeper
    catalogue: Catalogue
    comparing: Comparing
    confirm: Callable[[Exchange, Resent], str]
    audit_log: Path | None
    log: ReplayLog | None
    wait: int
    identity_headers: tuple[str, ...] = ()
    stand_in: StandIn | None = None

    async def replay(self, exchange: Exchange) -> Result:
        """Raises GatewayProblem where it can't go on: no token, or no record."""
        result = await self._replayed(exchange)
        if self.log is not None and result.became is not Became.LEFT_OUT:
            self.log.tell(exchange, str(result.became), result.new)
        return result

    async def _replayed(self, exchange: Exchange) -> Result:
        try:
            request = resent(exchange, self.catalogue, self.identity_headers)
            refusal = "" if request.is_read else self.confirm(exchange, request)
            if refusal:
                return Result(exchange, Became.LEFT_OUT, refusal)
            return await self._sent(exchange, request)
        except NotSendable as why:
            return Result(exchange, Became.LEFT_OUT, str(why))

    async def _sent(self, exchange: Exchange, request: Resent) -> Result:
        """Raises NotSendable, GatewayProblem."""
        if self.stand_in is not None:
            self.stand_in.calls.prefer(exchange)
        begin = end_of_log(self.audit_log) if self.audit_log is not None else 0
        try:
            token = await self.keeper.current()
        except TokenError as error:
            raise GatewayProblem(str(error)) from None
        person = Person(token.value, f"a replay of the recorded call {exchange.call}", self.wait)
        try:
            sent = await send(self.way, request, person)
        except SendFailed as failed:
            return Result(exchange, Became.FAILED, str(failed))
        return self._compared(exchange, sent, begin)

    def _compared(self, exchange: Exchange, sent: Sent, begin: int) -> Result:
        new = record_of(self.audit_log, begin, sent.client) if self.audit_log is not None else None
        told = told_by_ddgate(sent.answer)
        if new is None and isinstance(told.get("call"), str):
            new = {"call": told["call"]}
        if exchange.answer is None:
            why = f"the recording has no answer; now it is {sent.answer.status}"
            return Result(exchange, Became.DIFFERS, why, told=told, new=new)
        if self.stand_in is not None and told.get("reason") in _UNANSWERED:
            why = "it is let through now, and the recording holds no answer of Datadog's to it"
            return Result(exchange, Became.DIFFERS, why, new=new)
        comparison = self.comparing.compare(exchange.answer, sent.answer)
        became = Became.SAME if comparison.is_same else Became.DIFFERS
        return Result(exchange, became, comparison=comparison, told=told, new=new)


def counted(results: list[Result]) -> Iterator[tuple[Became, int]]:
    for became in Became:
        count = sum(result.became is became for result in results)
        if count:
            yield became, count
