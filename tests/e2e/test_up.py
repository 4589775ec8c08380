"""`ddgate up` on the sandbox, as at the very first start: it comes up, is told how to be used, never sees a
real key, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from addons.sandbox.issuer_client import fetch_token
from tests.e2e.gateway_process import ROOT, accepts, free_port, wait_until

REAL_KEY = "0123456789abcdef0123456789abcdef"
PLANTED = {
    "DD_API_KEY": REAL_KEY,
    "DD_APP_KEY": REAL_KEY,
    "DD_SITE": "datadoghq.com",
    "DATADOG_API_KEY": REAL_KEY,
}


class Up:
    """One `ddgate up`, its ports chosen by environment variables."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.environment = environment
        self.state = directory / "state"
        self.certs = directory / "certs"
        self.out = directory / "out.log"
        self.ports = {name: free_port() for name in ("listen", "control", "inspector")}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **options: Any) -> Up:
        """`options` are Popen's, instead of those here."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DDGATE_")},
            **PLANTED,
            **{f"DDGATE__{name.upper()}__PORT": str(port) for name, port in self.ports.items()},
            "DDGATE__CERTS": str(self.certs),
            **self.environment,
        }
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "addons.cli.main", "up", "--sandbox", "--state", str(self.state)],
                cwd=ROOT,
                env=environment,
                **{"stdout": out, "stderr": out, "stdin": subprocess.DEVNULL, **options},
            )
        return self

    def wait(self) -> Up:
        wait_until(self._is_up, 60, "`ddgate up`")
        return self

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.out.read_text()
        return "Ctrl-C stops it." in self.out.read_text()

    def children(self) -> list[int]:
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    started = Up(tmp_path)
    yield started
    if started.process is not None and started.process.poll() is None:
        started.process.kill()
        started.process.wait()


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _all_ended(pids: list[int]) -> bool:
    return not any(_is_running(pid) for pid in pids)


def _call(up: Up) -> httpx.Response:
    token = fetch_token(up.state / "sandbox" / "issuer", "demo-agent")
    done = subprocess.run(
        [
            *("curl", "-sS", "--max-time", "20", "--proxy", f"http://127.0.0.1:{up.ports['listen']}"),
            *("--proxy-user", f"agent:{token}", "--cacert", str(up.certs / "ddgate-ca.pem")),
            *("-w", "\n%{http_code}", "https://api.datadoghq.com/api/v1/validate"),
        ],
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    body, _, status = done.stdout.rpartition(b"\n")
    return httpx.Response(int(status), content=body)


def test_the_sandbox_comes_up_is_used_and_goes_and_never_sees_a_real_key(up: Up) -> None:
    for _ in range(2):  # the second start finds what the first made
        up.start().wait()
        assert up.process is not None
        children = up.children()
        assert len(children) == 5  # issuer, stand-in, gateway, control, inspector
        for pid in children:
            assert REAL_KEY.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
        ready = httpx.get(f"http://127.0.0.1:{up.ports['control']}/readyz", trust_env=False)
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        answer = _call(up)
        assert (answer.status_code, answer.json()) == (200, {"valid": True})
        said = up.out.read_text()
        for told in (
            f"http://127.0.0.1:{up.ports['listen']}",
            f"http://127.0.0.1:{up.ports['control']}/approvals  log in as alice, bob or carol",
            f"http://127.0.0.1:{up.ports['control']}/readyz",
            "approvals watch --as alice",
            f"http://127.0.0.1:{up.ports['inspector']}/?token=",
            "run --as sre-agent -- curl",
            "audit tail",
            "nothing real is reached",
        ):
            assert told in said
        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(30) == 0
        assert _all_ended(children)
        assert not any(accepts(port) for port in up.ports.values())
        assert "Traceback" not in up.out.read_text()
    for path in [*up.state.rglob("*"), *up.certs.rglob("*"), up.out]:
        if path.is_file():
            assert REAL_KEY.encode() not in path.read_bytes(), path


def test_a_person_of_the_sandbox_logs_in_to_the_page_and_on_the_command_line(up: Up) -> None:
    up.start().wait()
    place = f"http://127.0.0.1:{up.ports['control']}"
    with httpx.Client(base_url=place, trust_env=False) as browser:
        asked = browser.get("/login/start?next=/approvals").headers["location"]
        assert "/ddgate-sandbox/authorize?" in asked
        form = {**dict(parse_qsl(urlsplit(asked).query)), "person": "alice"}
        back = httpx.post(asked.partition("?")[0], data=form, trust_env=False).headers["location"]
        assert back.startswith(f"{place}/")
        assert browser.get(back).status_code == 303
        page = browser.get("/approvals")
        assert (page.status_code, "alice@sandbox.example" in page.text) == (200, True)
    command = [sys.executable, "-m", "addons.cli.main", "approvals", "list", "--as", "alice"]
    environment = {
        **os.environ,
        "DDGATE_STATE": str(up.state),
        "DDGATE__CONTROL__PORT": str(up.ports["control"]),
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "Nothing waits.\n")


def test_whatever_ends_the_parent_ends_its_processes(up: Up) -> None:
    up.start().wait()
    assert up.process is not None
    children = up.children()
    up.process.kill()
    up.process.wait()
    wait_until(lambda: _all_ended(children), 20, "the processes' end")


@pytest.mark.parametrize("part", ["listen", "control", "inspector"])
def test_a_port_in_use_is_named_before_anything_serves(up: Up, part: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", up.ports[part]))
        taken.listen()
        up.start()
        assert up.process is not None
        assert up.process.wait(40) == 1
    said = up.out.read_text()
    assert f"port {up.ports[part]} on 127.0.0.1" in said.replace("\n", " ")
    assert f"DDGATE__{part.upper()}__PORT" in said
    assert "Traceback" not in said
    assert not any(accepts(port) for port in up.ports.values())


def test_a_gateway_that_ends_ends_all_the_rest(up: Up) -> None:
    up.start().wait()
    assert up.process is not None
    children = up.children()
    (gateway,) = [pid for pid in children if b"\0gateway\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(gateway, signal.SIGKILL)
    assert up.process.wait(30) == 1
    assert "the gateway ended" in up.out.read_text()
    assert _all_ended(children)
