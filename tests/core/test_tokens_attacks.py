"""No known attack on a reader of signed tokens passes, nor seems to pass where it is explained."""

from __future__ import annotations

import pytest

from addons.core.issuer_trust import IssuerTrust
from addons.core.token_checks import TokenCheck, TokenRejected
from addons.core.token_explaining import explain
from addons.core.tokens import verify
from tests.core.token_attacks import SIGNERS, Attack, attacks
from tests.core.token_minting import ALL_ALGORITHMS, ISSUER, NOW, trust

ATTACKS = {attack.name: attack for attack in attacks()}


def _trust(attack: Attack) -> dict[str, IssuerTrust]:
    return trust(*attack.keys)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_and_explained(name: str) -> None:
    attack = ATTACKS[name]
    with pytest.raises(TokenRejected) as caught:
        verify(attack.token, _trust(attack), NOW)
    assert caught.value.message
    assert caught.value.remedy
    explanation = explain(attack.token, _trust(attack), NOW)
    assert explanation.is_refused
    assert explanation.principal is None


def test_every_attack_has_a_name_of_its_own() -> None:
    assert len(ATTACKS) == len(list(attacks()))


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_what_the_attacks_were_made_of_passes(algorithm: str) -> None:
    keys = [signer.jwk() for signer in SIGNERS.values()]
    token = SIGNERS[algorithm].token()
    assert verify(token, trust(*keys), NOW).subject == "agent-1"
    explanation = explain(token, trust(*keys), NOW)
    assert not explanation.is_refused
    assert explanation.principal == verify(token, trust(*keys), NOW)


def test_an_attack_by_signature_fails_on_the_signature() -> None:
    """Were one refused for something else, it would show nothing."""
    for attack in ATTACKS.values():
        if attack.name.startswith(("ECDSA", "RSA: ", "EdDSA")):
            with pytest.raises(TokenRejected) as caught:
                verify(attack.token, _trust(attack), NOW)
            assert caught.value.check is TokenCheck.SIGNATURE, attack.name


def test_no_algorithm_is_accepted_that_these_attacks_leave_out() -> None:
    (trusted,) = trust().values()
    assert (trusted.issuer, set(trusted.algorithms)) == (ISSUER, set(ALL_ALGORITHMS))
