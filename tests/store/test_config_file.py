from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from addons.core.yaml_source import ProblemsError
from addons.sandbox.datadog_tls import CA_NAME
from addons.store.config_file import SANDBOX_CA_NAME, read_config


def write_pair(folder: Path, name: str, common_name: str = "ddgate.test") -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    for suffix, encryption in (("key", NoEncryption()), ("locked", BestAvailableEncryption(b"x"))):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        (folder / f"{name}.{suffix}").write_bytes(pem)


TEXT = """version: 1
policy: [policy.yaml]
issuers: [{issuer: https://issuer.example.com, audience: ddgate}]
credentials: {default: {api_key: {file: api.secret}, application_key: {env: APP_KEY}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text("version: 1\n")
    (tmp_path / "api.secret").write_text("s3cret\n")
    (tmp_path / "empty").write_text("\n")
    write_pair(tmp_path, "one")
    write_pair(tmp_path, "two")
    write_pair(tmp_path, "sandbox", SANDBOX_CA_NAME)
    return tmp_path


def problems(folder: Path, text: str, **environment: str) -> list[str]:
    path = folder / "ddgate.yaml"
    path.write_text(text)
    with pytest.raises(ProblemsError) as raised:
        read_config(path, environment)
    return [line.removeprefix(f"{path}:") for line in str(raised.value).splitlines()]


def test_paths_are_relative_to_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "ddgate.yaml").write_text(TEXT + "listen: {tls: {certificate: one.pem, key: one.key}}")
    monkeypatch.chdir("/")
    loaded = read_config(folder / "ddgate.yaml", {"APP_KEY": "x"})
    assert loaded.base_dir == folder
    assert loaded.resolve(loaded.config.policy[0]) == folder / "policy.yaml"
    monkeypatch.chdir(folder)
    assert read_config(Path("ddgate.yaml"), {"APP_KEY": "x"}).base_dir == folder


@pytest.mark.parametrize(
    ("change", "position", "words"),
    [
        (("policy.yaml", "gone.yaml"), "2:10", "no such file"),
        (("[policy.yaml]", "[policy.yaml, .]"), "2:23", "directory"),
        (("api.secret", "gone"), "4:41", "no such file"),
        (("api.secret", "empty"), "4:41", "empty"),
        (("APP_KEY", "OTHER"), "4:77", "OTHER is not set"),
        (("audience: ddgate", "audience: ddgate, ca: gone.pem"), "3:70", "no such file"),
        (("audience: ddgate", "audience: ddgate, ca: one.key"), "3:70", "no PEM certificates"),
    ],
)
def test_a_file_that_is_not_there_or_not_what_it_should_be(
    folder: Path, change: tuple[str, str], position: str, words: str
) -> None:
    (found,) = problems(folder, TEXT.replace(*change), APP_KEY="x")
    assert found.startswith(f"{position}: "), found
    assert words in found


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        ("one.pem", "two.key", "not the key of"),
        ("one.pem", "one.locked", "no PEM private key"),
        ("one.pem", "one.pem", "no PEM private key"),
        ("one.key", "one.key", "no PEM certificates"),
        ("gone", "one.key", "no such file"),
    ],
)
def test_a_listener_needs_a_certificate_and_its_own_key(
    folder: Path, certificate: str, key: str, words: str
) -> None:
    (found,) = problems(
        folder, f"{TEXT}listen: {{tls: {{certificate: {certificate}, key: {key}}}}}", APP_KEY="x"
    )
    assert found.startswith("5:")
    assert words in found


def test_all_files_are_looked_at_and_no_secret_is_told(folder: Path) -> None:
    text = (
        TEXT.replace("policy.yaml", "gone")
        + "certs: policy.yaml\nlisten: {tls: {certificate: x, key: api.secret}}"
    )
    found = problems(folder, text)
    assert len(found) == 5
    assert "s3cret" not in "".join(found)


def test_a_configuration_that_is_missing_or_no_text(folder: Path) -> None:
    with pytest.raises(ProblemsError, match="no such file"):
        read_config(folder / "gone.yaml", {})
    (folder / "bad.yaml").write_bytes(b"version: \xff")
    with pytest.raises(ProblemsError, match="not UTF-8"):
        read_config(folder / "bad.yaml", {})


def test_the_sandbox_is_never_half_on(folder: Path) -> None:
    upstream = 'upstream: {connect_to: {"*": {address: 127.0.0.1, ca: sandbox.pem}}}'
    (found,) = problems(folder, TEXT + upstream, APP_KEY="x")
    assert found.startswith("3:20: a real issuer, and an upstream that is the sandbox")
    sandbox = TEXT.replace("https://issuer.example.com", "http://127.0.0.1:1/ddgate-sandbox")
    (found,) = problems(folder, sandbox, APP_KEY="x")
    assert "a sandbox issuer" in found
    (folder / "ddgate.yaml").write_text(sandbox + upstream)
    read_config(folder / "ddgate.yaml", {"APP_KEY": "x"})


def test_the_sandbox_signs_with_the_name_that_is_looked_for() -> None:
    assert SANDBOX_CA_NAME == CA_NAME
