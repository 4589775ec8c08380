"""What the README shows works as it is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from addons.core.config import load_config
from addons.core.policy import PolicySet
from addons.store.policy_files import read_catalogue

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
YAML: list[str] = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


def _containing(word: str) -> str:
    (found,) = [block for block in YAML if word in block]
    return found


def test_the_policy_in_the_readme_is_valid_and_its_tests_pass() -> None:
    policy = PolicySet.from_files([("README.md", _containing("sre-monitors"))], read_catalogue())
    outcomes = policy.run_tests()
    assert outcomes
    assert all(outcome.passed for outcome in outcomes), outcomes


def test_the_configuration_in_the_readme_is_valid() -> None:
    config = load_config(_containing("issuers:"), "README.md", {})
    assert config.sites == ("datadoghq.eu",)


@pytest.mark.parametrize("key", ["listen", "control", "inspector"])
def test_the_defaults_in_the_readme_are_the_real_ones(key: str) -> None:
    section = getattr(load_config(_containing("issuers:"), "README.md", {}), key)
    assert f"| `{key}` | `{section.host}:{section.port}` |" in README


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#]+)\)", README))
def test_the_links_in_the_readme_lead_somewhere(path: str) -> None:
    assert path.startswith("http") or (ROOT / path).exists()
