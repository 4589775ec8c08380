"""An OpenID Connect issuer on loopback whose answers a test can spoil, and which counts what it was asked."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from addons.core.model import Json
from tests.core.token_minting import AUDIENCE, NOW, Signer

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"

type Answer = Callable[[BaseHTTPRequestHandler], None]


def send(status: int, body: bytes, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


class LoopbackIssuer:
    """Serves discovery and `keys`; `spoiled[path]` takes a path's place. Closing it is an outage."""

    def __init__(self, *signers: Signer, certificate: Path | None = None) -> None:
        self.keys: list[Json] = [signer.jwk() for signer in signers]
        self.spoiled: dict[str, Answer] = {}
        self.asked: Counter[str] = Counter()
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                outer.asked[self.path] += 1
                answer = outer.spoiled.get(self.path)
                (answer or outer.good_answer(self.path))(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)

    def good_answer(self, path: str) -> Answer:
        if path == DISCOVERY:
            return send(200, json.dumps({"issuer": self.url, "jwks_uri": self.url + KEYS}).encode())
        return send(200, json.dumps({"keys": self.keys}).encode()) if path == KEYS else send(404, b"")

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """Send a header byte now and then, so that no single read takes long, until released."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not self.released.wait(0.02):
            try:
                handler.wfile.write(b"x")
                handler.wfile.flush()
            except OSError:
                return

    def token(self, signer: Signer, **claims: Json) -> str:
        return signer.token({"iss": self.url, "aud": AUDIENCE, "exp": NOW + 300, **claims})

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def close(self) -> None:
        self.released.set()
        if self.thread.is_alive():
            self.server.shutdown()
            self.server.server_close()
            self.thread.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def make_certificate(path: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback issuer")])
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
    return path
