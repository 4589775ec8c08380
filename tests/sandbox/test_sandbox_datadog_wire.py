"""The stand-in on the wire: keys, encodings, its record of what came, the upstream it plays when asked."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import brotli
import pytest
import zstandard
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.sandbox_processes import StandIn, start_datadog

DECODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "zstd": zstandard.ZstdDecompressor().decompress,
    "br": brotli.decompress,
}
ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "zstd1": zstandard.ZstdCompressor().compress,
    "br": brotli.compress,
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with start_datadog(tmp_path_factory.mktemp("datadog")) as started:
        yield started


@pytest.fixture
def stand_in(running: StandIn) -> StandIn:
    running.reset()
    return running


def connect(stand_in: StandIn, name: str = "api.datadoghq.com") -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(stand_in.ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default of later Pythons
    return context.wrap_socket(
        socket.create_connection(("127.0.0.1", stand_in.port), 10), server_hostname=name
    )


def exchange(stand_in: StandIn, head: str, body: bytes = b"") -> bytes:
    """Send these very octets, read to the end of the connection."""
    with connect(stand_in) as wire:
        wire.sendall(head.replace("\n", "\r\n").encode("latin-1") + body)
        return b"".join(iter(lambda: wire.recv(65536), b""))


def call(
    stand_in: StandIn, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    keys = {"DD-API-KEY": stand_in.keys["api_key"], "DD-APPLICATION-KEY": stand_in.keys["application_key"]}
    context = ssl.create_default_context(cafile=str(stand_in.ca))
    connection = http.client.HTTPSConnection("localhost", stand_in.port, timeout=10, context=context)
    try:
        connection.request(method, target, body or None, {**keys, **(headers or {})})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


SITES = ["datadoghq.com", "us3.datadoghq.com", "us5.datadoghq.com", "ap1.datadoghq.com", "ap2.datadoghq.com",
         "uk1.datadoghq.com", "datadoghq.eu", "ddog-gov.com", "us2.ddog-gov.com"]  # fmt: skip
HOSTS = [
    "api",
    "app",
    "mcp",
    "http-intake.logs",
    "7-67-0-app.agent",
    "trace.agent",
    "intake.synthetics",
    "intake.profile",
]


@pytest.mark.parametrize("site", SITES)
def test_every_sites_hosts_verify_against_the_sandbox_ca(stand_in: StandIn, site: str) -> None:
    for host in HOSTS:
        connect(stand_in, f"{host}.{site}").close()


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "saturn.oncall.datadoghq.com", "browser-intake-us3-datadoghq.com"]
)
def test_the_other_hosts_verify_too(stand_in: StandIn, host: str) -> None:
    connect(stand_in, host).close()


@pytest.mark.parametrize("host", ["api.datadoghq.com.evil.com", "example.com", "xdatadoghq.com"])
def test_no_other_host_verifies(stand_in: StandIn, host: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(stand_in, host)


def test_ca_has_the_markers_name_and_is_constrained(stand_in: StandIn) -> None:
    ca = x509.load_pem_x509_certificate(stand_in.ca.read_bytes())
    assert [each.value for each in ca.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [
        "ddgate sandbox CA"
    ]
    assert ca.extensions.get_extension_for_class(x509.NameConstraints).critical


@pytest.mark.parametrize(
    "path", ["/api/v1/validate", "/api/v1/monitor", "/api/v2/series", "/_sandbox/echo", "/nowhere"]
)
@pytest.mark.parametrize("keys", [{}, {"DD-API-KEY": "0" * 32}, {"DD-API-KEY": ""}, {"DD-API-KEY": "\u00e9"}])
def test_without_a_good_api_key_all_is_forbidden(stand_in: StandIn, path: str, keys: dict[str, str]) -> None:
    fields = "".join(f"{name}: {value}\n" for name, value in keys.items())
    method = "POST" if path == "/api/v2/series" else "GET"
    answer = exchange(stand_in, f"{method} {path} HTTP/1.1\nHost: x\nConnection: close\n{fields}\n")
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"errors": ["Forbidden"]}


def test_an_application_key_is_needed_where_it_is_no_intake(stand_in: StandIn) -> None:
    assert call(stand_in, "GET", "/api/v1/monitor", headers={"DD-APPLICATION-KEY": "0" * 40})[0].status == 403
    assert (
        call(stand_in, "GET", "/api/v1/validate", headers={"DD-APPLICATION-KEY": "0" * 40})[0].status == 200
    )
    assert call(stand_in, "GET", "/api/v1/monitor")[0].status == 200


def test_a_second_key_beside_the_good_one_is_forbidden(stand_in: StandIn) -> None:
    key = stand_in.keys["api_key"]
    head = (
        f"GET /api/v1/validate HTTP/1.1\nHost: x\nConnection: close\nDD-API-KEY: {key}\ndd-api-key: other\n\n"
    )
    assert exchange(stand_in, head).startswith(b"HTTP/1.1 403 ")


def test_keys_mixed_of_both_pairs_cannot_write(stand_in: StandIn) -> None:
    body = b'{"type": "metric alert", "query": "q"}'
    mixed = {"DD-API-KEY": stand_in.keys["readonly_api_key"]}
    assert call(stand_in, "POST", "/api/v1/monitor", body, mixed)[0].status == 403
    assert call(stand_in, "POST", "/api/v1/monitor/validate", body, mixed)[0].status == 200


def test_unknown_paths_are_not_found_with_a_key(stand_in: StandIn) -> None:
    response, body = call(stand_in, "GET", "/api/v2/users")
    assert (response.status, json.loads(body)) == (404, {"errors": ["Not found"]})


@pytest.mark.parametrize("coding", ENCODERS)
def test_bodies_are_decoded_and_recorded_as_received(stand_in: StandIn, coding: str) -> None:
    message = f"encoded as {coding}"
    octets = ENCODERS[coding](json.dumps([{"message": message}]).encode())
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    assert call(stand_in, "POST", "/api/v2/logs", octets, headers)[0].status == 202
    assert stand_in.state()["logs"][-1]["attributes"]["message"] == message
    assert stand_in.requests()[-1].body == octets


@pytest.mark.parametrize("coding", [*ENCODERS, "compress"])
def test_a_body_that_is_not_its_coding_is_400_and_kept_nowhere(stand_in: StandIn, coding: str) -> None:
    before = len(stand_in.state()["logs"])
    whole = ENCODERS.get(coding, gzip.compress)(b'[{"message": "cut off"}]' * 20)
    for octets in (b"plain", whole[: len(whole) // 2]):
        response, body = call(stand_in, "POST", "/api/v2/logs", octets, {"Content-Encoding": coding})
        assert response.status == 400
        assert coding in json.loads(body)["errors"][0]
    assert len(stand_in.state()["logs"]) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 200_000,
        b'{"series": 1}',
        b'{"series": [{"metric": 1}]}',
        b'{"series": [{"metric": "m", "points": [1]}]}',
    ],
)
def test_a_senseless_payload_is_400(stand_in: StandIn, body: bytes) -> None:
    before = stand_in.state()["series"]
    assert call(stand_in, "POST", "/api/v2/series", body)[0].status == 400
    assert stand_in.state()["series"] == before


def test_json_lines_and_text_are_one_log_a_line(stand_in: StandIn) -> None:
    call(
        stand_in,
        "POST",
        "/api/v2/logs",
        b'{"message": "l1"}\n{"message": "l2"}\n',
        {"Content-Type": "application/json"},
    )
    call(stand_in, "POST", "/api/v2/logs?ddsource=app&ddtags=a:b", b"l3\nl4", {"Content-Type": "text/plain"})
    logs = [each["attributes"] for each in stand_in.state()["logs"][-4:]]
    assert [each["message"] for each in logs] == ["l1", "l2", "l3", "l4"]
    assert logs[3]["tags"] == ["a:b", "source:app"]


def test_record_holds_the_exact_fields_and_the_connection(stand_in: StandIn) -> None:
    key = stand_in.keys["api_key"]
    fields = f"hOsT: http-intake.logs.datadoghq.eu\nDD-api-KEY: {key}\nX-A: 1\nx-a: 2\nContent-Length: 2"
    first = f"POST /api/v2/logs?b=%2F&a=+ HTTP/1.1\n{fields}\n\n"
    last = f"GET /api/v1/validate HTTP/1.1\nHost: x\nConnection: close\nDD-API-KEY: {key}\n\n"
    exchange(stand_in, first, b"{}" + last.replace("\n", "\r\n").encode())
    one, two = stand_in.requests()
    assert one.headers == (
        ("hOsT", "http-intake.logs.datadoghq.eu"),
        ("DD-api-KEY", key),
        ("X-A", "1"),
        ("x-a", "2"),
        ("Content-Length", "2"),
    )
    assert (one.method, one.host, one.path, one.query) == (
        "POST",
        "http-intake.logs.datadoghq.eu",
        "/api/v2/logs",
        "b=%2F&a=+",
    )
    assert (one.status, one.answer, one.body) == (202, b"{}", b"{}")
    assert ("Content-Length", "2") in one.answer_headers
    assert one.connection == two.connection
    assert two.n == one.n + 1
    exchange(stand_in, last)
    assert stand_in.requests()[2].connection != one.connection


def test_connections_are_counted_before_tls(stand_in: StandIn) -> None:
    before = stand_in.connections()
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(stand_in, "example.com")
    connect(stand_in).close()
    assert exchange(stand_in, "NOT HTTP\n\n").startswith(b"HTTP/1.1 400 ")
    after = stand_in.connections()
    assert after["accepted"] - before["accepted"] == 3
    assert after["malformed"] - before["malformed"] == 1


def echo(stand_in: StandIn, options: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    return call(stand_in, "GET", f"/_sandbox/echo?{options}", headers=headers)


def test_echo_gives_the_key_back_in_every_form(stand_in: StandIn) -> None:
    key = stand_in.keys["api_key"]
    assert ["DD-API-KEY", key] in json.loads(echo(stand_in, "form=json")[1])["headers"]
    assert base64.b64encode(key.encode()) in echo(stand_in, "form=base64")[1]
    assert "".join(f"%{ord(each):02x}" for each in key).encode() in echo(stand_in, "form=percent")[1]
    assert echo(stand_in, "form=header")[0].getheader("X-Echo-DD-API-KEY") == key
    located, _ = echo(stand_in, "form=location")
    assert located.status == 302
    assert key in (located.getheader("Location") or "")
    failed, body = echo(stand_in, "form=error")
    assert failed.status == 400
    assert key in json.loads(body)["errors"][0]


def test_echo_gives_the_body_back(stand_in: StandIn) -> None:
    octets = gzip.compress(b"{}")
    response, body = call(stand_in, "POST", "/_sandbox/echo?form=body", octets, {"Content-Encoding": "gzip"})
    assert (response.getheader("Content-Encoding"), body) == ("gzip", octets)


@pytest.mark.parametrize("coding", DECODERS)
def test_echo_encodes(stand_in: StandIn, coding: str) -> None:
    response, body = echo(stand_in, f"encoding={coding}")
    assert response.getheader("Content-Encoding") == coding
    assert stand_in.keys["api_key"].encode() in DECODERS[coding](body)


def test_chunks_split_every_key(stand_in: StandIn) -> None:
    key, application_key = stand_in.keys["api_key"], stand_in.keys["application_key"]
    fields = f"Connection: close\nDD-API-KEY: {key}\nDD-APPLICATION-KEY: {application_key}"
    raw = exchange(stand_in, f"GET /_sandbox/echo?chunked=1 HTTP/1.1\nHost: x\n{fields}\n\n")
    assert b"Transfer-Encoding: chunked" in raw
    assert key.encode() not in raw
    assert application_key.encode() not in raw
    assert key.encode() in echo(stand_in, "chunked=1")[1]
    encoded = echo(stand_in, "chunked=1&encoding=zstd")[1]
    assert key.encode() in DECODERS["zstd"](encoded)


def test_echo_sets_status_size_and_redirect(stand_in: StandIn) -> None:
    assert echo(stand_in, "status=429")[0].status == 429
    body = echo(stand_in, "size=300000")[1]
    assert len(body) == 300_000
    assert json.loads(body)["method"] == "GET"
    response, _ = echo(stand_in, "redirect=https://elsewhere.example/x")
    assert (response.status, response.getheader("Location")) == (302, "https://elsewhere.example/x")


@pytest.mark.parametrize(
    "options",
    [
        "status=99",
        "status=x",
        "status=600",
        "delay=x",
        "form=no",
        "encoding=no",
        "size=-1",
        "redirect=%0d%0aX:1",
    ],
)
def test_a_senseless_echo_option_is_400_or_bounded(stand_in: StandIn, options: str) -> None:
    assert echo(stand_in, options)[0].status == (599 if options == "status=600" else 400)


def test_a_bodiless_status_has_no_body_and_keeps_the_connection(stand_in: StandIn) -> None:
    response, body = echo(stand_in, "status=204")
    assert (response.status, body) == (204, b"")
    response, body = call(stand_in, "HEAD", "/_sandbox/echo")
    assert (response.status, body) == (200, b"")


def test_close_and_garbage_are_no_answer(stand_in: StandIn) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        echo(stand_in, "close=1")
    with pytest.raises(http.client.BadStatusLine):
        echo(stand_in, "garbage=1")
    closed, garbage = stand_in.requests()
    assert (closed.status, closed.answer, garbage.status) == (None, b"", None)
    assert garbage.answer


def test_a_held_call_is_on_record_before_its_answer(stand_in: StandIn) -> None:
    with connect(stand_in) as wire:
        key = stand_in.keys["api_key"]
        wire.sendall(f"GET /_sandbox/echo?delay=30 HTTP/1.1\r\nHost: x\r\nDD-API-KEY: {key}\r\n\r\n".encode())
        (held,) = stand_in.wait_for_requests(1)
        assert held.status is None


def test_an_answer_waits_for_its_delay(stand_in: StandIn) -> None:
    before = time.monotonic()
    assert echo(stand_in, "delay=0.3")[0].status == 200
    assert time.monotonic() - before >= 0.3


def test_answers_are_encoded_only_as_asked_and_accepted(stand_in: StandIn) -> None:
    asked = {"X-Sandbox-Encoding": "gzip"}
    response, body = call(
        stand_in, "GET", "/api/v1/validate", headers={**asked, "Accept-Encoding": "br;q=1, gzip;q=0.5"}
    )
    assert response.getheader("Content-Encoding") == "gzip"
    assert json.loads(gzip.decompress(body)) == {"valid": True}
    assert stand_in.requests()[-1].answer == body
    for headers in ({**asked, "Accept-Encoding": "br"}, {"Accept-Encoding": "gzip"}):
        assert json.loads(call(stand_in, "GET", "/api/v1/validate", headers=headers)[1]) == {"valid": True}


def test_expect_100_continue_is_answered(stand_in: StandIn) -> None:
    with connect(stand_in) as wire:
        fields = f"DD-API-KEY: {stand_in.keys['api_key']}\r\nExpect: 100-continue\r\nContent-Length: 2"
        wire.sendall(f"POST /api/v2/logs HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n".encode())
        assert wire.recv(65536).startswith(b"HTTP/1.1 100 ")
        wire.sendall(b"{}")
        assert wire.recv(65536).startswith(b"HTTP/1.1 202 ")


def test_sigterm_ends_it_while_a_call_is_held(tmp_path: Path) -> None:
    with start_datadog(tmp_path) as stand_in, connect(stand_in) as wire:
        key = stand_in.keys["api_key"]
        wire.sendall(f"GET /_sandbox/echo?delay=60 HTTP/1.1\r\nHost: x\r\nDD-API-KEY: {key}\r\n\r\n".encode())
        stand_in.wait_for_requests(1)
        assert stand_in.stop() == 0
    assert not (tmp_path / "datadog.json").exists()


def test_restart_keeps_ports_keys_and_ca_and_private_files_are_private(tmp_path: Path) -> None:
    with start_datadog(tmp_path) as first:
        kept = (first.port, first.ready["admin_port"], first.keys, first.ca.read_bytes())
        private = [file for file in tmp_path.iterdir() if file.name != "sandbox-ca.pem"]
        assert {oct(file.stat().st_mode & 0o777) for file in private} == {"0o600"}
    with start_datadog(tmp_path) as second:
        assert (second.port, second.ready["admin_port"], second.keys, second.ca.read_bytes()) == kept
        assert call(second, "GET", "/api/v1/validate")[0].status == 200


def test_a_real_key_of_the_environment_is_unknown_to_it(tmp_path: Path) -> None:
    leak = "0123456789abcdef0123456789abcdef"
    with start_datadog(tmp_path, environment={"DD_API_KEY": leak}) as stand_in:
        assert call(stand_in, "GET", "/api/v1/validate", headers={"DD-API-KEY": leak})[0].status == 403
