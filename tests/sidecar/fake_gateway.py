"""A stand-in for the gateway: takes CONNECT with a token, opens TLS as Datadog, answers, and remembers."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DATADOG = "api.datadoghq.com"
VALIDATED = b'{"valid": true}'


def make_token(life: float, *, issued: float | None = None, subject: str = "agent") -> str:
    """A JWT in form; nobody here looks at the signature."""
    begin = time.time() if issued is None else issued
    claims = {
        "sub": subject,
        "iat": begin,
        "exp": begin + life,
        "jti": base64.b32encode(hash_bytes()).decode(),
    }
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJFUzI1NiJ9.{payload}.c2lnbmF0dXJl"


def hash_bytes() -> bytes:
    return time.monotonic_ns().to_bytes(8, "big")


def expiry_of(token: str) -> float:
    payload = token.split(".")[1]
    return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])


@dataclass(frozen=True)
class Certificates:
    """`ca` is the public part alone; `chain` holds a leaf for Datadog and loopback, with its key."""

    ca: Path
    chain: Path

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        return context


def make_certificates(directory: Path) -> Certificates:
    now = datetime.datetime.now(datetime.UTC)
    ca_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the gateway's CA of this test")])

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
            )
        )

    ca = builder(ca_name, ca_key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    usage = x509.KeyUsage(*(position in {0, 5, 6} for position in range(9)))
    signed_ca = ca.add_extension(usage, critical=True).sign(ca_key, hashes.SHA256())
    names = [x509.DNSName("*.datadoghq.com"), x509.DNSName("localhost")]
    alternative = x509.SubjectAlternativeName([*names, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Datadog")]), leaf_key)
    signed_leaf = leaf.add_extension(alternative, critical=False).sign(ca_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    key_pem = leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "ca.pem").write_bytes(signed_ca.public_bytes(pem))
    (directory / "leaf.pem").write_bytes(
        key_pem + signed_leaf.public_bytes(pem) + signed_ca.public_bytes(pem)
    )
    return Certificates(directory / "ca.pem", directory / "leaf.pem")


@dataclass(frozen=True)
class Call:
    """A head as it came: the first line, the fields with lower-case names, the body. `tunnel` is the token
    of the CONNECT it came through."""

    line: str
    fields: dict[str, str]
    raw: bytes
    body: bytes = b""
    tunnel: str | None = None


@dataclass
class FakeGateway:
    """`refusal` is a whole answer to every CONNECT; `revoked` are tokens that it takes no more. With `tls`
    the proxy listener itself speaks TLS.
    """

    certificates: Certificates
    tls: bool = False
    refusal: bytes | None = None
    revoked: set[str] = field(default_factory=set)
    connects: list[Call] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    expired: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[FakeGateway]:
        ready, loop = threading.Event(), asyncio.new_event_loop()

        async def serve() -> None:
            context = self.certificates.server() if self.tls else None
            server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

        task = loop.create_task(serve())
        thread = threading.Thread(target=self._run, args=(loop, task), daemon=True)
        thread.start()
        assert ready.wait(5)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(task.cancel)
            thread.join(5)

    def _run(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(task)
        rest = asyncio.all_tasks(loop)
        for other in rest:
            other.cancel()
        loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
        loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await read_call(reader)
            token = head.fields.get("proxy-authorization", "").removeprefix("Bearer ")
            refusal = REVOKED if token in self.revoked else self.refusal
            if head.line.startswith("CONNECT "):
                self.connects.append(head)
                if refusal is not None:
                    writer.write(refusal)
                    await writer.drain()
                    await reader.read()
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    if not self.tls:  # TLS in TLS is not for asyncio; those tests echo
                        await writer.start_tls(self.certificates.server())
                        await self._answer(reader, writer, token)
                    else:
                        writer.write(b"echo:" + await reader.read(1024))
            else:
                self.calls.append(head)
                writer.write(refusal or answer(VALIDATED))
            await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        while True:
            call = await read_call(reader)
            self.calls.append(Call(call.line, call.fields, call.raw, call.body, token))
            if expiry_of(token) <= time.time():
                self.expired += 1
                writer.write(answer(b'{"errors": ["token_expired"]}', "401 Unauthorized"))
            else:
                writer.write(answer(VALIDATED))
            await writer.drain()


def answer(body: bytes, status: str = "200 OK") -> bytes:
    fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + body


REVOKED = answer(b'{"errors": ["token_revoked"]}', "407 Proxy Authentication Required")


async def read_call(reader: asyncio.StreamReader) -> Call:
    raw = await reader.readuntil(b"\r\n\r\n")
    line, *rest = raw.decode("latin-1").strip().split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (entry.partition(":") for entry in rest)}
    body = b""
    if "content-length" in fields:
        body = await reader.readexactly(int(fields["content-length"]))
    elif fields.get("transfer-encoding") == "chunked":
        body = await reader.readuntil(b"0\r\n\r\n")
    return Call(line, fields, raw, body)
