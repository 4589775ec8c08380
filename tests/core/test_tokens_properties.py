from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.model import Json
from addons.core.token_checks import TokenRejected
from addons.core.token_parts import MAX_JSON_DEPTH, StrictJsonError, strict_object, take_apart
from addons.core.tokens import verify
from tests.core.token_minting import ISSUER, NOW, Signer, good_claims, raw_token, trust

ES = Signer()
RS = Signer("RS256", "rsa-2048", "r1")
VALID = {signer.algorithm: signer.token() for signer in (ES, RS)}


@settings(deadline=None)  # a key is made on first use
@given(data=st.data(), algorithm=st.sampled_from(sorted(VALID)))
def test_no_single_character_of_a_valid_token_can_change(data: st.DataObject, algorithm: str) -> None:
    token = VALID[algorithm]
    place = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters(codec="latin-1").filter(lambda c: c != token[place]))
    with pytest.raises(TokenRejected):
        verify(token[:place] + character + token[place + 1 :], trust(ES.jwk(), RS.jwk()), NOW)


@pytest.mark.parametrize("algorithm", sorted(VALID))
def test_the_slack_bits_of_every_part_are_fixed(algorithm: str) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    parts = VALID[algorithm].split(".")
    for index, part in enumerate(parts):
        for character in set(alphabet) - {part[-1]}:
            changed = [*parts[:index], part[:-1] + character, *parts[index + 1 :]]
            with pytest.raises(TokenRejected):
                verify(".".join(changed), trust(ES.jwk(), RS.jwk()), NOW)


@pytest.mark.parametrize("token", ["e31.e30.AA", "e30.e31.AA", "e30.e30.AB", "e30.e30.A", "e30.e.AA"])
def test_slack_bits_are_refused_before_the_signature_is_looked_at(token: str) -> None:
    assert take_apart("e30.e30.AA").unverified_claims == {}
    with pytest.raises(TokenRejected):
        take_apart(token)


@settings(deadline=None)  # a key is made on first use
@given(
    st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("latin-1")), st.from_regex(r"e30\.\w+\.\w*"))
)
def test_random_text_raises_nothing_but_a_rejection(text: str) -> None:
    with pytest.raises(TokenRejected):
        verify(text, trust(ES.jwk()), NOW)


pieces = st.sampled_from(
    ["1", "1e999", "1.5", "NaN", "-Infinity", "null", '"{[["', r'"\ud800"', r'"\ud83d\ude00"', "[]", "{}"]
)
nested = st.recursive(
    pieces, lambda inner: st.one_of(inner.map("[{}]".format), inner.map('{{"k": {}}}'.format)), max_leaves=40
)


def is_plain(value: Json, levels: int) -> bool:
    """Whether it has no more levels, and nothing in it that readers disagree about."""
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, float):
        return math.isfinite(value)
    below = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return not below or (levels > 1 and all(is_plain(each, levels - 1) for each in below))


@given(nested, st.integers(0, 20))
def test_what_is_parsed_quickly_is_what_was_gone_through(piece: str, depth: int) -> None:
    text = '{"a": ' * depth + piece + "}" * depth
    value = json.loads(text)
    try:
        assert strict_object(text.encode()) == value
        accepted = True
    except StrictJsonError:
        accepted = False
    assert accepted == (isinstance(value, dict) and is_plain(value, MAX_JSON_DEPTH))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)  # a key is made on first use
@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk"]), json_values, max_size=3),
    st.dictionaries(st.sampled_from([*good_claims(), "act", "events"]), json_values, max_size=4),
)
def test_signed_claims_of_any_kind_raise_nothing_but_a_rejection(
    header: dict[str, Json], claims: dict[str, Json]
) -> None:
    head = json.dumps({"alg": "ES256", "kid": "k1", **header}).encode()
    token = raw_token(head, json.dumps({**good_claims(), **claims}).encode(), "ES256", ES.private)
    try:
        principal = verify(token, trust(ES.jwk()), NOW)
    except TokenRejected:
        return
    assert principal.issuer == ISSUER
    assert isinstance(principal.subject, str)
