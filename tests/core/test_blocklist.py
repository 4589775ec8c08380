"""Whom a block stops, and whom it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.blocklist import Block, BlockKind, Blocklist, Named
from addons.core.model import Actor, Principal

ISSUER, OTHER = "https://issuer", "https://other"
AT, LEEWAY = 1000.0, 30.0
AGENT = Principal(ISSUER, "agent", frozenset(), 2000.0, token_issuer=ISSUER, issued=900.0, token_id="t1")
DELEGATED = Principal(
    OTHER,
    "agent",
    frozenset(),
    2000.0,
    on_behalf_of="bob",
    actors=(Actor(OTHER, "planner"),),
    session="run-7",
    token_id="t2",
    token_issuer=ISSUER,
    issued=900.0,
)


def freeze(name: str, issuer: str | None = None) -> Block:
    return Block("f", BlockKind.FREEZE, Named.SUBJECT, name, issuer, "", "ops", AT)


def revoke(named: Named, name: str, issuer: str | None = None) -> Block:
    return Block("r", BlockKind.REVOCATION, named, name, issuer, "", "ops", AT)


EVERYONE = Block("e", BlockKind.FREEZE, Named.EVERYONE, "", None, "", "ops", AT)

STOPPED = {
    "everyone": (EVERYONE, AGENT),
    "who calls": (freeze("agent"), AGENT),
    "who calls, of its issuer": (freeze("agent", ISSUER), AGENT),
    "on whose behalf": (freeze("bob"), DELEGATED),
    "on whose behalf, as the signer of the token says": (freeze("bob", ISSUER), DELEGATED),
    "through whom": (freeze("planner", OTHER), DELEGATED),
    "the token": (revoke(Named.TOKEN, "t1"), AGENT),
    "the token of its signer, another issuer than the actor's": (
        revoke(Named.TOKEN, "t2", ISSUER),
        DELEGATED,
    ),
    "the session": (revoke(Named.SESSION, "run-7"), DELEGATED),
    "a run that is called by its token": (revoke(Named.SESSION, "t1"), AGENT),
    "a session, also with a token from later": (
        revoke(Named.SESSION, "run-7"),
        replace(DELEGATED, issued=AT + 500),
    ),
    "tokens from before": (revoke(Named.SUBJECT, "agent"), AGENT),
    "a token that may be from before, for how clocks differ": (
        revoke(Named.SUBJECT, "agent"),
        replace(AGENT, issued=AT + LEEWAY),
    ),
    "a token that doesn't say when it was issued": (
        revoke(Named.SUBJECT, "agent"),
        replace(AGENT, issued=None),
    ),
    "somebody who is frozen, with a token from later": (freeze("agent"), replace(AGENT, issued=AT + 500)),
}

LEFT_ALONE = {
    "another": (freeze("agent-2"), AGENT),
    "in another case": (freeze("Agent"), AGENT),
    "of another issuer": (freeze("agent", OTHER), AGENT),
    "an actor of the signer's": (freeze("planner", ISSUER), DELEGATED),
    "whose token is called as another is": (freeze("t1"), AGENT),
    "another token": (revoke(Named.TOKEN, "agent"), AGENT),
    "a token of another signer": (revoke(Named.TOKEN, "t2", OTHER), DELEGATED),
    "a run with a session, by its token": (revoke(Named.SESSION, "t2"), DELEGATED),
    "a token from later": (revoke(Named.SUBJECT, "agent"), replace(AGENT, issued=AT + LEEWAY + 1)),
}


@pytest.mark.parametrize("case", STOPPED)
def test_a_block_stops(case: str) -> None:
    block, principal = STOPPED[case]
    assert Blocklist([freeze("x"), block, freeze("y")], LEEWAY).find(principal) is block


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_a_block_leaves_alone(case: str) -> None:
    block, principal = LEFT_ALONE[case]
    assert Blocklist([block], LEEWAY).find(principal) is None


def test_an_empty_list_stops_nobody() -> None:
    assert Blocklist([], LEEWAY).find(AGENT) is None


def test_a_freeze_is_told_before_a_revocation() -> None:
    """Who is frozen must not be sent for a new token."""
    revoked, frozen = revoke(Named.SUBJECT, "agent"), freeze("bob")
    both = replace(DELEGATED, subject="agent")
    for order in ([revoked, frozen], [frozen, revoked]):
        assert Blocklist(order, LEEWAY).find(both) is frozen


NAMES = st.sampled_from(["agent", "bob", "planner", "t1", "run"])
ISSUERS = st.sampled_from([ISSUER, OTHER])
BLOCKS = st.builds(
    Block,
    id=st.uuids().map(str),
    kind=st.just(BlockKind.FREEZE),
    named=st.sampled_from(list(Named)),
    name=NAMES,
    issuer=st.none() | ISSUERS,
    reason=st.just(""),
    by=st.just("ops"),
    at=st.just(AT),
)
PRINCIPALS = st.builds(
    Principal,
    issuer=ISSUERS,
    subject=NAMES,
    groups=st.just(frozenset()),
    expires=st.just(2000.0),
    on_behalf_of=st.none() | NAMES,
    actors=st.lists(st.builds(Actor, ISSUERS, NAMES), max_size=3).map(tuple),
    session=st.none() | NAMES,
    token_id=st.none() | NAMES,
    token_issuer=ISSUERS,
    issued=st.none() | st.floats(0, 2000),
)


@given(st.lists(BLOCKS, max_size=6), BLOCKS, PRINCIPALS)
def test_one_more_block_lets_nobody_in(blocks: list[Block], more: Block, principal: Principal) -> None:
    if Blocklist(blocks, LEEWAY).find(principal) is not None:
        assert Blocklist([*blocks, more], LEEWAY).find(principal) is not None


@given(st.lists(BLOCKS, max_size=6), PRINCIPALS)
def test_a_list_stops_exactly_whom_one_of_its_blocks_stops(blocks: list[Block], principal: Principal) -> None:
    alone = [block for block in blocks if Blocklist([block], LEEWAY).find(principal) is not None]
    found = Blocklist(blocks, LEEWAY).find(principal)
    assert (found is not None) == bool(alone)
    assert found is None or found in alone


@given(PRINCIPALS, NAMES)
def test_without_an_issuer_a_block_is_of_any(principal: Principal, name: str) -> None:
    narrow = [Blocklist([freeze(name, issuer)], LEEWAY).find(principal) for issuer in (ISSUER, OTHER)]
    wide = Blocklist([freeze(name)], LEEWAY).find(principal)
    assert (wide is not None) == any(found is not None for found in narrow)
