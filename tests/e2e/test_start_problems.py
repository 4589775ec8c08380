"""What an operator gets wrong stops the start with a sentence: what, where, what to do. Nothing listens then,
and nothing secret is said."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ca_files import make_pair
from tests.e2e.gateway_process import Gateway, accepts
from tests.sandbox_processes import Issuer

PLACE = re.compile(r"\.yaml:\d+:\d+: ")
SECRET = "deadbeefcafe0123deadbeefcafe0123"
# Root obeys no mode bits; without this capability it does.
OBEYING = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")

type MakeGateway = Callable[..., Gateway]


def refusal_of(gateway: Gateway) -> str:
    """What it says while it refuses to start; fails if it starts, or says what it must not."""
    gateway.start(wait=False)
    assert gateway.process is not None
    try:
        status = gateway.process.wait(20)
    finally:
        gateway.process.kill()
    said = gateway.log.read_text()
    assert status == 1, said
    assert said.startswith("ddgate: ")
    assert "Traceback" not in said
    assert 'File "' not in said
    for secret in (SECRET, *gateway.keys.values()):
        assert secret not in said
    assert not accepts(gateway.port)
    return said


def _edit(gateway: Gateway, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads(gateway.config_path.read_text())
    change(config)
    gateway.config_path.write_text(json.dumps(config, indent=1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\nlisten: {port: 1\n", "not YAML"),
        ("version: 1\nversion: 1\n", "version"),
        ("", "version"),
        ("- 1\n", "1:1"),
        ("\x00", "1:1"),
        ("version: !!python/object/apply:os.system [true]\n", "1:"),
    ],
)
def test_a_configuration_that_is_no_yaml_mapping(make_gateway: MakeGateway, text: str, said: str) -> None:
    gateway = make_gateway()
    gateway.config_path.write_text(text)
    found = refusal_of(gateway)
    assert PLACE.search(found)
    assert said in found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(listn={}), "listen"),
        (lambda c: c["listen"].update(port="8080"), "port"),
        (lambda c: c["listen"].update(port=70000), "port"),
        (lambda c: c["listen"].update(host="0.0.0.0"), "insecure_listen"),
        (lambda c: c.update(version=2), "version"),
        (lambda c: c.update(drain=[1]), "drain"),
        (lambda c: c.pop("issuers"), "issuers"),
        (lambda c: c["issuers"][0].update(algorithms=["HS256"]), "RS256"),
        (lambda c: c["credentials"]["default"].update(api_key=SECRET), "{file: F}"),
        (lambda c: c.update(policy=["nowhere.yaml"]), "no such file"),
        (lambda c: c["credentials"]["default"]["api_key"].update(file="nowhere"), "no such file"),
        (lambda c: c["credentials"]["default"].update(api_key={"env": "NOT_SET_ANYWHERE"}), "not set"),
        (lambda c: c["upstream"]["connect_to"]["*"].update(ca="nowhere.pem"), "no such file"),
        (lambda c: c["upstream"]["connect_to"].update({"evil.example": {"address": "::1"}}), "evil.example"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place(
    make_gateway: MakeGateway, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    gateway = make_gateway()
    _edit(gateway, change)
    found = refusal_of(gateway)
    assert PLACE.search(found)
    assert said in found


def test_a_wrong_variable_is_named(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(environment={"DDGATE__LISTEN__PORT": "eighty"})
    assert "DDGATE__LISTEN__PORT" in refusal_of(gateway)


def test_a_configuration_that_is_not_there(make_gateway: MakeGateway) -> None:
    gateway = make_gateway()
    gateway.config_path.unlink()
    assert "ddgate.yaml: no such file (create it)" in refusal_of(gateway)


_RULE = {"id": "one", "effect": "allow", "who": {"groups": ["agents"]}, "op": {"risk": ["read"]}}
_FAILING = {
    "name": "reads are denied",
    "given": {"who": {"groups": ["agents"]}, "op": "ListMonitors"},
    "expect": {"effect": "deny"},
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\nrules: [\n", "policy.yaml:"),
        (json.dumps({"version": 1, "rules": [{**_RULE, "effct": 1}]}), "effect"),
        (json.dumps({"version": 1, "rules": [{**_RULE, "op": {"name": ["CreateMonitr"]}}]}), "CreateMonitor"),
        (json.dumps({"version": 1, "rules": [_RULE], "tests": [_FAILING]}), "reads are denied"),
        (json.dumps({"version": 1, "rules": [_RULE, _RULE]}), "one"),
    ],
)
def test_a_wrong_policy_is_named_with_its_place(make_gateway: MakeGateway, text: str, said: str) -> None:
    gateway = make_gateway(config={"policy": ["policy.yaml"]})
    (gateway.directory / "policy.yaml").write_text(text)
    found = refusal_of(gateway)
    assert PLACE.search(found)
    assert said in found


@pytest.mark.parametrize(
    "content", [None, "", " \n", f"{SECRET}\n{SECRET}\n", f"api_key: {SECRET}\n", "\x00"]
)
def test_a_key_file_without_exactly_one_key(make_gateway: MakeGateway, content: str | None) -> None:
    gateway = make_gateway()
    path = gateway.directory / "api_key.key"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    found = refusal_of(gateway)
    assert "api_key.key" in found
    assert "alone" in found


def test_a_key_command_that_fails_says_nothing_of_its_output(make_gateway: MakeGateway) -> None:
    gateway = make_gateway()
    command = ["sh", "-c", f"echo {SECRET}; echo {SECRET} >&2; exit 3"]
    _edit(gateway, lambda c: c["credentials"]["default"].update(api_key={"command": command}))
    assert "status 3" in refusal_of(gateway)


def _loose() -> bytes:
    return b"".join(make_pair())


@pytest.mark.parametrize(
    ("make", "mode", "said"),
    [
        (_loose, 0o644, "chmod 600"),
        (lambda: b"this is no PEM", 0o600, "PEM"),
        (lambda: make_pair()[0], 0o600, "certificate"),
        (lambda: b"".join(make_pair(ends_in_days=-1)), 0o600, "expired"),
        (lambda: make_pair()[0] + make_pair()[1], 0o600, "does not belong"),
        (lambda: b"".join(make_pair(is_ca=False)), 0o600, "CA certificate"),
    ],
)
def test_a_certificate_authority_that_cannot_be_used(
    make_gateway: MakeGateway, make: Callable[[], bytes], mode: int, said: str
) -> None:
    gateway = make_gateway()
    path = gateway.directory / "certs" / "mitmproxy-ca.pem"
    path.parent.mkdir()
    path.write_bytes(make())
    path.chmod(mode)
    found = refusal_of(gateway)
    assert str(path) in found
    assert said in found
    assert "PRIVATE KEY" not in found


def _open_to_others(state: Path) -> None:
    state.mkdir(mode=0o755)
    state.chmod(0o755)


def _no_log(state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "audit.sqlite3").write_text("this is no database")
    (state / "audit.sqlite3").chmod(0o600)


def _read_only(state: Path) -> None:
    state.mkdir(mode=0o500)


def _unwritable_recordings(state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "recordings").mkdir(mode=0o500)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_open_to_others, "chmod 700"),
        (_no_log, "not a SQLite database"),
        (_read_only, "Permission denied"),
        (_unwritable_recordings, "Make the directory writable"),
    ],
)
def test_a_state_directory_that_cannot_be_used(
    make_gateway: MakeGateway, damage: Callable[[Path], None], said: str
) -> None:
    command: tuple[str, ...] = (sys.executable, "-m", "addons.cli.main", "gateway")
    if os.geteuid() == 0 and damage in {_read_only, _unwritable_recordings}:
        if shutil.which("setpriv") is None:
            pytest.skip("root obeys no mode bits, and setpriv is not here to change that")
        command = (*OBEYING, *command)
    gateway = make_gateway(command=command)
    damage(gateway.state)
    found = refusal_of(gateway)
    assert str(gateway.state) in found
    assert said in found


def test_a_port_in_use_is_named_and_how_to_change_it(make_gateway: MakeGateway) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        gateway = make_gateway(port=port)  # bound, but nobody accepts there
        taken.listen()
        gateway.start(wait=False)
        assert gateway.process is not None
        assert gateway.process.wait(20) == 1
        said = gateway.log.read_text()
    assert said.count("\n") == 1
    assert f"port {port} on 127.0.0.1 can't be used (Address already in use)" in said
    assert "DDGATE__LISTEN__PORT" in said


@pytest.mark.parametrize(
    "routes", [{}, {"api.datadoghq.eu": "sandbox"}, {"*": "sandbox", "api.datadoghq.eu": None}]
)
def test_a_sandbox_issuer_with_a_real_upstream_refuses_to_start(
    make_gateway: MakeGateway, routes: dict[str, str | None]
) -> None:
    gateway = make_gateway()
    sandbox = json.loads(gateway.config_path.read_text())["upstream"]["connect_to"]["*"]
    real = {"address": "192.0.2.1"}
    named = {host: sandbox if to else real for host, to in routes.items()}
    _edit(gateway, lambda c: c.update(upstream={"connect_to": named}))
    found = refusal_of(gateway)
    assert PLACE.search(found)
    assert "sandbox issuer" in found


def test_a_real_issuer_with_a_sandbox_upstream_refuses_to_start(
    make_gateway: MakeGateway, issuer: Issuer
) -> None:
    gateway = make_gateway()
    _edit(gateway, lambda c: c["issuers"].append({"issuer": "https://issuer.example.com", "audience": "d"}))
    found = refusal_of(gateway)
    assert PLACE.search(found)
    assert "real issuer" in found
    _edit(gateway, lambda c: c["issuers"].pop(0))
    gateway.log.unlink()
    assert "real issuer" in refusal_of(gateway)
