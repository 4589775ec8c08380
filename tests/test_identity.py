"""The identity stage's word on who is frozen or revoked, at each point of a call's way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from mitmproxy import http

from addons import flowstate
from addons.core.blocklist import BlockKind, Named, TokenLimits
from addons.core.model import Principal, Reason
from addons.flowstate import Call, Stage
from addons.identity import Identity, LastLook
from addons.store import moment
from addons.store.blocking.blocks import Blocks, LiftBlocks, PutBlock, StoredBlock
from addons.store.blocking.watch import BlockWatch
from addons.store.identity.key_sets import KeySets
from addons.store.identity.refusal_pace import RefusalPace
from addons.store.identity.token_authority import IssuerUnavailable, TokenAuthority
from addons.store.state_dir import StateDir
from tests.calls import PRINCIPAL, make_flow
from tests.store.approval_samples import Store
from tests.store.blocking.test_blocks import BY, stored

ANOTHER = replace(PRINCIPAL, subject="another", token_id="t2")


class KnownTokens(TokenAuthority):
    """Tokens that were verified before, and one of an issuer that can't be reached."""

    def known(self, unverified_token: str, now: float) -> Principal | None:
        found = {"one": PRINCIPAL, "two": replace(PRINCIPAL, token_id="t2"), "other": ANOTHER}
        return found.get(unverified_token)

    async def authenticate(self, unverified_token: str) -> Principal:
        if unverified_token == "keyless":
            raise IssuerUnavailable("https://issuer.example")
        return await super().authenticate(unverified_token)


@dataclass
class Place:
    identity: Identity
    watch: BlockWatch
    store: Store

    def put(self, one: StoredBlock) -> None:
        self.store.do(PutBlock(one, BY))
        self.watch.look()

    def revoke(self, token_id: str) -> None:
        one = stored(token_id, BlockKind.REVOCATION, at=moment.now())
        self.put(replace(one, block=replace(one.block, named=Named.TOKEN)))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    state = StateDir.open(tmp_path / "state")
    store = Store(state.audit_log)
    watch = BlockWatch(Blocks(state.audit_log), TokenLimits(3600, 30), moment.now)
    watch.look()
    identity = Identity(KnownTokens(KeySets([])), "X-DDGate-Identity", watch)
    yield Place(identity, watch, store)
    watch.close()
    store.log.close()


def permitted(*proofs: Principal) -> tuple[http.HTTPFlow, Call]:
    """A call whose identity was found good."""
    flow, call = make_flow()
    call.in_tunnel = True
    call.proofs = proofs or (PRINCIPAL,)
    call.permits.add(Stage.IDENTITY)
    return flow, call


def refused(call: Call) -> tuple[int, Reason] | None:
    return (call.refusal.status, call.refusal.reason) if call.refusal is not None else None


async def test_a_connect_of_somebody_frozen_is_refused_and_opens_no_tunnel(place: Place) -> None:
    place.put(stored("agent"))
    flow, call = make_flow("CONNECT")
    flow.request.headers["Proxy-Authorization"] = "Bearer one"
    await place.identity.http_connect(flow)
    assert refused(call) == (403, Reason.IDENTITY_FROZEN)
    assert Stage.IDENTITY not in call.permits
    assert flowstate.tunnel_of(flow.client_conn) is None
    assert call.principal == PRINCIPAL  # for the record


async def test_a_connect_with_a_revoked_token_is_asked_for_another(place: Place) -> None:
    place.revoke("t2")
    flow, call = make_flow("CONNECT")
    flow.request.headers["Proxy-Authorization"] = "Bearer two"
    await place.identity.http_connect(flow)
    assert refused(call) == (407, Reason.TOKEN_REVOKED)
    assert flow.response is not None
    assert flow.response.headers.get_all("Proxy-Authenticate")


@pytest.mark.parametrize(("tunnel", "inside"), [("one", "two"), ("two", "one"), ("two", None)])
async def test_each_token_that_a_request_relies_on_counts(
    place: Place, tunnel: str, inside: str | None
) -> None:
    place.revoke("t2")
    flow, call = make_flow()
    call.in_tunnel = True
    authority = KnownTokens(KeySets([]))
    flowstate.open_tunnel(flow.client_conn).principal = authority.known(tunnel, 0)
    if inside is not None:
        flow.request.headers["X-DDGate-Identity"] = f"Bearer {inside}"
    await place.identity.requestheaders(flow)
    assert refused(call) == (401, Reason.TOKEN_REVOKED)
    assert Stage.IDENTITY not in call.permits
    place.identity.response(flow)
    assert flow.response is not None
    assert flow.response.headers["Connection"] == "close"


@pytest.mark.parametrize("late", ["body", "last look"])
def test_who_is_frozen_since_is_refused_later_on(place: Place, late: str) -> None:
    flow, call = permitted()
    stage = place.identity if late == "body" else LastLook(place.identity)
    stage.request(flow)
    assert call.refusal is None
    place.put(stored("agent"))
    stage.request(flow)
    assert refused(call) == (403, Reason.IDENTITY_FROZEN)


def test_who_is_frozen_hears_of_nothing_else(place: Place) -> None:
    """Neither of a revocation beside it, nor why, nor of a token to get."""
    place.revoke("t2")
    place.put(stored("agent"))
    flow, call = permitted(PRINCIPAL, replace(PRINCIPAL, token_id="t2"))
    place.identity.check_again(flow)
    assert refused(call) == (403, Reason.IDENTITY_FROZEN)
    assert flow.response is not None
    text = flow.response.text or ""
    assert "a loop" not in text
    assert "new one" not in text


def test_another_goes_on(place: Place) -> None:
    place.put(stored("agent"))
    flow, call = permitted(ANOTHER)
    assert not place.identity.check_blocked(flow)
    assert call.refusal is None
    place.identity.response(flow)
    assert flow.response is None


def test_everyone_is_everyone(place: Place) -> None:
    place.put(stored(""))
    flow, call = permitted(ANOTHER)
    place.identity.check_again(flow)
    assert refused(call) == (403, Reason.IDENTITY_FROZEN)
    assert call.refusal is not None
    assert "everyone" in call.refusal.message


@pytest.mark.parametrize(("approval", "status"), [(None, 503), ("ap", 429)])
def test_i1_while_nobody_can_tell_nobody_passes(place: Place, approval: str | None, status: int) -> None:
    """Once people were asked for a call, no 5xx: clients repeat that blindly."""
    place.store.sql("ALTER TABLE blocklist RENAME TO hidden")
    place.watch.look()
    flow, call = permitted()
    call.approval = approval
    place.identity.check_again(flow)
    assert refused(call) == (status, Reason.IDENTITY_UNAVAILABLE)


def test_a_call_without_any_token_is_for_others_to_refuse(place: Place) -> None:
    place.put(stored(""))
    flow, call = make_flow()
    assert not place.identity.check_blocked(flow)
    assert call.refusal is None


def test_who_is_no_longer_frozen_goes_on(place: Place) -> None:
    place.put(stored("agent"))
    place.store.do(LiftBlocks(BlockKind.FREEZE, Named.SUBJECT, "agent", None, "", BY, 0.0))
    place.watch.look()
    flow, call = permitted()
    place.identity.check_again(flow)
    assert call.refusal is None


class Counted(RefusalPace):
    """Makes nobody wait, and counts who would."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = 0

    def delay(self, address: str) -> float:
        self.refused += 1
        return 0.0


async def _presented(
    place: Place, headers: Mapping[str, str], method: str = "GET"
) -> tuple[Reason | None, int]:
    """Why that call is refused, and how many refusals have to wait their turn for it."""
    pace = Counted()
    identity = Identity(KnownTokens(KeySets([])), "X-DDGate-Identity", place.watch, pace)
    flow, call = make_flow(method)
    flow.request.headers.update(headers)
    await (identity.http_connect if method == "CONNECT" else identity.requestheaders)(flow)
    return (call.refusal.reason if call.refusal is not None else None), pace.refused


PACED = {
    "no token": ({}, Reason.NO_IDENTITY),
    "an empty one": ({"Proxy-Authorization": "Bearer "}, Reason.BAD_TOKEN),
    "a bad one": ({"Proxy-Authorization": "Bearer bad"}, Reason.BAD_TOKEN),
    "two of different actors": (
        {"Proxy-Authorization": "Bearer one", "X-DDGate-Identity": "Bearer other"},
        Reason.CONFLICTING_IDENTITY,
    ),
    "one whose issuer has no keys": ({"Proxy-Authorization": "Bearer keyless"}, Reason.IDENTITY_UNAVAILABLE),
}


@pytest.mark.parametrize("kind", PACED)
async def test_every_refusal_over_an_identity_waits_its_turn(place: Place, kind: str) -> None:
    headers, reason = PACED[kind]
    assert await _presented(place, headers) == (reason, 1)


@pytest.mark.parametrize("method", ["CONNECT", "GET"])
async def test_an_agent_that_goes_on_although_it_is_frozen_waits_its_turn(place: Place, method: str) -> None:
    headers = {"Proxy-Authorization": "Bearer one"}
    assert await _presented(place, headers, method) == (None, 0)
    place.put(stored("agent"))
    assert await _presented(place, headers, method) == (Reason.IDENTITY_FROZEN, 1)
