"""What `recordings export` writes: mitmproxy's own reader, HAR's schema and a real shell are the judges."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import tflow
from typer.testing import CliRunner

from addons.cli.recordings.command import app
from addons.cli.recordings.curl import HEAD, NoCommand, curl_command
from addons.cli.recordings.har import har_entry
from addons.core.redact.masking.mask import Masker
from addons.store.audit.record import SegmentRef
from addons.store.policy.files import read_catalogue
from addons.store.recordings.entry import Entry, entry_of
from addons.store.recordings.flows import StoredFlow
from addons.store.state_dir import StateDir
from tests.har_schema import HAR
from tests.recorded_calls import MONDAY, CallMaker, MadeCall, write_recording

CALLS = [
    MadeCall("GET", "/api/v1/monitor?name=caf%C3%A9&x=1", at=MONDAY, id="01M84AMVM1KC5RRRPRWQQMVVYF"),
    MadeCall(
        *("POST", "/api/v1/monitor"),
        at=MONDAY + 1,
        body='{"name": "it\'s $(touch x) `touch x` é\\u00e9", "n": 1.0}\n'.encode(),
        encoding="gzip",
        subject="writer",
        id="01M84AMVM2KC5RRRPRWQQMVVYF",
    ),
    MadeCall("POST", "/api/v2/logs", at=MONDAY + 2, body=b"\x00\xff", id="01M84AMVM3KC5RRRPRWQQMVVYF"),
]

type Run = Callable[..., tuple[int, str]]


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    state = StateDir.open(tmp_path / "state")
    write_recording(state.recordings, CALLS, read_catalogue())
    return state


@pytest.fixture
def run(state: StateDir) -> Run:
    def invoke(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["export", *arguments, "--state", str(state.path)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stderr

    return invoke


def read(path: Path) -> list[http.HTTPFlow]:
    flows = list(FlowReader(io.BytesIO(path.read_bytes())).stream())
    assert all(isinstance(flow, http.HTTPFlow) for flow in flows)
    return [flow for flow in flows if isinstance(flow, http.HTTPFlow)]


def test_mitm_is_the_bytes_as_they_were_recorded_in_their_order(
    run: Run, state: StateDir, tmp_path: Path
) -> None:
    out = tmp_path / "out.mitm"
    code, err = run("-o", str(out))
    assert code == 0
    assert f"3 calls were written to {out}." in err
    (segment,) = state.recordings.glob("*.mitm")
    assert out.read_bytes() == segment.read_bytes()
    assert [flow.metadata["ddgate.call"] for flow in read(out)] == [made.id for made in CALLS]


def test_a_selection_or_one_call_is_what_is_written(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.mitm"
    for arguments, expected in (
        (("--who", "writer"), [1]),
        (("01m84amvm3",), [2]),
        (("--limit", "2"), [1, 2]),
        (("--until", "2026-03-02T00:00:02"), [0, 1]),
    ):
        assert run(*arguments, "-o", str(out), "--force")[0] == 0
        assert [flow.metadata["ddgate.call"] for flow in read(out)] == [CALLS[n].id for n in expected]
    assert run("01M84AMVM3", "--who", "writer", "-o", str(out))[0] == 2


def test_nothing_found_writes_nothing(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.mitm"
    code, err = run("--who", "nobody", "-o", str(out))
    assert code == 1
    assert "nothing was written" in err
    assert run("01NONE", "-o", str(out))[0] == 1
    assert not out.exists()


def test_files_are_private_and_stay_unless_forced(run: Run, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out.mitm", tmp_path / "precious"
    assert run("-o", str(out))[0] == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    before = out.read_bytes()
    code, err = run("01M84AMVM1", "-o", str(out))
    assert (code, out.read_bytes()) == (1, before)
    assert "is there already; name another file, or add --force" in err
    elsewhere.write_text("precious")
    out.unlink()
    out.symlink_to(elsewhere)
    assert run("-o", str(out))[0] == 1
    assert run("-o", str(out), "--force")[0] == 0
    assert elsewhere.read_text() == "precious"
    assert not out.is_symlink()
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert "is a directory" in run("-o", str(tmp_path), "--force")[1]
    assert "No such file" in run("-o", str(tmp_path / "gone" / "x"))[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mitm", "precious", "state"]


def test_what_cannot_be_read_is_left_out_and_told(run: Run, state: StateDir, tmp_path: Path) -> None:
    assert run("-o", str(tmp_path / "first.mitm"))[0] == 0
    (segment,) = state.recordings.glob("*.mitm")
    seen = segment.stat()
    segment.write_bytes(segment.read_bytes().replace(b"caf%C3%A9", b"caf%C3%AA"))
    os.utime(segment, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    out = tmp_path / "out.mitm"
    code, err = run("-o", str(out))
    assert code == 1
    assert f"call {CALLS[0].id} is left out: segment {segment.name}" in err
    assert len(read(out)) == 2


def test_har_fits_the_specification_and_mitmproxy_reads_it(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.har"
    assert run("-f", "har", "-o", str(out))[0] == 0
    har = json.loads(out.read_text())
    jsonschema.validate(har, HAR)
    first, second, third = har["log"]["entries"]
    assert {"name": "name", "value": "café"} in first["request"]["queryString"]
    assert first["startedDateTime"] == "2026-03-02T00:00:00+00:00"
    assert first["_ddgate"]["call"] == CALLS[0].id
    assert second["request"]["postData"]["text"].encode() == CALLS[1].body
    assert third["request"]["postData"]["_encoding"] == "base64"
    flows = read(out)
    assert [(flow.request.method, flow.request.url) for flow in flows] == [
        (made.method, f"https://{made.host}{made.path}") for made in CALLS
    ]
    assert flows[1].request.content == CALLS[1].body
    assert [flow.response.content for flow in flows if flow.response] == [b"{}"] * 3


def curl_of(made: MadeCall) -> str:
    return curl_command(*flow_of(made))


def flow_of(made: MadeCall) -> tuple[Entry, http.HTTPFlow]:
    return of_bytes(CallMaker(read_catalogue()).serialised(made)[1])


def of_bytes(data: bytes) -> tuple[Entry, http.HTTPFlow]:
    stored = StoredFlow(Path("x.mitm"), 0, data)
    entry, flow = entry_of(stored, SegmentRef("x.mitm", 0, len(data), "")), stored.whole()
    assert entry is not None
    assert flow is not None
    return entry, flow


def run_script(script: str, directory: Path, shell: str = "sh") -> tuple[list[str], bytes]:
    """Run it with a curl that writes down its arguments and its standard input."""
    binaries = directory / "bin"
    binaries.mkdir(exist_ok=True)
    curl = binaries / "curl"
    curl.write_text(
        f"#!/bin/sh\nprintf '%s\\0' \"$@\" > {directory}/arguments\n"
        f'case "$*" in *--data-binary*) cat > {directory}/body;; *) : > {directory}/body;; esac\n'
    )
    curl.chmod(0o700)
    written_out = directory / "script"
    written_out.write_bytes(script.encode("utf-8", "surrogateescape"))
    done = subprocess.run(
        [shell, str(written_out)],
        cwd=directory,
        env={"PATH": f"{binaries}:{os.environ['PATH']}", "DDGATE_TOKEN": "to ken"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    arguments = (directory / "arguments").read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
    return arguments, (directory / "body").read_bytes()


def after(arguments: list[str], option: str) -> list[str]:
    return [arguments[n + 1] for n, each in enumerate(arguments) if each == option]


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_curl_says_what_was_said_and_goes_through_the_gateway(tmp_path: Path, shell: str) -> None:
    arguments, _ = run_script(HEAD + curl_of(CALLS[1]), tmp_path, shell)
    assert after(arguments, "--proxy") == ["http://127.0.0.1:8080"]
    assert after(arguments, "--proxy-user") == ["agent:to ken"]
    assert after(arguments, "--request") == ["POST"]
    assert after(arguments, "--url") == ["https://api.datadoghq.com/api/v1/monitor"]
    assert after(arguments, "--header") == ["Content-Type: application/json"]
    assert after(arguments, "--data-raw") == [CALLS[1].body.decode()]
    assert not (tmp_path / "x").exists()
    arguments, body = run_script(HEAD + curl_of(CALLS[2]), tmp_path, shell)
    assert after(arguments, "--data-binary") == ["@-"]
    assert body == b"\x00\xff"
    big = MadeCall("POST", "/api/v2/logs", body=b"x" * 300_000)
    assert run_script(HEAD + curl_of(big), tmp_path, shell)[1] == big.body


def test_without_a_token_the_script_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", HEAD], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "DDGATE_TOKEN: set it to your token" in done.stderr


def test_no_credential_stands_in_the_script() -> None:
    flow = tflow.tflow()
    flow.request = http.Request.make(
        "GET",
        "https://api.datadoghq.com/api/v1/monitor",
        headers=http.Headers(
            [
                (b"DD-API-KEY", b"planted"),
                (b"dd_application_key", b"planted"),
                (b"Authorization", b"Bearer planted"),
                (b"Cookie", b"planted"),
                (b"Proxy-Authorization", b"planted"),
                (b"X-DDGate-Identity", b"planted"),
                (b"Accept", b"kept"),
            ]
        ),
    )
    script = curl_command(*of_bytes(written(flow)))
    assert "planted" not in script
    assert "kept" in script


def written(flow: http.HTTPFlow) -> bytes:
    file = io.BytesIO()
    FlowWriter(file).add(flow)
    return file.getvalue()


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (MadeCall("POST", "/a", body=b"x", stored=False), "not in the recording"),
        (MadeCall("CONNECT", "/a"), "no method of a request"),
        (MadeCall("GET", "/a b"), "its path"),
        (MadeCall("GET", "/\n"), "its path"),
    ],
)
def test_a_call_that_no_command_makes_again_is_told(made: MadeCall, why: str) -> None:
    with pytest.raises(NoCommand, match=why):
        curl_of(made)


def test_a_masked_body_is_marked() -> None:
    mask = Masker(b"k" * 32).mask("token", b"secret")
    text = mask if isinstance(mask, str) else mask.decode()
    assert "# It holds masks" in curl_of(MadeCall("POST", "/a", body=json.dumps({"a": text}).encode()))
    assert "# It holds masks" not in curl_of(CALLS[1])


# What a shell, curl and a terminal take for something else.
PIECES = st.sampled_from(
    [
        *"'\"`$\\;&|<>(){}[]*?!#~ \n\r\t\0@-%=:",
        "$(touch x)",
        "=END=\n",
        "é",
        "\x1b",
        "\u202e",
        "'\"'\"'",
        "a",
        "\x80",
    ]
)
HOSTILE = st.lists(PIECES, max_size=12).map("".join)
PRINTED = PIECES.filter(lambda piece: piece.isprintable() and " " not in piece)
PATHS = HOSTILE | st.lists(PRINTED, max_size=12).map("".join)
HOSTS = st.just("api.datadoghq.com") | HOSTILE


@settings(max_examples=60, deadline=None)
@given(PATHS, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTS)
def test_nothing_hostile_leaves_its_quotes(
    tmp_path_factory: pytest.TempPathFactory,
    path: str,
    name: str,
    value: str,
    body: str,
    call: str,
    host: str,
) -> None:
    directory = tmp_path_factory.mktemp("hostile")
    flow = tflow.tflow(resp=True)
    flow.request = http.Request.make(
        "POST", "https://api.datadoghq.com/", body.encode("utf-8", "surrogateescape")
    )
    flow.request.path = f"/{path}"
    flow.request.host = host
    flow.request.headers = http.Headers([(name.encode() or b"n", value.encode()), (b"@x", b"y")])
    flow.metadata = {"ddgate.call": call, "ddgate.x": value}
    entry, read_back = of_bytes(written(flow))
    jsonschema.validate(
        {
            "log": {
                "version": "1.2",
                "creator": {"name": "x", "version": "1"},
                "entries": [json.loads(har_entry(read_back))],
            }
        },
        HAR,
    )
    try:
        script = curl_command(entry, read_back)
    except NoCommand:
        return
    arguments, given_body = run_script(HEAD + script, directory)
    assert not (directory / "x").exists()
    assert [each for each in arguments if each.startswith("-")] == [
        each
        for each in arguments
        if each.startswith("-")
        and each
        in {
            *KNOWN,
            *after(arguments, "--data-raw"),
            *after(arguments, "--url"),
            *after(arguments, "--header"),
        }
    ]
    (url,) = after(arguments, "--url")
    assert url.startswith("https://")
    assert url.endswith(f"/{path}")
    sent = after(arguments, "--data-raw")
    assert (sent[0].encode("utf-8", "surrogateescape") if sent else given_body) == body.encode()
    assert all(
        header.partition(":")[0].partition(";")[0].isprintable() for header in after(arguments, "--header")
    )
    assert not any(header.startswith("@") for header in after(arguments, "--header"))


KNOWN = {
    *("--silent", "--show-error", "--globoff", "--path-as-is", "--proxy", "--proxy-user", "--cacert"),
    *("--request", "--header", "--data-raw", "--data-binary", "--url"),
}
