"""What the README shows works as it is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel
from typer.core import TyperGroup
from typer.main import get_command

from addons.cli.main import app
from addons.core.config import load_config
from addons.core.model import Risk
from addons.core.policy.cel.expressions import known_variables
from addons.core.policy.conditions.limits import COUNTED_BY
from addons.core.policy.coverage import coverage
from addons.core.policy.forms.document import PolicyDocument
from addons.core.policy.forms.matchers import DocumentComparison
from addons.core.policy.forms.rule_document import Rule
from addons.core.policy.policy_set import PolicySet
from addons.store.policy.files import read_catalogue

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "policies" / "README.md").read_text()
YAML: list[str] = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


def _containing(word: str) -> str:
    (found,) = [block for block in YAML if word in block]
    return found


EXAMPLES = [_containing("sre-monitors"), *re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)]


@pytest.mark.parametrize("text", EXAMPLES, ids=["README.md", "policies/README.md"])
def test_the_policies_in_the_readmes_are_valid_and_their_tests_pass_and_cover_them(text: str) -> None:
    policy = PolicySet.from_files([("README.md", text)], read_catalogue())
    outcomes = policy.run_tests()
    assert outcomes
    assert all(outcome.passed for outcome in outcomes), outcomes
    assert [str(problem) for rule in coverage(policy) for problem in rule.problems()] == []


def _fields(model: type[BaseModel]) -> Iterator[str]:
    """Every field that holds no further ones, as `who.groups`."""
    for name, field in model.model_fields.items():
        shown = field.alias or name
        inner = [
            each
            for each in (field.annotation, *getattr(field.annotation, "__args__", ()))
            if isinstance(each, type) and issubclass(each, BaseModel)
        ]
        yield from (f"{shown}.{rest}" for each in inner for rest in _fields(each))
        if not inner:
            yield shown


def test_the_reference_has_every_field_of_a_rule() -> None:
    assert [field for field in _fields(Rule) if f"| `{field}` |" not in REFERENCE] == []


def test_the_reference_has_every_other_key_comparison_and_risk() -> None:
    for key in PolicyDocument.model_fields.keys() - {"rules"}:
        assert re.search(rf"^\| .*`{key}`.* \|", REFERENCE, re.MULTILINE), key
    for name, field in DocumentComparison.model_fields.items():
        assert f"`{{{field.alias or name}: " in REFERENCE
    for word in (*COUNTED_BY, *Risk):
        assert f"`{word}`" in REFERENCE


def test_the_reference_has_every_variable_of_expressions() -> None:
    section = REFERENCE.partition("**Expressions**")[2].partition("\n## ")[0]
    for variable in known_variables():
        root, _, field = variable.partition(".")
        (row,) = (line for line in section.splitlines() if f"`{root}`" in line.split(" | ")[0])
        assert f"`{field}`" in row or not field, variable


def _commands(text: str) -> set[tuple[str, str]]:
    return set(re.findall(r"`(?:\./run\.sh|ddgate) (policy|audit|config) ([a-z]+(?:-[a-z]+)*)", text))


def test_the_commands_in_the_readmes_are_there() -> None:
    root = get_command(app)
    for group, command in _commands(README + REFERENCE):
        assert command in _group(root, group).commands
    assert {command for _, command in _commands(README)} >= set(_group(root, "policy").commands)


def _group(root: Any, name: str) -> TyperGroup:
    found = root.get_command(typer.Context(root), name)
    assert isinstance(found, TyperGroup), name
    return found


def test_the_configuration_in_the_readme_is_valid() -> None:
    config = load_config(_containing("issuers:"), "README.md", {})
    assert config.sites == ("datadoghq.eu",)


@pytest.mark.parametrize("key", ["listen", "control", "inspector"])
def test_the_defaults_in_the_readme_are_the_real_ones(key: str) -> None:
    section = getattr(load_config(_containing("issuers:"), "README.md", {}), key)
    assert f"| `{key}` | `{section.host}:{section.port}` |" in README


LINKS = [
    (folder, path)
    for folder, text in ((ROOT, README), (ROOT / "policies", REFERENCE))
    for path in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
]


@pytest.mark.parametrize(("folder", "path"), LINKS, ids=[path for _, path in LINKS])
def test_the_links_in_the_readmes_lead_somewhere(folder: Path, path: str) -> None:
    assert path.startswith("http") or (folder / path).exists()
