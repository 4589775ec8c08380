from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.forked import Forked
from tests.sidecar.fake_gateway import Certificates, FakeGateway, make_token
from tests.sidecar.running import REPOSITORY, command_line, ddgate_run, environment

DUMP = (
    "import json, os, pathlib; read = lambda path: pathlib.Path(path).read_bytes().decode(errors='replace'); "
    "me, parent = os.getpid(), os.getppid(); "
    "print(json.dumps([read(f'/proc/{me}/environ'), read(f'/proc/{me}/cmdline'), "
    "read(f'/proc/{parent}/cmdline'), "
    "dict(os.environ)]))"
)


def options(gateway: FakeGateway, certificates: Certificates, token_file: Path) -> list[str]:
    return ["--gateway", gateway.url, "--ca", str(certificates.ca), "--token-file", str(token_file)]


@pytest.mark.parametrize("status", [0, 1, 3, 125, 255])
def test_the_exit_status_is_the_commands(
    gateway: FakeGateway, certificates: Certificates, token_file: Path, status: int
) -> None:
    done = ddgate_run(
        *options(gateway, certificates, token_file), "--", "sh", "-c", f"echo out; exit {status}"
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, "out\n", "")


def test_a_command_that_a_signal_ended_gives_128_and_the_signal(
    gateway: FakeGateway, certificates: Certificates, token_file: Path
) -> None:
    done = ddgate_run(*options(gateway, certificates, token_file), "--", "sh", "-c", "kill -KILL $$")
    assert done.returncode == 128 + 9


def test_a_command_that_is_not_there_or_not_executable_is_told_in_a_line(
    gateway: FakeGateway, certificates: Certificates, token_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "plain").write_text("no program")
    for command, status in (("no-such-command-here", 127), (str(tmp_path / "plain"), 126)):
        done = ddgate_run(*options(gateway, certificates, token_file), "--", command)
        assert done.returncode == status
        assert done.stderr.startswith(f"ddgate run: {command}: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1"])
def test_a_signal_reaches_the_command_and_its_status_comes_back(
    gateway: FakeGateway, certificates: Certificates, token_file: Path, name: str
) -> None:
    wait = "echo ready; while :; do sleep 0.05; done"
    script = f"trap 'echo got {name}; exit 42' {name.removeprefix('SIG')}; {wait}"
    process = Forked(
        ["run", *options(gateway, certificates, token_file), "--", "sh", "-c", script],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # no terminal: the signal goes to ddgate run alone
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, name))
    assert process.communicate(timeout=20)[0] == f"got {name}\n"
    assert process.returncode == 42


def test_ctrl_c_on_a_terminal_reaches_the_command_once(
    gateway: FakeGateway, certificates: Certificates, token_file: Path
) -> None:
    """The terminal gives it to the whole foreground group: forwarding would double it."""
    # The wake-up descriptor gets a byte for each signal; handlers run once for two that come close together.
    agent = (
        "import os, signal, time; got = []; signal.signal(signal.SIGINT, lambda *_: got.append(1))\n"
        "reader, writer = os.pipe(); os.set_blocking(writer, False); signal.set_wakeup_fd(writer)\n"
        "print('ready', flush=True); begin = time.monotonic()\n"
        "while not got and time.monotonic() - begin < 20: time.sleep(0.02)\n"
        "time.sleep(0.7); print('got', len(os.read(reader, 99)))"
    )
    command = command_line(*options(gateway, certificates, token_file), "--", sys.executable, "-c", agent)
    terminal, end = pty.openpty()
    take_it = "import fcntl, os, sys, termios as t; fcntl.ioctl(0, t.TIOCSCTTY, 0)"
    take_it += "; os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", take_it, *command],
        env=environment(),
        cwd=REPOSITORY,
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    output = b""
    while not output.endswith(b"\r\n") or b"got" not in output:
        output += os.read(terminal, 1024)
        if output.endswith(b"ready\r\n"):
            os.write(terminal, b"\x03")
    assert b"got 1\r\n" in output
    assert process.wait(10) == 0
    os.close(terminal)


@pytest.mark.parametrize("way", ["--token-file", "--token-command", "--token-env", "DDGATE_TOKEN"])
def test_no_token_and_no_key_is_in_the_childs_environment_or_any_command_line(
    gateway: FakeGateway, certificates: Certificates, token_file: Path, way: str
) -> None:
    token, key = token_file.read_text(), "0123456789abcdef0123456789abcdef"
    more = {"DD_API_KEY": key}
    arguments = ["--gateway", gateway.url, "--ca", str(certificates.ca)]
    match way:
        case "--token-file":
            arguments += [way, str(token_file)]
        case "--token-command":
            arguments += [way, f"cat {token_file}"]
        case "--token-env":
            arguments += [way, "MINE"]
            more["MINE"] = token
        case _:
            more[way] = token
    done = ddgate_run(*arguments, "--", sys.executable, "-c", DUMP, more=more, is_forked=False)
    assert done.returncode == 0, done.stderr
    assert token not in done.stdout + done.stderr
    assert token.split(".")[2] not in done.stdout
    assert key not in done.stdout + done.stderr
    assert "DD_API_KEY" in done.stderr
    child = json.loads(done.stdout)[3]
    assert child["HTTPS_PROXY"].startswith("http://ddgate:")
    assert child["DD_API_KEY"] == "0" * 32


def test_the_temporary_bundle_is_gone_afterwards(
    gateway: FakeGateway, certificates: Certificates, token_file: Path
) -> None:
    arguments = options(gateway, certificates, token_file)
    done = ddgate_run(*arguments, "--", "sh", "-c", "wc -c < $SSL_CERT_FILE; echo $SSL_CERT_FILE")
    size, path = done.stdout.split()
    assert int(size) > 100_000
    assert not Path(path).parent.exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--", "true"], "no token: name one with"),
        (["--token-file", "/nowhere", "--token-env", "X", "--", "true"], "give one of"),
        (["--token-file", "/nowhere", "--", "true"], "the token file /nowhere can't be read"),
        (["--token-env", "NOT_SET", "--", "true"], "NOT_SET is empty"),
        (["--token-command", "echo nonsense", "--", "true"], "isn't a JWT"),
        (["--gateway", "nonsense", "--", "true"], "the gateway must be"),
        (
            ["--gateway-ca", "/nowhere", "--gateway", "https://x", "--", "true"],
            "--gateway-ca /nowhere can't be read",
        ),
        (
            ["--ca", "/nowhere", "--token-file", "/nowhere", "--", "true"],
            "the gateway's CA /nowhere can't be read",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line_and_nothing_runs(
    certificates: Certificates, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    more = {"DDGATE_STATE": str(tmp_path / "state"), "DDGATE_CA": str(certificates.ca)}
    done = ddgate_run(*arguments, more=more)
    assert done.returncode == 125
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ddgate run: ")
    assert expected in last
    assert "Traceback" not in done.stderr


def test_options_come_from_the_environment_too(
    gateway: FakeGateway, certificates: Certificates, token_file: Path
) -> None:
    more = {
        "DDGATE_GATEWAY": gateway.url,
        "DDGATE_CA": str(certificates.ca),
        "DDGATE_TOKEN": token_file.read_text(),
        "DDGATE_STRICT": "1",
    }
    script = "curl -sS https://api.datadoghq.com/api/v1/validate; curl -s -o /dev/null -w '%{http_connect}' https://x.example"
    done = ddgate_run("--", "sh", "-c", script, more=more)
    assert done.stdout == '{"valid": true}403'
    assert gateway.connects[0].fields["proxy-authorization"] == f"Bearer {token_file.read_text()}"


def test_the_commands_own_options_are_left_to_it(
    gateway: FakeGateway, certificates: Certificates, token_file: Path
) -> None:
    done = ddgate_run(
        *options(gateway, certificates, token_file), "--", "echo", "--strict", "--", "-x", "--help"
    )
    assert done.stdout == "--strict -- -x --help\n"


def test_a_python_that_ignores_the_shim_is_warned_of(
    gateway: FakeGateway, certificates: Certificates, token_file: Path
) -> None:
    done = ddgate_run(
        *options(gateway, certificates, token_file), "--", sys.executable, "-I", "-c", "print(1)"
    )
    assert done.stdout == "1\n"
    assert "python -I ignores" in done.stderr


def test_the_sandbox_gives_a_token_when_nothing_else_does(
    gateway: FakeGateway, certificates: Certificates, tmp_path: Path
) -> None:
    issuer = tmp_path / "sandbox" / "issuer"
    process = subprocess.Popen(
        [sys.executable, "-m", "addons.sandbox.issuer", "--dir", str(issuer)],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while not (issuer / "issuer.json").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        arguments = ["--state", str(tmp_path), "--gateway", gateway.url, "--ca", str(certificates.ca)]
        curl = ("--", "curl", "-sS", "https://api.datadoghq.com/api/v1/validate")
        done = ddgate_run(*arguments, *curl)
        assert (done.stdout, done.stderr) == ('{"valid": true}', "")
        assert gateway.connects[0].fields["proxy-authorization"].startswith("Bearer eyJ")
        unknown = ddgate_run(*arguments, "--as", "nobody", *curl)
        assert unknown.returncode == 125
        assert "nobody" in unknown.stderr
    finally:
        process.terminate()
        process.wait(10)


def test_a_command_outlives_many_token_lives(
    gateway: FakeGateway, certificates: Certificates, tmp_path: Path
) -> None:
    mint = f"{sys.executable} -c 'from tests.sidecar.fake_gateway import make_token; print(make_token(3))'"
    agent = (
        "import requests, time\n"
        "session, began, seen = requests.Session(), time.monotonic(), []\n"
        "while time.monotonic() - began < 9:\n"
        "    seen.append(session.get('https://api.datadoghq.com/api/v1/validate', timeout=5).status_code)\n"
        "    time.sleep(0.4)\n"
        "print(len(seen), set(seen))\n"
    )
    arguments = ["--gateway", gateway.url, "--ca", str(certificates.ca), "--token-command", mint]
    done = ddgate_run(*arguments, "--", sys.executable, "-c", agent, more={"PYTHONPATH": str(REPOSITORY)})
    assert done.stderr == ""
    count, _, statuses = done.stdout.strip().partition(" ")
    assert statuses == "{200}"
    assert int(count) > 10
    assert gateway.expired == 0
    assert 3 <= len({connect.fields["proxy-authorization"] for connect in gateway.connects}) <= 8


def test_a_short_token_file_is_followed(
    gateway: FakeGateway, certificates: Certificates, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    first, second = make_token(600), make_token(600, subject="b")
    path.write_text(first)
    curl = "curl -sS -o /dev/null https://api.datadoghq.com/"
    script = f"{curl}; printf %s {second} > {path}.new; mv {path}.new {path}; {curl}"
    done = ddgate_run(*options(gateway, certificates, path), "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert [connect.fields["proxy-authorization"] for connect in gateway.connects] == [
        f"Bearer {first}",
        f"Bearer {second}",
    ]


def test_a_child_keeps_the_signals_that_its_caller_ignored(
    gateway: FakeGateway, certificates: Certificates, token_file: Path
) -> None:
    arguments = command_line(
        *options(gateway, certificates, token_file), "--", "sh", "-c", "kill -HUP $$; echo alive"
    )
    done = subprocess.run(
        ["nohup", *arguments],
        env=environment(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout == "alive\n"


def test_the_command_runs_on_where_nobody_reads_what_ddgate_run_says(
    gateway: FakeGateway, certificates: Certificates, token_file: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command_line(*options(gateway, certificates, token_file), "--", "sh", "-c", "echo ran; exit 3"),
        env=environment(NO_PROXY="datadoghq.com"),  # about which it says a word
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=writing,
        timeout=30,
        check=False,
    )
    os.close(writing)
    assert (done.stdout, done.returncode) == (b"ran\n", 3)


ORPHANS = "for each in 1 2 3; do (sleep 0.1 &); done; sleep 0.3; "
AS_FIRST = (
    "import ctypes, os; ctypes.CDLL(None).prctl(36, 1); "  # PR_SET_CHILD_SUBREAPER: orphans come to it
    "from addons.sidecar.first_process import leave_first_place; leave_first_place(os.getpid()); "
    "os.execvp('sh', ['sh', '-c', os.environ['SCRIPT']])"
)


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $PPID; sleep 5", 143)],
)
def test_the_first_process_of_a_container_reaps_orphans_and_passes_signals_and_status_on(
    script: str, status: int
) -> None:
    counted = (
        'grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null | xargs -r grep -h "^PPid:.$PPID$" | wc -l; '
    )
    done = subprocess.run(
        [sys.executable, "-c", AS_FIRST],
        env=environment(SCRIPT=ORPHANS + counted + script),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("0\n", status), done.stderr
