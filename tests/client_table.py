"""The clients that the end-to-end tests run, and the table of them in the README.

    python -m tests.client_table

writes that table anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
NODE_MODULES = ROOT / ".ci" / "node" / "node_modules"
BEGIN, END = "<!-- clients: python -m tests.client_table -->\n", "<!-- end of clients -->\n"

_SCRIPTS = ROOT / "tests" / "e2e" / "clients"
_MONITOR = {"type": "metric alert", "query": "avg(last_5m):avg:a{*} > 1"}
_DATADOG_CI = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "a/b",
    "GITHUB_RUN_ID": "1",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_JOB": "j",
    "GITHUB_SHA": "a" * 40,
}


@dataclass(frozen=True, slots=True)
class Client:
    """One client and the call that a test has it make, in which `by-KEY` stands.

    `needs` is what its owner does under `ddgate run`, `directly` what without it; `path` is where the call
    arrives.
    """

    key: str
    name: str
    command: tuple[str, ...]
    needs: str = "nothing"
    directly: str = "`ddgate env`"
    path: str = "/api/v1/monitor"
    is_node: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """What stands in the call."""
        return f"by-{self.key}"


def _python(script: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, str(_SCRIPTS / script), *arguments)


CLIENTS = (
    Client(
        "sync", "datadog-api-client (Python), synchronous", _python("create_monitor.py", "sync", "by-sync")
    ),
    Client("async", "the same, asynchronous", _python("create_monitor.py", "async", "by-async")),
    Client("datadogpy", "datadogpy", _python("create_monitor.py", "datadogpy", "by-datadogpy")),
    Client(
        "dogshell",
        "dogshell",
        (
            *(str(Path(sys.executable).with_name("dogshell")), "monitor", "post", _MONITOR["type"]),
            *(_MONITOR["query"], "--name", "by-dogshell"),
        ),
    ),
    Client(
        "ddtrace",
        "ddtrace, LLM Observability",
        _python("llm_observability.py", "by-ddtrace"),
        needs="`agentless_enabled=True`",
        directly="the same, and `ddgate env`",
        path="/v1/input",
        environment={
            "DD_SITE": "datadoghq.com",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "0",
            "DD_REMOTE_CONFIGURATION_ENABLED": "0",
        },
    ),
    Client(
        "mcp",
        "MCP Python SDK, with Datadog's remote MCP server",
        _python("mcp_session.py", "by-mcp"),
        path="/api/unstable/mcp-server/mcp",
    ),
    Client(
        "npm",
        "@datadog/datadog-api-client (npm)",
        ("node", str(_SCRIPTS / "create_monitor.js"), "by-npm"),
        is_node=True,
        environment={"NODE_PATH": str(NODE_MODULES)},
    ),
    Client(
        "datadog-ci",
        "@datadog/datadog-ci",
        (
            *("node", str(NODE_MODULES / "@datadog" / "datadog-ci" / "dist" / "bundle.js")),
            *("tag", "--level", "job", "--tags", "sent:by-datadog-ci"),
        ),
        path="/api/v2/ci/pipeline/tags",
        is_node=True,
        environment=_DATADOG_CI,
    ),
    Client("fetch", "Node's `fetch`", ("node", str(_SCRIPTS / "fetch_monitor.js"), "by-fetch"), is_node=True),
    Client("requests", "requests", _python("plain_call.py", "requests", "by-requests")),
    Client("httpx", "httpx", _python("plain_call.py", "httpx", "by-httpx")),
    Client(
        "aiohttp",
        "aiohttp",
        _python("plain_call.py", "aiohttp", "by-aiohttp"),
        needs="`ClientSession(trust_env=True)`",
        directly="the same, and `ddgate env`",
    ),
    Client("urllib", "urllib", _python("plain_call.py", "urllib", "by-urllib")),
    Client(
        "curl",
        "curl",
        (
            *("curl", "-sS", "-H", "Content-Type: application/json"),
            *("-d", json.dumps({"name": "by-curl", **_MONITOR}), "https://api.datadoghq.com/api/v1/monitor"),
        ),
    ),
)


def table() -> str:
    """The README's block, with its two marks."""
    return "".join((BEGIN, *_rows(), END))


def _rows() -> Iterator[str]:
    yield "| client | under `ddgate run` | without it |\n| --- | --- | --- |\n"
    for client in CLIENTS:
        yield f"| {client.name} | {client.needs} | {client.directly} |\n"


def in_readme(text: str) -> str:
    """The block as it stands there. Raises ValueError where there is none."""
    return text[text.index(BEGIN) : text.index(END) + len(END)]


if __name__ == "__main__":
    before = README.read_text()
    README.write_text(before.replace(in_readme(before), table()))
