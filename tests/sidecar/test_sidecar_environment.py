from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from addons.core import hosts
from addons.sidecar import no_proxy
from addons.sidecar.ca_bundle import BadCaError, combined_bundle
from addons.sidecar.child import unreached
from addons.sidecar.environment import (
    DUMMY_API_KEY,
    DUMMY_APP_KEY,
    SHIM_DIRECTORY,
    Pointers,
    child_environment,
)
from addons.sidecar.no_proxy import NoProxy
from addons.sidecar.routing import goes_to_gateway
from addons.sidecar.upstreams import BadGatewayError, find_upstreams, parse_gateway
from tests.sidecar.fake_gateway import Certificates, make_certificates

URL = "http://ddgate:secret@127.0.0.1:4"


def made(parent: dict[str, str], *, drop: tuple[str, ...] = ()) -> tuple[dict[str, str], list[str]]:
    told: list[str] = []
    pointers = Pointers(URL, Path("/tmp/bundle.pem"), drop, Path("/opt/shim"))  # noqa: S108 - only a name
    return child_environment(parent, pointers, told.append), told


@pytest.mark.parametrize(
    "name", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "DD_PROXY_HTTPS", "DD_PROXY_HTTP"]
)
def test_every_proxy_variable_points_at_the_listener(name: str) -> None:
    assert made({name: "http://old:1"})[0][name] == URL
    assert made({})[0][name] == URL


@pytest.mark.parametrize(
    "name",
    [
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "AWS_CA_BUNDLE",
        "PIP_CERT",
    ],
)
def test_every_ca_variable_points_at_the_bundle(name: str) -> None:
    assert made({name: "/old.pem"})[0][name] == "/tmp/bundle.pem"  # noqa: S108 - as above


def test_a_proxy_for_other_schemes_does_not_lead_around() -> None:
    assert made({"ALL_PROXY": "socks5://x:1"})[0]["ALL_PROXY"] == URL
    assert "ALL_PROXY" not in made({})[0]


@pytest.mark.parametrize(
    "name", ["DD_API_KEY", "DD_APP_KEY", "DD_APPLICATION_KEY", "DATADOG_API_KEY", "DATADOG_APP_KEY"]
)
def test_a_real_key_is_taken_away_and_told_by_name(name: str) -> None:
    child, told = made({name: "0123456789abcdef0123456789abcdef"})
    assert "0123456789abcdef0123456789abcdef" not in child.values()
    assert len(told) == 1
    assert told[0].startswith(name)
    assert "0123456789abcdef" not in told[0]
    assert child["DD_API_KEY"] == DUMMY_API_KEY
    assert child["DD_APP_KEY"] == DUMMY_APP_KEY


def test_a_run_within_a_run_is_quiet() -> None:
    first, _ = made({"PYTHONPATH": "/mine"})
    second, told = made(first)
    assert told == []
    assert second == first


def test_the_callers_tokens_are_left_out_and_the_rest_stays() -> None:
    child, _ = made(
        {"DDGATE_TOKEN": "a.b.c", "MINE": "d.e.f", "DD_SITE": "datadoghq.eu"}, drop=("DDGATE_TOKEN", "MINE")
    )
    assert "DDGATE_TOKEN" not in child
    assert "MINE" not in child
    assert child["DD_SITE"] == "datadoghq.eu"


def test_the_shim_comes_first_and_the_callers_path_stays() -> None:
    assert made({"PYTHONPATH": f"/a{os.pathsep}/b"})[0]["PYTHONPATH"] == os.pathsep.join(
        ("/opt/shim", "/a", "/b")
    )
    assert made({})[0]["PYTHONPATH"] == "/opt/shim"


@pytest.mark.parametrize("before", ["", "--max-old-space-size=4096", '--require "a b.js"'])
def test_nodes_shim_is_loaded_first_and_the_callers_options_stay(before: str) -> None:
    expected = f"--require=/opt/shim/follow_proxy.cjs {before}".rstrip()
    assert made({"NODE_OPTIONS": before})[0]["NODE_OPTIONS"] == expected


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no `node`")
def test_node_finds_its_shim_under_any_path(tmp_path: Path) -> None:
    shim = tmp_path / 'a "b\\ c'
    shim.mkdir()
    (shim / "follow_proxy.cjs").write_text("console.log('loaded')")
    child = child_environment({}, Pointers(URL, Path("/b"), (), shim), print)
    environment = {"NODE_OPTIONS": child["NODE_OPTIONS"], "PATH": os.environ["PATH"]}
    done = subprocess.run(["node", "-e", "0"], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("loaded\n", "")


def test_nodes_shim_knows_every_domain_of_datadogs() -> None:
    text = (SHIM_DIRECTORY / "follow_proxy.cjs").read_text()
    listed = re.findall(r'"(.*)"', text.partition("const DOMAINS = [")[2].partition("]")[0])
    assert listed == sorted(hosts.domains())


def test_the_parent_is_left_as_it_was() -> None:
    parent = {"NO_PROXY": "*", "DD_API_KEY": "x"}
    made(parent)
    assert parent == {"NO_PROXY": "*", "DD_API_KEY": "x"}


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "com",
        ".com",
        "*.com",
        "datadoghq.com",
        ".datadoghq.com",
        "*.datadoghq.com",
        "api.datadoghq.com",
        "API.DATADOGHQ.COM:443",
        "datadoghq.com.",
        "us5.datadoghq.com",
        "hq.com",  # requests matches any tail
        "m",
        "datadoghq.eu",
        "ddog-gov.com",
        "api.data*hq.com",
        "*data*hq.com",
        "browser-intake-us3-datadoghq.com",
    ],
)
def test_an_exemption_that_covers_datadog_is_dropped_with_a_warning(entry: str) -> None:
    child, told = made({"NO_PROXY": f"localhost,{entry}, 10.0.0.0/8", "no_proxy": entry})
    assert child["NO_PROXY"] == "localhost,10.0.0.0/8"
    assert "no_proxy" not in child
    assert len(told) == 2
    assert entry in told[0]


def test_other_exemptions_survive_as_they_were_written() -> None:
    value = "localhost, 127.0.0.1,.corp.example,xdatadoghq.com,datadoghq.com.evil.example,10.0.0.0/8,[::1]"
    child, told = made({"NO_PROXY": value, "DD_PROXY_NO_PROXY": "localhost datadoghq.com"})
    assert child["NO_PROXY"] == value
    assert child["DD_PROXY_NO_PROXY"] == "localhost"
    assert len(told) == 1


def test_every_registered_host_goes_to_the_gateway_and_is_covered_by_its_own_name() -> None:
    for host in hosts.registered():
        assert goes_to_gateway(host.name.upper() + ".")
        assert no_proxy.covers_datadog(host.name)


@pytest.mark.parametrize(
    "host", ["xdatadoghq.com", "api.datadoghq.com.evil.example", "example.com", "127.0.0.1", "::1"]
)
def test_what_only_looks_like_datadog_does_not_go_to_the_gateway(host: str) -> None:
    assert not goes_to_gateway(host)


@pytest.mark.parametrize(
    ("entries", "host", "expected"),
    [
        ("corp.example", "a.corp.example", True),
        (".corp.example", "corp.example", True),
        ("corp.example", "notcorp.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "example.com", False),
        ("[::1]", "::1", True),
        ("*", "anything", True),
        ("corp.example:8443", "corp.example", True),
        ("", "example.com", False),
    ],
)
def test_the_listener_reads_no_proxy(entries: str, host: str, expected: bool) -> None:
    assert NoProxy(no_proxy.entries(entries)).exempts(host) is expected


def test_the_callers_proxy_is_read_and_the_gateway_itself_is_not_one() -> None:
    told: list[str] = []
    gateway = parse_gateway("http://127.0.0.1:8080", None)
    env = {
        "HTTPS_PROXY": "http://me:p%40ss@proxy.corp:3128",
        "http_proxy": "http://agent:a.b.c@127.0.0.1:8080",
    }
    found = find_upstreams(env, gateway, told.append)
    assert found.https_proxy is not None
    assert str(found.https_proxy.authority) == "proxy.corp:3128"
    assert found.https_proxy.authorization == "Basic bWU6cEBzcw=="
    assert found.http_proxy is None
    assert told == []


@pytest.mark.parametrize("value", ["socks5://x:1", "https://x:1", "http://[bad", "http://x:99999"])
def test_a_proxy_that_can_not_be_used_is_named(value: str) -> None:
    told: list[str] = []
    found = find_upstreams({"ALL_PROXY": value}, parse_gateway("http://127.0.0.1:8080", None), told.append)
    assert found.https_proxy is None
    assert found.http_proxy is None
    assert all("ALL_PROXY" in text for text in told)
    assert len(told) == 2


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "ftp://x",
        "http://",
        "http://u:p@x:1",
        "http://x:1/path",
        "http://x:0",
        "http://[x",
    ],
)
def test_a_bad_gateway_url_is_refused(url: str) -> None:
    with pytest.raises(BadGatewayError):
        parse_gateway(url, None)


def test_a_token_in_the_clear_is_noticed() -> None:
    assert parse_gateway("http://gateway.corp:8080", None).sends_in_clear
    assert not parse_gateway("https://gateway.corp", None).sends_in_clear
    assert not parse_gateway("http://[::1]:8080", None).sends_in_clear


def test_the_bundle_holds_system_callers_and_gateways_certificates_and_no_key(
    certificates: Certificates, tmp_path: Path
) -> None:
    own = make_certificates(tmp_path)
    told: list[str] = []
    environment = {"SSL_CERT_FILE": str(own.chain), "CURL_CA_BUNDLE": str(tmp_path / "gone.pem")}
    with combined_bundle(certificates.ca, environment, told.append) as bundle:
        text = bundle.read_text()
        assert stat.S_IMODE(bundle.parent.stat().st_mode) == 0o700
        assert text.count("BEGIN CERTIFICATE") > 50
        assert certificates.ca.read_text() in text
        assert own.ca.read_text() in text
        assert "PRIVATE" not in text
    assert not bundle.parent.exists()
    assert len(told) == 1
    assert "CURL_CA_BUNDLE" in told[0]


@pytest.mark.parametrize(
    "content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_bad_gateway_ca_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadCaError, match=r"ca\.pem"), combined_bundle(path, {}, print):
        pass


@pytest.mark.parametrize(
    ("command", "letter"),
    [
        ("python -I x.py", "-I"),
        ("/usr/bin/python3.12 -uE x.py", "-E"),
        ("python3 -W error -S -c pass", "-S"),
        ("python3 x.py -I", None),
        ("python3 -c pass -I", None),
        ("python3 -mI", None),
        ("python3 -u x.py", None),
        ("bash -E", None),
        ("python3", None),
    ],
)
def test_a_python_that_ignores_the_shim_is_told(command: str, letter: str | None) -> None:
    reason = unreached(command.split())
    assert (reason is None) == (letter is None)
    assert letter is None or letter in (reason or "")


@pytest.mark.parametrize(
    ("first", "letter"),
    [
        ("#!/usr/bin/python3 -Es", "-E"),
        ("#! /usr/bin/env -S python3 -I", "-I"),
        ("#!/usr/bin/env python3", None),
        ("#!/bin/sh -E", None),
        ("\x7fELF", None),
        ("", None),
    ],
)
def test_a_script_counts_as_what_runs_it(tmp_path: Path, first: str, letter: str | None) -> None:
    script = tmp_path / "agent"
    script.write_text(f"{first}\n")
    script.chmod(0o755)
    reason = unreached([str(script), "-S"])
    assert (reason is None) == (letter is None)
    assert letter is None or f"python {letter} ignores" in (reason or "")
