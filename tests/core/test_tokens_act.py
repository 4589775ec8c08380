from __future__ import annotations

import pytest

from addons.core.model import Actor, Json
from addons.core.token_checks import TokenCheck, TokenRejected
from addons.core.tokens import verify
from tests.core.token_minting import ISSUER, NOW, Signer, trust

ES = Signer()
OTHER = "https://other.example"


def test_with_act_the_actor_is_the_principal_and_sub_is_on_whose_behalf() -> None:
    act: Json = {"sub": "agent-7", "groups": ["robots"], "team": "sre"}
    principal = verify(ES.token(sub="ada", groups=["admins"], act=act), trust(ES.jwk()), NOW)
    assert (principal.issuer, principal.subject) == (ISSUER, "agent-7")
    assert principal.on_behalf_of == "ada"
    assert principal.actors == ()
    assert principal.token_id == "t-1"


def test_groups_and_claims_are_the_actors_never_the_subjects() -> None:
    with_groups: Json = {"sub": "agent-7", "groups": ["robots"], "team": "sre"}
    token = ES.token(groups=["admins"], role="admin", act=with_groups)
    principal = verify(token, trust(ES.jwk()), NOW)
    assert principal.groups == {"robots"}
    assert dict(principal.claims) == with_groups
    without: Json = {"sub": "agent-7"}
    assert verify(ES.token(groups=["admins"], act=without), trust(ES.jwk()), NOW).groups == frozenset()


def test_prior_actors_are_kept_nearest_first() -> None:
    act: Json = {"sub": "a1", "act": {"sub": "a2", "iss": OTHER, "act": {"sub": "a3"}}}
    principal = verify(ES.token(act=act), trust(ES.jwk()), NOW)
    assert principal.subject == "a1"
    assert principal.actors == (Actor(OTHER, "a2"), Actor(ISSUER, "a3"))
    assert "act" not in principal.claims


def test_the_configured_claim_gives_way_to_act() -> None:
    trusts = trust(ES.jwk(), on_behalf_of_claim="owner")
    principal = verify(ES.token(sub="ada", owner="eve", act={"sub": "a1"}), trusts, NOW)
    assert principal.on_behalf_of == "ada"


def test_the_actors_session_counts_before_the_tokens() -> None:
    trusts = trust(ES.jwk(), session_claim="sid")
    assert verify(ES.token(sid="s1", act={"sub": "a", "sid": "s2"}), trusts, NOW).session == "s2"
    assert verify(ES.token(sid="s1", act={"sub": "a"}), trusts, NOW).session == "s1"


def test_an_issuer_speaks_for_no_other_issuers_subjects_unless_configured() -> None:
    token = ES.token(act={"sub": "agent-7", "iss": OTHER})
    with pytest.raises(TokenRejected) as caught:
        verify(token, trust(ES.jwk()), NOW)
    assert caught.value.check is TokenCheck.ACTOR
    principal = verify(token, trust(ES.jwk(), actor_issuers=(OTHER,)), NOW)
    assert (principal.issuer, principal.subject) == (OTHER, "agent-7")


def nested(depth: int) -> Json:
    act: Json = {"sub": "a"}
    for _ in range(depth - 1):
        act = {"sub": "a", "act": act}
    return act


def test_a_chain_of_five_passes_and_of_six_is_refused() -> None:
    assert len(verify(ES.token(act=nested(5)), trust(ES.jwk()), NOW).actors) == 4
    with pytest.raises(TokenRejected) as caught:
        verify(ES.token(act=nested(6)), trust(ES.jwk()), NOW)
    assert caught.value.check is TokenCheck.ACTOR


@pytest.mark.parametrize(
    "act",
    [
        None,
        "agent",
        [],
        [{"sub": "a"}],
        {},
        {"iss": ISSUER},
        {"sub": "a", "act": None},
        {"sub": "a", "act": {}},
        {"sub": 5},
        {"sub": ""},
        {"sub": "a", "iss": 5},
        {"sub": "a", "iss": ""},
        {"sub": "a", "groups": {"x": 1}},
    ],
)
def test_an_act_that_names_nobody_is_refused_and_never_ignored(act: Json) -> None:
    with pytest.raises(TokenRejected) as caught:
        verify(ES.token(act=act), trust(ES.jwk()), NOW)
    assert caught.value.check in {TokenCheck.ACTOR, TokenCheck.BAD_CLAIM}


def test_who_signed_it_and_when_is_known_whoever_acts() -> None:
    """A revocation is of the signer's tokens, and of those from before it."""
    trusts = trust(ES.jwk(), actor_issuers=(OTHER,))
    by_another: Json = {"sub": "agent-7", "iss": OTHER, "iat": 1}
    for token in (ES.token(iat=NOW - 7), ES.token(iat=NOW - 7, act=by_another)):
        principal = verify(token, trusts, NOW)
        assert (principal.token_issuer, principal.issued) == (ISSUER, NOW - 7)
