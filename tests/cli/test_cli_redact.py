"""What `ddgate redact` shows of a message and of recordings: where something is, and never what."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from mitmproxy import http, tcp, websocket
from mitmproxy.flow import Flow
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow
from typer.testing import CliRunner
from wsproto.frame_protocol import Opcode

from addons.cli.redact.command import app
from addons.core.redact.masking.mask import MASK_KEY, Masker
from addons.store.policy.files import read_catalogue
from addons.store.state_dir import StateDir
from addons.store.trail.reader import read_after
from addons.store.writing.audit_log import AuditLog
from tests.recorded_calls import MadeCall, write_recording

ROOT = Path(__file__).resolve().parents[2]
GITHUB = "ghp_" + "x7Kq2Zp9Lw4Vb1Tn6Rd8Mc3Jf5Hs0Gy2Wa4E"
PASSWORD = "Tr0ub4dor-Zebra"
KEY = "9e1b4c0d7a3f52e8" * 2
CALL = "01M84AMVM1KC5RRRPRWQQMVVYF"

type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir.open(tmp_path / "state")


@pytest.fixture
def run(state: StateDir) -> Run:
    def invoke(*arguments: str | Path, given: bytes = b"", of_state: bool = True) -> tuple[int, str, str]:
        where = ["--state", str(state.path)] if of_state else []
        done = CliRunner().invoke(app, [*map(str, arguments), *where], input=given)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        for secret in (GITHUB, PASSWORD, KEY):
            assert secret[5:] not in done.output
        return done.exit_code, done.stdout, done.stderr

    return invoke


def put(path: Path, *flows: Flow) -> Path:
    file = io.BytesIO()
    writer = FlowWriter(file)
    for flow in flows:
        writer.add(flow)
    path.write_bytes(file.getvalue())
    return path


def stock_flow() -> http.HTTPFlow:
    """As stock mitmproxy records a call: with everything in it."""
    flow = tflow.tflow(resp=True, ws=True)
    flow.request = http.Request.make(
        "POST",
        f"https://api.datadoghq.com/api/v1/x?api_key={KEY}",
        json.dumps({"logs": [{"message": f"a {GITHUB}"}, {"message": f"and {GITHUB} and {GITHUB}"}]}),
        [(b"Content-Type", b"application/json"), (b"Authorization", f"Bearer {GITHUB}".encode())],
    )
    flow.request.trailers = http.Headers([(b"x-note", f"password={PASSWORD}".encode())])
    flow.response = http.Response.make(200, f"line\nwith password={PASSWORD}\n", {"Content-Encoding": "gzip"})
    assert flow.websocket is not None
    flow.websocket.messages = [
        websocket.WebSocketMessage(Opcode.TEXT, True, json.dumps({"token": GITHUB}).encode())
    ]
    flow.comment = f"used {GITHUB}"
    flow.metadata = {"ddgate.intent": f"try password={PASSWORD}"}
    return flow


def test_a_body_is_shown_as_a_diff_with_the_place_and_the_detector(run: Run) -> None:
    body = f'{{"logs": [\n  {{"message": "token {GITHUB} used"}}]}}\n'.encode()
    code, out, err = run("test", "-", given=body)
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == "@@ line 2 $.logs[0].message: github-token @@"
    assert lines[1] == '-  {"message": "token ghp_…(40 bytes) used"}]}'
    assert lines[2].startswith('+  {"message": "token [REDACTED:github-token:')
    assert lines[3:] == ["1 value would be masked: github-token 1"]


def test_what_is_clean_says_so_and_ends_with_0(run: Run, tmp_path: Path) -> None:
    (tmp_path / "clean").write_text("nothing to see")
    assert run("test", tmp_path / "clean") == (0, "Nothing would be masked.\n", "")
    assert json.loads(run("test", tmp_path / "clean", "--json")[1]) == {"findings": []}


def test_an_http_message_is_read_by_its_parts(run: Run) -> None:
    body = gzip.compress(json.dumps({"a": {"password": PASSWORD}}).encode())
    head = (
        f"POST /api/v1/x?api_key={KEY} HTTP/1.1\r\nHost: a.example\r\nX-Note: token {GITHUB}\r\n"
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n"
    )
    code, out, _ = run("test", "-", "--json", given=head.encode() + body)
    found = [(each["part"], each["line"], each.get("path")) for each in json.loads(out)["findings"]]
    assert code == 1
    assert found == [
        ("request target", 1, "parameter api_key"),
        ("header X-Note", 3, None),
        ("body", 7, "$.a.password"),
    ]


def test_a_status_line_begins_an_http_message_too_and_a_type_can_say_otherwise(run: Run) -> None:
    message = f"HTTP/1.1 200 OK\nSet-Cookie: {PASSWORD}\n\nfine".encode()
    assert "header Set-Cookie line 2: header" in run("test", "-", given=message)[1]
    assert run("test", "-", "--type", "text/plain", given=b"HTTP/1.1 200 OK\nDD-API-KEY: \n")[0] == 0
    assert "@@ line 1: pair-password @@" in run("test", "-", given=f"password={PASSWORD}".encode())[1]


def test_a_body_that_is_not_what_its_encoding_says_is_searched_and_told(run: Run) -> None:
    message = f"HTTP/1.1 200 OK\nContent-Encoding: gzip\n\npassword={PASSWORD}".encode()
    code, out, err = run("test", "-", given=message)
    assert (code, "pair-password" in out) == (1, True)
    assert "the body is searched as it is, for it can't be decoded: body is not gzip" in err


def test_a_compressed_file_is_read(run: Run) -> None:
    assert run("test", "-", given=gzip.compress(f"password={PASSWORD}".encode()))[0] == 1


def test_personal_data_has_its_switch(run: Run) -> None:
    given = b'{"contact": "jane.roe@shop-mail.com"}'
    assert run("test", "-", given=given)[0] == 0
    assert "email" in run("test", "-", "--pii", given=given)[1]


OWN = """version: 1
detectors:
  - id: shop-ticket
    kind: shop-ticket
    pattern: 'SHOP-[A-Z]{4}-[0-9]{6}'
    keywords: [SHOP-]
    examples: ['use SHOP-QWER-904571 today']
"""
CONFIG = f"""version: 1
policy: [{ROOT / "policies" / "default.yaml"}]
issuers: [{{issuer: "https://issuer.example.com", audience: ddgate, algorithms: [RS256]}}]
credentials: {{default: {{api_key: {{file: key}}, application_key: {{file: key}}}}}}
redaction: {{detectors: [own.yaml], pii: true}}
"""


def test_a_teams_own_detectors_and_its_switch_for_personal_data_count(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    (tmp_path / "ddgate.yaml").write_text(CONFIG)
    (tmp_path / "key").write_text("0" * 32)
    (tmp_path / "key").chmod(0o600)
    given = b'{"note": "SHOP-ABCD-135790", "contact": "jane.roe@shop-mail.com"}'
    assert run("test", "-", given=given)[0] == 0
    monkeypatch.setenv("DDGATE_CONFIG", str(tmp_path / "ddgate.yaml"))
    status, out, told = run("test", "-", given=given)
    assert status == 1, told
    assert "shop-ticket" in out
    assert "email" in out


def test_what_of_own_detectors_is_not_honoured_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = "[[rules]]\nid = 'shop'\nregex = 'SHOP-[0-9]{6}'\npath = 'x'\n"
    (tmp_path / "own.toml").write_text(rules)
    (tmp_path / "ddgate.yaml").write_text(CONFIG.replace("own.yaml", "own.toml"))
    (tmp_path / "key").write_text("0" * 32)
    (tmp_path / "key").chmod(0o600)
    monkeypatch.setenv("DDGATE_CONFIG", str(tmp_path / "ddgate.yaml"))
    status, out, told = run("test", "-", "--json", given=b"SHOP-904571")
    assert (status, told.count("the rule 'shop' is for some files alone")) == (1, 1)
    json.loads(out)


def test_the_masks_are_those_of_the_state_directory(run: Run, state: StateDir) -> None:
    given = f"token {GITHUB}".encode()
    assert not list(state.keys.iterdir())
    run("test", "-", given=given)
    assert not list(state.keys.iterdir())  # to try something makes no key
    mask = Masker(state.installation_key(MASK_KEY)).mask("github-token", GITHUB)
    assert json.loads(run("test", "-", "--json", given=given)[1])["findings"][0]["mask"] == mask


def test_control_characters_reach_no_terminal(run: Run) -> None:
    _, out, _ = run("test", "-", given=f"\x1b]0;x\x07 password={PASSWORD} \x1b[2J".encode())
    assert "\x1b" not in out
    assert "\\x1b]0;x" in out


@pytest.mark.parametrize("what", ["missing", "folder"])
def test_what_cannot_be_read_ends_with_2(run: Run, tmp_path: Path, what: str) -> None:
    (tmp_path / "folder").mkdir()
    code, out, err = run("test", tmp_path / what)
    assert (code, out) == (2, "")
    assert err.startswith(f"ddgate: {tmp_path / what}: ")


def test_what_is_too_complex_says_what_ddgate_does_with_it(run: Run) -> None:
    code, out, err = run(
        "test", "-", "--type", "application/msgpack", given=b"\x81\xa8password" * 100 + b"\x01"
    )
    assert (code, out) == (2, "")
    assert "nests too deep; of such a message ddgate stores the size and a digest alone" in err


def test_scan_finds_a_secret_in_every_part_of_a_flow(run: Run, tmp_path: Path) -> None:
    file = put(tmp_path / "stock.mitm", stock_flow())
    code, out, err = run("scan", file, "--json")
    *found, summary = map(json.loads, out.splitlines())
    assert (code, err) == (1, "")
    assert {(each["part"], each.get("path"), each["line"], each["count"]) for each in found} == {
        ("request target", "parameter api_key", 1, 1),
        ("request header Authorization", None, 1, 1),
        ("request trailer x-note", None, 1, 1),
        ("request body", "$.logs[0].message", 1, 1),
        ("request body", "$.logs[1].message", 1, 2),
        ("answer body", None, 2, 1),
        ("WebSocket message 1", "$.token", 1, 1),
        ("comment", None, 1, 1),
        ("note ddgate.intent", None, 1, 1),
    }
    assert {(each["file"], each["offset"]) for each in found} == {(str(file), 0)}
    assert summary == {"calls": 1, "findings": 10, "by_detector": summary["by_detector"], "unread": 0}


def test_scan_of_the_state_directory_names_the_call_and_is_on_record(run: Run, state: StateDir) -> None:
    write_recording(
        state.recordings,
        [
            MadeCall("GET", "/api/v1/monitor"),
            MadeCall("POST", "/api/v1/monitor", body=f'{{"message": "{GITHUB}"}}'.encode(), id=CALL),
        ],
        read_catalogue(),
    )
    AuditLog.open(state.audit_log, busy_seconds=5, create=True).close()
    code, out, err = run("scan")
    assert code == 1
    (line,) = out.splitlines()
    segment = next(state.recordings.iterdir())
    when, call, where, detector, place = line.split("\t")
    assert (when, call, where) == ("2026-03-02 00:00:00Z", CALL, "request body $.message")
    assert (detector, place.startswith(f"{segment}, byte ")) == ("github-token", True)
    assert err == "2 calls searched; 1 finding in 1 of them: github-token 1\n"
    *_, record = read_after(state.audit_log, 0)
    assert "redact scan" in str(record)


def test_what_is_masked_already_is_no_finding(run: Run, state: StateDir) -> None:
    mask = Masker(b"another key").mask("github-token", GITHUB)
    body = json.dumps({"password": mask, "message": f"token {mask}, Bearer {mask}"}).encode()
    write_recording(state.recordings, [MadeCall("POST", f"/x?api_key={mask}", body=body)], read_catalogue())
    assert run("scan") == (0, "", "1 call searched; nothing found\n")


def test_what_cannot_be_read_is_told_with_its_place_and_the_rest_is_searched(
    run: Run, tmp_path: Path
) -> None:
    undecodable = stock_flow()
    assert undecodable.response is not None
    undecodable.response.headers["content-encoding"] = "br"
    other = tcp.TCPFlow(tflow.tclient_conn(), tflow.tserver_conn())
    good = put(tmp_path / "good.mitm", undecodable, other).read_bytes()
    (tmp_path / "bad.mitm").write_bytes(b"2:{}}" + b"4:1:a,}" + good + b"garbage")
    (tmp_path / "good.mitm").unlink()
    code, out, err = run("scan", tmp_path)
    assert code == 1
    assert "github-token" in out
    assert "Traceback" not in err
    told = [line.partition("bad.mitm, ")[2] for line in err.splitlines()]
    assert told[0].startswith("byte 0: it is no flow")
    assert told[1].startswith("byte 5: it is no flow")
    assert "answer body of call" in told[2]
    assert "body is not brotli" in told[2]
    assert "not HTTP" in told[3]
    assert "no flow begins here" in told[4]
    lines = [json.loads(line) for line in run("scan", tmp_path, "--json")[1].splitlines()]
    unread = [line["offset"] for line in lines if "unread" in line and "calls" not in line]
    assert unread[:2] == [0, 5]
    assert lines[-1]["unread"] == 5


def test_only_what_cannot_be_read_ends_with_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.mitm").write_bytes(b"garbage")
    assert run("scan", tmp_path)[0] == 2
    assert run("scan", tmp_path / "missing.mitm")[0] == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    code, _, err = run("scan", empty)
    assert (code, err.startswith(f"ddgate: {empty} holds no recordings")) == (2, True)


def write_corpus(directory: Path, positives: Sequence[object], negatives: Sequence[object]) -> Path:
    directory.mkdir()
    for name, cases in (("positives", positives), ("negatives", negatives)):
        lines = (case if isinstance(case, str) else json.dumps(case) for case in cases)
        (directory / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return directory


def case(number: int, body: str, **more: object) -> dict[str, object]:
    return {
        "id": f"case-{number}",
        "url": "https://api.datadoghq.com/api/v2/logs",
        "headers": {"Host": "api.datadoghq.com"},
        "content_type": "application/json",
        "content_encoding": "identity",
        "body": body,
        "body_encoding": "utf-8",
        **more,
    }


def hidden(number: int, body: str, secret: str, **more: object) -> dict[str, object]:
    of_kind: dict[str, object] = {"tier": "plain", "family": "vendor", "policy": "secret", "keep": []}
    return case(number, body, secret=secret, **of_kind | more)


CORPUS = (
    [
        hidden(1, json.dumps({"m": GITHUB, "stays": "here"}), GITHUB, keep=["here"]),
        hidden(2, '{"m": "an unheard-of secret"}', "unheard-of secret", tier="hard"),
        hidden(3, '{"m": "jane.roe@shop-mail.com"}', "jane.roe@shop-mail.com", family="pii", policy="pii"),
        hidden(4, '{"m": "gone"}', GITHUB, keep=["not there"], chunk_at=[3, 7]),
    ],
    [case(5, '{"m": "quiet"}', category="prose"), case(6, '{"m": "a@shop-mail.com"}', category="uuid")],
)


def test_score_tells_recall_by_tier_and_family_and_what_changed(run: Run, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", *CORPUS)
    code, out, err = run("score", corpus, "--verbose", of_state=False)
    assert (code, err) == (0, "")
    rows = [line.split("\t") for line in out.splitlines() if "\t" in line]
    assert ["all", "3", "4", "75.0%"] in rows
    assert ["tier hard", "0", "1", "0.0%"] in rows
    assert ["family pii", "1", "1", "100.0%"] in rows
    assert ["all", "0", "2", "0.0%"] in rows
    assert out.splitlines()[-3:] == [
        "overkill: 1",
        "missed: case-2 (hard vendor)",
        "overkill: case-4 (plain vendor)",
    ]
    assert "changed: case-6 (uuid)" in run("score", corpus, "--pii", "--verbose", of_state=False)[1]


def test_score_ends_with_1_below_a_bar(run: Run, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", *CORPUS)
    assert run("score", corpus, "--min-recall", "75", "--max-changed", "0", of_state=False)[0] == 0
    code, out, _ = run("score", corpus, "--min-recall", "76", "--json", of_state=False)
    told = json.loads(out)
    assert (code, told["failed"], told["hidden"]["missed"]) == (1, True, ["case-2"])
    assert told["hidden"]["tiers"]["hard"] == {"found": 0, "of": 1, "recall": 0.0}
    assert run("score", corpus, "--pii", "--max-changed", "49", of_state=False)[0] == 1
    nothing = write_corpus(tmp_path / "nothing", [], [])
    assert run("score", nothing, "--min-recall", "1", of_state=False)[0] == 1


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("no json", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "it is no JSON object"),
        (hidden(1, "", ""), "`secret`, or one of its `parts`, is empty"),
        (hidden(1, "", GITHUB, id=7), "`id` is missing, or no string"),
        (hidden(1, "", GITHUB, policy="x"), "`policy` is neither secret nor pii"),
        (hidden(1, "", GITHUB, keep="x"), "`keep` is missing, or no list of strings"),
        (hidden(1, "", GITHUB, headers={"a": 1}), "`headers` is missing, or no object of strings"),
        (hidden(1, "x", GITHUB, body_encoding="base64"), "`body` is not base64"),
        (hidden(1, "x", GITHUB, body_encoding="x"), "`body_encoding` is neither"),
        (hidden(1, "x", GITHUB, content_encoding="x"), "`content_encoding` is none"),
        (hidden(1, "x", GITHUB, chunk_at=[2]), "`chunk_at` is no list"),
    ],
)
def test_a_line_that_is_no_case_is_told_with_its_place(
    run: Run, tmp_path: Path, line: object, what: str
) -> None:
    corpus = write_corpus(tmp_path / "corpus", ["", line], [])
    code, out, err = run("score", corpus, of_state=False)
    assert (code, out) == (2, "")
    assert f"positives.jsonl, line 2: {what}" in err


def test_a_directory_without_a_corpus_ends_with_2(run: Run, tmp_path: Path) -> None:
    code, _, err = run("score", tmp_path, of_state=False)
    assert (code, "positives.jsonl: no such file; a corpus has" in err) == (2, True)


def test_the_real_command_tries_scans_and_teaches(tmp_path: Path) -> None:
    def ddgate(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "addons.cli.main", "redact", *arguments]
        return subprocess.run(
            command, input=given, capture_output=True, text=True, cwd=ROOT, check=False, env={**os.environ}
        )

    file = put(tmp_path / "stock.mitm", stock_flow())
    tried = ddgate("test", "-", "--state", str(tmp_path / "none"), given=f"token {GITHUB}\n")
    assert (tried.returncode, tried.stderr) == (1, "")
    scanned = ddgate("scan", str(file), "--state", str(tmp_path / "none"))
    assert scanned.returncode == 1
    assert "10 findings" in scanned.stderr
    assert GITHUB[5:] not in tried.stdout + scanned.stdout
    assert not (tmp_path / "none").exists()
    head = f"{sys.executable} -m addons.cli.main redact test - --json | head -c 1"
    many = "".join(f"password=Zx{number:08}qQ\n" for number in range(2000))
    cut = subprocess.run(head, shell=True, input=many, capture_output=True, text=True, cwd=ROOT, check=False)  # noqa: S602 - a pipe is the subject
    assert (cut.stdout, cut.stderr) == ("{", "")
    assert all(name in ddgate("--help").stdout for name in ("test", "scan", "score"))
