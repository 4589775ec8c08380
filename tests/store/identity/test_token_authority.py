from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import pytest

from addons.core.token_checks import TokenCheck, TokenRejected
from addons.store.identity.issuer_http import FetchLimits
from addons.store.identity.key_set_fetch import IssuerSettings
from addons.store.identity.key_sets import KeySets
from addons.store.identity.token_authority import IssuerUnavailable, TokenAuthority
from tests.core.token_minting import AUDIENCE, NOW, Signer
from tests.store.loopback_issuer import KEYS, LoopbackIssuer, send

OLD = Signer(key_id="old")
NEW = Signer(kind="p256/new", key_id="new")


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[LoopbackIssuer]:
    with LoopbackIssuer(OLD) as running:
        yield running


@pytest.fixture
def wall() -> Clock:
    return Clock(NOW)


@pytest.fixture
def ticks() -> Clock:
    return Clock(5.0)


@pytest.fixture
async def key_sets(issuer: LoopbackIssuer, ticks: Clock) -> AsyncIterator[KeySets]:
    settings = IssuerSettings(issuer.url, (AUDIENCE,), max_stale=600.0)
    sets = KeySets([settings], clock=ticks, limits=FetchLimits(seconds=2.0))
    yield sets
    sets.close()


@pytest.fixture
def authority(key_sets: KeySets, wall: Clock) -> TokenAuthority:
    return TokenAuthority(key_sets, clock=wall, remembered=3, refusals_remembered=3)


async def refused(authority: TokenAuthority, token: str) -> TokenCheck:
    with pytest.raises(TokenRejected) as caught:
        await authority.authenticate(token)
    return caught.value.check


async def test_the_first_token_fetches_the_keys_and_is_known_from_then_on(
    issuer: LoopbackIssuer, authority: TokenAuthority
) -> None:
    token = issuer.token(OLD)
    assert authority.known(token, NOW) is None
    principal = await authority.authenticate(token)
    assert principal.subject == "agent-1"
    assert authority.known(token, NOW) is principal
    assert await authority.authenticate(token) is principal
    assert issuer.asked[KEYS] == 1


async def test_a_known_token_ends_with_its_expiry(
    issuer: LoopbackIssuer, authority: TokenAuthority, wall: Clock
) -> None:
    token = issuer.token(OLD, exp=NOW + 10)
    await authority.authenticate(token)
    assert authority.known(token, NOW + 9.9) is not None
    assert authority.known(token, NOW + 10) is None
    wall.now = NOW + 10
    assert await refused(authority, token) is TokenCheck.EXPIRED


async def test_a_known_token_ends_with_its_key(
    issuer: LoopbackIssuer, authority: TokenAuthority, key_sets: KeySets, ticks: Clock
) -> None:
    token = issuer.token(OLD)
    await authority.authenticate(token)
    issuer.keys = [NEW.jwk()]
    ticks.now += 31
    await key_sets.refresh_on_demand(issuer.url)
    assert authority.known(token, NOW) is None
    assert await refused(authority, token) is TokenCheck.UNKNOWN_KEY


async def test_a_known_token_stays_good_when_another_key_is_added(
    issuer: LoopbackIssuer, authority: TokenAuthority, ticks: Clock
) -> None:
    token = issuer.token(OLD)
    await authority.authenticate(token)
    issuer.keys = [OLD.jwk(), NEW.jwk()]
    ticks.now += 31
    await authority.authenticate(issuer.token(NEW))
    assert (await authority.authenticate(token)).subject == "agent-1"


async def test_a_new_key_is_fetched_once_it_signs(
    issuer: LoopbackIssuer, authority: TokenAuthority, ticks: Clock
) -> None:
    await authority.authenticate(issuer.token(OLD))
    issuer.keys.append(NEW.jwk())
    ticks.now += 31
    assert (await authority.authenticate(issuer.token(NEW, sub="agent-2"))).subject == "agent-2"
    assert issuer.asked[KEYS] == 2


async def test_a_flood_of_unknown_kids_makes_no_flood_of_fetches(
    issuer: LoopbackIssuer, authority: TokenAuthority, ticks: Clock
) -> None:
    good = issuer.token(OLD)
    await authority.authenticate(good)
    ticks.now += 31
    flood = [Signer(key_id=f"k{number}").token(iss=issuer.url) for number in range(300)]
    checks = await asyncio.gather(*(refused(authority, token) for token in flood))
    assert set(checks) == {TokenCheck.UNKNOWN_KEY}
    for token in flood[:50]:
        assert await refused(authority, token) is TokenCheck.UNKNOWN_KEY
    assert issuer.asked[KEYS] == 2
    assert authority.known(good, NOW) is not None


async def test_unknown_issuers_cause_no_fetch_at_all(
    issuer: LoopbackIssuer, authority: TokenAuthority
) -> None:
    assert await refused(authority, OLD.token(iss="https://evil.example")) is TokenCheck.UNKNOWN_ISSUER
    assert not issuer.asked


async def test_an_issuer_down_at_start_is_unavailable_until_it_answers(
    issuer: LoopbackIssuer, authority: TokenAuthority, ticks: Clock
) -> None:
    token = issuer.token(OLD)
    issuer.spoiled[KEYS] = send(500, b"")
    for _ in range(3):
        with pytest.raises(IssuerUnavailable) as caught:
            await authority.authenticate(token)
        assert caught.value.issuer == issuer.url
    assert issuer.asked[KEYS] == 1
    issuer.spoiled.clear()
    ticks.now += 31
    assert (await authority.authenticate(token)).subject == "agent-1"


async def test_through_an_outage_tokens_pass_until_the_keys_are_too_old(
    issuer: LoopbackIssuer, authority: TokenAuthority, ticks: Clock
) -> None:
    seen, unseen, later = (issuer.token(OLD, sub=name) for name in ("a", "b", "c"))
    await authority.authenticate(seen)
    issuer.close()
    ticks.now += 599
    assert authority.known(seen, NOW) is not None
    assert (await authority.authenticate(unseen)).subject == "b"
    ticks.now += 2
    assert authority.known(seen, NOW) is None
    for token in (seen, later):
        with pytest.raises(IssuerUnavailable):
            await authority.authenticate(token)


async def test_a_refusal_is_told_anew_each_time_and_forgotten_when_keys_change(
    issuer: LoopbackIssuer, authority: TokenAuthority, ticks: Clock
) -> None:
    await authority.authenticate(issuer.token(OLD))
    impostor = Signer(kind="p256/new", key_id="old")
    token = issuer.token(impostor)
    errors = []
    for _ in range(3):
        with pytest.raises(TokenRejected) as caught:
            await authority.authenticate(token)
        errors.append(caught.value)
    assert [error.check for error in errors] == [TokenCheck.SIGNATURE] * 3
    assert all(one is not other for one, other in pairwise(errors))
    issuer.keys = [impostor.jwk(), NEW.jwk()]
    ticks.now += 31
    await authority.authenticate(issuer.token(NEW))
    assert (await authority.authenticate(token)).subject == "agent-1"


async def test_a_token_refused_for_its_time_passes_when_its_time_comes(
    issuer: LoopbackIssuer, authority: TokenAuthority, wall: Clock
) -> None:
    token = issuer.token(OLD, nbf=NOW + 32)
    assert await refused(authority, token) is TokenCheck.NOT_YET_VALID
    wall.now += 3
    assert (await authority.authenticate(token)).subject == "agent-1"


async def test_what_is_remembered_is_bounded(issuer: LoopbackIssuer, authority: TokenAuthority) -> None:
    tokens = [issuer.token(OLD, sub=f"a{number}") for number in range(6)]
    for token in tokens:
        await authority.authenticate(token)
    assert [authority.known(token, NOW) is not None for token in tokens] == [False] * 3 + [True] * 3
    for token in tokens:
        await refused(authority, token + "x")
    assert (len(authority._verified), len(authority._refused)) == (3, 3)


async def test_use_keeps_a_token_in_memory(issuer: LoopbackIssuer, authority: TokenAuthority) -> None:
    tokens = [issuer.token(OLD, sub=f"a{number}") for number in range(4)]
    for token in tokens[:3]:
        await authority.authenticate(token)
    assert authority.known(tokens[0], NOW)
    await authority.authenticate(tokens[3])
    assert authority.known(tokens[0], NOW)
    assert authority.known(tokens[1], NOW) is None


async def test_no_token_is_kept_in_memory(issuer: LoopbackIssuer, authority: TokenAuthority) -> None:
    good, bad = issuer.token(OLD), issuer.token(OLD) + "x"
    await authority.authenticate(good)
    await refused(authority, bad)
    kept = repr((authority._verified, authority._refused))
    assert good.rsplit(".", 1)[1] not in kept


@pytest.mark.parametrize("junk", ["", "a" * 1_000_000, "é", "\udcff", "\x00", "a.b.c"])
async def test_junk_is_refused_by_both_ways(
    junk: str, issuer: LoopbackIssuer, authority: TokenAuthority
) -> None:
    assert authority.known(junk, NOW) is None
    assert await refused(authority, junk) in {TokenCheck.MALFORMED, TokenCheck.TOO_LARGE}
    assert not issuer.asked


async def test_an_actor_of_another_issuer_is_remembered_under_the_tokens_issuer(
    issuer: LoopbackIssuer, wall: Clock
) -> None:
    settings = IssuerSettings(issuer.url, (AUDIENCE,), actor_issuers=("https://other.example",))
    key_sets = KeySets([settings])
    authority = TokenAuthority(key_sets, clock=wall)
    token = issuer.token(OLD, act={"sub": "x", "iss": "https://other.example"})
    assert (await authority.authenticate(token)).issuer == "https://other.example"
    assert authority.known(token, NOW) is not None
    key_sets.close()
