"""How clients behave in `ddgate run`, against a gateway that opens TLS as Datadog.

That each of them gets through, and what it needs, is in tests/e2e/test_clients.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from addons.sidecar.environment import SHIM_DIRECTORY
from tests.sidecar.fake_gateway import Certificates, FakeGateway
from tests.sidecar.running import ddgate_run

SYNC = """
from datadog_api_client import ApiClient, Configuration
from datadog_api_client.v1.api.authentication_api import AuthenticationApi
configuration = Configuration()
{setup}
with ApiClient(configuration) as client:
    for _ in range(2):
        print(AuthenticationApi(client).validate().valid)
print(configuration.proxy, configuration.proxy_headers)
"""
ASYNC = """
import asyncio
from datadog_api_client import AsyncApiClient, Configuration
from datadog_api_client.v1.api.authentication_api import AuthenticationApi
async def main():
    async with AsyncApiClient(Configuration()) as client:
        for _ in range(2):
            print((await AuthenticationApi(client).validate()).valid)
asyncio.run(main())
print(None, None)
"""


class Runner:
    def __init__(self, gateway: FakeGateway, certificates: Certificates, token_file: Path) -> None:
        self.gateway = gateway
        self.token = token_file.read_text()
        self._options = [
            "--gateway",
            gateway.url,
            "--ca",
            str(certificates.ca),
            "--token-file",
            str(token_file),
        ]

    def run(self, *command: str, more: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return ddgate_run(*self._options, "--strict", "--", *command, more=more)

    def python(self, script: str, more: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-c", script, more=more)

    def assert_used_the_gateway(self) -> None:
        assert self.gateway.calls
        assert {connect.fields["proxy-authorization"] for connect in self.gateway.connects} == {
            f"Bearer {self.token}"
        }
        for call in self.gateway.calls:
            assert "proxy-authorization" not in call.fields


@pytest.fixture
def runner(gateway: FakeGateway, certificates: Certificates, token_file: Path) -> Runner:
    return Runner(gateway, certificates, token_file)


@pytest.mark.parametrize("script", [SYNC.format(setup=""), ASYNC], ids=["sync", "async"])
def test_the_api_clients_follow_unmodified(runner: Runner, script: str) -> None:
    done = runner.python(script)
    assert (done.stdout, done.stderr) == ("True\nTrue\nNone None\n", "")
    runner.assert_used_the_gateway()
    assert len(runner.gateway.calls) == 2
    assert len(runner.gateway.connects) == 1  # one tunnel, reused
    assert runner.gateway.calls[0].fields["dd-api-key"] == "0" * 32


@pytest.mark.parametrize(
    ("script", "setup", "waits"),
    [
        (SYNC, "", "wait=300"),
        (SYNC, "configuration.request_timeout = 10", "wait=8"),
        (SYNC, "configuration.request_timeout = (1, 5)", "wait=4"),
        (ASYNC, "", None),  # its limit is known by its name
    ],
    ids=["sync", "a limit", "two limits", "async"],
)
def test_the_shim_tells_how_long_a_held_call_is_waited_for(
    runner: Runner, script: str, setup: str, waits: str | None
) -> None:
    done = runner.python(script.format(setup=setup) if script is SYNC else script)
    assert done.stderr == ""
    assert [call.fields.get("prefer") for call in runner.gateway.calls] == [waits] * 2


def test_without_the_shim_the_api_client_does_not_reach_the_gateway(runner: Runner) -> None:
    """What the shim is for; and that nothing else here makes the test above pass."""
    script = "import sys; sys.argv = ['x']; import os; del os.environ['DDGATE_RUN_PROXY']\n" + SYNC.format(
        setup="configuration.retry_policy = __import__('urllib3').Retry(0); configuration.request_timeout = 1"
    )
    done = runner.python(script)
    assert done.returncode != 0
    assert runner.gateway.connects == []


def test_a_proxy_that_the_program_set_stays(runner: Runner) -> None:
    retry = "configuration.retry_policy = __import__('urllib3').Retry(0)"
    setup = f"configuration.proxy = 'http://127.0.0.1:9'; {retry}"
    done = runner.python(SYNC.format(setup=setup))
    assert done.returncode != 0
    assert "127.0.0.1" in done.stderr
    assert runner.gateway.connects == []


def test_a_program_that_clears_its_proxy_variables_still_follows(runner: Runner) -> None:
    names = "('HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy')"
    clear = f"import os\nfor name in {names}: del os.environ[name]\n"
    done = runner.python(clear + SYNC.format(setup=""))
    assert done.stdout.startswith("True\n"), done.stderr
    runner.assert_used_the_gateway()


@pytest.mark.parametrize("arguments", ["-sS", "-sS --http1.0", "-sS --http2"])
def test_curl_follows(runner: Runner, arguments: str) -> None:
    done = runner.run("curl", *arguments.split(), "https://api.datadoghq.com/api/v1/validate")
    assert json.loads(done.stdout) == {"valid": True}
    runner.assert_used_the_gateway()


NODE = """
const https = require("https");
const ask = (url, agent) => new Promise((done) => {
  const request = https.get(url, { agent }, (answer) => answer.on("data", (part) => done(String(part))));
  request.on("error", (error) => done(error.message));
});
const mine = new https.Agent({ keepAlive: true, maxSockets: 1 });
(async () => {
  const url = "https://api.datadoghq.com/api/v1/validate";
  console.log(await ask(url, mine));
  console.log(await ask(url, mine));
  console.log(await ask(url, false));
  console.log(await (await fetch(url)).text());
  await ask("https://127.0.0.1:9/", undefined);
  await fetch("https://127.0.0.1:9/").catch(() => 0);
})();
"""
with_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no `node`")


@with_node
def test_nodes_https_and_fetch_follow_to_datadog_and_to_no_other_host(runner: Runner) -> None:
    done = runner.run("node", "-e", NODE)
    assert (done.stdout, done.stderr) == ('{"valid": true}\n' * 4, "")
    runner.assert_used_the_gateway()
    lines = [connect.line.split()[1] for connect in runner.gateway.connects]
    assert lines == ["api.datadoghq.com:443"] * 3  # the program's own agent keeps its connection


@with_node
def test_a_refusal_of_the_gateway_reaches_a_node_program_by_its_status(
    certificates: Certificates, token_file: Path
) -> None:
    no = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with FakeGateway(certificates, refusal=no).running() as refusing:
        done = Runner(refusing, certificates, token_file).run(
            *("node", "-e", "fetch('https://api.datadoghq.com/').catch((e) => console.log(e.cause.message))")
        )
    assert "407" in done.stdout


def test_the_next_sitecustomize_runs_with_the_shim_in_place(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n'DDGATE_RUN_PROXY' in os.environ and "
        "print('next', __name__, __file__, sys.modules['sitecustomize'].__file__ == __file__)\n"
    )
    done = runner.python(SYNC.format(setup=""), more={"PYTHONPATH": str(tmp_path)})
    first, *rest = done.stdout.splitlines()
    assert first == f"next sitecustomize {tmp_path / 'sitecustomize.py'} True"
    assert rest[0] == "True"
    assert done.stderr == ""


HIDES_ITSELF = """
import os, sys
here = os.path.dirname(__file__)
sys.path.remove(here)
mine = sys.modules.pop('sitecustomize')
import sitecustomize
sys.path.insert(0, here)
print('first')
"""
STAYS_ON_THE_PATH = """
import importlib.machinery, importlib.util, os, sys
after = sys.path[sys.path.index(os.path.dirname(__file__)) + 1:]
spec = importlib.machinery.PathFinder.find_spec('sitecustomize', after)
spec.loader.exec_module(importlib.util.module_from_spec(spec))
print('first')
"""


@pytest.mark.parametrize("before", [HIDES_ITSELF, STAYS_ON_THE_PATH], ids=["ddtrace-run", "stays"])
def test_a_sitecustomize_that_runs_the_next_itself_meets_no_circle(
    runner: Runner, tmp_path: Path, before: str
) -> None:
    first, last = tmp_path / "first", tmp_path / "last"
    for directory in (first, last):
        directory.mkdir()
    (first / "sitecustomize.py").write_text(before)
    (last / "sitecustomize.py").write_text("import os\n'DDGATE_RUN_PROXY' in os.environ and print('last')\n")
    script = f'PYTHONPATH={first}:$PYTHONPATH exec {sys.executable} -c "$0"'
    done = runner.run("sh", "-c", script, SYNC.format(setup=""), more={"PYTHONPATH": str(last)})
    assert done.stdout.splitlines()[:3] == ["last", "first", "True"], done.stderr
    assert done.stderr == ""


def test_a_failing_next_sitecustomize_is_pythons_to_report_and_the_shim_holds(
    runner: Runner, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('mine')\n")
    done = runner.python(SYNC.format(setup=""), more={"PYTHONPATH": str(tmp_path)})
    assert done.stdout.startswith("True\n")
    assert "RuntimeError: mine" in done.stderr
    assert "ddgate" not in done.stderr.replace("ddgate run --", "")


def test_the_shim_is_silent_and_light_in_a_program_without_datadog(runner: Runner) -> None:
    names = "'urllib.parse', 'base64', 'typing', 'addons', 'json'"
    script = f"import sys; print([name for name in ({names}) if name in sys.modules])"
    done = runner.run(sys.executable, "-S", "-c", script)
    without = done.stdout
    assert runner.python(script).stdout == without


def _other_pythons() -> dict[str, str]:
    """Every other Python that is here and runs, by version; the shim has to work on any of them."""
    found = {}
    for version in ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"):
        installed = [str(path.parent) for path in Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
        path = os.pathsep.join((*installed, os.environ["PATH"]))
        python = shutil.which(f"python{version}", path=path) or "false"
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            found[version] = python
    return found or {"this": sys.executable}


_PYTHONS = _other_pythons()


@pytest.mark.parametrize("version", _PYTHONS)
def test_the_shim_works_on_other_pythons(version: str, tmp_path: Path) -> None:
    """Against a package of the same shape: the real one is only installed for this interpreter."""
    found = _PYTHONS[version]
    package = tmp_path / "datadog_api_client"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "rest.py").write_text(
        "class RESTClientObject:\n    def __init__(self, configuration, pools_size=4):\n"
        "        c = configuration\n"
        "        self.seen = (c.proxy, c.proxy_headers, c.ssl_ca_cert, c.host)\n"
    )
    script = (
        "from datadog_api_client.rest import RESTClientObject\n"
        "class C:\n    proxy = proxy_headers = ssl_ca_cert = None\n    host = 'h'\n"
        "print(RESTClientObject(C(), pools_size=1).seen)"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": f"{SHIM_DIRECTORY}:{tmp_path}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DDGATE_RUN_PROXY": "http://ddgate:s@127.0.0.1:1",
        "DDGATE_RUN_CA": "/b",
    }
    done = subprocess.run([found, "-c", script], env=environment, capture_output=True, text=True, check=False)
    headers = {"proxy-authorization": "Basic ZGRnYXRlOnM="}
    assert (done.stdout, done.stderr) == (f"{('http://127.0.0.1:1', headers, '/b', 'h')}\n", "")
