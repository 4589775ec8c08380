"""`mask:` of a rule on the wire: by JSON path and by detector, for what is forwarded and what is answered.

What is planted here is no secret to any detector that is always on: if it is gone, then by the rule.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard

from addons.core.body import decode_body
from addons.core.redact.masking.mask import MASK
from tests.e2e.agent_run import Agent
from tests.e2e.gateway_process import Gateway, curl
from tests.e2e.raw_upstream import KEYS, Exchange, RawUpstream, ok
from tests.e2e.test_abuse_credential import assert_absent
from tests.e2e.traces import assert_nothing_readable, decoded
from tests.sandbox_processes import Issuer, StandIn

API = "https://api.datadoghq.com"
ADDRESS, NAME = "ines.roth-4711@mail.example.net", "Ines Roth von Waldau"
CUSTOMER = "Mandant Roth 4711-B"
PLANTED = (ADDRESS, NAME, CUSTOMER)
USERS: Mapping[str, Any] = {
    "data": [
        {
            "type": "users",
            "id": "5c1e0b7a-42d9-4f63-8b1e-7d20c9a6f314",
            "attributes": {
                "name": NAME,
                "Email": ADDRESS,
                "handle": ADDRESS,
                "icon": "https://secure.gravatar.com/avatar/1",
                "disabled": False,
                "created_at": "2024-05-02T10:00:00.000000+00:00",
                "status": "Active",
            },
        }
    ],
    "meta": {"page": {"total_count": 1, "total_filtered_count": 1}},
}
MONITORS = [
    {
        "id": 17,
        "type": "metric alert",
        "name": "prod latency",
        "query": "avg(last_5m):avg:prod.latency{*} > 500",
        "creator": {"email": ADDRESS, "handle": ADDRESS, "name": NAME},
        "options": {"thresholds": {"critical": 500.0}, "notify_audit": False},
        "created": "2024-05-02T10:00:00.000000+00:00",
    }
]
POLICY = {
    "version": 1,
    "rules": [
        {
            "id": "read-people",
            "effect": "allow",
            "op": {"name": ["ListUsers", "GetUser"]},
            "mask": {"response": {"json": ["$.data[*].attributes.email", "$.data[*].attributes.name"]}},
        },
        {"id": "change-people", "effect": "allow", "op": {"name": "UpdateUser"}},
        {
            "id": "read-monitors",
            "effect": "allow",
            "op": {"name": ["ListMonitors", "GetMonitor"]},
            "mask": {"response": {"json": ["$..creator"], "detect": ["email"]}},
        },
        {
            "id": "send-logs",
            "effect": "allow",
            "op": {"risk": "ingest"},
            "mask": {"forward": {"json": ["$..customer", "$[*].usr.name"], "detect": ["pii"]}},
        },
    ],
}
ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "zstd1": zstandard.ZstdCompressor().compress,
}


def write_policy(directory: Path) -> str:
    path = directory / "masks.yaml"
    path.write_text(json.dumps(POLICY))
    return str(path)


def answering(body: bytes, encoding: str = "") -> Callable[[Exchange], None]:
    def script(exchange: Exchange) -> None:
        headers = ["Content-Type: application/json", *([f"Content-Encoding: {encoding}"] if encoding else [])]
        exchange.send(ok(ENCODERS[encoding](body), *headers))

    return script


def answering_text(status: str) -> Callable[[Exchange], None]:
    page = f"<h1>{NAME}, {ADDRESS}</h1>".encode()

    def script(exchange: Exchange) -> None:
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nRetry-After: 7\r\nContent-Length: {len(page)}"
        )
        exchange.send(head.encode() + b"\r\n\r\n" + page)

    return script


type Before = Callable[..., tuple[Gateway, RawUpstream]]


@pytest.fixture
def gateway_before(tmp_path: Path, issuer: Issuer) -> Iterator[Before]:
    """Starts a gateway before an upstream with scripts."""
    opened: list[tuple[Gateway, RawUpstream]] = []

    def make(scripts: Mapping[str, Callable[[Exchange], None]]) -> tuple[Gateway, RawUpstream]:
        upstream = RawUpstream(tmp_path / "upstream", scripts).__enter__()
        policy = {"policy": [write_policy(tmp_path)]}
        gateway = Gateway(
            tmp_path / "gateway", issuer.url, upstream.port, upstream.ca, KEYS, config=policy
        ).start()
        opened.append((gateway, upstream))
        return gateway, upstream

    yield make
    for gateway, upstream in opened:
        gateway.stop()
        upstream.__exit__(None, None, None)


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_the_official_client_reads_users_and_monitors_without_who_they_are(
    gateway_before: Before, issuer: Issuer, tmp_path: Path, encoding: str
) -> None:
    gateway, _ = gateway_before(
        {
            "/api/v2/users": answering(json.dumps(USERS).encode(), encoding),
            "/api/v1/monitor": answering(json.dumps(MONITORS).encode(), encoding),
        }
    )
    read = Agent(gateway, issuer, tmp_path).client("masked_reads.py")
    assert read.exit_code == 0, read.err
    said = json.loads(read.out)
    assert said["kinds"] == ["User", "Monitor"]
    (user,) = said["users"]
    assert MASK.fullmatch(user["name"].encode())
    assert MASK.fullmatch(user["handle"].encode())  # the same text as the address
    assert (user["status"], user["disabled"]) == ("Active", False)
    (creator,) = said["creators"]
    assert {MASK.fullmatch(text.encode()) is not None for text in creator.values()} == {True}
    assert said["options"][0]["thresholds"] == {"critical": 500.0}
    assert_absent(read.out.encode(), PLANTED, "what the client printed")
    counted = [record["findings"] for record in gateway.records_of("outcome")]
    assert [findings["policy"] for findings in counted] == [3, 3]
    assert_nothing_readable(gateway, PLANTED)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_an_answer_changes_by_its_masks_alone_under_its_own_coding(
    gateway_before: Before, issuer: Issuer, encoding: str
) -> None:
    body = json.dumps(USERS, indent=2).encode()
    gateway, _ = gateway_before({"/api/v2/users": answering(body, encoding)})
    read = curl(
        gateway, f"{API}/api/v2/users", "-H", "Accept-Encoding: " + encoding, token=issuer.token("alice")
    )
    assert read.status == 200, read.body
    assert dict(read.headers)["content-encoding"] == encoding
    assert dict(read.headers)["content-length"] == str(len(read.body))
    came = decode_body(read.body, encoding, limit=1 << 20)
    planted = re.compile(b"|".join(re.escape(text.encode()) for text in (ADDRESS, NAME)))
    assert MASK.split(came) == planted.split(body)
    (flow,) = gateway.flows()
    assert decoded(flow.response) == came
    assert_nothing_readable(gateway, PLANTED)


def test_what_was_read_masked_cannot_be_written_back(gateway_before: Before, issuer: Issuer) -> None:
    gateway, upstream = gateway_before({"/api/v2/users": answering(json.dumps(USERS).encode())})
    token = issuer.token("alice")
    (user,) = curl(gateway, f"{API}/api/v2/users", token=token).json()["data"]
    path = f"/api/v2/users/{user['id']}"
    back = curl(gateway, API + path, "-X", "PATCH", "-d", json.dumps({"data": user}), token=token)
    assert back.status == 403
    assert back.json()["ddgate"]["reason"] == "masked_value"
    assert upstream.paths() == ["/api/v2/users"]


@pytest.mark.parametrize(
    ("status", "told"), [("200 OK", 409), ("502 Bad Gateway", 502), ("429 Too Many", 429)]
)
def test_an_answer_that_is_no_json_shows_nothing(
    gateway_before: Before, issuer: Issuer, status: str, told: int
) -> None:
    gateway, _ = gateway_before({"/api/v2/users": answering_text(status)})
    read = curl(gateway, f"{API}/api/v2/users", token=issuer.token("alice"))
    assert read.status == told
    assert read.json()["ddgate"]["reason"] == "answer_withheld"
    assert "JSON path" in read.errors
    if told != 409:
        assert dict(read.headers)["retry-after"] == "7"
    assert_absent(read.body, PLANTED, "the answer")
    (flow,) = gateway.flows()
    assert flow.response is not None
    assert flow.response.status_code == told
    assert_nothing_readable(gateway, PLANTED)


@pytest.fixture(scope="module")
def log_gateway(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn
) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("logs")
    policy = {"policy": [write_policy(directory)]}
    gateway = Gateway(
        directory / "gateway", issuer.url, datadog.port, datadog.ca, datadog.keys, config=policy
    ).start()
    yield gateway
    gateway.stop()


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "zstd1"])
def test_a_log_leaves_with_its_masks_under_its_own_coding(
    log_gateway: Gateway, issuer: Issuer, fresh: StandIn, tmp_path: Path, encoding: str
) -> None:
    log = {
        "message": f"call from {ADDRESS}",
        "context": {"Customer": CUSTOMER, "seats": 12},
        "usr": {"name": NAME},
    }
    body = json.dumps([log]).encode()
    sent = tmp_path / "sent"
    sent.write_bytes(ENCODERS[encoding](body))
    more = ["-H", f"Content-Encoding: {encoding}"] if encoding else []
    options = ["--data-binary", f"@{sent}", "-H", "Content-Type: application/json", *more]
    said = curl(log_gateway, f"{API}/api/v2/logs", *options, token=issuer.token("alice"))
    assert said.status == 202, said.body
    (received,) = fresh.requests()
    assert received.values("content-length") == [str(len(received.body))]
    assert received.values("content-encoding") == ([encoding] if encoding else [])
    arrived = decode_body(received.body, encoding, limit=1 << 20)
    planted = re.compile(b"|".join(re.escape(text.encode()) for text in PLANTED))
    assert MASK.split(arrived) == planted.split(body)
    assert {kind.partition(b":")[2].partition(b":")[0] for kind in MASK.findall(arrived)} == {
        b"policy",
        b"email",
    }
    flow = log_gateway.flows()[-1]
    assert decoded(flow.request) == arrived
    assert_nothing_readable(log_gateway, PLANTED)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", f"customer: {CUSTOMER}"),
        ("application/x-www-form-urlencoded", f"customer={CUSTOMER}"),
        ("application/json", f'[{{"customer": "{CUSTOMER}"}}'),
        ("application/json; charset=utf-16", f'[{{"customer": "{CUSTOMER}"}}]'),
        ("application/json", "[" * 100 + f'"{CUSTOMER}"' + "]" * 100),
    ],
)
def test_a_log_that_a_path_cannot_be_applied_to_stays_here(
    log_gateway: Gateway, issuer: Issuer, fresh: StandIn, content_type: str, body: str
) -> None:
    options = ["--data-binary", body, "-H", f"Content-Type: {content_type}"]
    said = curl(log_gateway, f"{API}/api/v2/logs", *options, token=issuer.token("alice"))
    assert said.status == 403
    assert said.json()["ddgate"]["reason"] == "unreadable_body"
    assert fresh.requests() == []
    assert_nothing_readable(log_gateway, PLANTED)


def test_lines_of_json_are_masked_one_by_one(log_gateway: Gateway, issuer: Issuer, fresh: StandIn) -> None:
    lines = "\n".join(json.dumps({"message": "m", "customer": f"{CUSTOMER} {number}"}) for number in range(3))
    said = curl(log_gateway, f"{API}/api/v2/logs", "--data-binary", lines, token=issuer.token("alice"))
    assert said.status == 202, said.body
    (received,) = fresh.requests()
    assert len({json.loads(line)["customer"] for line in received.body.splitlines()}) == 3
    assert_absent(received.body, PLANTED, "what arrived")
    assert_nothing_readable(log_gateway, PLANTED)
