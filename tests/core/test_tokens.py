from __future__ import annotations

import base64
import hmac
import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from addons.core.issuer_trust import IssuerTrust
from addons.core.model import Json, Reason
from addons.core.token_checks import TokenCheck, TokenRejected, UnknownKeyError
from addons.core.token_parts import MAX_TOKEN_BYTES
from addons.core.tokens import verify
from tests.core.token_minting import (
    ALL_ALGORITHMS,
    AUDIENCE,
    ISSUER,
    NOW,
    Signer,
    b64,
    good_claims,
    raw_token,
    trust,
)

ES = Signer()
RS = Signer("RS256", "rsa-2048", "r1")
KINDS = {"RS": "rsa-2048", "PS": "rsa-2048", "ES256": "p256", "ES384": "p384", "EdDSA": "ed25519"}


def rejection(token: str, trusts: dict[str, IssuerTrust] | None = None, now: float = NOW) -> TokenRejected:
    with pytest.raises(TokenRejected) as caught:
        verify(token, trusts or trust(ES.jwk(), RS.jwk()), now)
    return caught.value


def refused(token: str, trusts: dict[str, IssuerTrust] | None = None, now: float = NOW) -> TokenCheck:
    return rejection(token, trusts, now).check


@pytest.mark.parametrize("algorithm", ALL_ALGORITHMS)
def test_a_good_token_of_each_accepted_algorithm_proves_its_principal(algorithm: str) -> None:
    signer = Signer(algorithm, KINDS.get(algorithm) or KINDS[algorithm[:2]])
    principal = verify(signer.token(), trust(signer.jwk(alg=algorithm)), NOW)
    assert (principal.issuer, principal.subject) == (ISSUER, "agent-1")
    assert principal.groups == {"agents"}
    assert principal.expires == NOW + 300
    assert principal.token_id == "t-1"
    assert principal.claims["aud"] == AUDIENCE
    assert (principal.on_behalf_of, principal.actors) == (None, ())


@pytest.mark.parametrize("spelling", ["none", "None", "NONE", "nOnE", "", None, 0, ["ES256"], {}, True])
def test_alg_none_is_refused_in_every_spelling(spelling: Json) -> None:
    whole = ES.token(header={"alg": spelling}, signed_as="ES256")
    unsigned = whole.rsplit(".", 1)[0] + "."
    assert refused(whole) is TokenCheck.ALGORITHM
    assert refused(unsigned) is TokenCheck.ALGORITHM


def test_alg_missing_is_refused() -> None:
    assert refused(ES.token(drop=("alg",))) is TokenCheck.ALGORITHM


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("form", ["pem", "der", "jwk"])
def test_hmac_with_the_public_key_is_refused(algorithm: str, form: str) -> None:
    public = RS.private.public_key()
    secret = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(RS.jwk()).encode(),
    }[form]
    head = b64(json.dumps({"alg": algorithm, "kid": "r1"}).encode())
    signed = f"{head}.{b64(json.dumps(good_claims()).encode())}"
    mac = hmac.new(secret, signed.encode(), "sha" + algorithm[2:]).digest()
    assert refused(f"{signed}.{b64(mac)}") is TokenCheck.ALGORITHM


@pytest.mark.parametrize(
    ("signer", "claimed"),
    [
        (ES, "RS256"),
        (RS, "ES256"),
        (ES, "ES384"),
        (ES, "EdDSA"),
        (Signer("ES384", "p384", "k1"), "ES256"),
        (Signer("EdDSA", "ed25519", "k1"), "ES256"),
    ],
)
def test_a_key_is_never_used_for_another_types_algorithm(signer: Signer, claimed: str) -> None:
    token = signer.token(header={"alg": claimed}, signed_as=signer.algorithm)
    assert refused(token, trust(signer.jwk())) is TokenCheck.UNFIT_KEY


def test_a_jwks_own_alg_is_kept_to() -> None:
    token = Signer("PS256", "rsa-2048", "r1").token()
    assert refused(token, trust(RS.jwk(alg="RS256"))) is TokenCheck.UNFIT_KEY
    assert verify(token, trust(RS.jwk()), NOW).subject == "agent-1"


def test_an_algorithm_outside_the_issuers_own_list_is_refused() -> None:
    assert refused(ES.token(), trust(ES.jwk(), algorithms=("RS256",))) is TokenCheck.ALGORITHM


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jwk", ES.jwk()),
        ("jku", "https://evil.example/k"),
        ("x5u", "https://evil.example/c"),
        ("x5c", ["MII"]),
    ],
)
def test_a_key_that_the_token_brings_along_is_refused(name: str, value: Json) -> None:
    told = rejection(ES.token(header={name: value}))
    assert told.check is TokenCheck.EMBEDDED_KEY
    assert name in told.message


@pytest.mark.parametrize(("name", "value"), [("crit", ["b64"]), ("crit", []), ("b64", False), ("zip", "DEF")])
def test_header_extensions_are_refused(name: str, value: Json) -> None:
    assert refused(ES.token(header={name: value})) is TokenCheck.HEADER


@pytest.mark.parametrize("kind", ["logout+jwt", "secevent+jwt", "dpop+jwt", "", 5, None, ["JWT"]])
def test_tokens_that_prove_no_identity_are_refused_by_their_type(kind: Json) -> None:
    assert refused(ES.token(header={"typ": kind})) is TokenCheck.TOKEN_TYPE


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", "JOSE"])
def test_identity_and_access_tokens_pass_by_their_type(kind: str) -> None:
    assert verify(ES.token(header={"typ": kind}), trust(ES.jwk()), NOW).subject == "agent-1"
    assert verify(ES.token(drop=("typ",)), trust(ES.jwk()), NOW).subject == "agent-1"


def test_a_logout_token_without_a_type_is_refused() -> None:
    event: Json = {"http://schemas.openid.net/event/backchannel-logout": {}}
    assert refused(ES.token(events=event)) is TokenCheck.TOKEN_TYPE


@pytest.mark.parametrize("key_id", [None, 7, "", ["k1"], {"k": 1}])
def test_a_kid_that_is_no_name_is_refused(key_id: Json) -> None:
    assert refused(ES.token(header={"kid": key_id})) is TokenCheck.HEADER
    assert refused(ES.token(drop=("kid",))) is TokenCheck.HEADER


def test_an_unknown_kid_tells_the_caller_which_issuer_to_refresh() -> None:
    with pytest.raises(UnknownKeyError) as caught:
        verify(ES.token(header={"kid": "k2"}), trust(ES.jwk()), NOW)
    assert caught.value.issuer == ISSUER
    assert caught.value.check is TokenCheck.UNKNOWN_KEY


def test_another_key_under_the_same_kid_is_refused() -> None:
    assert refused(Signer(kind="p256/other").token()) is TokenCheck.SIGNATURE


@pytest.mark.parametrize("size", [0, 1, 32, 63, 65, 128])
def test_signatures_of_zeroes_or_of_another_length_are_refused(size: int) -> None:
    head = ES.token().rsplit(".", 1)[0]
    assert refused(f"{head}.{b64(bytes(size))}") is TokenCheck.SIGNATURE


def test_the_zero_ecdsa_signature_is_refused() -> None:  # CVE-2022-21449
    head = ES.token().rsplit(".", 1)[0]
    assert refused(f"{head}.{b64(bytes(64))}") is TokenCheck.SIGNATURE


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 20])
def test_a_truncated_signature_is_refused(cut: int) -> None:
    for signer in (ES, RS):
        assert refused(signer.token()[:-cut]) in {TokenCheck.SIGNATURE, TokenCheck.MALFORMED}


@pytest.mark.parametrize("audience", ["other", ["other"], [], "", "ddgat", "ddgate ", ["a", "b"]])
def test_a_token_for_another_audience_is_refused(audience: Json) -> None:
    assert refused(ES.token(aud=audience)) in {TokenCheck.AUDIENCE, TokenCheck.MISSING_CLAIM}


@pytest.mark.parametrize("audience", [5, True, {"ddgate": 1}, ["ddgate", 5], [["ddgate"]], [None, "ddgate"]])
def test_an_audience_of_the_wrong_kind_is_refused(audience: Json) -> None:
    assert refused(ES.token(aud=audience)) is TokenCheck.AUDIENCE


@pytest.mark.parametrize("audience", ["ddgate", ["ddgate"], ["other", "ddgate"]])
def test_one_matching_audience_is_enough(audience: Json) -> None:
    assert verify(ES.token(aud=audience), trust(ES.jwk()), NOW).subject == "agent-1"


@pytest.mark.parametrize(
    "issuer",
    ["https://issuer.example/", "https://ISSUER.example", "https://evil.example", "", 5, [ISSUER], {}],
)
def test_another_issuer_is_refused(issuer: Json) -> None:
    assert refused(ES.token(iss=issuer)) is TokenCheck.UNKNOWN_ISSUER


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp"])
def test_a_missing_claim_is_named(claim: str) -> None:
    told = rejection(ES.token(drop=(claim,)))
    assert told.check is TokenCheck.MISSING_CLAIM
    assert claim in told.message
    assert refused(ES.token({claim: None})) is TokenCheck.MISSING_CLAIM


@pytest.mark.parametrize("value", [True, "1800000300", -1, 1e300, 10**40, [1], {}, 253_402_300_801])
@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
def test_times_of_the_wrong_kind_or_out_of_range_are_refused(claim: str, value: Json) -> None:
    assert refused(ES.token({claim: value})) is TokenCheck.BAD_CLAIM


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 5000])
def test_numbers_that_are_no_numbers_are_refused(text: str) -> None:
    claims = json.dumps(good_claims()).replace(str(NOW + 300), text).encode()
    assert text.encode() in claims
    token = raw_token(b'{"alg":"ES256","kid":"k1"}', claims, "ES256", ES.private)
    assert refused(token) is TokenCheck.MALFORMED


def test_expiry_is_exact_and_has_no_leeway() -> None:
    token = ES.token(exp=NOW + 1)
    assert verify(token, trust(ES.jwk()), NOW).expires == NOW + 1
    told = rejection(token, now=NOW + 1)
    assert told.check is TokenCheck.EXPIRED
    assert told.reason is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_start_in_the_future_is_refused_beyond_the_leeway(claim: str) -> None:
    assert verify(ES.token({claim: NOW + 30}), trust(ES.jwk()), NOW).subject == "agent-1"
    assert refused(ES.token({claim: NOW + 31})) is TokenCheck.NOT_YET_VALID


def test_an_absurd_lifetime_is_refused() -> None:
    assert verify(ES.token(exp=NOW + 3590), trust(ES.jwk()), NOW).subject == "agent-1"
    assert refused(ES.token(exp=NOW + 3591)) is TokenCheck.LIFETIME
    assert refused(ES.token(exp=NOW + 10 * 365 * 86400)) is TokenCheck.LIFETIME
    assert refused(ES.token(iat=NOW - 3600)) is TokenCheck.LIFETIME
    assert refused(ES.token(exp=NOW + 3601, drop=("iat",))) is TokenCheck.LIFETIME
    assert verify(ES.token(exp=NOW + 3600, drop=("iat",)), trust(ES.jwk()), NOW).subject == "agent-1"


@pytest.mark.parametrize("value", [5, True, "", [], {}, "a\nb", "a\x00b", "a\x1b[2J", "x" * 1025, "a\u202eb"])
@pytest.mark.parametrize("claim", ["sub", "jti"])
def test_names_that_cannot_stand_in_a_record_are_refused(claim: str, value: Json) -> None:
    assert refused(ES.token({claim: value})) is TokenCheck.BAD_CLAIM


@pytest.mark.parametrize("value", [5, True, {"a": 1}, ["a", 5], [None], [""], [["a"]], ""])
def test_groups_of_the_wrong_kind_are_refused(value: Json) -> None:
    assert refused(ES.token(groups=value)) is TokenCheck.BAD_CLAIM


def test_claims_are_mapped_as_configured() -> None:
    claims: dict[str, Json] = {
        "realm": {"roles/x": ["ops", "dev"]},
        "run_id": 77,
        "owner": "ada@example.com",
        "groups": ["ignored"],
    }
    trusts = trust(
        ES.jwk(), groups_claim="/realm/roles~1x", session_claim="run_id", on_behalf_of_claim="owner"
    )
    principal = verify(ES.token(claims), trusts, NOW)
    assert principal.groups == {"ops", "dev"}
    assert principal.session == "77"
    assert principal.on_behalf_of == "ada@example.com"
    bare = verify(ES.token(), trusts, NOW)
    assert (bare.groups, bare.session, bare.on_behalf_of) == (frozenset(), None, None)
    assert refused(ES.token(owner=5), trusts) is TokenCheck.BAD_CLAIM
    assert refused(ES.token(run_id=True), trusts) is TokenCheck.BAD_CLAIM


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b'{"alg":"none","alg":"ES256","kid":"k1"}', None),
        (b'{"alg":"ES256","kid":"k1","kid":"k1"}', None),
        (b'{"alg":"ES256","kid":"k1"}', b'{"sub":"admin","sub":"agent-1"}'),
        (b'{"alg":"ES256","kid":"k1"}', b'{"sub":"a","x":{"y":1,"y":2}}'),
        (b'{"alg":"ES256","kid":"k1"}', b"[]"),
        (b'{"alg":"ES256","kid":"k1"}', b'"text"'),
        (b'{"alg":"ES256","kid":"k1"}', b"{"),
        (b'{"alg":"ES256","kid":"k1"}', b"\xff\xfe{\x00}\x00"),
        (b'{"alg":"ES256","kid":"k1"}', b'\xef\xbb\xbf{"sub":"a"}'),
        (b'{"alg":"ES256","kid":"k1"}', b'{"sub":"\\ud800"}'),
        (b'{"alg":"ES256","kid":"k1"}', b'{"a":' + b"[" * 20 + b"]" * 20 + b"}"),
        (b'{"alg":"ES256","kid":"k1"}', b'{"a":' + b"[" * 11_000 + b"}"),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_json_that_two_readers_could_read_differently_is_refused(
    header: bytes, payload: bytes | None
) -> None:
    claims = json.dumps(good_claims()).encode() if payload is None else payload
    assert refused(raw_token(header, claims, "ES256", ES.private)) is TokenCheck.MALFORMED


def test_size_is_bounded_before_anything_is_parsed() -> None:
    largest = ES.token(filler="x" * 11_900)
    assert len(largest) <= MAX_TOKEN_BYTES
    assert verify(largest, trust(ES.jwk()), NOW).subject == "agent-1"
    assert refused(ES.token(filler="x" * 12_200)) is TokenCheck.TOO_LARGE
    assert refused("a" * 1_000_000) is TokenCheck.TOO_LARGE
    assert refused("." * 1_000_000) is TokenCheck.TOO_LARGE


@pytest.mark.parametrize(
    "junk", ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "é.é.é", "e30.e30.e30\n", "\udcff"]
)
def test_junk_is_malformed(junk: str) -> None:
    assert refused(junk) is TokenCheck.MALFORMED


def test_an_encrypted_token_is_told_apart() -> None:
    assert refused("a.b.c.d.e") is TokenCheck.ENCRYPTED


@pytest.mark.parametrize("decorate", ["{}=", "{}==", " {}", "{} ", "{}\n", "Bearer {}", '"{}"', "{}."])
def test_only_one_spelling_of_a_token_passes(decorate: str) -> None:
    assert refused(decorate.format(ES.token())) in {TokenCheck.MALFORMED, TokenCheck.ENCRYPTED}


def test_no_message_holds_a_piece_of_the_token_or_what_would_pass() -> None:
    tokens = [
        ES.token(aud="zebra-aud"),
        ES.token(iss="https://evil.example"),
        ES.token(sub=5),
        ES.token(header={"alg": "none"}, signed_as="ES256"),
        ES.token(header={"kid": "zebra-kid"}),
        ES.token(act={"nobody": "x"}),
    ]
    for token in tokens:
        told = rejection(token)
        text = f"{told} {told.message} {told.remedy}"
        for secret in ("zebra", "evil", ISSUER, AUDIENCE + '"', "k1", "agent-1", *token.split(".")):
            assert secret not in text
        assert told.remedy


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("issuer", ""),
        ("audiences", ()),
        ("audiences", ("",)),
        ("algorithms", ()),
        ("algorithms", ("none",)),
        ("algorithms", ("HS256",)),
        ("algorithms", ("RS256", "HS256")),
        ("algorithms", ("ES256K",)),
        ("max_lifetime", 0.0),
        ("max_lifetime", float("inf")),
        ("max_lifetime", float("nan")),
        ("leeway", -1.0),
        ("leeway", 301.0),
        ("leeway", float("nan")),
    ],
)
def test_a_trust_that_would_check_nothing_cannot_be_made(field: str, value: object) -> None:
    good = {
        "issuer": ISSUER,
        "audiences": (AUDIENCE,),
        "algorithms": ("ES256",),
        "keys": {},
        "max_lifetime": 60.0,
        "leeway": 30.0,
    }
    IssuerTrust(**good)  # type: ignore[arg-type]  # a table of keyword values
    with pytest.raises(ValueError, match=r"issuer"):
        IssuerTrust(**{**good, field: value})  # type: ignore[arg-type]  # as above


def test_base64_with_the_other_alphabet_is_refused() -> None:
    parts = ES.token(pad="???>>>~~~").split(".")
    raw = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    other = base64.b64encode(raw).decode().rstrip("=")
    assert refused(f"{parts[0]}.{other}+.{parts[2]}") is TokenCheck.MALFORMED
