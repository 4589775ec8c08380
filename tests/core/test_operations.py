"""The shipped catalogue against the official client that is installed."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.catalogue import Catalogue
from addons.core.hosts import SITES, DatadogHost, HostRole, lookup, normalise_host, registered
from addons.core.model import Operation, Risk
from addons.core.request_target import BadTarget, normalise
from addons.core.risk import EXCEPTIONS, classify
from policies import generate_operations

POLICIES = Path(generate_operations.__file__).parent
CLIENT = (POLICIES / "operations.json").read_text(encoding="utf-8")
EXTRA = (POLICIES / "extra_operations.json").read_text(encoding="utf-8")
CATALOGUE = Catalogue.from_json(CLIENT, EXTRA)
OPERATIONS = CATALOGUE.operations()
FROM_CLIENT = Catalogue.from_json(CLIENT).operations()
SETTINGS: list[dict[str, Any]] = [endpoint.settings for _, endpoint in generate_operations.client_endpoints()]
# What people put into a path parameter, quoted as the client quotes it: with nothing safe.
VALUES = ("12345", "a.b-c_d~e", "me@example.com", "service:web", "é t é", "monitor", "search", "v1")


def _host(name: str) -> DatadogHost:
    host = lookup(normalise_host(name) or "")
    assert host is not None, name
    return host


API = _host("api.datadoghq.com")


def _concrete(template: str, value: str) -> str:
    return re.sub(r"\{[^}]*\}", lambda _: quote(value, safe=""), template)


def _servers(setting: dict[str, Any]) -> Iterator[str]:
    if "servers" not in setting:
        yield from (f"api.{site}" for site in SITES)
        return
    for server in setting["servers"]:
        variables = server["variables"]
        if "name" in variables:
            yield variables["name"]["default_value"]
        for site in variables.get("site", {}).get("enum_values", []):
            subdomain = variables.get("subdomain", {})
            if "enum_values" not in subdomain:  # every shard with every site; most of those don't exist
                yield f"{subdomain['default_value']}.{site}" if subdomain else site


def test_the_file_is_what_the_installed_client_gives() -> None:
    assert generate_operations.OUTPUT.read_text(encoding="utf-8") == generate_operations.render()


def test_the_client_names_1896_operations() -> None:
    assert len(FROM_CLIENT) == len(SETTINGS) == 1896
    assert Counter(operation.version for operation in FROM_CLIENT) == {"v1": 235, "v2": 1661}
    assert Counter(operation.method for operation in FROM_CLIENT) == {
        "GET": 810, "POST": 506, "DELETE": 269, "PATCH": 192, "PUT": 119
    }  # fmt: skip
    assert len({(operation.version, operation.tags) for operation in FROM_CLIENT}) == 185
    assert sum(CATALOGUE.traits(operation).unstable for operation in FROM_CLIENT) == 631
    assert sum(CATALOGUE.traits(operation).deprecated for operation in FROM_CLIENT) == 97


def test_29_operations_destroy_without_delete_by_the_rules_and_one_by_exception() -> None:
    destructive = [o for o in FROM_CLIENT if Risk.DESTRUCTIVE in o.risks and o.method != "DELETE"]
    assert len(destructive) == 30
    assert [o.name for o in destructive if o.name == "CreateDataDeletionRequest"]
    assert all(Risk.DESTRUCTIVE in o.risks for o in FROM_CLIENT if o.method == "DELETE")


def test_28_deletes_carry_bodies() -> None:
    with_body = [
        endpoint
        for _, endpoint in generate_operations.client_endpoints()
        if endpoint.settings["http_method"] == "DELETE"
        and any(parameter.get("location") == "body" for parameter in endpoint.params_map.values())
    ]
    assert len(with_body) == 28


def test_no_exception_repeats_what_the_rules_say() -> None:
    by_id = {setting["operation_id"]: setting for setting in SETTINGS}
    for operation_id, risk in EXCEPTIONS.items():
        setting = by_id[operation_id]  # a KeyError: the client no longer names it
        by_rule = classify(
            f"{operation_id}_", setting["http_method"], setting["endpoint_path"], setting["auth"]
        )
        assert by_rule != (risk,), operation_id


@pytest.mark.parametrize(
    ("name", "risks"),
    [
        ("v1.Validate", {Risk.READ}),
        ("v2.Validate", {Risk.READ}),
        ("CreateMonitor", {Risk.WRITE}),
        ("DeleteMonitor", {Risk.DESTRUCTIVE}),
        ("SearchSecurityMonitoringSignals", {Risk.READ}),
        ("v2.CreateAPIKey", {Risk.PRIVILEGED}),
        ("v2.ListAPIKeys", {Risk.SENSITIVE_READ}),
        ("v2.DeleteAPIKey", {Risk.DESTRUCTIVE, Risk.PRIVILEGED}),
        ("v2.SubmitMetrics", {Risk.INGEST}),
        ("TriggerTests", {Risk.EXECUTE}),
        ("SubmitTraces", {Risk.INGEST}),
    ],
)
def test_well_known_operations_have_the_expected_risk(name: str, risks: set[Risk]) -> None:
    (operation,) = CATALOGUE.by_name(name)
    assert operation.risks == risks


def test_every_key_management_write_is_privileged() -> None:
    for operation in FROM_CLIENT:
        if set(operation.tags) & {"key-management", "users", "roles", "service-accounts", "organizations"}:
            assert operation.method == "GET" or Risk.PRIVILEGED in operation.risks, operation.name


def test_every_name_of_the_client_is_a_name_of_the_catalogue() -> None:
    for setting in SETTINGS:
        (operation,) = CATALOGUE.by_name(f"{setting['version']}.{setting['operation_id']}")
        assert operation in CATALOGUE.by_name(setting["operation_id"])
        assert operation.template == setting["endpoint_path"]


def test_every_operation_of_the_client_resolves_to_itself_on_every_site() -> None:
    literal_of = {(o.method, o.template): o for o in OPERATIONS}
    for setting in SETTINGS:
        (operation,) = CATALOGUE.by_name(f"{setting['version']}.{setting['operation_id']}")
        resolvable = []
        for value in VALUES:
            concrete = _concrete(operation.template, value)
            # GET /things/{id} of "search" may be another operation, by that operation's own template.
            expected = literal_of.get((operation.method, concrete), operation)
            found = normalise(concrete).segments
            if expected is operation:
                resolvable.append(found)
            assert CATALOGUE.resolve(operation.method, found, _server(setting)) is expected, concrete
        assert resolvable
        for name in _servers(setting):
            host = _host(name.upper() + ".")
            assert CATALOGUE.resolve(operation.method, resolvable[0], host) is operation, name
            if operation.method == "GET":
                assert CATALOGUE.resolve("HEAD", resolvable[0], host) is operation, name


def _server(setting: dict[str, Any]) -> DatadogHost:
    return _host(next(_servers(setting)))


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/v1/input", "SubmitLog"),
        ("POST", "/v1/input/0123abcd", "SubmitLogWithKey"),
        ("POST", "/api/v1/series", "SubmitMetrics"),
        ("POST", "/api/v1/check_run", "SubmitServiceCheck"),
        ("POST", "/api/v1/distribution_points", "SubmitDistributionPoints"),
        ("POST", "/intake/", "SubmitHostMetadata"),
        ("POST", "/intake", "SubmitHostMetadata"),
        ("POST", "/api/v0.2/traces", "SubmitTraces"),
        ("POST", "/api/beta/sketches", "SubmitSketches"),
        ("POST", "/api/v2/cireport", "SubmitCIReport"),
        ("POST", "/api/v2/git/repository/search_commits", "SearchGitCommits"),
        ("GET", "/api/v1/validate", "Validate"),
        ("GET", "/api/v2/validate", "Validate"),
        ("HEAD", "/support/flare", None),
        ("POST", "/api/unstable/mcp-server/mcp", "SendMCPMessage"),
        ("OPTIONS", "/api/v1/monitor", None),
        ("GET", "/api/v1/no-such-thing", None),
        ("GET", "/", None),
    ],
)
def test_intake_paths_that_clients_use_are_known(method: str, path: str, name: str | None) -> None:
    operation = CATALOGUE.resolve(method, normalise(path).segments, API)
    assert (operation.name if operation else None) == name


def test_extra_operations_are_marked_as_ddgates_own() -> None:
    own = Catalogue.from_json(EXTRA).operations()
    assert own
    assert {operation.version for operation in own} == {"ddgate"}


def test_a_resolve_takes_less_than_5_microseconds() -> None:
    calls = [(o.method, normalise(_concrete(o.template, "12345")).segments) for o in OPERATIONS]
    best = min(_seconds(calls) for _ in range(5))
    assert best / len(calls) < 5e-6


def _seconds(calls: list[tuple[str, tuple[str, ...]]]) -> float:
    started = time.perf_counter()
    for method, segments in calls:
        CATALOGUE.resolve(method, segments, API)
    return time.perf_counter() - started


def _escaped_at(path: str, at: int, form: str) -> str:
    at = 1 + at % (len(path) - 1)
    return path[:at] + form.format(ord(path[at])) + path[at + 1 :]


def _slash(path: str, at: int, instead: str) -> str:
    slashes = [index for index, character in enumerate(path) if character == "/"]
    index = slashes[at % len(slashes)]
    return path[:index] + instead + path[index + 1 :]


SLASHES = (
    "//", "///",
    "/./", "/%2e/", "/x/../", "/x/%2e%2e/", "/x/.%2E/", "/..;/", ";a=b/", ";/", "\\", "/\\", "%2f", "%2F",
    "%5c", "%252f", "%25252F", "/%2f", "%c0%af", "%e0%80%af", "%ef%bc%8f", "\u2215", "/%00/", "%00/", "/ /",
    "/%20/../", "/#/", "/%23/", "/...;/", "\t/", "%09/",
)  # fmt: skip


@settings(max_examples=600)
@given(st.sampled_from([o for o in OPERATIONS if o.template != "/"]), st.data())
def test_hostile_spellings_resolve_to_the_same_operation_or_are_refused(
    operation: Operation, data: st.DataObject
) -> None:
    spelling = _concrete(operation.template, "12345")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, 200))
        spelling = data.draw(
            st.sampled_from(
                [
                    _escaped_at(spelling, at, "%{:02x}"),
                    _escaped_at(spelling, at, "%{:02X}"),
                    _escaped_at(spelling, at, "%25{:02x}"),
                    _escaped_at(spelling, at, "%u{:04x}"),
                    _slash(spelling, at, data.draw(st.sampled_from(SLASHES))),
                    spelling
                    + data.draw(st.sampled_from(["/", "//", "/.", ";", ";a=1", "%00", "?", "#", "%20"])),
                ]
            )
        )
    try:
        target = normalise(spelling)
    except BadTarget:
        return
    found = CATALOGUE.resolve(operation.method, target.segments, API)
    assert found is operation, spelling


_ALPHABET = st.sampled_from(
    ["/", "//", "\\", ".", "..", "%2e", "%2F",
     "%5c", "%25", "2f", "2e", ";", "a", "api", "v1", "monitor", "user", "%6d",
     "onitor", "1", "%2561pi", "%c0%af", "%00", "?", "#", "%ef%bc%8f", "~"]
)  # fmt: skip


def _as_a_sloppy_server_reads(path: str) -> tuple[str, ...]:
    """Decodes until nothing is left to decode, takes `\\` for `/`, cuts parameters, merges slashes, and walks
    dot segments."""
    while (decoded := unquote(path, errors="replace")) != path:
        path = decoded
    walked: list[str] = []
    for segment in path.replace("\\", "/").split("?")[0].split("#")[0].split("/"):
        name = segment.split(";")[0]
        if name == "..":
            del walked[-1:]
        elif name not in {"", "."}:
            walked.append(name)
    return tuple(walked)


@settings(max_examples=600)
@given(st.lists(_ALPHABET, max_size=10).map(lambda pieces: "/" + "".join(pieces)))
def test_what_passes_means_the_same_to_the_sloppiest_server(path: str) -> None:
    try:
        target = normalise(path)
    except BadTarget:
        return
    assert _as_a_sloppy_server_reads(target.path) == target.segments


def test_every_role_of_an_operations_own_server_is_registered() -> None:
    roles = {host.role for host in registered()}
    own = {CATALOGUE.traits(operation).host for operation in OPERATIONS} - {None}
    assert own <= roles
    assert HostRole.ON_CALL in own


@pytest.mark.parametrize(("change", "code"), [("", 0), (" ", 1)])
def test_check_says_whether_the_file_is_current_and_changes_nothing(
    change: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "operations.json"
    output.write_text(CLIENT + change, encoding="utf-8")
    monkeypatch.setattr(generate_operations, "OUTPUT", output)
    monkeypatch.setattr("sys.argv", ["generate_operations", "--check"])
    assert generate_operations.main() == code
    assert output.read_text(encoding="utf-8") == CLIENT + change
    assert bool(capsys.readouterr().err) is bool(code)
