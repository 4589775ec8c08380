"""The gateway's CA: clients of every kind take its leaves for Datadog's hosts, and refuse any other name that
a thief of its key would sign."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.e2e import raw_client
from tests.e2e.agent_run import CLIENTS
from tests.e2e.gateway_process import Gateway
from tests.sandbox_processes import Issuer

HOSTS = ["api.datadoghq.com", "http-intake.logs.us3.datadoghq.com", "api.ddog-gov.com", "api.datadoghq.eu"]
_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no `node` on the PATH")


def strict_context(ca: Path) -> ssl.SSLContext:
    """As Python 3.13 and later verify: RFC 5280 to the letter."""
    context = ssl.create_default_context(cafile=str(ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize("host", HOSTS)
def test_pythons_ssl_takes_the_leaves(gateway: Gateway, issuer: Issuer, host: str) -> None:
    login = raw_client.basic(issuer.token("demo-agent"))
    opened = raw_client.connect(gateway.port, f"{host}:443", [login])
    assert opened.connected is not None
    assert opened.connected.status == 200
    with strict_context(gateway.ca).wrap_socket(opened.connection, server_hostname=host) as connection:
        names = dict(connection.getpeercert() or {})["subjectAltName"]
    assert names == (("DNS", host),)


@_node
def test_node_takes_the_leaves(gateway: Gateway, issuer: Issuer) -> None:
    done = _run_node(gateway, issuer, {"NODE_EXTRA_CA_CERTS": str(gateway.ca)})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith('200 {"valid":')


@_node
def test_node_takes_them_for_this_ca_alone(gateway: Gateway, issuer: Issuer) -> None:
    done = _run_node(gateway, issuer, {})
    assert done.returncode == 1
    assert "UNABLE_TO" in done.stderr


def _run_node(
    gateway: Gateway, issuer: Issuer, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    command = ["node", str(CLIENTS / "tunnel.js"), "127.0.0.1", str(gateway.port)]
    command += [issuer.token("demo-agent"), "api.datadoghq.com", "/api/v1/validate"]
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def forge(gateway: Gateway, name: str, directory: Path) -> Path:
    """A leaf for `name`, signed with the gateway's own CA key, as a thief would: key and certificate."""
    stolen = (gateway.directory / "certs" / "mitmproxy-ca.pem").read_bytes()
    ca_key = serialization.load_pem_private_key(stolen, None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    ca = x509.load_pem_x509_certificates(stolen)[0]
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    try:
        san: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        san = x509.DNSName(name)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([san]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    path = directory / "forged.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + leaf.public_bytes(serialization.Encoding.PEM)
    )
    return path


@contextmanager
def served(forged: Path) -> Iterator[int]:
    """A TLS server with that leaf, which answers every request with 200; the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(forged)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            raw.settimeout(5)
            try:
                with context.wrap_socket(raw, server_side=True) as connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            except OSError:  # refused by the client, as it should be
                raw.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


FORGED = ["example.com", "xdatadoghq.com", "datadoghq.com.example.com", "127.0.0.1"]


@pytest.mark.parametrize("name", FORGED)
def test_a_stolen_ca_key_forges_no_other_host(gateway: Gateway, tmp_path: Path, name: str) -> None:
    with served(forge(gateway, name, tmp_path)) as port:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as raw,
            pytest.raises(ssl.SSLCertVerificationError, match="subtree"),
        ):
            ssl.create_default_context(cafile=str(gateway.ca)).wrap_socket(raw, server_hostname=name)
        assert _curl(gateway, name, port) == 60  # CURLE_PEER_FAILED_VERIFICATION


def test_the_same_leaf_for_datadog_is_taken(gateway: Gateway, tmp_path: Path) -> None:
    """So that the name is what the test above turns on."""
    name = "api.datadoghq.com"
    with served(forge(gateway, name, tmp_path)) as port:
        with socket.create_connection(("127.0.0.1", port), 5) as raw:
            strict_context(gateway.ca).wrap_socket(raw, server_hostname=name).close()
        assert _curl(gateway, name, port) == 0


def _curl(gateway: Gateway, name: str, port: int) -> int:
    command = ["curl", "-sS", "--max-time", "5", "--cacert", str(gateway.ca)]
    command += ["--connect-to", f"{name}:443:127.0.0.1:{port}", f"https://{name}/"]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode
