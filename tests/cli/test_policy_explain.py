"""`ddgate policy explain`: recorded calls and calls made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from addons.cli.policy.command import app
from addons.core.model import Effect, Reason
from addons.store.policy.files import read_catalogue
from tests.recorded_calls import MadeCall, write_recording

POLICY = """version: 1
rules:
  - {id: reads, effect: allow, who: {groups: [agents]}, op: {risk: [read]}, mask: {response: {detect: [pii]}}}
  - id: writes
    effect: allow
    who: {groups: [sre-agents]}
    op: {name: [UpdateMonitor]}
    http: {query: {force: {absent: true}}}
    body: {options.type: {in: [a, b]}}
  - {id: no-deletes, effect: deny, op: {risk: [destructive], absent: false}, reason: Not this way.}
  - {id: shadow, effect: deny, mode: shadow, op: {name: UpdateMonitor, absent: false},
     target: {tags: {any: x}}}
"""
FIRST, SECOND = "01" + "A" * 24, "01" + "B" * 24

type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("DDGATE_CONFIG", "DDGATE_STATE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "p.yaml").write_text(POLICY)
    calls = [
        MadeCall("GET", "/api/v1/monitor", id=FIRST, on_behalf_of="bob@example.com", rule="old-reads"),
        MadeCall("PUT", "/api/v1/monitor/1", id=SECOND, body=b'{"options": {"type": "c"}}'),
    ]
    write_recording(tmp_path / "state" / "recordings", calls, read_catalogue())
    return tmp_path


@pytest.fixture
def explain(place: Path) -> Run:
    def run(*arguments: str, given: str | None = None) -> tuple[int, str, str]:
        whole = ["explain", "--policy", "p.yaml", "--state", "state", *arguments]
        result = CliRunner().invoke(app, whole, input=given)
        assert not isinstance(result.exception, Exception), result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def told(explain: Run, *arguments: str, given: str | None = None) -> dict[str, Any]:
    code, out, err = explain("--json", *arguments, given=given)
    assert code == 0, err
    loaded: dict[str, Any] = json.loads(out)
    return loaded


def test_every_rule_is_told_the_nearest_first(explain: Run) -> None:
    code, out, _ = explain("--op", "UpdateMonitor", "--groups", "agents", "--subject", "tina")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("v1.UpdateMonitor  write; monitors")
    assert "tina of https://issuer.test; groups: agents" in lines[2]
    assert lines[3].startswith("  decided   deny no_rule  (sha256:")
    assert "rules that fit: 0 of 4" in lines
    nearest = lines.index("the others, the nearest first")
    assert lines[nearest + 1].split()[:6] == ["1", "of", "2", "deny", "shadow", "p.yaml:11:10"]
    assert lines[nearest + 3].split() == ["1", "of", "1", "deny", "no-deletes", "p.yaml:10:10"]
    assert lines[nearest + 4].strip() == 'op says no: it asks {"absent": false, "risk": ["destructive"]}'
    assert '      who.groups says no: it asks ["sre-agents"]' in lines
    assert "      target.tags could not be evaluated: the test gives no target" in lines


def test_a_rule_that_fits_comes_first_with_what_it_brings(explain: Run) -> None:
    _, out, _ = explain("--op", "ListMonitors", "--groups", "agents")
    assert "  decided   allow reads  (allowed; " in out
    assert "masked in the answer: pii" in out
    lines = out.splitlines()
    assert lines[lines.index("rules that fit: 1 of 4") + 1].split() == [
        "fits",
        "allow",
        "reads",
        "p.yaml:3:10",
    ]


def test_a_path_tells_the_operation(explain: Run) -> None:
    loaded = told(explain, "--method", "delete", "--path", "/api/v1/monitor/%312?force=1&force=2")
    request = loaded["request"]
    assert (request["operation"], request["path"]) == ("v1.DeleteMonitor", "/api/v1/monitor/12")
    assert request["query"] == [["force", "1"], ["force", "2"]]
    assert (loaded["decision"]["rule"], loaded["decision"]["message"]) == ("no-deletes", "Not this way.")
    assert told(explain, "--path", "/nowhere")["request"]["operation"] == "unknown"


def test_a_body_comes_from_a_file(explain: Run, place: Path) -> None:
    (place / "b.json").write_text('{"options": {"type": "b"}}')
    arguments = ("--op", "UpdateMonitor", "--groups", "sre-agents", "--body", "b.json")
    assert told(explain, *arguments)["decision"]["rule"] == "writes"
    (place / "b.json").write_text('{"options": {"type": "c"}}')
    loaded = told(explain, *arguments)
    (writes,) = [rule for rule in loaded["rules"] if rule["rule"] == "writes"]
    assert writes["misses"] == {"body.options.type": {"in": ["a", "b"]}}
    (place / "b.json").write_text('{"a": 1, "a": 2}')
    code, _, err = explain(*arguments)
    assert code == 1
    assert "b.json: not a JSON body" in err


@pytest.mark.parametrize(
    "text",
    [
        "{who: {groups: [agents]}, op: ListMonitors}",
        "given: {who: {groups: [agents]}, op: ListMonitors}\nname: x\nexpect: {effect: deny}",
        '{"op": "ListMonitors", "who": {"groups": ["agents"]}}',
    ],
)
def test_a_call_as_a_test_gives_it(explain: Run, place: Path, text: str) -> None:
    assert told(explain, "-", given=text)["decision"]["rule"] == "reads"
    (place / "call.yaml").write_text(text)
    assert told(explain, "call.yaml")["decision"]["rule"] == "reads"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("who: {groups: [agents]}\nop: ListMonitorz", "-:2:5: no operation is called 'ListMonitorz'"),
        ("given:\n  opp: x", "-:2:3: unknown key 'opp'"),
        ("who: {}", "'op' is missing"),
        ("op: [", "not YAML"),
        ("op: ListMonitors\nat: noon", "-:2:5:"),
        ("op: ListMonitors\nbody: {a: 1, a: 2}", "stands twice"),
    ],
)
def test_what_is_wrong_with_a_made_up_call_is_told_at_its_place(
    explain: Run, text: str, problem: str
) -> None:
    code, out, err = explain("-", given=text)
    assert (code, out) == (1, "")
    assert problem in err
    assert "tests[0]" not in err


def test_what_is_no_text_is_told_without_a_traceback(place: Path) -> None:
    result = CliRunner().invoke(app, ["explain", "--policy", "p.yaml", "-"], input=b"\xff\xfe")
    assert result.exit_code == 1
    assert "not UTF-8" in result.stderr


def test_a_recorded_call_is_found_by_its_id_alone(explain: Run) -> None:
    loaded = told(explain, FIRST)
    assert (loaded["call"]["call"], loaded["call"]["decided"]) == (FIRST, "allow old-reads")
    assert loaded["request"]["on_behalf_of"] == "bob@example.com"
    assert loaded["decision"]["rule"] == "reads"
    assert told(explain, loaded["call"]["flow"])["call"]["call"] == FIRST
    code, _, err = explain("01" + "C" * 24)
    assert code == 1
    assert "there is no call 01CC" in err


def test_of_a_recording_one_call_is_chosen_or_all_are_listed(explain: Run, place: Path) -> None:
    (file,) = (place / "state" / "recordings").glob("*.mitm")
    code, out, err = explain(str(file))
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == ["call", FIRST, SECOND]
    assert "--call ID" in err
    assert told(explain, str(file), "--call", "last")["call"]["call"] == SECOND
    assert told(explain, "state", "--call", FIRST)["call"]["call"] == FIRST
    write_recording(place / "one", [MadeCall("GET", "/api/v1/monitor")], read_catalogue())
    assert told(explain, "one")["decision"]["rule"] == "reads"


def test_a_verdict_that_the_recording_can_not_settle_is_said_to_be_open(explain: Run, place: Path) -> None:
    call = MadeCall("PUT", "/api/v1/monitor/1", groups=("sre-agents",), body=b"x" * 9, stored=False)
    write_recording(place / "one", [call], read_catalogue())
    loaded = told(explain, "one")
    assert "can't be told for sure: a rule reads its body" in loaded["notes"][0]
    (writes,) = [rule for rule in loaded["rules"] if rule["rule"] == "writes"]
    assert writes["errors"] == {"body.options.type": "the recording doesn't hold it"}


def test_what_else_to_bear_in_mind(explain: Run, place: Path) -> None:
    masked = MadeCall("PUT", "/api/v1/monitor/1", body=b'{"name": "[REDACTED:password:0123abcd]"}')
    write_recording(place / "masked", [masked], read_catalogue())
    assert "rules saw the masks" in told(explain, "masked")["notes"][0]
    refused = MadeCall("GET", "/api/v1/monitor", effect=None, refused=Reason.BAD_TOKEN, subject=None)
    write_recording(place / "refused", [refused], read_catalogue())
    assert "refused before policy saw it: bad_token" in told(explain, "refused")["notes"][0]
    deep = MadeCall("GET", "/api/v1/monitor", claims={"deep": {"team": "x"}})
    write_recording(place / "deep", [deep], read_catalogue())
    assert told(explain, "deep")["notes"] == []
    (place / "p.yaml").write_text(POLICY.replace("groups: [agents]", "groups: [agents], claims: {team: x}"))
    assert "Rules read claims" in told(explain, "deep")["notes"][0]
    denied = MadeCall("GET", "/api/v1/monitor", effect=Effect.ALLOW, refused=Reason.RATE_LIMITED)
    write_recording(place / "denied", [denied], read_catalogue())
    assert told(explain, "denied")["call"]["decided"] == "allow all, refused: rate_limited"


def test_a_policy_that_observes_is_explained_as_it_will_be_enforced(explain: Run, place: Path) -> None:
    head = "version: 1\nprofile: observe\nobserve_until: 2030-01-01\n"
    (place / "p.yaml").write_text(POLICY.replace("version: 1\n", head))
    loaded = told(explain, SECOND)
    assert loaded["decision"]["effect"] == "deny"
    assert "only observes for now" in loaded["notes"][0]
    made_up = told(explain, "--op", "UpdateMonitor")["decision"]
    assert (made_up["effect"], made_up["enforced_later"]["effect"]) == ("allow", "deny")


def test_nothing_of_a_recording_reaches_the_terminal_raw(explain: Run, place: Path) -> None:
    call = MadeCall("GET", "/api/v1/monitor/1", subject="a\x1b[31mb", groups=("agents\n",))
    write_recording(place / "one", [call], read_catalogue())
    _, out, err = explain("one")
    assert "\x1b" not in out + err
    assert "a\\x1b[31mb" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "name a recording, a call's id or a file"),
        (("nothing-like-it",), "no such file, and not the id of a call"),
        (("p.yaml", "--op", "ListMonitors"), "leave them out beside a CALL"),
        (("--op", "v3.Nothing"), "no operation is called"),
        (("--path", "/api/../x"), "dot segment"),
        (("state", "--call", "01" + "D" * 24), "there is no call"),
        (("--op", "ListMonitors", "--policy", "gone.yaml"), "no such file"),
    ],
)
def test_what_is_wrong_is_told_without_a_traceback(
    explain: Run, arguments: tuple[str, ...], problem: str
) -> None:
    code, out, err = explain(*arguments)
    assert (code, out) == (1, "")
    assert problem in err


def test_help_teaches_with_examples(explain: Run) -> None:
    assert "ddgate policy explain week.mitm" in explain("--help")[1]
