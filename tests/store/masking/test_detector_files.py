import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from addons.cli.main import app
from addons.core.redact.detector_set import BUILT_IN
from addons.core.redact.detectors.vendors import lower
from addons.core.yaml_source import ProblemsError
from addons.store.config_file import read_config
from addons.store.masking.detector_files import load_detectors

OWN = f"""
version: 1
detectors: [{{id: acme-token, pattern: 'acme_[a-z0-9]{{24}}', examples: [acme_{lower(24)}]}}]
"""
RULES = "[[rules]]\nid = 'till-key'\nregex = 'till/[0-9a-f]{12}'\n[[rules]]\nid = 'files'\npath = 'x'\n"
POLICY = {
    "version": 1,
    "rules": [
        {
            "id": "all",
            "effect": "allow",
            "op": {"risk": "read"},
            "mask": {"response": {"detect": ["acme-token"]}},
        }
    ],
}


def write(directory: Path, *files: str) -> Path:
    """A configuration that names `files` for detectors, and the policy that names one of them."""
    (directory / "own.yaml").write_text(OWN)
    (directory / "gitleaks.toml").write_text(RULES)
    (directory / "policy.yaml").write_text(json.dumps(POLICY))
    for name in ("api", "app"):
        (directory / f"{name}.key").write_text("0" * 32)
    config = {
        "version": 1,
        "policy": ["policy.yaml"],
        "issuers": [{"issuer": "https://id.example.com", "audience": "ddgate", "algorithms": ["RS256"]}],
        "credentials": {"default": {"api_key": {"file": "api.key"}, "application_key": {"file": "app.key"}}},
        "redaction": {"detectors": list(files)},
    }
    path = directory / "ddgate.yaml"
    path.write_text(json.dumps(config))
    return path


def test_files_of_both_forms_are_read_by_their_names(tmp_path: Path) -> None:
    found = load_detectors(read_config(write(tmp_path, "own.yaml", "gitleaks.toml"), {}))
    assert found.names() == BUILT_IN.names() | {"acme-token", "till-key"}
    assert len(found.notes) == 1
    assert load_detectors(read_config(write(tmp_path), {})) is BUILT_IN


def test_a_name_in_two_files_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    path = write(tmp_path, "own.yaml", "more.yaml")
    (tmp_path / "more.yaml").write_text(OWN)
    with pytest.raises(ProblemsError, match=r"more\.yaml: 'acme-token' is in own\.yaml too"):
        load_detectors(read_config(path, {}))


def test_a_file_that_is_missing_is_told_with_the_rest(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"none\.yaml: no such file \(paths are relative"):
        read_config(write(tmp_path, "none.yaml"), {})


@pytest.mark.parametrize("name", ["pipe.yaml", "folder.toml", "large.yaml", "bytes.toml", "loop.yaml"])
def test_what_is_no_file_of_text_is_refused_without_waiting(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.toml").mkdir()
    with (tmp_path / "large.yaml").open("wb") as large:
        large.truncate(100 << 20)
    (tmp_path / "bytes.toml").write_bytes(b"title = '\xff'")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    path = write(tmp_path, name)
    with pytest.raises(ProblemsError) as refused:
        load_detectors(read_config(path, {}))
    (problem,) = str(refused.value).splitlines()
    assert problem.startswith(f"{path}:1:")
    assert f"{tmp_path / name}: " in problem


@pytest.mark.parametrize(
    "arguments",
    [
        ["config", "check", "ddgate.yaml"],
        ["policy", "check", "--config", "ddgate.yaml"],
        ["policy", "check", "policy.yaml", "--config", "ddgate.yaml"],
        ["policy", "test", "--config", "ddgate.yaml"],
    ],
)
def test_commands_know_own_detectors_by_the_configuration(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "own.yaml")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    alone = CliRunner().invoke(app, ["policy", "check", "policy.yaml"])
    assert alone.exit_code == 1
    assert "no detector is called 'acme-token'" in alone.output


def test_the_schema_lists_own_detectors(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["policy", "schema", "--config", str(write(tmp_path, "own.yaml"))])
    assert "acme-token" in json.loads(done.output)["definitions"]["Detector"]["enum"]
