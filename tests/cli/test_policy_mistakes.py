"""What somebody who knows the README alone gets wrong, and reads then."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from addons.cli.policy.command import app

ROOT = Path(__file__).resolve().parents[2]
(EXAMPLE,) = (
    block
    for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    if "sre-monitors" in block
)
RULE = EXAMPLE.partition("tests:")[0]
OP = "{name: [CreateMonitor, UpdateMonitor]}"


def checked(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "team.yaml").write_text(text)
    result = CliRunner().invoke(app, ["check", "team.yaml"])
    assert not isinstance(result.exception, Exception)
    assert result.exit_code == (1 if result.stderr else 0)
    return result.stderr.splitlines()


def test_the_rule_of_the_readme_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked(EXAMPLE, tmp_path, monkeypatch) == []
    assert checked(RULE, tmp_path, monkeypatch) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        # keys and values
        ("effect:", "efect:", "4:5: unknown key 'efect' (did you mean 'effect'?)"),
        ("groups:", "group:", "5:11: unknown key 'group' (did you mean 'groups'?)"),
        (
            "    effect: allow\n",
            "",
            "3:5: 'rules[0].effect' is missing (add effect: allow, deny or require_approval)",
        ),
        ("version: 1\n", "", "1:1: 'version' is missing (add version: 1)"),
        (
            "effect: allow",
            "effect: permit",
            "4:13: rules[0].effect: not one of the values it can have (one of allow, deny, require_approval)",
        ),
        (
            "sre-monitors\n",
            "SRE monitors\n",
            "3:9: rules[0].id: not an identifier (lower-case letters, digits, '.', '_' and '-'; at most 64)",
        ),
        ("[sre-agents]", "5", "5:19: rules[0].who.groups: must be a text or a list (write a, or [a, b])"),
        ("[sre-agents]", "[5]", "5:20: rules[0].who.groups[0]: must be text (write it in quotes)"),
        ("{groups: [sre-agents]}", "", "5:9: rules[0].who: has no value (write one, or leave the key out)"),
        (OP, "", "6:8: rules[0].op: has no value (write one, or leave the key out)"),
        (OP, "CreateMonitor", "6:9: rules[0].op: must be a mapping (write 'key: value' lines)"),
        (
            "    effect: allow\n",
            "    effect: allow\n    effect: deny\n",
            "5:5: the key 'effect' stands twice; first in line 4 (remove one)",
        ),
        ("allow", "deny", "3:5: rules[0]: mask has no effect in a deny rule (remove it)"),
        (
            "allow",
            "require_approval",
            "3:5: rules[0]: nobody is named who may approve (approval: {need: [{group: G, count: 1}]})",
        ),
        # names
        (
            "[CreateMonitor",
            "[CreatMonitor",
            "6:17: no operation is called 'CreatMonitor' (did you mean 'CreateMonitor'?)",
        ),
        (OP, "{tags: [monitor]}", "6:17: no tag is called 'monitor' (did you mean 'monitors'?)"),
        (OP, "{risk: [reads]}", "6:17: no risk class is called 'reads' (did you mean 'read'?)"),
        (OP, "{name: lists.work}", "6:16: no list is called 'work' (add it under lists:)"),
        ("[secrets]", "[secret]", "7:31: no detector is called 'secret' (did you mean 'secrets'?)"),
        # YAML
        ("    effect", "\teffect", "4:1: not YAML: a tab, where only spaces can stand (indent with spaces)"),
        (
            "    effect",
            "   effect",
            (
                "4:4: not YAML: this line begins in another column than those it belongs to "
                "(begin all keys of a mapping in one column, and all items of a list)"
            ),
        ),
        (
            "effect: allow",
            "effect allow",
            "4:5: not YAML: neither 'key: value' nor '- item' (write ':' and a space behind the key)",
        ),
        (
            "[sre-agents]",
            "*",
            "5:20: not YAML: '*' begins an alias (put a glob that begins with '*' in quotes)",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line_at_its_place(
    right: str, wrong: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert right in RULE
    assert checked(RULE.replace(right, wrong, 1), tmp_path, monkeypatch) == [f"team.yaml:{said}"]


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (
            "    http: {size: 64KB}\n",
            (
                "8:18: not a test of a size "
                "(an operator and a size: '<=64KiB', '>1MiB'; B, kB, KiB, MB, MiB, GB or GiB)"
            ),
        ),
        ("    http: {method: PSOT}\n", "8:20: 'PSOT' is not a method (did you mean 'POST'?)"),
        (
            "    http: {method: DELETE}\n",
            "8:20: never matches: the operations of op use other methods (they use POST, PUT)",
        ),
        ("    limit: writes\n", "8:12: no limit is called 'writes' (add it under limits:)"),
        (
            "    when: 'size(request.path)'\n",
            "8:12: when: gives int, where a bool is needed (compare it: ... == ...)",
        ),
        ("    when: 'bdy.tags == []'\n", "8:12: when: no variable is called 'bdy' (did you mean 'body'?)"),
        ("    when: 'has(body.x) and body.x'\n", "8:24: when: 'and' can't stand here (write &&)"),
        (
            "    time: {zone: Europe/Pris, days: mon-fri}\n",
            "8:18: no time zone is called 'Europe/Pris' (did you mean 'Europe/Paris'?)",
        ),
        ("    time: {hours: 8-18}\n", "8:19: '8-18' is no range of hours ('08:00-18:00', in quotes)"),
        ("    body: {type: }\n", "8:17: rules[0].body.type: has no value (write a, or [a, b])"),
        (
            "  - {id: sre-monitors, effect: deny}\n",
            "8:10: the rule id 'sre-monitors' is taken, at team.yaml:3:9 (give each rule its own)",
        ),
        (
            "limits: {writes: {rate: 30/m}}\n",
            "8:25: what follows '/' must be a time (write 30/1m)",
        ),
        (
            "tests:\n  - {name: t, given: {op: CreateMonitor}, expect: {effect: allow}}\n",
            (
                "9:5: the test 't' fails: expected allow, got deny (no_rule); matching rules: none "
                "(mend rule or test)"
            ),
        ),
        (
            "tests:\n  - {name: t, given: {op: CreateDowntime}, expect: {effect: deny}}\n",
            (
                "9:27: 'CreateDowntime' is an operation in several versions "
                "(write v1.CreateDowntime or v2.CreateDowntime)"
            ),
        ),
    ],
)
def test_a_wrong_addition_is_told_in_one_line_at_its_place(
    added: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checked(RULE + added, tmp_path, monkeypatch) == [f"team.yaml:{said}"]


def test_all_mistakes_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = RULE.replace("CreateMonitor", "CreatMonitor").replace("secrets", "secret")
    text += "    when: 'bdy.x && size(1)'\n    time: {hours: 8-18}\n    limit: w\n"
    found = [line.split(": ")[0] for line in checked(text, tmp_path, monkeypatch)]
    assert found[:2] == ["team.yaml:6:17", "team.yaml:7:31"]
    assert {line.split(":")[1] for line in found} == {"6", "7", "8", "9", "10"}
