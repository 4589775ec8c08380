"""An OpenID-certified provider that isn't ours (npm oidc-provider): discovery, client credentials with JWT
access tokens (RFC 9068, RFC 8707), and new keys while agents run.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from addons.cli.token import app
from tests.e2e import raw_client
from tests.e2e.gateway_process import ROOT, Curled, Gateway
from tests.e2e.raw_upstream import RawUpstream, gateway_before

MODULES = ROOT / ".ci" / "node" / "node_modules"
HOST = ("Host", "api.datadoghq.com")
SECRET = "not-a-secret-of-anybody"
RESOURCE = "https://ddgate.example"
AGENTS, CALLS = 3, 12

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (MODULES / "oidc-provider").is_dir(),
    reason="needs node, and npm ci --prefix .ci/node",
)


@dataclass
class Provider:
    url: str
    process: subprocess.Popen[str]

    def token(self, resource: str | None = RESOURCE) -> str:
        form = {"grant_type": "client_credentials", **({"resource": resource} if resource else {})}
        answer = httpx.post(
            f"{self.url}/token", data=form, auth=("triage-agent", SECRET), trust_env=False, timeout=20
        )
        return str(answer.raise_for_status().json()["access_token"])

    def rotate(self) -> str:
        """Sign with a new key from now on; its id."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("rotate\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    script = Path(__file__).parent / "clients" / "oidc_provider.mjs"
    with subprocess.Popen(
        ["node", str(script), str(MODULES), SECRET],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield Provider(process.stdout.readline().strip(), process)
        process.terminate()


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawUpstream]:
    with RawUpstream(tmp_path_factory.mktemp("upstream"), ca_name="somebody's CA") as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, provider: Provider, upstream: RawUpstream
) -> Iterator[Gateway]:
    claims = {"session": "client_id"}
    issuer = {"issuer": provider.url, "audience": "ddgate", "algorithms": ["RS256"], "claims": claims}
    directory = tmp_path_factory.mktemp("certified")
    gateway = gateway_before(directory, provider.url, upstream, issuers=[issuer]).start()
    yield gateway
    gateway.stop()


def _called(gateway: Gateway, token: str) -> Curled:
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, headers=[raw_client.basic(token)], timeout=20)
    try:
        return tunnel.request("GET", "/api/v1/monitor", [HOST])
    finally:
        tunnel.close()


def _kid(token: str) -> str:
    part = token.split(".", 1)[0]
    return str(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["kid"])


def test_client_credentials_identify_an_agent(gateway: Gateway, provider: Provider) -> None:
    token = provider.token()
    assert _called(gateway, token).status == 200
    record = gateway.records_of("outcome")[-1]
    assert (record["actor"]["issuer"], record["actor"]["subject"]) == (provider.url, "triage-agent")
    assert (record["actor"]["groups"], record["session"]) == (["agents"], "triage-agent")
    explained = CliRunner().invoke(app, ["-", "--json", "-c", str(gateway.config_path)], input=token)
    assert explained.exit_code == 0
    assert json.loads(explained.stdout)["principal"]["session"] == "triage-agent"


def test_a_token_for_another_resource_is_refused(
    gateway: Gateway, provider: Provider, upstream: RawUpstream
) -> None:
    upstream.seen.clear()
    other = provider.token("https://other.example")
    opened = raw_client.connect(gateway.port, "api.datadoghq.com:443", [raw_client.basic(other)])
    assert opened.connected is not None
    assert opened.connected.status == 407
    assert "another audience" in opened.connected.errors
    assert upstream.seen == []


def test_no_call_fails_while_the_provider_changes_its_keys(
    gateway: Gateway, provider: Provider, upstream: RawUpstream
) -> None:
    """Every call has a token of its own, so the first after the change names a key nobody here has seen."""
    upstream.seen.clear()
    before = _kid(provider.token())
    halfway = threading.Barrier(AGENTS + 1, timeout=60)

    def agent() -> list[tuple[int, str]]:
        done = []
        old = provider.token()
        for number in range(CALLS):
            if number == CALLS // 2:
                halfway.wait()
                halfway.wait()
            token = provider.token()
            done.append((_called(gateway, token).status, _kid(token)))
        return [*done, (_called(gateway, old).status, _kid(old))]

    with ThreadPoolExecutor(AGENTS) as pool:
        running = [pool.submit(agent) for _ in range(AGENTS)]
        halfway.wait()
        after = provider.rotate()
        halfway.wait()
        calls = [call for each in running for call in each.result()]
    assert after != before
    assert [call for call in calls if call[0] != 200] == []
    assert {kid for _, kid in calls} == {before, after}
    assert len(upstream.seen) == AGENTS * (CALLS + 1)
