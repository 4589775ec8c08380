"""The inspector as a process of its own, asked over HTTP as a browser would."""

from __future__ import annotations

import itertools
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from addons.inspector.main import InspectorRefused, run_inspector
from addons.store.recordings.segments import SegmentWriter
from addons.store.state_dir import StateDir
from tests.e2e.forked import Forked

type MakeFlow = Callable[..., bytes]

ROOT = Path(__file__).resolve().parents[2]
FLOW = "0123abcd-0000"
HOST_OF_FLOW = '"address"'  # the host that mitmproxy's test flow names


def start(*arguments: str) -> Forked:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return Forked(arguments, program="inspector", text=True, **pipes)


@pytest.fixture
def url(state: StateDir) -> Iterator[str]:
    process = start("--state", str(state.path), "--port", "0")
    assert process.stdout is not None
    said = process.stdout.readline()
    found = re.search(r"http://\S+", said)
    assert found, said
    yield found[0].rstrip("/")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert state.inspector_password() not in said + out + err


@pytest.fixture
def anonymous(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture
def engineer(url: str, state: StateDir) -> Iterator[httpx.Client]:
    token = {"Authorization": f"Bearer {state.inspector_password()}"}
    with httpx.Client(base_url=url, headers=token) as client:
        yield client


@pytest.fixture
def shown(engineer: httpx.Client, writer: SegmentWriter, make_flow: MakeFlow) -> str:
    """The id of a flow that the inspector shows."""
    writer.append(make_flow(FLOW))
    wait_for(engineer, [FLOW], seconds=1)
    return FLOW


def flow_ids(client: httpx.Client) -> list[str]:
    answer = client.get("/flows")
    assert answer.status_code == 200
    return [flow["id"] for flow in answer.json()]


def wait_for(client: httpx.Client, wanted: list[str], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while sorted(flow_ids(client)) != sorted(wanted):
        assert time.monotonic() < deadline, flow_ids(client)
        time.sleep(0.02)


def test_a_recorded_flow_shows_within_a_second_open_or_complete(
    engineer: httpx.Client, writer: SegmentWriter, make_flow: MakeFlow
) -> None:
    assert flow_ids(engineer) == []
    writer.append(make_flow(FLOW))
    wait_for(engineer, [FLOW], seconds=1)
    writer.append(make_flow("0123abcd-0001"))
    writer.rotate()
    wait_for(engineer, [FLOW, "0123abcd-0001"], seconds=1)


def test_a_half_written_flow_shows_when_it_is_whole(
    engineer: httpx.Client, state: StateDir, make_flow: MakeFlow
) -> None:
    path, flow = state.recordings / "1.mitm.open", make_flow(FLOW)
    path.write_bytes(make_flow("0123abcd-0001") + flow[:100])
    wait_for(engineer, ["0123abcd-0001"], seconds=1)
    with path.open("ab") as file:
        file.write(flow[100:])
    wait_for(engineer, ["0123abcd-0001", FLOW], seconds=1)


def test_content_and_pretty_views_of_a_flow_are_readable(
    engineer: httpx.Client, writer: SegmentWriter, make_flow: MakeFlow
) -> None:
    writer.append(make_flow(FLOW))
    wait_for(engineer, [FLOW], seconds=1)
    assert engineer.get(f"/flows/{FLOW}/response/content.data").content == b"message"
    assert engineer.get(f"/flows/{FLOW}/response/content/auto.json").json()["text"] == "message"


def test_what_the_page_loads_is_there(engineer: httpx.Client) -> None:
    page = engineer.get("/")
    assert page.status_code == 200
    for address in re.findall(r'(?:src|href)="\.?/?(static/[^"]+)"', page.text):
        assert engineer.get(f"/{address}").status_code == 200
    assert engineer.get("/state").json()["servers"] == {}
    assert engineer.get("/events").status_code == 200
    # Refused, and yet in the form that the page's table needs.
    assert {"web_columns", "content_view_lines_cutoff"} <= engineer.get("/options").json().keys()


READABLE = [
    "/",
    "/flows",
    "/flows.json",
    f"/flows/{FLOW}/request/content.data",
    "/state",
    "/events",
    "/options",
    "/commands",
    "/flows/dump",
    "/updates",
    "/filter-help",
]


def test_without_the_password_there_is_no_data(anonymous: httpx.Client, shown: str) -> None:
    for path, token in itertools.product(READABLE, ["", "wrong", "ünicode"]):
        answer = anonymous.get(path, params={"token": token} if token else {})
        assert answer.status_code == 403, path
        assert shown not in answer.text
        assert HOST_OF_FLOW not in answer.text
    assert not any("ddgate-inspector" in name for name in anonymous.cookies)


def test_the_login_form_opens_a_session(anonymous: httpx.Client, state: StateDir) -> None:
    token = re.search(r'name="_xsrf" value="([^"]+)"', anonymous.get("/").text)
    assert token
    form = {"token": state.inspector_password(), "_xsrf": token[1]}
    assert anonymous.post("/", data=form).status_code == 200
    assert anonymous.get("/flows").json() == []


CHANGES = [
    ("PUT", "/options"),
    ("POST", "/options"),
    ("POST", "/options/save"),
    ("GET", "/commands"),
    ("POST", "/commands/set"),
    ("POST", "/commands/script.run"),
    ("POST", "/commands/view.flows.load"),
    ("POST", "/commands/save.file"),
    ("POST", "/clear"),
    ("GET", "/flows/dump"),
    ("POST", "/flows/dump"),
    ("POST", "/flows/resume"),
    ("POST", "/flows/kill"),
    ("PUT", f"/flows/{FLOW}"),
    ("DELETE", f"/flows/{FLOW}"),
    ("POST", f"/flows/{FLOW}/resume"),
    ("POST", f"/flows/{FLOW}/kill"),
    ("POST", f"/flows/{FLOW}/duplicate"),
    ("POST", f"/flows/{FLOW}/replay"),
    ("POST", f"/flows/{FLOW}/revert"),
    ("POST", f"/flows/{FLOW}/request/content.data"),
    ("POST", f"/flows/{FLOW}/response/content.data"),
    ("GET", "/processes"),
    ("GET", "/executable-icon?path=/etc/passwd"),
]


def test_nothing_can_be_changed_run_loaded_or_replayed(engineer: httpx.Client, shown: str) -> None:
    before = engineer.get("/flows").json()
    # With a token against cross-site requests, as the page sends it: the refusal isn't for want of one.
    token = "ab" * 16
    engineer.cookies.set("_ddgate_inspector_xsrf", token)
    engineer.headers["X-XSRFToken"] = token
    for method, path in CHANGES:
        answer = engineer.request(method, path, json={"request": {"path": "/changed"}})
        assert answer.status_code == 403, (method, path, answer.status_code)
    assert engineer.get("/flows").json() == before


def test_no_option_of_mitmproxys_is_told(engineer: httpx.Client, state: StateDir) -> None:
    told = engineer.get("/options").text + engineer.get("/commands").text
    for word in ("web_password", "scripts", "confdir", "script.run", state.inspector_password()):
        assert word not in told


FOREIGN = ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "0.0.0.0", ""]


def test_another_hosts_name_gets_no_answer_even_with_the_password(engineer: httpx.Client) -> None:
    for host, path in itertools.product(FOREIGN, ["/", "/flows", "/static/favicon.ico"]):
        answer = engineer.get(path, headers={"Host": host})
        assert answer.status_code in {400, 421}, (host, path)
        assert "[]" not in answer.text


def test_its_own_names_are_answered(engineer: httpx.Client) -> None:
    for host in ("localhost:9999", "127.0.0.1", "LOCALHOST", "[::1]:1"):
        assert engineer.get("/flows", headers={"Host": host}).status_code == 200, host


async def test_the_live_channel_needs_the_password_and_its_own_origin(
    url: str, engineer: httpx.Client, state: StateDir, writer: SegmentWriter, make_flow: MakeFlow
) -> None:
    address = url.replace("http", "ws") + "/updates"
    with pytest.raises(HTTPClientError, match="403"):
        await websocket_connect(address)
    token = {"Authorization": f"Bearer {state.inspector_password()}"}
    with pytest.raises(HTTPClientError, match="403"):
        await websocket_connect(HTTPRequest(address, headers={**token, "Origin": "http://evil.example"}))
    channel = await websocket_connect(HTTPRequest(address, headers=token))
    writer.append(make_flow(FLOW))
    message = await channel.read_message()
    assert isinstance(message, str)
    assert '"flows/add"' in message
    assert FLOW in message
    channel.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "127.0.0.2", "example.com", ""])
def test_only_loopback_is_listened_on(tmp_path: Path, host: str) -> None:
    with pytest.raises(InspectorRefused, match="only"):
        run_inspector(tmp_path, host, 0, "a password of length", pytest.fail)


def test_no_inspector_without_a_password(tmp_path: Path) -> None:
    with pytest.raises(InspectorRefused, match="password"):
        run_inspector(tmp_path, "127.0.0.1", 0, "", pytest.fail)


def test_the_password_is_made_once_and_readable_by_its_owner_alone(url: str, state: StateDir) -> None:
    assert stat.S_IMODE(state.inspector_password_file.stat().st_mode) == 0o600


def test_a_port_in_use_is_an_error_a_person_can_read(url: str, state: StateDir) -> None:
    process = start("--state", str(state.path), "--port", url.rsplit(":", 1)[1])
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, "")
    assert "--port" in err
    assert "Traceback" not in err


def test_it_runs_on_recordings_and_a_password_alone(state: StateDir) -> None:
    state.inspector_password()
    where = ["--recordings", str(state.recordings), "--password-file", str(state.inspector_password_file)]
    process = start(*where, "--port", "0")
    assert process.stdout is not None
    assert "http://127.0.0.1:" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 0
