"""The stand-in's certificates: a CA constrained to the names it plays, and one leaf for them all."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from addons.sandbox.lifecycle import LOOPBACK, SandboxError, write_private

CA_NAME = "ddgate sandbox CA"  # the marker of a sandbox upstream
CA_FILE = "sandbox-ca.pem"
SITES = (
    "datadoghq.com",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
    "uk1.datadoghq.com",
    "datadoghq.eu",
    "ddog-gov.com",
    "us2.ddog-gov.com",
)
_BELOW_SITES = ("*", "*.logs", "*.agent", "*.synthetics", "*.profile")
# Names that are no subdomain of a site, or two labels below one.
_OTHER_HOSTS = (
    "*.oncall.datadoghq.com",
    "*.oncall.datadoghq.eu",
    "browser-intake-datadoghq.com",
    "browser-intake-us3-datadoghq.com",
    "browser-intake-us5-datadoghq.com",
    "browser-intake-ap1-datadoghq.com",
    "browser-intake-ap2-datadoghq.com",
    "browser-intake-uk1-datadoghq.com",
    "browser-intake-datadoghq.eu",
    "browser-intake-ddog-gov.com",
    "localhost",
)
HOSTS = (*(f"{below}.{site}" for site in SITES for below in _BELOW_SITES), *_OTHER_HOSTS)
_CA_DAYS = 3650
_LEAF_DAYS = 365
_RENEW_DAYS = 30


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def server_context(directory: Path, ca_name: str = CA_NAME) -> ssl.SSLContext:
    """Make a TLS context with a leaf for HOSTS, HTTP/1.1 only.

    CA and leaf are kept in `directory`, and made anew where they are absent or near their end. Raises
    SandboxError where they can't be read. Another `ca_name` is for a stand-in that is no sandbox.
    """
    now = dt.datetime.now(dt.UTC)
    ca = _read(directory / CA_FILE, directory / "sandbox-ca.key")
    if ca is None or _is_near_end(ca, now + dt.timedelta(days=_LEAF_DAYS)):
        ca = _make_ca(now, ca_name)
        write_private(directory / "sandbox-ca.key", _key_pem(ca))
        write_private(directory / CA_FILE, _certificate_pem(ca))
        (directory / CA_FILE).chmod(0o644)  # public: clients under other users read it
    leaf_file, leaf_key = directory / "sandbox-leaf.pem", directory / "sandbox-leaf.key"
    leaf = _read(leaf_file, leaf_key)
    if leaf is None or _is_near_end(leaf, now) or not _serves(leaf, ca):
        leaf = _make_leaf(ca, now)
        write_private(leaf_key, _key_pem(leaf))
        write_private(leaf_file, _certificate_pem(leaf))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(leaf_file, leaf_key)
    return context


def _read(certificate: Path, key: Path) -> _Pair | None:
    if not certificate.exists() or not key.exists():
        return None
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
        public = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (ValueError, TypeError) as error:
        raise SandboxError(
            f"{certificate} or {key} can't be read; delete both to have them made anew"
        ) from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != public.public_key():
        raise SandboxError(f"{certificate} doesn't belong to {key}; delete both to have them made anew")
    return _Pair(public, private)


def _is_near_end(pair: _Pair, when: dt.datetime) -> bool:
    return pair.certificate.not_valid_after_utc < when + dt.timedelta(days=_RENEW_DAYS)


def _serves(leaf: _Pair, ca: _Pair) -> bool:
    """Whether the leaf is of this CA and has the names of this version."""
    names = leaf.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    authority = leaf.certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    expected = x509.SubjectKeyIdentifier.from_public_key(ca.key.public_key()).digest
    return authority.key_identifier == expected and set(names.get_values_for_type(x509.DNSName)) == set(HOSTS)


def _make_ca(now: dt.datetime, ca_name: str) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ca_name)])
    # RFC 5280, section 4.2.1.10: a stolen sandbox key signs for nothing but these names.
    domains = sorted({host.removeprefix("*.") for host in (*SITES, *_OTHER_HOSTS)})
    permitted: list[x509.GeneralName] = [x509.DNSName(domain) for domain in domains]
    permitted.append(x509.IPAddress(ipaddress.ip_network(f"{LOOPBACK}/32")))
    certificate = (
        _builder(name, name, key, now, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _make_leaf(ca: _Pair, now: dt.datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in HOSTS]
    names.append(x509.IPAddress(ipaddress.ip_address(LOOPBACK)))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ddgate sandbox Datadog")])
    ca_id = x509.SubjectKeyIdentifier.from_public_key(ca.key.public_key())
    certificate = (
        _builder(subject, ca.certificate.subject, key, now, _LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_id), critical=False)
        .sign(ca.key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))  # a client's clock may be behind
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _certificate_pem(pair: _Pair) -> bytes:
    return pair.certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(pair: _Pair) -> bytes:
    return pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
