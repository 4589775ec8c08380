from __future__ import annotations

import base64
import json
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from typer.testing import CliRunner

from addons.cli.run import app
from addons.sidecar import workload_tokens
from addons.sidecar.token_sources import FileSource, TokenError, WatchedSource
from addons.sidecar.workload_tokens import (
    GitHubSource,
    GoogleSource,
    ProjectedSource,
    Workload,
    workload_source,
)
from tests.sidecar.fake_gateway import Certificates, FakeGateway, make_token
from tests.sidecar.running import ddgate_run
from tests.sidecar.test_sidecar_run import DUMP
from tests.sidecar.workload_endpoint import REQUEST_TOKEN, Endpoint, as_entra, as_github


async def test_githubs_endpoint_is_asked_for_the_audience_with_the_jobs_own_token() -> None:
    token = make_token(300)
    with Endpoint(lambda: as_github(token)).running() as endpoint:
        source = workload_source(Workload.GITHUB, "dd gate&x", endpoint.github)
        assert await source.fetch() == token
    ((path, fields),) = endpoint.asked
    assert path == "/token?api-version=2.0&audience=dd+gate%26x"
    assert fields["authorization"] == f"Bearer {REQUEST_TOKEN}"
    assert REQUEST_TOKEN not in repr(source)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, b"SECRET", "status 403"),
        (500, b"SECRET", "status 500"),
        (200, b"SECRET", "without a token"),
        (200, b'["SECRET"]', "without a token"),
        (200, b'{"value": ["SECRET"]}', "without a token"),
        (200, b'{"value": ""}', "without a token"),
        (200, b"\xff\xfe", "without a token"),
        (200, b"[" * 60_000, "without a token"),
        (200, b"SECRET" * 20_000, "more than 65536 bytes"),
    ],
)
async def test_a_failing_endpoint_is_told_by_what_failed_and_nothing_it_said(
    status: int, body: bytes, expected: str
) -> None:
    with Endpoint(lambda: (status, body)).running() as endpoint:
        source = workload_source(Workload.GITHUB, "ddgate", endpoint.github)
        with pytest.raises(TokenError, match=expected) as caught:
            await source.fetch()
    assert "SECRET" not in str(caught.value)
    assert REQUEST_TOKEN not in str(caught.value)


async def test_the_jobs_own_token_is_not_taken_to_where_a_redirect_leads() -> None:
    with Endpoint(lambda: as_github("a.b.c")).running() as other:
        away = f"http://{other.authority}/"
        with Endpoint(lambda: (302, b""), location=away).running() as endpoint:
            source = workload_source(Workload.GITHUB, "ddgate", endpoint.github)
            with pytest.raises(TokenError, match="status 302"):
                await source.fetch()
    assert other.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/token",
        "file:///etc/passwd",
        "https://user@example.com/",
        "https://[",
        "nonsense",
        "//example.com/token",
    ],
)
async def test_the_jobs_own_token_goes_to_no_other_kind_of_url(url: str) -> None:
    with pytest.raises(TokenError, match="isn't an https:// URL") as caught:
        await GitHubSource(url, REQUEST_TOKEN, "ddgate").fetch()
    assert url not in str(caught.value)


@pytest.mark.parametrize("missing", ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"])
async def test_outside_a_job_that_may_ask_the_permission_is_named(missing: str) -> None:
    variables = {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://x", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "y"}
    del variables[missing]
    with pytest.raises(TokenError, match=f"{missing} isn't set.*id-token: write"):
        await workload_source(Workload.GITHUB, "ddgate", variables).fetch()


async def test_an_endpoint_that_is_not_there_or_silent_is_told(nowhere_port: int) -> None:
    gone = f"http://127.0.0.1:{nowhere_port}/token"
    with pytest.raises(TokenError, match="can't be reached: Connection refused"):
        await GitHubSource(gone, REQUEST_TOKEN, "ddgate").fetch()
    with pytest.raises(TokenError, match=r"Google's metadata server .* can't be reached"):
        await GoogleSource(f"127.0.0.1:{nowhere_port}", "ddgate").fetch()


async def test_googles_metadata_server_is_asked_as_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    token = make_token(3600)
    with Endpoint(lambda: (200, token.encode())).running() as endpoint:
        variables = {"GCE_METADATA_HOST": endpoint.authority}
        assert await workload_source(Workload.GOOGLE, "ddgate", variables).fetch() == token
    ((path, fields),) = endpoint.asked
    assert path.endswith("/service-accounts/default/identity?audience=ddgate&format=full")
    assert fields["metadata-flavor"] == "Google"


async def test_a_projected_token_is_followed_and_its_absence_explained(tmp_path: Path) -> None:
    path = tmp_path / "token"
    source = ProjectedSource(FileSource(path), "ddgate")
    assert isinstance(source, WatchedSource)
    with pytest.raises(TokenError, match="projected serviceAccountToken volume with audience ddgate"):
        await source.fetch()
    path.write_text("a.b.c\n")
    assert await source.fetch() == "a.b.c"
    assert not source.has_changed()
    (tmp_path / "new").write_text("d.e.f")
    (tmp_path / "new").replace(path)
    assert source.has_changed()


def test_kubernetes_own_token_is_never_the_one() -> None:
    assert "kubernetes.io" not in str(workload_tokens.KUBERNETES_FILE)


async def test_gitlabs_variable_is_taken_and_its_absence_explained() -> None:
    assert (
        await workload_source(Workload.GITLAB, "ddgate", {"DDGATE_ID_TOKEN": " a.b.c\n"}).fetch() == "a.b.c"
    )
    with pytest.raises(TokenError, match=r"id_tokens: \{DDGATE_ID_TOKEN: \{aud: mine\}\}"):
        await workload_source(Workload.GITLAB, "mine", {}).fetch()


@pytest.mark.parametrize("place", ["github", "gitlab"])
def test_no_token_is_in_the_childs_environment_or_any_command_line(
    gateway: FakeGateway, certificates: Certificates, place: str
) -> None:
    token = make_token(300)
    arguments = ["--gateway", gateway.url, "--ca", str(certificates.ca), "--issuer", place]
    curl = "curl -sS -o /dev/null https://api.datadoghq.com/"
    command = ["sh", "-c", f'{curl} && exec "$0" -c "$1"', sys.executable, DUMP]
    with Endpoint(lambda: as_github(token)).running() as endpoint:
        more = endpoint.github if place == "github" else {"DDGATE_ID_TOKEN": token}
        done = ddgate_run(*arguments, "--", *command, more=more, is_forked=False)
    assert done.returncode == 0, done.stderr
    assert gateway.connects[0].fields["proxy-authorization"] == f"Bearer {token}"
    said = done.stdout + done.stderr
    assert token not in said
    assert REQUEST_TOKEN not in said
    assert json.loads(done.stdout)[3]["HTTPS_PROXY"].startswith("http://ddgate:")


def test_the_token_is_asked_for_anew_while_the_command_runs(
    gateway: FakeGateway, certificates: Certificates, tmp_path: Path
) -> None:
    """The first has less than a third of its life left, so a second is due at once."""
    tokens = [make_token(600, issued=time.time() - 450), make_token(600)]
    mark = tmp_path / "asked-again"

    def answer() -> tuple[int, bytes]:
        if len(endpoint.asked) > 1:
            mark.touch()
        return as_github(tokens[min(len(endpoint.asked), 2) - 1])

    call = "curl -sS https://api.datadoghq.com/"
    script = f"{call}; until [ -e {mark} ]; do sleep 0.05; done; for n in 1 2 3 4; do sleep 0.2; {call}; done"
    arguments = ["--gateway", gateway.url, "--ca", str(certificates.ca), "--issuer", "github"]
    endpoint = Endpoint(answer)
    with endpoint.running():
        done = ddgate_run(*arguments, "--", "sh", "-c", script, more=endpoint.github)
    assert (done.stdout, done.stderr) == ('{"valid": true}' * 5, "")
    used = [connect.fields["proxy-authorization"] for connect in gateway.connects]
    assert (used[0], used[-1]) == (f"Bearer {tokens[0]}", f"Bearer {tokens[1]}")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--issuer", "github"], "permissions: id-token: write"),
        (["--issuer", "gitlab"], ".gitlab-ci.yml"),
        (["--issuer", "kubernetes"], "projected serviceAccountToken"),
        (["--issuer", "github", "--token-env", "X"], "give one of"),
    ],
)
def test_what_a_place_lacks_is_said_in_a_line_and_nothing_runs(
    certificates: Certificates, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    variables = {"DDGATE_STATE": str(tmp_path / "state"), "DDGATE_CA": str(certificates.ca)}
    ran = tmp_path / "ran"
    done = CliRunner().invoke(app, [*arguments, "--", "touch", str(ran)], env=variables)
    assert (done.exit_code, done.stdout) == (125, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("ddgate run: ")
    assert expected in line
    assert not ran.exists()


ENTRAS_FORM = {
    "grant_type": ["client_credentials"],
    "client_id": ["0c11e0c1"],
    "scope": ["api://ddgate/.default"],
    "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
    "client_assertion": ["the.pods.own"],
}


@pytest.fixture
def pods_own(tmp_path: Path) -> Path:
    path = tmp_path / "azure-identity-token"
    path.write_text("the.pods.own\n")
    return path


async def test_entra_gives_a_token_for_the_pods_own_which_the_gateway_never_gets(pods_own: Path) -> None:
    token = make_token(300)
    with Endpoint(lambda: as_entra(token)).running() as endpoint:
        assert (
            await workload_source(Workload.AZURE, "api://ddgate", endpoint.azure(pods_own)).fetch() == token
        )
    assert [path for path, _ in endpoint.asked] == ["/7e0a07/oauth2/v2.0/token"]
    assert parse_qs(endpoint.posted[0].decode()) == ENTRAS_FORM


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"AZURE_TENANT_ID": ""}, "AZURE_TENANT_ID isn't set"),
        ({"AZURE_AUTHORITY_HOST": "http://login.example/"}, "isn't an https:// URL"),
        ({"AZURE_FEDERATED_TOKEN_FILE": "/nowhere"}, "/nowhere can't be read"),
        ({}, "status 400"),
    ],
)
async def test_what_entra_lacks_is_told_without_the_pods_own_token(
    pods_own: Path, variables: dict[str, str], expected: str
) -> None:
    with Endpoint(lambda: (400, b"SECRET")).running() as endpoint:
        given = {**endpoint.azure(pods_own), **variables}
        with pytest.raises(TokenError, match=expected) as caught:
            await workload_source(Workload.AZURE, "api://ddgate", given).fetch()
    assert "SECRET" not in str(caught.value)
    assert "the.pods.own" not in str(caught.value)


def _for(audience: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"aud": audience}).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.c2ln"


async def test_a_token_with_which_one_logs_in_to_aws_is_not_sent_to_the_gateway(tmp_path: Path) -> None:
    path = tmp_path / "token"
    source = workload_source(Workload.AWS, "ddgate", {"AWS_WEB_IDENTITY_TOKEN_FILE": str(path)})
    for other in (_for(["sts.amazonaws.com"]), _for(None), _for({"ddgate": 1}), "a.b.c", "nonsense"):
        path.write_text(other)
        with pytest.raises(TokenError, match="isn't for ddgate"):
            await source.fetch()
    path.write_text(_for(["ddgate"]))
    assert await source.fetch() == _for(["ddgate"])
    with pytest.raises(TokenError, match="AWS_WEB_IDENTITY_TOKEN_FILE isn't set"):
        await workload_source(Workload.AWS, "ddgate", {}).fetch()


async def test_an_svid_is_followed_as_spiffe_helper_renews_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jwt_svid.token"
    monkeypatch.setattr(workload_tokens, "SPIFFE_FILE", path)
    source = workload_source(Workload.SPIFFE, "ddgate", {})
    with pytest.raises(TokenError, match=r'jwt_svid_file_name "jwt_svid\.token", jwt_audience "ddgate"'):
        await source.fetch()
    path.write_text("a.b.c")
    assert await source.fetch() == "a.b.c"
    assert isinstance(source, WatchedSource)
    assert not source.has_changed()
    path.write_text("another.b.c")
    assert source.has_changed()
