"""Known attacks on JWS and JWK readers, after the classes of Wycheproof's vectors and published CVEs: each
a token and the key set of the issuer it names. None may pass.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hmac import HMAC

from addons.core.model import Json
from tests.core.token_minting import NOW, Signer, b64, good_claims, private_key, raw_token

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493

ES = Signer()
ES384 = Signer("ES384", "p384", "k3")
RS = Signer("RS256", "rsa-2048", "r1")
ED = Signer("EdDSA", "ed25519", "e1")
SIGNERS = {"ES256": ES, "ES384": ES384, "RS256": RS, "EdDSA": ED}


@dataclass(frozen=True)
class Attack:
    name: str
    token: str
    keys: tuple[dict[str, Json], ...]


def _keys() -> tuple[dict[str, Json], ...]:
    return tuple(signer.jwk() for signer in SIGNERS.values())


def _parts(token: str) -> tuple[str, bytes]:
    """What is signed, and the signature."""
    signed, _, signature = token.rpartition(".")
    return signed, base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))


def _with(signer: Signer, signature: Callable[[bytes], bytes]) -> str:
    signed, good = _parts(signer.token())
    return f"{signed}.{b64(signature(good))}"


def _numbers(signature: bytes) -> tuple[int, int]:
    half = len(signature) // 2
    return int.from_bytes(signature[:half]), int.from_bytes(signature[half:])


def _ecdsa(r: int, s: int, size: int = 32) -> bytes:
    return r.to_bytes(size) + s.to_bytes(size)


def _der(signature: bytes) -> bytes:
    """Sign anew in ASN.1, as every library but JOSE's does."""
    del signature
    signed, _ = _parts(ES.token())
    key = private_key("p256")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))


def _signatures() -> Iterator[tuple[str, str]]:
    n = P256_ORDER
    for name, r, s in (
        ("r and s are zero", 0, 0),
        ("r is zero", 0, 1),
        ("s is zero", 1, 0),
        ("r and s are one", 1, 1),
        ("r is the order", n, 1),
        ("s is the order", 1, n),
        ("r and s are the order", n, n),
        ("r is the order less one, s is one", n - 1, 1),
        ("r is the prime", P256_PRIME, 1),
        ("r and s are all ones", 2**256 - 1, 2**256 - 1),
    ):
        yield f"ECDSA: {name}", _with(ES, lambda _, r=r, s=s: _ecdsa(r, s))  # type: ignore[misc]  # bound here
    for name, change in {
        "DER instead of raw": _der,
        "r and s exchanged": lambda good: good[32:] + good[:32],
        "r alone": lambda good: good[:32],
        "r with the order added": lambda good: _ecdsa(_numbers(good)[0] + n, _numbers(good)[1], 33),
        "zero-padded to P-384's length": lambda good: _ecdsa(*_numbers(good), 48),
        "leading zeroes on both": lambda good: b"\0" + good[:32] + b"\0" + good[32:],
        "a byte after it": lambda good: good + b"\0",
        "a byte before it": lambda good: b"\0" + good,
        "twice": lambda good: good + good,
        "empty": lambda _: b"",
    }.items():
        yield f"ECDSA: {name}", _with(ES, change)
    for name, change in {
        "a byte after it": lambda good: good + b"\0",
        "a byte before it": lambda good: b"\0" + good,
        "zero": lambda good: bytes(len(good)),
        "one": lambda good: bytes(len(good) - 1) + b"\1",
        "the modulus added": _rsa_plus_modulus,
        "cut to half": lambda good: good[:128],
        "empty": lambda _: b"",
    }.items():
        yield f"RSA: {name}", _with(RS, change)
    for name, change in {
        "s with the order added": lambda good: (
            good[:32]
            + ((int.from_bytes(good[32:], "little") + ED25519_ORDER) % 2**256).to_bytes(32, "little")
        ),
        "the neutral point and zero": lambda _: b"\1" + bytes(63),
        "zero": lambda _: bytes(64),
        "a byte after it": lambda good: good + b"\0",
        "empty": lambda _: b"",
    }.items():
        yield f"EdDSA: {name}", _with(ED, change)


def _rsa_plus_modulus(good: bytes) -> bytes:
    key = private_key("rsa-2048")
    assert isinstance(key, rsa.RSAPrivateKey)
    added = int.from_bytes(good) + key.public_key().public_numbers().n
    return added.to_bytes(257)


def _foreign_rsa() -> Iterator[tuple[str, str]]:
    """RSA signatures that are right under another scheme than the header's."""
    key = private_key("rsa-2048")
    assert isinstance(key, rsa.RSAPrivateKey)
    signed, _ = _parts(RS.token())
    data = signed.encode()
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    for name, signature in {
        "PSS under RS256": key.sign(data, pss, hashes.SHA256()),
        "SHA-1 under RS256": key.sign(data, padding.PKCS1v15(), hashes.SHA1()),  # noqa: S303 - the attack
        "SHA-512 under RS256": key.sign(data, padding.PKCS1v15(), hashes.SHA512()),
    }.items():
        yield f"RSA: {name}", f"{signed}.{b64(signature)}"
    signed, _ = _parts(Signer("PS256", "rsa-2048", "r1").token())
    for name, scheme in {
        "PKCS #1 v1.5 under PS256": padding.PKCS1v15(),
        "a salt of another length under PS256": padding.PSS(padding.MGF1(hashes.SHA256()), 0),
        "MGF1 with SHA-1 under PS256": padding.PSS(padding.MGF1(hashes.SHA1()), 32),  # noqa: S303 - as above
    }.items():
        yield f"RSA: {name}", f"{signed}.{b64(key.sign(signed.encode(), scheme, hashes.SHA256()))}"


def _headers() -> Iterator[tuple[str, str]]:
    for spelling in (
        "none",
        "None",
        "NONE",
        "nOnE",
        "es256",
        "Es256",
        "ES256 ",
        " ES256",
        "ES256\0",
        "ES-256",
    ):
        yield f"alg {spelling!r}", ES.token(header={"alg": spelling}, signed_as="ES256")
    for algorithm in ("ES256K", "ES512", "HS256", "RS1", "RSA1_5", "dir", "ECDH-ES", "A128KW", "Ed448"):
        yield f"alg {algorithm}", ES.token(header={"alg": algorithm}, signed_as="ES256")
    yield "alg none without a signature", _parts(ES.token(header={"alg": "none"}, signed_as="ES256"))[0] + "."
    others: tuple[Json, ...] = (None, True, 0, 1.5, ["ES256"], {"ES256": 1})
    for value in others:
        yield f"alg {value!r}", ES.token(header={"alg": value}, signed_as="ES256")
        yield f"kid {value!r}", ES.token(header={"kid": value})
        yield f"typ {value!r}", ES.token(header={"typ": value})
    for kid in (
        "",
        "../../dev/null",
        "k1\0",
        "' OR 1=1 --",
        "http://evil.example/k1",
        "K1",
        " k1",
        "k" * 300,
    ):
        yield f"kid {kid[:30]!r}", ES.token(header={"kid": kid})
    brought: dict[str, Json] = {
        "jwk": ES.jwk(),
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/c",
        "x5c": ["MIIB"],
        "crit": ["exp"],
        "b64": False,
        "zip": "DEF",
    }
    for name, value in brought.items():
        yield f"header {name}", ES.token(header={name: value})
        yield f"header {name} is null", ES.token(header={name: None})
    yield "crit names b64", ES.token(header={"b64": False, "crit": ["b64"]})
    yield "crit is empty", ES.token(header={"crit": []})
    yield "unencoded payload (RFC 7797)", _unencoded()


def _unencoded() -> str:
    head = b64(json.dumps({"alg": "ES256", "kid": "k1", "b64": False, "crit": ["b64"]}).encode())
    body = json.dumps(good_claims())
    signature = jwt.get_algorithm_by_name("ES256").sign(f"{head}.{body}".encode(), ES.private)
    return f"{head}.{body}.{b64(signature)}"


def _confusions() -> Iterator[tuple[str, str]]:
    for name, by, claimed in (
        ("an EC key for RS256", ES, "RS256"),
        ("an RSA key for ES256", RS, "ES256"),
        ("an RSA key for EdDSA", RS, "EdDSA"),
        ("a P-256 key for ES384", ES, "ES384"),
        ("a P-384 key for ES256", ES384, "ES256"),
        ("an Ed25519 key for ES256", ED, "ES256"),
    ):
        yield name, by.token(header={"alg": claimed}, signed_as=by.algorithm)
    for secret_of in (ES, RS, ED):
        for algorithm, digest in (("HS256", hashes.SHA256()), ("HS512", hashes.SHA512())):
            for form in ("jwk", "n or x"):
                jwk = secret_of.jwk()
                key = json.dumps(jwk) if form == "jwk" else str(jwk.get("n") or jwk.get("x"))
                head = b64(json.dumps({"alg": algorithm, "kid": secret_of.key_id}).encode())
                signed = f"{head}.{b64(json.dumps(good_claims()).encode())}"
                mac = HMAC(key.encode(), digest)
                mac.update(signed.encode())
                yield (
                    f"{algorithm} with the public {form} of {secret_of.key_id}",
                    f"{signed}.{b64(mac.finalize())}",
                )


def _forms() -> Iterator[tuple[str, str]]:
    good = ES.token()
    head, body, signature = good.split(".")
    flattened = json.dumps({"payload": body, "protected": head, "signature": signature})
    general = json.dumps({"payload": body, "signatures": [{"protected": head, "signature": signature}]})
    yield from {
        "detached payload": f"{head}..{signature}",
        "no signature": f"{head}.{body}.",
        "no second dot": f"{head}.{body}",
        "a fourth part": f"{good}.{signature}",
        "trailing dot": f"{good}.",
        "leading dot": f".{good}",
        "JSON serialization, flattened": flattened,
        "JSON serialization, general": general,
        "five parts, as a JWE": f"{head}.{body}.{body}.{body}.{signature}",
        "padding after the head": f"{head}=.{body}.{signature}",
        "padding after the payload": f"{head}.{body}==.{signature}",
        "padding after the signature": f"{good}==",
        "a space inside": f"{head}.{body[:8]} {body[8:]}.{signature}",
        "a line break inside": f"{head}.{body[:8]}\n{body[8:]}.{signature}",
        "a line break after": f"{good}\n",
        "a tab before": f"\t{good}",
        "NUL after": f"{good}\0",
        "percent-encoded": good.replace("-", "%2D").replace("_", "%5F").replace(".", "%2E"),
        "a byte-order mark": f"\ufeff{good}",
        "full-width digits": good.replace("1", "\uff11").replace("0", "\uff10") + "\uff10",
        "another character of base64": f"{head}.{body}+.{signature}",
        "nested: a JWS whose payload is a JWS": raw_token(
            b'{"alg":"ES256","kid":"k1","cty":"JWT"}', good.encode(), "ES256", ES.private
        ),
        "nested in a JSON text": raw_token(
            b'{"alg":"ES256","kid":"k1","cty":"JWT"}', json.dumps(good).encode(), "ES256", ES.private
        ),
    }.items()


def _texts() -> Iterator[tuple[str, str]]:
    whole = json.dumps(good_claims()).encode()
    head = b'{"alg":"ES256","kid":"k1"}'
    for name, header, payload in (
        ("alg twice", b'{"alg":"none","alg":"ES256","kid":"k1"}', whole),
        ("alg twice, one escaped", b'{"alg":"ES256","kid":"k1","\\u0061lg":"none"}', whole),
        ("kid twice", b'{"alg":"ES256","kid":"k1","kid":"k1"}', whole),
        ("sub twice", head, whole[:-1] + b',"sub":"admin"}'),
        ("sub twice, one escaped", head, whole[:-1] + b',"s\\u0075b":"admin"}'),
        ("exp twice", head, whole[:-1] + b',"exp":9999999999}'),
        ("a claim of a claim twice", head, whole[:-1] + b',"act":{"sub":"a","sub":"b"}}'),
        ("text after the header", head + b"{}", whole),
        ("text after the claims", head, whole + b"x"),
        ("a second object", head, whole + whole),
        ("a comment", head, whole[:-1] + b"/**/}"),
        ("a trailing comma", head, whole[:-1] + b",}"),
        ("single quotes", head, whole.replace(b'"', b"'")),
        ("UTF-16", head, json.dumps(good_claims()).encode("utf-16")),
        ("a byte-order mark", head, b"\xef\xbb\xbf" + whole),
        ("overlong UTF-8", head, whole.replace(b"agent-1", b"agent\xc0\xad1")),
        ("a lone surrogate", head, whole.replace(b"agent-1", b"\\ud800")),
        ("NaN", head, whole.replace(str(NOW + 300).encode(), b"NaN")),
        ("Infinity", head, whole.replace(str(NOW + 300).encode(), b"Infinity")),
        ("1e999", head, whole.replace(str(NOW + 300).encode(), b"1e999")),
        ("ten thousand digits", head, whole.replace(str(NOW + 300).encode(), b"1" * 10_000)),
        ("deep nesting", head, whole[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}"),
        ("a list", head, b"[" + whole + b"]"),
        ("nothing", head, b" "),
    ):
        yield f"JSON: {name}", raw_token(header, payload, "ES256", ES.private)


def _claims() -> Iterator[tuple[str, str]]:
    times: tuple[Json, ...] = (
        None,
        True,
        False,
        -1,
        -0.5,
        1e18,
        10**30,
        "1800000300",
        [NOW + 300],
        {},
        "NaN",
        "",
    )
    for value in times:
        for name in ("exp", "iat", "nbf"):
            if value is not None or name == "exp":
                yield f"{name} {value!r}", ES.token({name: value})
    yield "exp zero", ES.token(exp=0)
    yield "exp now", ES.token(exp=NOW)
    yield "iat in the future", ES.token(iat=NOW + 3600, exp=NOW + 7000)
    yield "iat long ago and a short rest", ES.token(iat=0)
    names: tuple[Json, ...] = (None, "", 0, True, ["agent-1"], {"sub": "agent-1"}, "a\nb", "a\0", "a\u202eb")
    for value in names:
        yield f"sub {value!r}", ES.token(sub=value)
        yield f"iss {value!r}", ES.token(iss=value)
    audiences: tuple[Json, ...] = (
        None,
        "",
        [],
        [[]],
        ["x"],
        [None],
        {"ddgate": True},
        "DDGATE",
        "ddgate,x",
        True,
    )
    for value in audiences:
        yield f"aud {value!r}", ES.token(aud=value)
    actors: tuple[Json, ...] = (
        None,
        [],
        "agent-2",
        {},
        {"sub": ""},
        {"sub": 5},
        {"sub": "x", "iss": "https://e"},
    )
    for value in actors:
        yield f"act {value!r}", ES.token(act=value)
    yield "a logout token", ES.token(events={"http://schemas.openid.net/event/backchannel-logout": {}})
    yield "16 KiB", ES.token(filler="x" * 16_384)


def _key_sets() -> Iterator[Attack]:
    """Tokens that would pass, were it not for what the issuer publishes."""
    small = Signer("RS256", "rsa-1024", "k1")
    public = small.jwk()
    yield Attack("a weak RSA key", _of_another_size(), (public, ED.jwk()))
    token = ES.token()
    published: dict[str, dict[str, Json]] = {
        "a key for encryption": ES.jwk(use="enc"),
        "a key whose use is unknown": ES.jwk(use="SIG"),
        "a key whose use is a list": ES.jwk(use=["sig"]),
        "a key that signs only": ES.jwk(key_ops=["sign"]),
        "a private key": ES.jwk(d=b64(bytes(31) + b"\1")),
        "a key for another algorithm": ES.jwk(alg="ES384"),
        "a key for a MAC": ES.jwk(alg="HS256"),
        "a symmetric key": {"kty": "oct", "k": b64(b"secret" * 8), "kid": "k1"},
        "a key of another curve's name": ES.jwk(crv="P-384"),
        "a key of a curve that is none": ES.jwk(crv="P-257"),
        "a point off its curve": ES.jwk(y=b64(bytes([1] * 32))),
        "the point at infinity": ES.jwk(x=b64(bytes(32)), y=b64(bytes(32))),
        "a key in another case": ES.jwk(kty="ec"),
    }
    for name, jwk in published.items():
        yield Attack(name, token, (jwk, ED.jwk()))
    yield Attack("two keys of one name", token, (ES.jwk(), Signer(kind="p256/b").jwk()))
    yield Attack("another key of that name", token, (Signer(kind="p256/b").jwk(),))
    weak = {"e=1": "AQ", "e=2": "Ag", "e=0": "AA"}
    for name, exponent in weak.items():
        yield Attack(f"RSA with {name}", RS.token(), (RS.jwk(e=exponent), ED.jwk()))
    # with e=1 every padded digest signs itself
    yield Attack("RSA with e=1 and the digest as signature", _signed_by_one(), (RS.jwk(e="AQ"), ED.jwk()))
    for name, zero in {"zero": bytes(32), "one": b"\1" + bytes(31)}.items():
        low = ED.jwk(x=b64(zero))
        yield Attack(
            f"Ed25519 whose point is {name}", _with(ED, lambda _: b"\1" + bytes(63)), (low, ES.jwk())
        )


def _of_another_size() -> str:
    """PyJWT won't sign with a weak key, so this does it by hand."""
    key = private_key("rsa-1024")
    assert isinstance(key, rsa.RSAPrivateKey)
    head = b64(json.dumps({"alg": "RS256", "kid": "k1"}).encode())
    signed = f"{head}.{b64(json.dumps(good_claims()).encode())}"
    return f"{signed}.{b64(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _signed_by_one() -> str:
    signed, _ = _parts(RS.token())
    digest = hashes.Hash(hashes.SHA256())
    digest.update(signed.encode())
    info = bytes.fromhex("3031300d060960864801650304020105000420") + digest.finalize()
    return f"{signed}.{b64(b'\0\1' + b'\xff' * (256 - 3 - len(info)) + b'\0' + info)}"


def attacks() -> Iterator[Attack]:
    for made in (_signatures, _foreign_rsa, _headers, _confusions, _forms, _texts, _claims):
        for name, token in made():
            yield Attack(name, token, _keys())
    yield from _key_sets()
