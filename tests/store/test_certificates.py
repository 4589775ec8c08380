"""The gateway's CA: made once, constrained to Datadog's domains, its key readable by nobody else; what can't
be used is refused with a sentence that holds no key."""

from __future__ import annotations

import datetime
import stat
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from mitmproxy import certs

from addons.store.certificates import PRIVATE_NAME, PUBLIC_NAME, CertificateProblem, ensure_authority
from tests.ca_files import make_pair

DOMAINS = ("datadoghq.com", "datadoghq.eu")
NOW = datetime.datetime.now(datetime.UTC)


def test_the_first_start_makes_a_ca_that_only_its_owner_can_read(tmp_path: Path) -> None:
    made = ensure_authority(tmp_path / "certs", DOMAINS, NOW)
    assert made.made_now
    assert made.warnings == ()
    private = tmp_path / "certs" / PRIVATE_NAME
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert made.public == tmp_path / "certs" / PUBLIC_NAME
    assert b"PRIVATE" not in made.public.read_bytes()
    assert stat.S_IMODE(made.public.stat().st_mode) == 0o644


def test_its_constraints_leave_a_thief_nothing_but_datadog(tmp_path: Path) -> None:
    public = ensure_authority(tmp_path, DOMAINS, NOW).public
    ca = x509.load_pem_x509_certificate(public.read_bytes())
    found = ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert found.critical
    assert found.value.permitted_subtrees == [x509.DNSName(domain) for domain in DOMAINS]
    excluded = [str(one.value) for one in found.value.excluded_subtrees or []]
    assert excluded == ["0.0.0.0/0", "::/0"]
    basic = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    usage = ca.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def _leaf(directory: Path, name: str) -> Path:
    pem = (directory / PRIVATE_NAME).read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    ca = x509.load_pem_x509_certificate(pem)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "leaf")]))
        .issuer_name(ca.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / f"{name}.pem"
    path.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("api.datadoghq.com", True),
        ("http-intake.logs.datadoghq.eu", True),
        ("bank.example", False),
        ("xdatadoghq.com", False),
        ("datadoghq.com.evil.example", False),
    ],
)
def test_openssl_refuses_what_the_constraints_exclude(tmp_path: Path, name: str, accepted: bool) -> None:
    public = ensure_authority(tmp_path, DOMAINS, NOW).public
    leaf = _leaf(tmp_path, name)
    checked = subprocess.run(
        ["openssl", "verify", "-CAfile", str(public), str(leaf)],
        capture_output=True,
        check=False,
    )
    assert (checked.returncode == 0) is accepted, checked
    assert accepted or b"permitted subtree violation" in checked.stderr


def test_the_second_start_keeps_it(tmp_path: Path) -> None:
    first = ensure_authority(tmp_path, DOMAINS, NOW)
    before = first.public.read_bytes(), (tmp_path / PRIVATE_NAME).read_bytes()
    second = ensure_authority(tmp_path, DOMAINS, NOW)
    assert not second.made_now
    assert (second.public.read_bytes(), (tmp_path / PRIVATE_NAME).read_bytes()) == before


def test_a_public_part_that_is_gone_or_of_another_ca_is_made_anew(tmp_path: Path) -> None:
    public = ensure_authority(tmp_path, DOMAINS, NOW).public
    right = public.read_bytes()
    for wrong in (None, b"another", make_pair()[1]):
        public.unlink() if wrong is None else public.write_bytes(wrong)
        ensure_authority(tmp_path, DOMAINS, NOW)
        assert public.read_bytes() == right


def test_processes_that_start_at_once_end_up_with_one_ca(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ensure_authority(tmp_path / "certs", DOMAINS, NOW), range(8)))
    (public,) = {one.public.read_bytes() for one in made}
    assert x509.load_pem_x509_certificate(public)
    assert {path.name for path in (tmp_path / "certs").iterdir()} == {PRIVATE_NAME, PUBLIC_NAME}


def test_mitmproxy_takes_it_for_its_own(tmp_path: Path) -> None:
    public = ensure_authority(tmp_path, DOMAINS, NOW).public
    store = certs.CertStore.from_store(tmp_path, "mitmproxy", 2048)
    entry = store.get_cert("api.datadoghq.com", [x509.DNSName("api.datadoghq.com")])
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(entry.cert.to_pem())
    done = subprocess.run(
        ["openssl", "verify", "-CAfile", str(public), str(leaf)], capture_output=True, check=False
    )
    assert done.returncode == 0, done


def _chain() -> bytes:
    return b"".join(make_pair()) + make_pair(name="an older one")[1]


def test_a_ca_of_ones_own_is_used_with_its_chain_and_warned_of(tmp_path: Path) -> None:
    pem = _chain()
    (tmp_path / PRIVATE_NAME).write_bytes(pem)
    (tmp_path / PRIVATE_NAME).chmod(0o600)
    found = ensure_authority(tmp_path, DOMAINS, NOW)
    assert found.public.read_bytes() == pem[pem.index(b"-----BEGIN CERTIFICATE") :]
    (warning,) = found.warnings
    assert "name constraints" in warning


def test_a_ca_that_ends_soon_is_warned_of(tmp_path: Path) -> None:
    ensure_authority(tmp_path, DOMAINS, NOW)
    later = NOW + datetime.timedelta(days=5 * 365 - 10)
    (warning,) = ensure_authority(tmp_path, DOMAINS, later).warnings
    assert "rotate it soon" in warning


@pytest.mark.parametrize(
    ("make", "mode", "said"),
    [
        (lambda: b"".join(make_pair()), 0o644, "chmod 600"),
        (lambda: b"".join(make_pair()), 0o640, "chmod 600"),
        (lambda: b"", 0o600, "PEM"),
        (lambda: b"\x00\xff" * 100, 0o600, "PEM"),
        (lambda: make_pair()[0], 0o600, "PEM"),
        (lambda: make_pair()[1], 0o600, "PEM"),
        (lambda: make_pair()[0] + make_pair()[1], 0o600, "does not belong"),
        (lambda: b"".join(make_pair(is_ca=False)), 0o600, "no certificate authority"),
        (lambda: b"".join(make_pair(ends_in_days=-1)), 0o600, "expired on"),
    ],
)
def test_what_cannot_be_used_is_refused_without_its_key(
    tmp_path: Path, make: Callable[[], bytes], mode: int, said: str
) -> None:
    path = tmp_path / PRIVATE_NAME
    path.write_bytes(make())
    path.chmod(mode)
    with pytest.raises(CertificateProblem, match=said) as problem:
        ensure_authority(tmp_path, DOMAINS, NOW)
    assert str(path) in str(problem.value)
    assert "BEGIN" not in str(problem.value)
    assert path.exists(), "what is there is never overwritten"


def test_an_encrypted_key_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = serialization.BestAvailableEncryption(b"passphrase")
    path = tmp_path / PRIVATE_NAME
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        + make_pair()[1]
    )
    path.chmod(0o600)
    with pytest.raises(CertificateProblem, match="unencrypted"):
        ensure_authority(tmp_path, DOMAINS, NOW)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CertificateProblem, match="can't be") as problem:
        ensure_authority(tmp_path / "file" / "certs", DOMAINS, NOW)
    assert str(tmp_path / "file") in str(problem.value)
