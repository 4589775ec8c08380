"""What people find in recordings, and how it is shown: readable, bounded, and never more than text."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow
from typer.testing import CliRunner

from addons.cli.recordings.command import app
from addons.core.model import Effect, Reason
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.policy.files import read_catalogue
from addons.store.recordings.index import RecordingIndex
from addons.store.recordings.selection import Selection
from addons.store.state_dir import StateDir
from addons.store.trail.reader import read_after
from addons.store.writing.audit_log import AuditLog
from tests.recorded_calls import MONDAY, MadeCall, write_recording

ROOT = Path(__file__).resolve().parents[2]

CALLS = [
    MadeCall("GET", "/api/v1/monitor?name=one", at=MONDAY, subject="reader", id="01M84AMVM1KC5RRRPRWQQMVVYF"),
    MadeCall(
        *("POST", "/api/v1/monitor"),
        at=MONDAY + 60,
        subject="writer",
        on_behalf_of="bob",
        body=b'{"name":"Disk full","options":{"thresholds":[1,2]}}',
        encoding="gzip",
        id="01M84AMVM2KC5RRRPRWQQMVVYF",
    ),
    MadeCall(
        *("DELETE", "/api/v1/monitor/7"),
        at=MONDAY + 120,
        subject="writer",
        effect=Effect.DENY,
        reason=Reason.DENIED_BY_RULE,
        rule="no-deletes",
        refused=Reason.DENIED_BY_RULE,
        status=403,
        id="01M84AMVM3KC5RRRPRWQQMVVYF",
    ),
]

type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """Recorded calls, and an audit log that knows their digests."""
    state = StateDir.open(tmp_path / "state")
    write_recording(state.recordings, CALLS, read_catalogue())
    index = RecordingIndex.open(state)
    records = [
        AuditRecord(RecordKind.OUTCOME, entry.time, entry.call, recording=entry.ref)
        for entry in index.select(Selection())
    ]
    index.close()
    log = AuditLog.open(state.audit_log, busy_seconds=5, create=True)
    log.append([[(record, record.encode())] for record in records])
    log.close()
    return state


@pytest.fixture
def run(state: StateDir) -> Run:
    def invoke(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, [*arguments, "--state", str(state.path)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    return invoke


def calls(out: str) -> list[str]:
    return re.findall(r"^01[A-Z0-9]{24}", out, re.MULTILINE)


def put(state: StateDir, flow: http.HTTPFlow, name: str = "other.mitm") -> None:
    file = io.BytesIO()
    FlowWriter(file).add(flow)
    (state.recordings / name).write_bytes(file.getvalue())


def test_list_shows_who_did_what_the_newest_first(run: Run) -> None:
    code, out, err = run("list")
    assert (code, err) == (0, "")
    assert calls(out) == [made.id for made in reversed(CALLS)]
    assert "writer for bob\tCreateMonitor\tPOST /api/v1/monitor\t200\tallow all" in out
    assert "DELETE /api/v1/monitor/7\t403\trefused denied_by_rule no-deletes" in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--who", "reader"), [0]),
        (("--on-behalf-of", "bob"), [1]),
        (("--operation", "*e*Monitor"), [2, 1]),
        (("--method", "delete"), [2]),
        (("--path", "/api/*/monitor"), [1, 0]),
        (("--status", "403"), [2]),
        (("--status", "4XX"), [2]),
        (("--status", "200-299"), [1, 0]),
        (("--effect", "deny"), [2]),
        (("--rule", "no-deletes"), [2]),
        (("--approval", "none"), []),
        (("--session", "none"), []),
        (("--since", "2026-03-02T00:01"), [2, 1]),
        (("--since", "2026-03-02T01:01+01:00"), [2, 1]),
        (("--until", "2026-03-02T00:01:00Z"), [0]),
        (("--since", "2026-03-02", "--until", "2026-03-03", "--who", "writer"), [2, 1]),
        (("--limit", "1"), [2]),
        (("--limit", "0"), [2, 1, 0]),
    ],
)
def test_options_narrow_it(run: Run, arguments: tuple[str, ...], expected: list[int]) -> None:
    code, out, err = run("list", *arguments)
    assert code == 0
    assert calls(out) == [CALLS[n].id for n in expected]
    assert ("No recorded call fits" in err) == (not expected)
    assert ("There are more" in err) == ("1" in arguments)


def test_a_time_ago_is_a_time(run: Run, state: StateDir) -> None:
    write_recording(state.recordings, [MadeCall("GET", "/now", at=time.time() - 60)], read_catalogue())
    _, out, _ = run("list", "--since", "1h")
    assert out.count("GET /now") == len(calls(out)) == 1
    assert calls(run("list", "--since", "10s")[1]) == []


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("--status", "5", "4xx"),
        ("--status", "9xx9", "4xx"),
        ("--effect", "allowed", "require_approval"),
        ("--since", "yesterday", "3d"),
        ("--until", "99999-01-01", "3d"),
        ("--limit", "-1", "limit"),
    ],
)
def test_what_makes_no_sense_is_said_with_what_does(run: Run, option: str, value: str, remedy: str) -> None:
    code, out, err = run("list", option, value)
    assert (code, out) == (2, "")
    assert remedy in err


def test_json_is_one_object_a_line(run: Run) -> None:
    _, out, _ = run("list", "--json")
    first = json.loads(out.splitlines()[0])
    assert (first["call"], first["status"], first["refused"]) == (CALLS[2].id, 403, True)
    assert first["recording"].keys() == {"segment", "offset", "length", "sha256"}
    assert len(out.splitlines()) == 3


def test_search_reads_decoded_bodies(run: Run) -> None:
    _, out, _ = run("search", "disk FULL")
    assert calls(out) == [CALLS[1].id]
    assert 'request body: {"name":"Disk full"' in out
    assert calls(run("search", "disk full", "--who", "reader")[1]) == []
    found = json.loads(run("search", "no-deletes", "--json")[1])
    assert (found["call"], found["found"]["where"]) == (CALLS[2].id, "what ddgate noted")
    assert run("search", "")[0] == 2


def test_show_lays_out_what_was_asked_and_answered(run: Run) -> None:
    code, out, err = run("show", "01m84amvm2")
    assert (code, err) == (0, "")
    assert "writer for bob (https://issuer.example)" in out
    assert "POST https://api.datadoghq.com/api/v1/monitor" in out
    assert '{\n  "name": "Disk full",\n  "options": {\n    "thresholds": [\n      1,\n      2\n    ]' in out
    assert "\n200 OK\n" in out
    assert "these bytes are what was recorded (audit record 2)" in out


def test_show_json_holds_the_same(run: Run) -> None:
    shown = json.loads(run("show", CALLS[1].id, "--json")[1])
    assert json.loads(shown["request"]["body"])["name"] == "Disk full"
    assert shown["proof"]["standing"] == "as_recorded"
    assert shown["answer"]["body"] == "{}"


def test_show_needs_an_id_that_means_one_call(run: Run) -> None:
    code, _, err = run("show", "01M84AMVM")
    assert code == 1
    assert all(made.id in err for made in CALLS)
    code, _, err = run("show", "01NONE\x1b[2J")
    assert code == 1
    assert "no recorded call has the id 01NONE\\x1b[2J" in err


def test_bytes_that_were_changed_are_shown_and_called_so(run: Run, state: StateDir) -> None:
    (segment,) = state.recordings.glob("*.mitm")
    segment.write_bytes(segment.read_bytes().replace(b"/api/v1/monitor/7", b"/api/v1/monitor/8"))
    code, out, _ = run("show", CALLS[2].id)
    assert code == 1
    assert "/api/v1/monitor/8" in out
    assert "these bytes are NOT what was recorded: audit record 1 has sha256 " in out
    assert run("show", CALLS[0].id)[0] == 0


HOSTILE = "\x1b]0;owned\x07\u202egnp.exe\r\x9b2J\x00"


def test_no_control_character_reaches_a_terminal(run: Run, state: StateDir) -> None:
    flow = tflow.tflow(resp=True)
    flow.request = http.Request.make("GET", "https://api.datadoghq.com/api/v1/monitor", HOSTILE.encode())
    flow.request.path = f"/{HOSTILE}"
    flow.request.headers[f"X-{HOSTILE}"] = HOSTILE
    assert flow.response is not None
    flow.response.raw_content = f'{{"a": "{HOSTILE}",\n"b": 1}}'.replace("\x00", "").encode()
    flow.response.data.reason = HOSTILE.encode()
    flow.metadata = {"ddgate.call": f"01{HOSTILE}", "ddgate.principal": HOSTILE, "ddgate.session": HOSTILE}
    put(state, flow)
    for arguments in (
        ("list",),
        ("search", "owned"),
        ("show", flow.id),
        ("show", flow.id, "--json"),
        ("show", "0"),
    ):
        _, out, err = run(*arguments)
        assert "owned" in out + err
        odd = {char for char in out + err if not char.isprintable()} - {"\n", "\t"}
        assert not odd, (arguments, odd)


def test_long_bodies_are_cut_unless_all_is_wanted(run: Run, state: StateDir) -> None:
    flow = tflow.tflow(resp=True)
    flow.request = http.Request.make("GET", "https://api.datadoghq.com/x", "line\n" * 1000 + "the end")
    put(state, flow)
    _, out, _ = run("show", flow.id)
    assert "the end" not in out
    assert "cut here: the body has 5007 bytes; --full shows all" in out
    assert "the end" in run("show", flow.id, "--full")[1]


def test_what_is_no_text_is_told_by_its_size(run: Run, state: StateDir) -> None:
    write_recording(
        state.recordings,
        [
            MadeCall("POST", "/a", body=b"\xff\xfe\x00", id="01M84AMVM9AAAAAAAAAAAAAAAA"),
            MadeCall("POST", "/b", body=b"x" * 9, stored=False, id="01M84AMVM9BBBBBBBBBBBBBBBB"),
        ],
        read_catalogue(),
    )
    assert "(3 bytes that are no text" in run("show", "01M84AMVM9A")[1]
    assert "(9 bytes; only its size and its digest are stored)" in run("show", "01M84AMVM9B")[1]


def test_damage_is_told_beside_what_can_be_read(run: Run, state: StateDir) -> None:
    (state.recordings / "broken.mitm").write_bytes(b"garbage" * 5)
    for arguments in (("list",), ("search", "disk"), ("show", CALLS[0].id), ("reindex",)):
        code, out, err = run(*arguments)
        assert code == 0
        assert out
        assert "segment broken.mitm, byte 0: no flow begins here" in err


def test_reindex_counts_what_it_found(run: Run, state: StateDir) -> None:
    assert (
        run("reindex")[1] == f"3 calls in 1 segments are indexed at {state.path}/recordings-index.sqlite3.\n"
    )


def test_a_place_without_recordings_is_told(tmp_path: Path) -> None:
    for arguments in (["list"], ["show", "x"], ["reindex"], ["export", "-o", str(tmp_path / "x")]):
        done = CliRunner().invoke(app, [*arguments, "--state", str(tmp_path / "gone")])
        assert done.exit_code == 1
        assert done.stderr.startswith("ddgate: There are no recordings at ")
    assert list(tmp_path.iterdir()) == []


def test_each_look_is_on_record(run: Run, state: StateDir, tmp_path: Path) -> None:
    run("list", "--who", "writer")
    run("search", "disk", "--who", "writer")
    run("show", CALLS[0].id[:12])
    run("export", "--who", "writer", "-o", str(tmp_path / "out.mitm"))
    reads = [record for record in read_records(state) if record["kind"] == "read"]
    assert [record["attributes"]["command"] for record in reads] == [
        *("recordings list", "recordings search", "recordings show", "recordings export")
    ]
    assert [record["attributes"]["found"] for record in reads] == [2, 1, 1, 2]
    assert reads[2]["attributes"]["asked"] == {"id": CALLS[0].id}


def read_records(state: StateDir) -> list[dict[str, Any]]:
    return [json.loads(record.body) for record in read_after(state.audit_log, 0)]


def test_it_ends_quietly_when_nobody_reads_on(state: StateDir) -> None:
    program = "from addons.cli.recordings.command import app; app()"
    write_recording(
        state.recordings, [MadeCall("GET", f"/api/v1/monitor/{n}") for n in range(500)], read_catalogue()
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, "list", "-n", "0", "--state", str(state.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(30)
