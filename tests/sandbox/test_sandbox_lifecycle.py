"""How both programs start and end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from addons.sandbox.lifecycle import drop_datadog_environment
from tests.sandbox_processes import REPOSITORY, start_datadog, start_issuer

PROGRAMS = ["issuer", "datadog"]
LEAK = "0123456789abcdef0123456789abcdef"


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"addons.sandbox.{program}", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False)


def is_alive(pid: int) -> bool:
    """A zombie, which nobody here can wait for, has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_alive(pid)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_busy_port_is_one_line_that_names_it_and_the_option(program: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(program, "--dir", str(tmp_path), "--port", str(port))
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert str(port) in result.stderr
    assert "--port" in result.stderr
    assert not (tmp_path / f"{program}.json").exists()


def test_a_busy_admin_port_names_its_own_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("datadog", "--dir", str(tmp_path), "--admin-port", str(taken.getsockname()[1]))
    assert result.returncode == 1
    assert "--admin-port" in result.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_taken_port_of_the_last_run_is_replaced(program: str, tmp_path: Path) -> None:
    start = start_issuer if program == "issuer" else start_datadog
    with start(tmp_path) as first:
        port = first.ready["port"]
    with socket.create_server(("127.0.0.1", port)), start(tmp_path) as second:
        assert second.ready["port"] != port


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_second_start_on_one_directory_is_refused(program: str, tmp_path: Path) -> None:
    start = start_issuer if program == "issuer" else start_datadog
    with start(tmp_path) as first:
        result = run(program, "--dir", str(tmp_path))
        assert result.returncode == 1
        assert "already runs" in result.stderr
        assert json.loads((tmp_path / f"{program}.json").read_text())["pid"] == first.process.pid


@pytest.mark.parametrize("program", PROGRAMS)
def test_after_kill_9_the_next_start_is_ready_under_its_own_pid(program: str, tmp_path: Path) -> None:
    start = start_issuer if program == "issuer" else start_datadog
    first = start(tmp_path)
    first.kill()
    assert (tmp_path / f"{program}.json").exists()
    with start(tmp_path) as second:
        assert second.ready["pid"] == second.process.pid != first.process.pid
        assert second.ready["port"] == first.ready["port"]


@pytest.mark.parametrize(
    ("program", "file", "content"),
    [
        ("issuer", "clients.json", "{"),
        ("issuer", "clients.json", '{"alice": {"groups": []}}'),
        ("issuer", "issuer-keys.json", "[]"),
        ("issuer", "issuer-keys.json", '{"current": [{"alg": "RS256", "pem": "x"}], "retired": []}'),
        ("datadog", "keys.json", '{"api_key": "x"}'),
        ("datadog", "keys.json", "{"),
        ("datadog", "sandbox-ca.pem", "no certificate"),
    ],
)
def test_a_broken_file_is_one_line_that_names_it_and_nothing_is_lost(
    program: str, file: str, content: str, tmp_path: Path
) -> None:
    with (start_issuer if program == "issuer" else start_datadog)(tmp_path):
        pass
    (tmp_path / file).write_text(content)
    result = run(program, "--dir", str(tmp_path))
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert file in result.stderr
    assert (tmp_path / file).read_text() == content


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("issuer", "--dir", str(tmp_path / "file" / "below"))
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "file" in result.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_ends_with_its_parent(program: str, tmp_path: Path) -> None:
    parent = f"""
import sys, time
from pathlib import Path
from tests.sandbox_processes import start_{program}
print(start_{program}(Path({str(tmp_path)!r})).process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", parent], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert is_alive(pid)
        process.kill()
    assert until_gone(pid)
    assert not (tmp_path / f"{program}.json").exists(), "it left without cleaning up"


def test_the_end_of_the_starting_thread_is_not_the_end_of_the_parent(tmp_path: Path) -> None:
    started = []
    thread = threading.Thread(target=lambda: started.append(start_datadog(tmp_path)))
    thread.start()
    thread.join()
    with started[0] as stand_in:
        assert stand_in.connections()["accepted"] == 0
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            assert stand_in.process.poll() is None


def test_datadog_variables_are_dropped_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DD_API_KEY", "DD_SITE", "dd_app_key"):
        monkeypatch.setenv(name, LEAK)
    monkeypatch.setenv("ADD_THIS", "kept")
    drop_datadog_environment()
    assert not [name for name in os.environ if name.upper().startswith("DD_")]
    assert os.environ["ADD_THIS"] == "kept"


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_drops_them_before_it_does_anything_else(program: str) -> None:
    code = f"""
import os, sys
from addons.sandbox import {program}
try:
    {program}.main(["--help"])
finally:
    sys.stderr.write(repr([name for name in os.environ if name.startswith("DD_")]))
"""
    environment = {**os.environ, "DD_API_KEY": LEAK, "DD_APP_KEY": LEAK}
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert result.stderr == "[]"


def test_no_real_key_of_the_environment_reaches_a_file(tmp_path: Path) -> None:
    environment = {"DD_API_KEY": LEAK, "DD_APP_KEY": LEAK, "DD_APPLICATION_KEY": LEAK}
    with (
        start_datadog(tmp_path, environment=environment) as stand_in,
        start_issuer(tmp_path, environment=environment),
    ):
        assert LEAK not in json.dumps(stand_in.state())
        for file in tmp_path.iterdir():
            assert LEAK.encode() not in file.read_bytes(), file.name
