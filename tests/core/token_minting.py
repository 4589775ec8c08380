"""Tokens as an issuer would sign them, and as an attacker would: nothing is left out or added on the way."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from addons.core.issuer_trust import IssuerTrust
from addons.core.model import Json
from addons.core.verification_keys import parse_key_set

NOW = 1_800_000_000.0
ISSUER = "https://issuer.example"
AUDIENCE = "ddgate"

type PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey


@cache
def private_key(kind: str) -> PrivateKey:
    """Keys are named by kind and a free suffix, `rsa-2048/other`, and made once per run."""
    name = kind.split("/", maxsplit=1)[0]
    if name.startswith("rsa-"):
        return rsa.generate_private_key(65537, int(name[4:]))
    if name == "ed25519":
        return Ed25519PrivateKey.generate()
    curves: dict[str, ec.EllipticCurve] = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}
    return ec.generate_private_key(curves[name])


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def raw_token(header: bytes, payload: bytes, algorithm: str, key: object) -> str:
    signed = f"{b64(header)}.{b64(payload)}"
    signature = jwt.get_algorithm_by_name(algorithm).sign(signed.encode("ascii"), key)
    return f"{signed}.{b64(signature)}"


@dataclass(frozen=True)
class Signer:
    algorithm: str = "ES256"
    kind: str = "p256"
    key_id: str = "k1"

    @property
    def private(self) -> PrivateKey:
        return private_key(self.kind)

    def jwk(self, **changes: Json) -> dict[str, Json]:
        public = self.private.public_key()
        form = jwt.get_algorithm_by_name(self.algorithm).to_jwk(public, as_dict=True)
        entry = {**form, "kid": self.key_id, "use": "sig", **changes}
        entry.pop("key_ops", None) if "key_ops" not in changes else None
        return {name: value for name, value in entry.items() if value is not None}

    def token(
        self,
        changes: Mapping[str, Json] | None = None,
        *,
        header: Mapping[str, Json] | None = None,
        drop: tuple[str, ...] = (),
        signed_as: str | None = None,
        **claims: Json,
    ) -> str:
        """Sign the good claims, changed as told; `drop` leaves claims or header members out."""
        head = {"alg": self.algorithm, "kid": self.key_id, "typ": "JWT", **(header or {})}
        body = {**good_claims(), **claims, **(changes or {})}
        return raw_token(
            json.dumps({k: v for k, v in head.items() if k not in drop}).encode(),
            json.dumps({k: v for k, v in body.items() if k not in drop}).encode(),
            signed_as or self.algorithm,
            self.private,
        )


def good_claims() -> dict[str, Json]:
    return {
        "iss": ISSUER,
        "sub": "agent-1",
        "aud": AUDIENCE,
        "exp": NOW + 300,
        "iat": NOW - 10,
        "nbf": NOW - 10,
        "jti": "t-1",
        "groups": ["agents"],
    }


def key_set_text(*entries: Json) -> bytes:
    return json.dumps({"keys": list(entries)}).encode()


ALL_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")


def trust(
    *entries: dict[str, Json],
    algorithms: tuple[str, ...] = ALL_ALGORITHMS,
    audiences: tuple[str, ...] = (AUDIENCE,),
    groups_claim: str | None = "groups",
    session_claim: str | None = None,
    on_behalf_of_claim: str | None = None,
    actor_issuers: tuple[str, ...] = (),
) -> dict[str, IssuerTrust]:
    return {
        ISSUER: IssuerTrust(
            issuer=ISSUER,
            audiences=audiences,
            algorithms=algorithms,
            keys=parse_key_set(key_set_text(*entries)) if entries else {},
            max_lifetime=3600.0,
            leeway=30.0,
            groups_claim=groups_claim,
            session_claim=session_claim,
            on_behalf_of_claim=on_behalf_of_claim,
            actor_issuers=actor_issuers,
        )
    }
