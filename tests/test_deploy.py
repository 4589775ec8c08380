"""The pages in deploy/ can be followed: what they show loads; their commands and variables exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.main import get_command

from addons.cli.main import app
from addons.core.config import load_config
from addons.core.policy.coverage import coverage
from addons.core.policy.policy_set import PolicySet
from addons.sidecar.workload_tokens import GITLAB_VARIABLE, KUBERNETES_FILE
from addons.store.policy.files import read_catalogue

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
PAGES = [path for path in FILES if path.suffix == ".md"]
PAGES_TEXT = "\n".join(path.read_text() for path in PAGES)
POLICY = (DEPLOY / "agents.yaml").read_text()
DEFAULT_POLICY = (ROOT / "policies" / "default.yaml").read_text()


def _name(path: Path) -> str:
    return str(path.relative_to(DEPLOY))


def _documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


MANIFESTS = [
    document
    for name in ("gateway.yaml", "agent.yaml", "sidecar.yaml")
    for document in _documents(DEPLOY / "kubernetes" / name)
]
CONFIG_MAPS = [document["data"] for document in MANIFESTS if document["kind"] == "ConfigMap"]
PODS = [
    document["spec"]["template"]["spec"] if "template" in document["spec"] else document["spec"]
    for document in MANIFESTS
    if document["kind"] in {"Deployment", "StatefulSet", "Pod"}
]


def _configurations() -> Iterator[tuple[str, str]]:
    whole = (DEPLOY / "ddgate.yaml").read_text()
    yield "ddgate.yaml", whole
    yield from (("kubernetes", data["ddgate.yaml"]) for data in CONFIG_MAPS)
    (shown,) = re.findall(r"```yaml\n(.*?)```", (DEPLOY / "systemd" / "README.md").read_text(), re.DOTALL)
    yield "systemd", yaml.safe_dump({**yaml.safe_load(whole), **yaml.safe_load(shown)})


@pytest.mark.parametrize(("name", "text"), list(_configurations()))
def test_every_configuration_loads(name: str, text: str) -> None:
    config = load_config(text, name, {})
    assert config.certs.startswith("/var/lib/ddgate/")
    assert "agents.yaml" in config.policy


def test_the_policy_passes_its_tests_which_cover_it() -> None:
    policy = PolicySet.from_files([("agents.yaml", POLICY)], read_catalogue())
    assert all(outcome.passed for outcome in policy.run_tests())
    assert [str(problem) for rule in coverage(policy) for problem in rule.problems()] == []


@pytest.mark.parametrize("text", [POLICY, *(data["agents.yaml"] for data in CONFIG_MAPS)])
def test_every_policy_goes_with_the_default_one(text: str) -> None:
    files = [("default.yaml", DEFAULT_POLICY), ("agents.yaml", text)]
    assert PolicySet.from_files(files, read_catalogue()).rules


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".yaml"], ids=_name)
def test_every_yaml_file_parses(path: Path) -> None:
    assert all(isinstance(document, dict) for document in _documents(path))


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_the_yaml_in_the_pages_parses_and_their_links_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    for shown in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        assert isinstance(yaml.safe_load(shown), dict)
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (path.parent / link).exists(), link


# Not where `ddgate` is a user's, a namespace's or a package's name.
_COMMAND = re.compile(r"(?:(?:^|`|-- |exec gateway |bin/)ddgate|run\.sh) ([a-z][^`\n#>&|']*)", re.MULTILINE)


def _commands(text: str) -> Iterator[list[str]]:
    """ddgate's own words after `ddgate` or `run.sh`, up to the command that it is to run."""
    lines = [match[1] for match in _COMMAND.finditer(text)]
    lines += [flow.replace(",", "") for flow in re.findall(r"command: \[.*/ddgate, (.*)\]", text)]
    for line in lines:
        yield shlex.split(re.split(r" --(?: |$)", line)[0])


def _shown(path: Path) -> str:
    """Of a page only what is set as code; of a unit or manifest, all but comments."""
    text = path.read_text()
    if path.suffix != ".md":
        return re.sub(r"^\s*#.*", "", text, flags=re.MULTILINE)
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return "\n".join((*blocks, *re.findall(r"`[^`\n]+`", rest)))


@pytest.mark.parametrize("path", [path for path in FILES if list(_commands(_shown(path)))], ids=_name)
def test_every_command_and_its_options_exist(path: Path) -> None:
    for words in _commands(_shown(path)):
        command: Any = get_command(app)
        context = typer.Context(command)
        for word in words:
            if word.startswith("-"):
                known = {option for one in command.params for option in one.opts} | {"--help"}
                assert word in known, (words, word)
            elif hasattr(command, "commands") and (inner := command.get_command(context, word)) is not None:
                command = inner
        assert command.name == words[0] or words[0] in {"audit", "approvals", "config"}, words


def test_every_variable_is_one_that_a_command_reads() -> None:
    known = {GITLAB_VARIABLE}
    root: Any = get_command(app)
    for name in ("run", "env", "up"):
        command = root.get_command(typer.Context(root), name)
        known |= {one.envvar for one in command.params if one.envvar}
    used = {name for path in FILES for name in re.findall(r"\bDDGATE_[A-Z_]*[A-Z]", path.read_text())}
    assert used <= known
    assert {"DDGATE_GATEWAY", "DDGATE_CA", "DDGATE_GATEWAY_CA", "DDGATE_CONFIG", "DDGATE_STATE"} <= used


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["containers"], *pod.get("initContainers", [])]


def test_every_mount_of_the_manifests_has_its_volume() -> None:
    claimed = {
        claim["metadata"]["name"]
        for document in MANIFESTS
        for claim in document.get("spec", {}).get("volumeClaimTemplates", [])
    }
    for pod in PODS:
        volumes = {volume["name"] for volume in pod["volumes"]} | claimed
        for container in _containers(pod):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_i3_no_agents_container_has_the_key_and_no_gateways_a_token() -> None:
    roles = []
    for pod in PODS:
        for container in _containers(pod):
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            roles.append((container["name"], "datadog-keys" in mounted, "ddgate-token" in mounted))
        assert pod["automountServiceAccountToken"] is False
    assert set(roles) == {("gateway", True, False), ("agent", False, True)}
    services = _documents(DEPLOY / "container" / "compose.yaml")[0]["services"]
    assert services["gateway"]["secrets"]
    assert "secrets" not in services["agent"]


def test_a_pods_token_lies_where_ddgate_run_looks_for_it() -> None:
    agents = [pod for pod in PODS if pod["containers"][0]["name"] == "agent"]
    assert len(agents) == 2
    for pod in agents:
        (token,) = [volume for volume in pod["volumes"] if volume["name"] == "ddgate-token"]
        (source,) = token["projected"]["sources"]
        mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        found = Path(mounts["ddgate-token"], source["serviceAccountToken"]["path"])
        assert found == KUBERNETES_FILE
        assert source["serviceAccountToken"]["audience"] == "ddgate"


def test_the_workflow_may_ask_for_a_token() -> None:
    workflow = yaml.safe_load((DEPLOY / "github-actions" / "workflow.yaml").read_text())
    assert workflow["permissions"]["id-token"] == "write"


def test_the_images_copy_what_is_there_and_no_secret() -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.*)", text, re.MULTILINE):
        *sources, _to = line.split()
        assert all((ROOT / source).exists() for source in sources)
        assert not {".", "certs"} & set(sources)
    agent = (DEPLOY / "container" / "agent.Containerfile").read_text()
    assert "token" not in re.sub(r"(?m)^ .*DDGATE_TOKEN_FILE=.*", "", agent)


@pytest.mark.parametrize("unit", ["ddgate.service", "agent.service"])
def test_a_unit_is_well_formed_and_names_its_credentials(unit: str, tmp_path: Path) -> None:
    text = (DEPLOY / "systemd" / unit).read_text()
    loaded = set(re.findall(r"^LoadCredential=([^:]+):", text, re.MULTILINE))
    named = set(re.findall(r"/run/credentials/ddgate\.service/(\S+?)[},\s]", PAGES_TEXT))
    assert loaded == (named if unit == "ddgate.service" else set())
    if (analyse := shutil.which("systemd-analyze")) is not None:
        copy = tmp_path / unit
        copy.write_text(text.replace("/opt/ddgate/.venv/bin/ddgate", sys.executable))
        done = subprocess.run([analyse, "verify", str(copy)], capture_output=True, text=True, check=False)
        assert unit not in done.stderr
