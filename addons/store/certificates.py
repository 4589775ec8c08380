"""The gateway's certificate authority: made at first start, name-constrained to Datadog's domains.

`mitmproxy-ca.pem` (key and certificate, mode 0600) carries the name that mitmproxy looks for;
`ddgate-ca.pem` is the public part that agents trust. The constraints (RFC 5280 section 4.2.1.10) leave a
stolen key nothing to forge but what the gateway may forge anyway.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from addons.core.start_problems import StartProblem
from addons.store.state_dir import create_private_file

PRIVATE_NAME = "mitmproxy-ca.pem"
PUBLIC_NAME = "ddgate-ca.pem"

_BACKDATED = datetime.timedelta(days=2)  # for clients whose clocks are behind
_LIFETIME = datetime.timedelta(days=5 * 365)
_EXPIRES_SOON = datetime.timedelta(days=30)


class CertificateProblem(StartProblem):
    """The certificate authority can't be used; the text says what is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Where the two files lie, and what an operator should be told about them."""

    directory: Path
    public: Path
    warnings: tuple[str, ...]
    made_now: bool


def _replace_public(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(data)
    Path(name).replace(path)


def _constraints(domains: Sequence[str]) -> x509.NameConstraints:
    return x509.NameConstraints(
        permitted_subtrees=[x509.DNSName(domain) for domain in domains],
        excluded_subtrees=[
            x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
            x509.IPAddress(ipaddress.ip_network("::/0")),
        ],
    )


def _make(domains: Sequence[str], now: datetime.datetime) -> bytes:
    # P-256: accepted everywhere, and a handshake costs the gateway a tenth of RSA's.
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"ddgate {x509.random_serial_number():x}"[:20]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ddgate"),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_constraints(domains), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def _read(path: Path) -> tuple[x509.Certificate, bytes]:
    try:
        raw = path.read_bytes()
        key = serialization.load_pem_private_key(raw, None)
        chain = x509.load_pem_x509_certificates(raw)
    except OSError as error:
        raise CertificateProblem(f"{path}: can't be read: {error.strerror}; mend its permissions") from error
    except (ValueError, TypeError) as error:
        raise CertificateProblem(
            f"{path}: must hold an unencrypted private key and its CA certificate in PEM; "
            "put them there, or remove the file and a new CA is made at the next start"
        ) from error
    if chain[0].public_key() != key.public_key():
        raise CertificateProblem(
            f"{path}: the private key does not belong to the first certificate; put the matching pair there"
        )
    return chain[0], b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain)


def _check(path: Path, ca: x509.Certificate, now: datetime.datetime) -> list[str]:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise CertificateProblem(f"{path}: holds the CA's key and has mode {mode:04o}; run: chmod 600 {path}")
    try:
        is_ca = ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    if not is_ca:
        raise CertificateProblem(f"{path}: the certificate is no certificate authority; use a CA certificate")
    if ca.not_valid_after_utc <= now:
        raise CertificateProblem(
            f"{path}: the CA expired on {ca.not_valid_after_utc:%Y-%m-%d}; certs/README.md says how to rotate"
        )
    warnings = []
    if ca.not_valid_after_utc - now < _EXPIRES_SOON:
        warnings.append(f"{path}: the CA expires on {ca.not_valid_after_utc:%Y-%m-%d}; rotate it soon")
    try:
        ca.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound:
        warnings.append(f"{path}: the CA has no name constraints; whoever gets its key can forge any host")
    return warnings


def ensure_authority(directory: Path, domains: Sequence[str], now: datetime.datetime) -> Authority:
    """The CA in `directory`, made for `domains` if there is none.

    Raises:
        CertificateProblem: it is there and can't be used, or can't be written.

    """
    private, public = directory / PRIVATE_NAME, directory / PUBLIC_NAME
    made_now = not private.exists()
    try:
        if made_now:
            directory.mkdir(parents=True, exist_ok=True)
            # Of several processes that start at once one makes it, and all use that one.
            create_private_file(private, _make(domains, now))
        ca, public_pem = _read(private)
        warnings = _check(private, ca, now)
        if not public.exists() or public.read_bytes() != public_pem:
            _replace_public(public, public_pem)
    except OSError as error:
        raise CertificateProblem(
            f"{directory}: can't be written: {error.strerror}; mend its permissions"
        ) from error
    return Authority(directory, public, tuple(warnings), made_now)
