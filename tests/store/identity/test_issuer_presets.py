"""Tokens in the real shape of each issuer that has a preset, signed by a test key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from addons.core.config import Config, load_config
from addons.core.issuer_presets import Preset
from addons.core.issuer_trust import IssuerTrust
from addons.core.model import Json, Principal
from addons.core.token_checks import TokenCheck, TokenRejected
from addons.core.tokens import verify
from addons.core.verification_keys import KeySetError, parse_key_set
from addons.core.yaml_source import ProblemsError
from addons.store.identity.configured_issuers import issuer_settings
from tests.core.issuer_samples import AZURE, GITHUB, GOOGLE, KUBERNETES, SAMPLES, SPIFFE, TENANT, Sample
from tests.core.token_minting import NOW, Signer, key_set_text, raw_token

KINDS = {"RS256": "rsa-2048", "ES256": "p256", "ES384": "p384"}
CREDENTIALS = "credentials: {default: {api_key: {env: K}}}\n"


def loaded(entry: str) -> Config:
    return load_config(f"version: 1\n{CREDENTIALS}issuers:\n  - {entry}\n", "ddgate.yaml", {})


def problems(entry: str) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        loaded(entry)
    return [str(problem) for problem in caught.value.problems]


def signer(sample: Sample) -> Signer:
    return Signer(sample.alg, KINDS[sample.alg])


def trusts(sample: Sample, entry: str | None = None) -> dict[str, IssuerTrust]:
    (settings,) = issuer_settings(loaded(entry or sample.entry), Path())
    keys = parse_key_set(key_set_text(signer(sample).jwk(**sample.jwk)), settings.key_uses)
    return {settings.issuer: settings.trust(keys)}


def minted(sample: Sample, changes: Mapping[str, Json] | None = None, *drop: str) -> str:
    header = {"alg": sample.alg, "kid": "k1", **sample.header}
    payload = {
        name: value for name, value in {**sample.payload(), **(changes or {})}.items() if name not in drop
    }
    by = signer(sample)
    return raw_token(json.dumps(header).encode(), json.dumps(payload).encode(), by.algorithm, by.private)


def principal(sample: Sample, changes: Mapping[str, Json] | None = None) -> Principal:
    return verify(minted(sample, changes), trusts(sample), NOW)


def refused(sample: Sample, changes: Mapping[str, Json] | None = None, *drop: str) -> TokenRejected:
    with pytest.raises(TokenRejected) as caught:
        verify(minted(sample, changes, *drop), trusts(sample), NOW)
    return caught.value


def test_every_preset_has_a_token_here() -> None:
    assert set(SAMPLES) == {preset.value for preset in Preset}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_token_in_its_issuers_real_shape_proves_its_principal(name: str) -> None:
    sample = SAMPLES[name]
    found = principal(sample)
    assert found.subject == sample.subject
    assert (found.session, found.on_behalf_of, found.groups) == (
        sample.session,
        sample.on_behalf_of,
        sample.groups,
    )
    assert {claim: found.claims.get(claim) for claim in sample.seen} == sample.seen


@pytest.mark.parametrize("name", SAMPLES)
def test_somebody_elses_token_of_the_same_issuer_is_not_admitted(name: str) -> None:
    assert refused(SAMPLES[name], SAMPLES[name].foreign).check is TokenCheck.NOT_ADMITTED


@pytest.mark.parametrize("name", SAMPLES)
def test_a_token_of_twice_its_issuers_longest_life_is_refused(name: str) -> None:
    sample = SAMPLES[name]
    (settings,) = issuer_settings(loaded(sample.entry), Path())
    longer = {"exp": NOW + 2 * settings.max_lifetime}
    assert refused(sample, longer).check is TokenCheck.LIFETIME


@pytest.mark.parametrize("name", SAMPLES)
def test_a_preset_is_what_is_left_out_and_no_more(name: str) -> None:
    entry = SAMPLES[name].entry.removesuffix("}")
    (issuer,) = loaded(f"{entry}, max_lifetime: 7m, claims: {{groups: teams, attributes: {{}}}}}}").issuers
    assert (issuer.max_lifetime, issuer.claims.groups, issuer.claims.attributes) == (420.0, "teams", {})
    assert issuer.claims.session == loaded(SAMPLES[name].entry).issuers[0].claims.session
    shown = json.loads(issuer.model_dump_json(exclude_none=False))
    again = loaded(json.dumps(shown)).issuers[0]
    assert again == issuer


def test_an_attributes_name_in_the_token_itself_does_not_stand_in_for_it() -> None:
    bare: dict[str, Json] = {"kubernetes.io": {"namespace": "agents"}, "pod": "forged", "node": "forged"}
    assert not {"pod", "node"} & principal(KUBERNETES, bare).claims.keys()


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_unverified_address_is_nobody(verified: Json) -> None:
    told = refused(GOOGLE, {"email_verified": verified})
    assert told.check is TokenCheck.NOT_ADMITTED
    assert "email_verified" in told.message
    generic = "{issuer: 'https://accounts.google.com', audience: ddgate, claims: {principal: email}}"
    with pytest.raises(TokenRejected) as caught:
        verify(minted(GOOGLE, {"email_verified": verified}), trusts(GOOGLE, generic), NOW)
    assert caught.value.check is TokenCheck.NOT_ADMITTED


@pytest.mark.parametrize("claim", ["repository_owner", "repository_owner_id", "repository", "sub"])
def test_each_claim_that_tells_tenants_apart_will_do(claim: str) -> None:
    value = GITHUB.claims[claim]
    entry = f"{{preset: github-actions, audience: ddgate, require: {{{claim}: ['{value}']}}}}"
    assert verify(minted(GITHUB), trusts(GITHUB, entry), NOW).subject == GITHUB.subject
    with pytest.raises(TokenRejected):
        verify(minted(GITHUB, {claim: f"{value}x"}), trusts(GITHUB, entry), NOW)


@pytest.mark.parametrize("value", ["octo", "octo/", "OCTO/x", "octo-evil", "xocto/y", "", None, 7, ["a"], {}])
def test_a_pattern_admits_what_is_below_its_separator(value: Json) -> None:
    entry = "{preset: gitlab, audience: ddgate, require: {namespace_path: octo/*}}"
    sample = SAMPLES["gitlab"]
    goods: list[Json] = ["octo/x", "octo/x/y", ["other", "octo/x"]]
    for good in goods:
        verify(minted(sample, {"namespace_path": good}), trusts(sample, entry), NOW)
    with pytest.raises(TokenRejected) as caught:
        verify(minted(sample, {"namespace_path": value}), trusts(sample, entry), NOW)
    assert caught.value.check is TokenCheck.NOT_ADMITTED


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "spiffe://evil.example/ns/agents/sa/triage"},
        {"sub": "spiffe://octo.example.evil/x"},
        {"sub": "octo.example/x"},
        {"sub": None},
        {"iss": "https://evil.example"},
        {"iss": ""},
        {"iss": 5},
    ],
)
def test_an_svid_of_another_trust_domain_or_of_a_named_issuer_is_refused(changes: dict[str, Json]) -> None:
    told = refused(SPIFFE, changes)
    assert told.check in {TokenCheck.MISSING_CLAIM, TokenCheck.UNKNOWN_ISSUER}


def test_a_token_without_iss_is_no_ones_but_a_trust_domains() -> None:
    both = {**trusts(GITHUB), **trusts(SPIFFE)}
    with pytest.raises(TokenRejected) as caught:
        verify(minted(GITHUB, None, "iss"), both, NOW)
    assert caught.value.check is TokenCheck.MISSING_CLAIM
    assert verify(minted(SPIFFE), both, NOW).issuer == "spiffe://octo.example"


def test_svids_of_an_issuer_that_names_itself_need_its_name() -> None:
    entry = SPIFFE.entry.replace(
        "jwks_uri: 'https://spire.octo.example/bundle'", "issuer: 'https://oidc.octo.example'"
    )
    named = trusts(SPIFFE, entry)
    assert verify(minted(SPIFFE, {"iss": "https://oidc.octo.example"}), named, NOW).subject == SPIFFE.subject
    with pytest.raises(TokenRejected) as caught:
        verify(minted(SPIFFE), named, NOW)
    assert caught.value.check is TokenCheck.MISSING_CLAIM


def test_of_a_bundle_only_keys_for_jwt_svids_count_and_elsewhere_they_do_not() -> None:
    (settings,) = issuer_settings(loaded(SPIFFE.entry), Path())
    jwk, x509 = signer(SPIFFE).jwk(use="jwt-svid"), signer(SPIFFE).jwk(use="x509-svid", kid="x")
    assert list(parse_key_set(key_set_text(jwk, x509), settings.key_uses)) == ["k1"]
    with pytest.raises(KeySetError):
        parse_key_set(key_set_text(jwk))


def test_a_first_version_token_of_azure_is_taken_under_its_own_issuer() -> None:
    issuer = f"https://sts.windows.net/{TENANT}/"
    entry = AZURE.entry.removesuffix("}") + f", issuer: '{issuer}'}}"
    assert (
        verify(minted(AZURE, {"iss": issuer, "ver": "1.0"}), trusts(AZURE, entry), NOW).subject
        == AZURE.subject
    )


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{preset: github, audience: a}", "ddgate.yaml:4:14: issuers[0].preset: not one of the values"),
        ("{preset: github-actions, audience: a}", "ddgate.yaml:4:5: issuers[0]: https://token.actions"),
        (
            "{preset: github-actions, audience: a, require: {ref: main}}",
            "{repository_owner: [yours]}",
        ),
        ("{preset: gitlab, audience: a}", "signs for everybody in the world"),
        ("{preset: google, audience: a, require: {email_verified: true}}", "signs for everybody"),
        ("{preset: github-actions, require: {repository: a/b}}", "'issuers[0].audience' is missing"),
        ("{preset: kubernetes, audience: a}", "'issuers[0].issuer' is missing"),
        ("{preset: azure, audience: a}", "preset: azure needs the directory's id (tenant: UUID)"),
        (
            "{preset: azure, audience: a, tenant: common}",
            "ddgate.yaml:4:42: issuers[0].tenant: not the id",
        ),
        (
            "{preset: aws, audience: a, issuer: 'https://oidc.eks.eu.amazonaws.com/id/A'}",
            "not an account's",
        ),
        ("{preset: spiffe, audience: a}", "preset: spiffe needs the trust domain"),
        ("{preset: spiffe, audience: a, trust_domain: x}", "a trust domain has no OIDC discovery"),
        (
            "{preset: spiffe, audience: a, trust_domain: 'spiffe://x', jwks_uri: 'https://x'}",
            "ddgate.yaml:4:49: issuers[0].trust_domain: not a trust domain",
        ),
        ("{issuer: 'spiffe://x', audience: a, jwks_uri: 'https://x'}", "without preset: spiffe"),
        (f"{{issuer: 'https://x', audience: a, tenant: {TENANT}}}", "`tenant` is for preset: azure alone"),
        ("{issuer: 'https://x', audience: a, trust_domain: x}", "`trust_domain` is for preset: spiffe alone"),
        ("{issuer: 'https://x', audience: a, require: {o: '*'}}", "ddgate.yaml:4:53: issuers[0].require.o"),
        ("{issuer: 'https://x', audience: a, require: {o: 'octo*'}}", "'*' stands only at"),
        ("{issuer: 'https://x', audience: a, require: {o: '*octo'}}", "'*' stands only at"),
        ("{issuer: 'https://x', audience: a, require: {o: 'a/*/b'}}", "'*' stands only at"),
        ("{issuer: 'https://x', audience: a, require: {o: '*/b/*'}}", "'*' stands only at"),
        ("{issuer: 'https://x', audience: a, require: {o: []}}", "must not be empty"),
        ("{issuer: 'https://x', audience: a, claims: {groups: /a~2}}", "neither a claim's name nor"),
        ("{issuer: 'https://x', audience: a, claims: {attributes: {sub: x}}}", "'sub' can't be the name"),
        ("{issuer: 'https://x', audience: a, claims: {attributes: {a-b: x}}}", "'a-b' can't be the name"),
        ("{issuer: 'https://x', audience: a, actor_issuers: [evil]}", "issuers[0].actor_issuers[0]: not"),
    ],
)
def test_a_bad_or_missing_parameter_is_told_with_its_place(entry: str, said: str) -> None:
    told = problems(entry)
    assert any(said in each for each in told), told
    assert all(each.startswith("ddgate.yaml:4:") for each in told)


def test_actors_of_another_issuer_are_named_in_the_configuration() -> None:
    entry = KUBERNETES.entry.removesuffix("}") + ", actor_issuers: ['https://other.example']}"
    token = minted(KUBERNETES, {"act": {"sub": "relay", "iss": "https://other.example"}})
    found = verify(token, trusts(KUBERNETES, entry), NOW)
    assert (found.issuer, found.subject) == ("https://other.example", "relay")
    assert found.on_behalf_of == KUBERNETES.subject
    with pytest.raises(TokenRejected) as caught:
        verify(token, trusts(KUBERNETES), NOW)
    assert caught.value.check is TokenCheck.ACTOR
