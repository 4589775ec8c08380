"""Messages as Datadog's clients and API send them, with all that looks like a secret and is none: ids,
digests, cursors, metric names, pictures, times. Made from a seed: the same each time.
"""

# ruff: noqa: E501 - log lines are long

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

type Document = dict[str, object]

_SERVICES = (
    "checkout",
    "stock-api",
    "search",
    "web-store",
    "billing",
    "auth",
    "token-service",
    "key-manager",
)
_ENVS = ("prod", "staging", "dev")
_WORDS = [
    "request",
    "slow",
    "retry",
    "cache",
    "miss",
    "cart",
    "order",
    "user",
    "login",
    "failed",
    "password",
    "reset",
    "token",
    "refreshed",
    "key",
    "rotated",
    "session",
    "closed",
    "credential",
    "expired",
    "secret",
    "mounted",
    "upstream",
    "timeout",
    "pod",
    "restarted",
    "deploy",
    "finished",
    "card",
    "declined",
    "phone",
    "verified",
    "address",
    "updated",
    "passport",
    "check",
    "queued",
    "shard",
    "moved",
    "index",
    "rebuilt",
]
_METRICS = (
    "system.cpu.user",
    "trace.http.request.hits",
    "kubernetes.memory.working_set",
    "aws.elb.request_count",
    "auth.token.refresh.count",
    "vault.secret.kv.count",
    "redis.keys.evicted",
    "api.key.rotation.age",
    "postgresql.rows_fetched",
    "password.reset.requests",
)


@dataclass(frozen=True, slots=True)
class Message:
    body: bytes
    content_type: str


class Ids:
    """Identifiers of every kind that telemetry is full of."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - test data

    def hex(self, size: int) -> str:
        return self.random.randbytes(size).hex()

    def uuid(self) -> str:
        return str(uuid.UUID(bytes=self.random.randbytes(16), version=4))

    def number(self, digits: int) -> int:
        return self.random.randrange(10 ** (digits - 1), 10**digits)

    def base36(self, size: int) -> str:
        return "".join(self.random.choices(string.ascii_lowercase + string.digits, k=size))

    def dashboard(self) -> str:
        return "-".join(self.base36(3) for _ in range(3))

    def one(self, *choices: str) -> str:
        return self.random.choice(choices)

    def text(self) -> str:
        return " ".join(self.random.choices(_WORDS, k=self.random.randrange(3, 12)))

    def seconds(self) -> int:
        return 1_700_000_000 + self.random.randrange(100_000_000)

    def stamp(self) -> str:
        at = self.seconds()
        return f"20{at % 15 + 20}-{at % 12 + 1:02}-{at % 28 + 1:02}T{at % 24:02}:{at % 60:02}:{at % 59:02}.{at % 1000:03}Z"

    def cursor(self) -> str:
        held = json.dumps({"values": [self.number(13), self.uuid()], "indexes": ["main"]})
        return base64.urlsafe_b64encode(held.encode()).decode().rstrip("=")

    def tags(self) -> list[str]:
        return [
            f"env:{self.one(*_ENVS)}",
            f"service:{self.one(*_SERVICES)}",
            f"host:ip-10-{self.number(2)}-{self.number(2)}-{self.number(2)}.eu-west-1.compute.internal",
            f"version:{self.number(1)}.{self.number(2)}.{self.number(2)}-{self.hex(4)}",
            f"git.commit.sha:{self.hex(20)}",
            f"image_id:sha256:{self.hex(32)}",
            f"pod_name:{self.one(*_SERVICES)}-{self.hex(4)[:9]}-{self.base36(5)}",
            f"kube_replica_set:{self.one(*_SERVICES)}-{self.hex(5)}",
            f"task_arn:arn:aws:ecs:eu-west-1:{self.number(12)}:task/{self.hex(16)}",
        ]


def _series(ids: Ids) -> Document:
    points = [{"timestamp": ids.seconds(), "value": ids.random.random() * 1e6} for _ in range(20)]
    one = {"metric": ids.one(*_METRICS), "type": 3, "points": points, "tags": ids.tags(), "unit": "byte"}
    return {"series": [one, {**one, "metric": ids.one(*_METRICS), "interval": ids.number(2)}]}


def _old_series(ids: Ids) -> Document:
    points = [[ids.seconds(), ids.number(11)], [ids.seconds(), ids.number(16)]]
    return {
        "series": [{"metric": ids.one(*_METRICS), "points": points, "host": ids.hex(4), "tags": ids.tags()}]
    }


def _logs(ids: Ids) -> list[Document]:
    return [
        {
            "ddsource": ids.one("nginx", "python", "java"),
            "ddtags": ",".join(ids.tags()),
            "hostname": f"i-{ids.hex(8)}{ids.hex(1)[:1]}",
            "message": _line(ids),
            "service": ids.one(*_SERVICES),
            "dd": {"trace_id": str(ids.number(19)), "span_id": str(ids.number(18)), "version": ids.hex(4)},
            "otel.trace_id": ids.hex(16),
            "timestamp": ids.seconds() * 1000,
            "duration": ids.number(9),
            "request_id": ids.uuid(),
            "etag": f'W/"{ids.hex(16)}"',
            "offset": ids.number(12),
        }
        for _ in range(8)
    ]


def _line(ids: Ids) -> str:
    made: tuple[Callable[[], str], ...] = (
        lambda: f"{ids.stamp()} INFO [{ids.hex(8)},{ids.hex(16)}] {ids.text()} in {ids.number(3)}ms",
        lambda: (
            f'10.0.{ids.number(2)}.7 - - [03/Feb/2025:17:20:01 +0000] "GET /v1/items/{ids.number(8)}?page_token={ids.number(4)} HTTP/1.1" 200 {ids.number(5)}'
        ),
        lambda: f"pulled registry.example.com/shop/{ids.one(*_SERVICES)}@sha256:{ids.hex(32)}",
        lambda: f"commit {ids.hex(20)} merged; tree {ids.hex(20)}; see #{ids.number(4)}",
        lambda: f"traceparent=00-{ids.hex(16)}-{ids.hex(8)}-01 x-request-id={ids.uuid()}",
        lambda: f"user {ids.number(7)} {ids.text()}; session_id={ids.uuid()} tokens_used={ids.number(4)}",
        lambda: f"partition_key=tenant#{ids.number(6)} sort_key={ids.stamp()} primary key {ids.number(9)}",
        lambda: (
            f"at com.example.{ids.one('auth', 'token')}.KeyStore.load(KeyStore.java:{ids.number(3)}) offset {ids.number(11)}"
        ),
        lambda: (
            f"checksum md5={ids.hex(16)} crc32={ids.hex(4)} size={ids.number(10)} epoch={ids.seconds()}{ids.number(3)}"
        ),
        lambda: (
            f"password policy: min_length={ids.number(2)} token_ttl={ids.number(4)}s key_count={ids.number(2)}"
        ),
        lambda: (
            f"kafka offset {ids.number(15)} lag {ids.number(6)} partition {ids.number(2)} group {ids.one(*_SERVICES)}-{ids.hex(3)}"
        ),
    )
    return ids.random.choice(made)()


def _monitor(ids: Ids) -> Document:
    query = f"avg(last_5m):sum:{ids.one(*_METRICS)}{{env:prod,service:{ids.one(*_SERVICES)}}} by {{host}} > {ids.number(3)}"
    return {
        "id": ids.number(9),
        "org_id": ids.number(10),
        "name": f"[{ids.one(*_ENVS)}] {ids.text()}",
        "message": "{{#is_alert}} {{host.name}} is slow {{/is_alert}} @slack-ops-alerts @pagerduty-Shop-Primary",
        "query": query,
        "tags": ids.tags(),
        "created_at": ids.seconds() * 1000,
        "options": {
            "thresholds": {"critical": ids.number(3)},
            "notify_no_data": False,
            "renotify_interval": 60,
        },
        "multi": True,
        "restricted_roles": [ids.uuid()],
    }


def _dashboard(ids: Ids) -> Document:
    widget = {
        "id": ids.number(16),
        "definition": {
            "type": "timeseries",
            "title": ids.text(),
            "requests": [{"q": f"avg:{ids.one(*_METRICS)}{{*}} by {{service}}", "display_type": "line"}],
        },
        "layout": {"x": ids.number(1), "y": ids.number(2), "width": 4, "height": 2},
    }
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + ids.random.randbytes(300)).decode()
    image = {"definition": {"type": "image", "url": f"data:image/png;base64,{picture}"}, "id": ids.number(15)}
    return {
        "id": ids.dashboard(),
        "title": ids.text(),
        "url": f"/dashboard/{ids.dashboard()}/{'-'.join(ids.text().split())}",
        "author_handle": ids.uuid(),
        "template_variables": [{"name": "env", "prefix": "env", "default": "prod"}],
        "widgets": [widget, image],
        "modified_at": ids.stamp(),
    }


def _slo(ids: Ids) -> Document:
    return {
        "data": [
            {
                "id": ids.hex(16),
                "name": ids.text(),
                "thresholds": [{"timeframe": "30d", "target": 99.9, "target_display": "99.9"}],
                "monitor_ids": [ids.number(8), ids.number(9)],
                "created_at": ids.seconds(),
                "query": {"numerator": f"sum:{ids.one(*_METRICS)}{{!status:error}}.as_count()"},
            }
        ],
        "metadata": {"page": {"total_count": ids.number(3)}},
    }


def _events(ids: Ids) -> Document:
    return {
        "data": [
            {
                "type": "event",
                "id": base64.urlsafe_b64encode(ids.random.randbytes(36)).decode(),
                "attributes": {
                    "timestamp": ids.stamp(),
                    "tags": ids.tags(),
                    "attributes": {"evt": {"id": str(ids.number(19))}, "aggregation_key": ids.hex(16)},
                    "message": _line(ids),
                },
            }
            for _ in range(4)
        ],
        "meta": {"page": {"after": ids.cursor()}, "request_id": ids.uuid(), "status": "done", "elapsed": 132},
        "links": {
            "next": f"https://api.datadoghq.eu/api/v2/events?page%5Bcursor%5D={ids.cursor()}&page%5Blimit%5D=4"
        },
    }


def _usage(ids: Ids) -> Document:
    hour = {"hour": ids.stamp()[:13], "org_name": "Shop", "public_id": ids.hex(6), "region": "eu"}
    measured = {
        "host_count": ids.number(3),
        "custom_metrics": ids.number(7),
        "ingested_bytes": ids.number(13),
    }
    return {"usage": [{**hour, **measured, "timestamp": ids.seconds()} for _ in range(12)]}


def _hosts(ids: Ids) -> Document:
    return {
        "host_list": [
            {
                "id": ids.number(11),
                "aliases": [f"i-0{ids.hex(8)}", ids.hex(16)],
                "aws_id": f"i-0{ids.hex(8)}",
                "last_reported_time": ids.seconds(),
                "meta": {
                    "agent_checks": [],
                    "machine": "x86_64",
                    "socket-fqdn": f"ip-{ids.number(2)}.internal",
                },
                "metrics": {"cpu": ids.random.random(), "load": ids.random.random()},
                "tags_by_source": {"Amazon Web Services": ids.tags()},
            }
            for _ in range(20)
        ],
        "total_matching": ids.number(4),
    }


def _spans(ids: Ids) -> list[list[Document]]:
    span = {
        "trace_id": ids.number(19),
        "span_id": ids.number(18),
        "parent_id": ids.number(17),
        "start": ids.seconds() * 10**9 + ids.number(9),
        "duration": ids.number(8),
        "resource": "SELECT id, token_count FROM api_keys WHERE tenant = ? AND key_id = ?",
        "meta": {"_dd.p.tid": ids.hex(8), "http.url": f"https://shop.example.com/cart/{ids.uuid()}?step=2"},
        "metrics": {"_sampling_priority_v1": 1, "process_id": ids.number(5)},
        "service": ids.one(*_SERVICES),
    }
    return [[span, {**span, "span_id": ids.number(19)}]]


def _keys(ids: Ids) -> Document:
    attributes = {"name": ids.text(), "last4": ids.hex(2), "created_at": ids.stamp(), "key_version": 2}
    return {
        "data": [{"type": "api_keys", "id": ids.uuid(), "attributes": attributes}],
        "meta": {"max_allowed": 50},
    }


_MAKERS: tuple[Callable[[Ids], object], ...] = (
    *(_series, _old_series, _logs, _monitor, _dashboard, _slo),
    *(_events, _usage, _hosts, _spans, _keys),
)


def clean_messages(count: int, seed: int = 1) -> Iterator[Message]:
    """Make `count` messages of each kind in turn: JSON close and wide, lines of JSON, lines of text."""
    ids = Ids(seed)
    for number in range(count):
        made = _MAKERS[number % len(_MAKERS)](ids)
        layout = number // len(_MAKERS) % 4
        if layout == 3 and isinstance(made, list):
            yield Message(b"\n".join(json.dumps(each).encode() for each in made), "application/x-ndjson")
        elif layout == 2:
            yield Message("\n".join(_line(ids) for _ in range(20)).encode(), "text/plain")
        elif layout == 1:
            yield Message(json.dumps(made, indent=2).encode(), "application/json")
        else:
            yield Message(json.dumps(made, separators=(",", ":")).encode(), "application/json")
