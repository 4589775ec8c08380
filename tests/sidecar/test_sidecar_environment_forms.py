from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import yaml
from typer.testing import CliRunner

from addons.cli.env import app
from addons.sidecar import environment_forms as forms
from addons.sidecar.environment import PROXIES_WITH_LOGIN, Pointers, child_environment
from addons.sidecar.environment_forms import Reached
from addons.sidecar.upstreams import parse_gateway
from addons.sidecar.workload_tokens import Workload
from tests.sidecar.fake_gateway import Certificates, make_token
from tests.sidecar.test_sidecar_workloads import ENTRAS_FORM
from tests.sidecar.workload_endpoint import REQUEST_TOKEN, Endpoint, as_entra, as_github

GATEWAY = "http://127.0.0.1:8080"
BUNDLE = Path("/bundle.pem")
TOKEN = make_token(600)
URL = f"http://agent:{TOKEN}@127.0.0.1:8080"


@pytest.fixture
def reached(certificates: Certificates) -> Reached:
    return Reached(parse_gateway(GATEWAY, None), (certificates.ca,))


def wanted(variables: dict[str, str]) -> dict[str, str]:
    """What `ddgate run` would set, were its listener the gateway."""
    return child_environment(variables, Pointers(URL, BUNDLE, reaches_all=False), lambda _: None)


def evaluated(text: str, variables: dict[str, str]) -> dict[str, str]:
    """The variables of a shell after it took `text`."""
    base = {"PATH": "/usr/bin:/bin", **variables}
    done = subprocess.run(
        ["sh", "-c", 'eval "$1"; exec env -0', "sh", text],
        env=base,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    found = dict(line.partition("=")[::2] for line in done.stdout.split("\0") if line)
    return {name: value for name, value in found.items() if name not in {"PWD", "SHLVL", "_", "OLDPWD"}}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {
            "NO_PROXY": "localhost,datadoghq.com",
            "no_proxy": "*",
            "DATADOG_API_KEY": "k",
            "PYTHONPATH": "/a b:/c'd",
        },
        {"HTTPS_PROXY": "http://old:1", "http_proxy": "http://old:1", "ALL_PROXY": "socks5://old:1"},
    ],
    ids=["empty", "what leads around", "other proxies"],
)
def test_a_shell_has_what_ddgate_run_sets_afterwards(
    reached: Reached, variables: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "it's a token"
    file.write_text(TOKEN + "\n")
    text = forms.for_shell(variables, reached, forms.token_file_command(file), BUNDLE, lambda _: None)
    assert TOKEN not in text
    expected = wanted({"PATH": "/usr/bin:/bin", **variables})
    assert evaluated(text, variables) == expected
    assert expected.get("http_proxy") == variables.get("http_proxy")


@pytest.mark.parametrize("workload", [Workload.GITHUB, Workload.GITLAB])
def test_a_shell_asks_the_place_for_the_token_and_no_program_has_one_as_its_argument(
    reached: Reached, workload: Workload
) -> None:
    with Endpoint(lambda: as_github(TOKEN)).running() as endpoint:
        variables = {**endpoint.github, "DDGATE_ID_TOKEN": TOKEN}
        read = forms.workload_command(workload, "mine")
        text = forms.for_shell(variables, reached, read, BUNDLE, lambda _: None)
        assert evaluated(text, variables)["HTTPS_PROXY"] == URL
    assert TOKEN not in text
    assert REQUEST_TOKEN not in text
    assert not re.search(r"curl[^|]*ACTIONS_ID_TOKEN_REQUEST_TOKEN", text)
    if workload is Workload.GITHUB:
        assert [path for path, _ in endpoint.asked] == ["/token?api-version=2.0&audience=mine"]


def test_a_shell_in_a_pod_on_azure_asks_entra(reached: Reached, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("the.pods.own")
    with Endpoint(lambda: as_entra(TOKEN)).running() as endpoint:
        variables = endpoint.azure(tmp_path / "own")
        read = forms.workload_command(Workload.AZURE, "api://ddgate")
        text = forms.for_shell(variables, reached, read, BUNDLE, lambda _: None)
        assert evaluated(text, variables)["HTTPS_PROXY"] == URL
    assert [path for path, _ in endpoint.asked] == ["/7e0a07/oauth2/v2.0/token"]
    assert parse_qs(endpoint.posted[0].decode()) == ENTRAS_FORM


@pytest.mark.parametrize("workload", [Workload.AWS, Workload.SPIFFE])
def test_a_shell_reads_the_file_that_the_place_renews(
    reached: Reached, workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a token").write_text(TOKEN)
    monkeypatch.setattr(forms, "SPIFFE_FILE", tmp_path / "a token")
    variables = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "a token")}
    text = forms.for_shell(
        variables, reached, forms.workload_command(workload, "mine"), BUNDLE, lambda _: None
    )
    assert evaluated(text, variables)["HTTPS_PROXY"] == URL


def test_the_json_has_the_same_with_a_word_for_the_token(reached: Reached) -> None:
    variables = {"DATADOG_APP_KEY": "k", "PATH": "/bin", "NO_PROXY": "*"}
    said = json.loads(forms.for_json(variables, reached, BUNDLE, lambda _: None))
    filled = {name: value.replace("${DDGATE_TOKEN}", TOKEN) for name, value in said["set"].items()}
    assert {**filled, "PATH": "/bin"} == wanted({"PATH": "/bin"})
    assert said["unset"] == ["DATADOG_APP_KEY", "NO_PROXY"]


def started(command: list[str], token_file: str, tmp_path: Path) -> dict[str, str]:
    """The variables of an agent that a container starts so, its token file elsewhere."""
    here = tmp_path / "token"
    here.write_text(TOKEN)
    done = subprocess.run(
        [*(part.replace(token_file, str(here)) for part in command), "env", "-0"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.partition("=")[::2] for line in done.stdout.split("\0") if line)


def assert_complete(fixed: dict[str, str], given_at_start: dict[str, str]) -> None:
    expected = wanted({})
    assert fixed.keys() | set(PROXIES_WITH_LOGIN) == expected.keys()
    assert {given_at_start[name] for name in PROXIES_WITH_LOGIN} == {URL}
    paths = {value.removeprefix("--require=") for value in fixed.values() if "/" in value}
    assert paths == {"/opt/ddgate/ca-bundle.pem", "/opt/ddgate/shim", "/opt/ddgate/shim/follow_proxy.cjs"}


def test_an_image_has_the_same_and_gets_its_token_when_it_starts(reached: Reached, tmp_path: Path) -> None:
    text = forms.for_dockerfile(reached)
    joined = text.replace("\\\n", " ")
    lines = dict(
        line.partition(" ")[::2] for line in joined.splitlines() if not line.startswith(("#", "COPY"))
    )
    assert lines.keys() == {"RUN", "ENV", "ENTRYPOINT", "CMD"}
    fixed = dict(part.partition("=")[::2] for part in lines["ENV"].split())
    command = json.loads(lines["ENTRYPOINT"])
    assert_complete(fixed, started(command, "/run/secrets/ddgate-token", tmp_path))
    assert lines["RUN"].endswith("> /opt/ddgate/ca-bundle.pem")


def test_a_pod_has_the_same_and_a_projected_token(reached: Reached, tmp_path: Path) -> None:
    spec = yaml.safe_load(forms.for_kubernetes(reached, "mine"))
    (agent,) = spec["containers"]
    fixed = {entry["name"]: entry["value"] for entry in agent["env"]}
    *command, last = agent["command"]
    assert last == "my-agent"
    assert_complete(fixed, started(command, "/var/run/secrets/ddgate/token", tmp_path))
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    (source,) = volumes["ddgate-token"]["projected"]["sources"]
    assert source["serviceAccountToken"] == {"audience": "mine", "expirationSeconds": 3600, "path": "token"}
    for container in (agent, *spec["initContainers"]):
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted <= volumes.keys()


def said(*arguments: str, **variables: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), env=variables)
    assert not isinstance(result.exception, Exception), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def steered(certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DDGATE_CA", str(certificates.ca))
    monkeypatch.setenv("DDGATE_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "agent-ca-bundle.pem"


@pytest.mark.parametrize("form", [[], ["--shell"], ["--json"], ["--dockerfile"], ["--kubernetes"]])
def test_no_form_prints_a_token_or_a_key(steered: Path, form: list[str]) -> None:
    code, out, err = said(*form, DDGATE_TOKEN=TOKEN, DD_API_KEY="0123456789abcdef" * 2)
    assert code == 0, err
    assert TOKEN not in out + err
    assert "0123456789abcdef" not in out + err


def test_the_bundle_is_written_whole_and_named(steered: Path, certificates: Certificates) -> None:
    code, out, _ = said("--shell")
    assert code == 0
    assert f"export SSL_CERT_FILE={steered}\n" in out
    assert certificates.ca.read_text() in steered.read_text()
    assert [path.name for path in steered.parent.iterdir()] == [steered.name]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--shell", "--json"], "give one of --shell"),
        (["--dockerfile", "--token-file", "t"], "--dockerfile has the token in a file of its own"),
        (["--kubernetes", "--issuer", "kubernetes"], "--kubernetes has the token in a file of its own"),
        (["--token-file", "t", "--issuer", "github"], "give one of --token-file"),
        (["--token-env", "a b; rm"], "--token-env needs the name of a variable"),
        (["--issuer", "github", "--audience", '"; rm'], "--audience has a character"),
        (["--gateway", "nonsense"], "the gateway must be"),
        (["--ca", "/nowhere"], "the gateway's CA /nowhere can't be read"),
        (["--dockerfile", "--ca", "/nowhere"], "the gateway's CA /nowhere can't be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_and_nothing_is_printed(
    steered: Path, arguments: list[str], expected: str
) -> None:
    code, out, err = said(*arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("ddgate env: ")
    assert expected in line
