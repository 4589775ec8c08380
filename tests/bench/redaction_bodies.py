"""Bodies as Datadog's clients and API send them, made up: logs, series, and lists of monitors, dashboards and
events, full of what looks like secrets and is none (ids, digests, cursors, pictures), with secrets planted
where asked.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

from addons.core.redact.detectors.vendors import fill, hex_

WORDS = [
    *(
        "checkout",
        "basket",
        "payment",
        "retry",
        "shard",
        "gateway",
        "inventory",
        "refund",
        "latency",
        "worker",
    ),
    *("queue", "consumer", "offset", "partition", "replica", "snapshot", "commit", "timeout", "upstream"),
    *("downstream", "handler", "request", "response", "session", "account", "invoice", "region"),
]
TEMPLATES = (
    "GET /api/v1/{w}/{n} HTTP/1.1 200 {n}ms upstream={ip}:8080",
    "{w} {w} took {n} ms (attempt {n} of 5) for order {uuid}",
    "org.apache.kafka.{w}: [Consumer clientId={w}-{n}, groupId={w}] Resetting offset for {w}-{n}",
    "deployed {sha} of shop/{w} to eu-{n} by pipeline {n}, image registry.example.net/{w}@sha256:{sha64}",
    'level=info ts=2025-03-{n} caller={w}.go:{n} msg="{w} finished" trace={hex32} duration={n}.{n}ms',
    'Traceback (most recent call last): File "/srv/{w}/{w}.py", line {n}, in {w}; ValueError: no {w}',
    "cache key {w}:{n}:{hex16} expired, {n} keys left; next token page is {n}",
    "user agent Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{n}.0.0.0",
)


class Sampler:
    """Draws the pieces of bodies; the same seed gives the same bodies."""

    def __init__(self, seed: int) -> None:
        self.choose = random.Random(seed)

    def hex(self, digits: int) -> str:
        return f"{self.choose.getrandbits(4 * digits):0{digits}x}"

    def uuid(self) -> str:
        text = self.hex(32)
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def word(self) -> str:
        return self.choose.choice(WORDS)

    def number(self) -> int:
        return self.choose.randrange(1, 30)

    def blob(self, size: int) -> str:
        return base64.b64encode(self.choose.randbytes(size)).decode()

    def line(self) -> str:
        text = self.choose.choice(TEMPLATES)
        pieces: dict[str, Callable[[], Any]] = {
            "{w}": self.word,
            "{n}": self.number,
            "{uuid}": self.uuid,
            "{sha}": lambda: self.hex(40),
            "{sha64}": lambda: self.hex(64),
            "{hex32}": lambda: self.hex(32),
            "{hex16}": lambda: self.hex(16),
            "{ip}": lambda: f"10.{self.number()}.{self.number()}.{self.number()}",
        }
        for name, make in pieces.items():
            while name in text:
                text = text.replace(name, str(make()), 1)
        return text

    def secret(self) -> str:
        """Give a piece of a log line with a secret in it, of a kind that a logger lets slip."""
        return self.choose.choice(
            (
                "Authorization: Bearer " + fill(40),
                "password=" + fill(14) + " rejected",
                "using ghp_" + self.hex(36),
                "postgres://shop:" + fill(12) + "@pg.example.net:5432/stock",
                "api_key: " + hex_(32),
            ),
        )


def logs(size: int, dirty: float = 0.0, seed: int = 1) -> bytes:
    """An array of log events as the intake takes them, `size` bytes or a little more, `dirty` of them with a
    secret.
    """
    draw = Sampler(seed)
    events: list[str] = []
    total = 0
    while total < size:
        message = draw.line()
        if draw.choose.random() < dirty:
            message += " " + draw.secret()
        event = {
            "message": message,
            "status": draw.choose.choice(["info", "warn", "error"]),
            "service": draw.word(),
            "hostname": f"i-{draw.hex(17)}",
            "ddsource": "python",
            "ddtags": f"env:prod,version:1.{draw.number()}.{draw.number()},git.commit.sha:{draw.hex(40)}",
            "timestamp": 1741000000000 + total,
            "dd": {"trace_id": str(draw.choose.getrandbits(63)), "span_id": str(draw.choose.getrandbits(63))},
            "http": {"url": f"https://shop.example.net/{draw.word()}/{draw.uuid()}?page={draw.number()}"},
            "usr": {"id": draw.uuid()},
        }
        events.append(json.dumps(event, separators=(",", ":")))
        total += len(events[-1])
    return ("[" + ",".join(events) + "]").encode()


def series(size: int, seed: int = 2) -> bytes:
    """Metrics as the agent submits them (`/api/v2/series`)."""
    draw = Sampler(seed)
    rows: list[Any] = []
    total = 0
    while total < size:
        at = 1741000000 + total // 100
        row = {
            "metric": f"shop.{draw.word()}.{draw.word()}.count",
            "type": 1,
            "points": [
                {"timestamp": at + 10 * step, "value": round(draw.choose.random() * 900, 6)}
                for step in range(4)
            ],
            "tags": [
                "env:prod",
                f"service:{draw.word()}",
                f"kube_pod:{draw.word()}-{draw.hex(10)}-{draw.hex(5)}",
            ],
            "resources": [{"name": f"i-{draw.hex(17)}", "type": "host"}],
        }
        rows.append(row)
        total += len(json.dumps(row))
    return json.dumps({"series": rows}).encode()


def monitors(size: int, seed: int = 3) -> bytes:
    """As `/api/v1/monitor` lists them."""
    draw = Sampler(seed)

    def one() -> Any:
        service = draw.word()
        return {
            "id": draw.choose.getrandbits(27),
            "org_id": 321,
            "type": "query alert",
            "name": f"[{service}] {draw.word()} rate is high on {{{{host.name}}}}",
            "message": f"{{{{#is_alert}}}}\n{draw.line()}\n{{{{/is_alert}}}} See [the runbook]"
            f"(https://wiki.example.net/{service}/{draw.hex(24)}) @slack-shop-{service} @pagerduty",
            "tags": [f"service:{service}", "team:stock", "env:prod"],
            "query": f"sum(last_5m):sum:shop.{service}.errors{{env:prod}} by {{host}}.as_count() > 12",
            "options": {
                "thresholds": {"critical": float(draw.number())},
                "notify_no_data": False,
                "renotify_interval": 0,
                "include_tags": True,
                "silenced": {},
            },
            "multi": True,
            "created_at": 1741000000000,
            "created": "2025-03-03T11:06:40.000000+00:00",
            "modified": "2025-03-03T11:06:40.000000+00:00",
            "deleted": None,
            "restricted_roles": None,
            "creator": {"name": "Ines Roth", "handle": f"svc-{draw.hex(8)}", "id": draw.uuid()},
            "overall_state": "OK",
        }

    return _many(one, size).encode()


def dashboards(size: int, seed: int = 4) -> bytes:
    """As `/api/v1/dashboard/{id}` answers for large dashboards, several in a list."""
    draw = Sampler(seed)

    def widget() -> Any:
        return {
            "id": draw.choose.getrandbits(52),
            "definition": {
                "title": f"{draw.word()} by {draw.word()}",
                "type": "timeseries",
                "requests": [
                    {
                        "formulas": [{"formula": "query1", "alias": draw.word()}],
                        "queries": [
                            {
                                "name": "query1",
                                "data_source": "metrics",
                                "query": f"avg:shop.{draw.word()}{{$env,service:{draw.word()}}} by {{host}}",
                            },
                        ],
                        "response_format": "timeseries",
                        "style": {"palette": "dog_classic", "line_type": "solid"},
                    },
                ],
                "yaxis": {"include_zero": True},
            },
            "layout": {"x": draw.number(), "y": draw.number(), "width": 4, "height": 2},
        }

    def one() -> Any:
        picture = {"definition": {"type": "image", "url": "data:image/png;base64," + draw.blob(900)}}
        return {
            "id": f"{draw.hex(3)}-{draw.hex(3)}-{draw.hex(3)}",
            "title": f"{draw.word()} overview",
            "url": f"/dashboard/{draw.hex(3)}-{draw.hex(3)}-{draw.hex(3)}/{draw.word()}",
            "author_handle": f"svc-{draw.hex(8)}",
            "template_variables": [{"name": "env", "prefix": "env", "default": "prod"}],
            "widgets": [*(widget() for _ in range(30)), picture],
            "notify_list": None,
            "is_read_only": False,
        }

    return _many(one, size).encode()


def events(size: int, seed: int = 5) -> bytes:
    """As `/api/v2/events` lists them, with the cursor of the next page."""
    draw = Sampler(seed)

    def one() -> Any:
        return {
            "id": draw.blob(48),
            "type": "event",
            "attributes": {
                "timestamp": "2025-03-03T11:06:40.000Z",
                "message": draw.line(),
                "tags": [f"source:{draw.word()}", f"host:i-{draw.hex(17)}", f"commit:{draw.hex(40)}"],
                "attributes": {
                    "aggregation_key": draw.hex(32),
                    "evt": {"id": str(draw.choose.getrandbits(62)), "name": draw.word()},
                    "hostname": f"i-{draw.hex(17)}",
                    "service": draw.word(),
                    "title": f"{draw.word()} {draw.word()}",
                    "timestamp": 1741000000000,
                },
            },
        }

    meta = {"page": {"after": draw.blob(120)}, "request_id": draw.blob(60), "status": "done", "elapsed": 132}
    return f'{{"data":{_many(one, size)},"meta":{json.dumps(meta)}}}'.encode()


def _many(one: Callable[[], Any], size: int) -> str:
    parts: list[str] = []
    total = 0
    while total < size:
        parts.append(json.dumps(one(), separators=(",", ":")))
        total += len(parts[-1])
    return "[" + ",".join(parts) + "]"
