"""The signing keys of the development issuer: kept in a file, published as a key set (RFC 7517), rotated."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from addons.sandbox.lifecycle import SandboxError, read_json_object, write_private_json
from addons.sandbox.server import Json

KEY_FILE = "issuer-keys.json"


class SigningAlgorithm(StrEnum):
    """The names of RFC 7518, section 3.1."""

    RS256 = "RS256"
    ES256 = "ES256"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """`kid` is the key's RFC 7638 thumbprint."""

    algorithm: SigningAlgorithm
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    kid: str

    def public_jwk(self) -> dict[str, Json]:
        return {**_public_members(self.private), "kid": self.kid, "use": "sig", "alg": self.algorithm.value}

    def pem(self) -> str:
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()


@dataclass(frozen=True, slots=True)
class KeySet:
    """`current` signs; `retired` is published still, so that tokens it signed stay good."""

    current: Mapping[SigningAlgorithm, SigningKey]
    retired: tuple[SigningKey, ...] = ()

    def public(self) -> Json:
        return {"keys": [key.public_jwk() for key in (*self.current.values(), *self.retired)]}

    def rotated(self, *, keep_old: bool) -> KeySet:
        return KeySet(new_keys(), (*self.current.values(), *self.retired) if keep_old else ())

    def sign(
        self, algorithm: SigningAlgorithm, claims: Mapping[str, Json], headers: Mapping[str, Json]
    ) -> str:
        """Make a compact JWS (RFC 7515).

        `headers` overrides the header, None removing a member of it: the signature stays that of `algorithm`,
        so a test can have a token that lies about its own algorithm or key.
        """
        key = self.current[algorithm]
        header = {"alg": algorithm.value, "typ": "JWT", "kid": key.kid, **headers}
        header = {name: value for name, value in header.items() if value is not None}
        unsigned = b".".join(_base64url(json.dumps(part).encode()) for part in (header, dict(claims)))
        signature = jwt.get_algorithm_by_name(algorithm.value).sign(unsigned, key.private)
        return (unsigned + b"." + _base64url(signature)).decode()


def new_keys() -> dict[SigningAlgorithm, SigningKey]:
    return {
        SigningAlgorithm.RS256: _key(
            SigningAlgorithm.RS256, rsa.generate_private_key(public_exponent=65537, key_size=2048)
        ),
        SigningAlgorithm.ES256: _key(SigningAlgorithm.ES256, ec.generate_private_key(ec.SECP256R1())),
    }


def load_or_make(directory: Path) -> KeySet:
    """Read the keys in `directory`, made there first if there are none. Raises SandboxError if unreadable."""
    path = directory / KEY_FILE
    content = read_json_object(path)
    if content is None:
        keys = KeySet(new_keys())
        save(keys, directory)
        return keys
    try:
        current = [_read_key(entry) for entry in _entries(content["current"])]
        retired = tuple(_read_key(entry) for entry in _entries(content["retired"]))
        by_algorithm = {key.algorithm: key for key in current}
        return KeySet({algorithm: by_algorithm[algorithm] for algorithm in SigningAlgorithm}, retired)
    except (KeyError, TypeError, ValueError) as error:
        raise SandboxError(
            f"{path} doesn't hold the issuer's keys; delete it to have new ones made"
        ) from error


def save(keys: KeySet, directory: Path) -> None:
    def entries(of: tuple[SigningKey, ...]) -> list[Json]:
        return [{"alg": key.algorithm.value, "pem": key.pem()} for key in of]

    write_private_json(
        directory / KEY_FILE,
        {"current": entries(tuple(keys.current.values())), "retired": entries(keys.retired)},
    )


def _entries(value: Json) -> list[dict[str, Json]]:
    if not isinstance(value, list):
        raise TypeError("not a list of keys")
    return [entry for entry in value if isinstance(entry, dict)]


def _read_key(entry: Mapping[str, Json]) -> SigningKey:
    private = serialization.load_pem_private_key(str(entry["pem"]).encode(), password=None)
    algorithm = SigningAlgorithm(str(entry["alg"]))
    if algorithm is SigningAlgorithm.RS256 and isinstance(private, rsa.RSAPrivateKey):
        return _key(algorithm, private)
    if algorithm is SigningAlgorithm.ES256 and isinstance(private, ec.EllipticCurvePrivateKey):
        return _key(algorithm, private)
    raise ValueError("the key isn't of its algorithm's type")


def _key(algorithm: SigningAlgorithm, private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> SigningKey:
    members = {
        name: value
        for name, value in _public_members(private).items()
        if name in {"crv", "e", "kty", "n", "x", "y"}
    }
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return SigningKey(algorithm, private, _base64url(hashlib.sha256(canonical).digest()).decode())


def _public_members(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> dict[str, Json]:
    if isinstance(private, rsa.RSAPrivateKey):
        jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    else:
        jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return {name: value for name, value in jwk.items() if name != "key_ops"}


def _base64url(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")
