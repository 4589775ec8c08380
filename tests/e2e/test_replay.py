"""`ddgate replay`: recorded calls again, as the person replaying, against a stand-in unless --live. Abuse
case 36."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.core.redact.detectors.vendors import fill
from tests.e2e.conftest import MakeGateway
from tests.e2e.gateway_process import Gateway, curl
from tests.e2e.open_policy import write_open_policy
from tests.e2e.replaying import Done, on_terminal, replay
from tests.e2e.stock_mitmproxy import write_flow
from tests.sandbox_processes import Issuer, StandIn

API = "https://api.datadoghq.com"
SECRET = "sk_live_" + fill(24)
PLAIN = {"type": "metric alert", "query": "a > 1", "name": "plain", "message": "nobody"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("replayed") / "gateway"
    gateway = Gateway(directory, issuer.url, datadog.port, datadog.ca, datadog.keys).start()
    try:
        token = issuer.mint(sub="sre-agent", groups=["agents", "sre-agents"], session_id="run-17")
        for arguments in (
            (f"{API}/api/v1/monitor?name=one",),
            (f"{API}/api/v1/monitor", "-d", json.dumps(PLAIN)),
            (f"{API}/api/v1/monitor", "-d", json.dumps({**PLAIN, "message": f"page {SECRET}"})),
            (f"{API}/api/v2/api_keys", "-d", '{"data": {}}'),
            (f"{API}/api/v1/dashboard", "--compressed"),
        ):
            curl(gateway, *arguments, "-H", "Content-Type: application/json", token=token)
        yield gateway
    finally:
        gateway.stop()


def ids(gateway: Gateway, operation: str) -> list[str]:
    return [
        flow.metadata["ddgate.call"]
        for flow in gateway.flows()
        if flow.metadata.get("ddgate.operation") == operation
    ]


def test_a_run_is_rehearsed_under_the_policy_and_nothing_reaches_datadog(
    recorded: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    before = len(recorded.records())
    flows = len(recorded.flows())
    done = replay(recorded, issuer.token("sre-agent"), "--session", "run-17")
    assert done.status == 1, done.error
    assert [(call["method"], call["path"], call["result"]) for call in done.calls] == [
        ("GET", "/api/v1/monitor?name=one", "same"),
        ("POST", "/api/v1/monitor", "same"),
        ("POST", "/api/v1/monitor", "left out"),
        ("POST", "/api/v2/api_keys", "same"),
        ("GET", "/api/v1/dashboard", "same"),
    ], done.out + done.error
    assert "mask" in done.calls[2]["why"]
    assert "nothing reaches Datadog" in done.used["answered_by"]
    assert fresh.requests() == []
    assert len(recorded.flows()) == flows
    begun, *told = recorded.records()[before:]
    assert {record["kind"] for record in [begun, *told]} == {"replayed"}
    assert begun["attributes"]["calls"] == 5
    assert not [record for record in told if "call" in record]
    assert [record["attributes"]["recorded"] for record in told] == [
        call["recorded"] for call in done.calls if call["result"] != "left out"
    ]
    assert {record["actor"]["subject"] for record in told} == {"sre-agent"}
    assert {record["attributes"]["to"] for record in told} == {"recording"}
    assert [path.name for path in recorded.state.glob(".*")] == []


def test_one_call_that_brings_the_same_answer_ends_with_status_0(recorded: Gateway, issuer: Issuer) -> None:
    call = ids(recorded, "ListMonitors")[0]
    done = replay(recorded, issuer.token("sre-agent"), call[:20])
    assert (done.status, done.results) == (0, ["same"]), done.out + done.error
    assert done.calls[0]["recorded"] == call
    assert done.calls[0]["decision"]["effect"] == "allow"


@pytest.mark.long
def test_a_person_who_may_less_sees_what_policy_makes_of_it(
    recorded: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    done = replay(recorded, issuer.token("alice"), "--session", "run-17", text=True)
    assert done.status == 1
    assert "answered by   a stand-in that gives the recorded answers; nothing reaches Datadog" in done.out
    assert f"of {recorded.config_path}" in done.out
    assert "200 -> 403  deny no_rule" in done.out
    assert "ddgate: no rule" in done.out.lower() or "no_rule" in done.out
    assert "left out  POST api.datadoghq.com/api/v1/monitor" in done.out
    assert fresh.requests() == []


def test_a_read_is_made_again_live_as_the_person_replaying(
    recorded: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    call = ids(recorded, "ListMonitors")[0]
    before = len(recorded.records())
    done = replay(recorded, issuer.token("demo-agent"), call, "--live")
    assert (done.status, done.results) == (0, ["same"]), done.out + done.error
    assert "Datadog, unless that is a sandbox" in done.used["answered_by"]
    (received,) = fresh.requests()
    assert (received.path, received.query) == ("/api/v1/monitor", "name=one")
    assert received.values("dd-api-key") == [fresh.keys["api_key"]]
    assert not [name for name, _ in received.headers if name.lower().startswith("x-ddgate")]
    begun, attempted, outcome, replayed = recorded.records()[before:]
    assert [begun["kind"], attempted["kind"], outcome["kind"], replayed["kind"]] == [
        *("replayed", "attempted", "outcome", "replayed")
    ]
    assert outcome["actor"]["subject"] == "demo-agent"
    assert replayed["attributes"]["recorded"] == call
    assert replayed["attributes"]["replayed_as"] == outcome["call"] == done.calls[0]["replayed_as"]
    assert replayed["attributes"]["replay"] == begun["attributes"]["replay"] == done.used["replay"]
    assert replayed["actor"] == outcome["actor"]


def plain_and_masked(gateway: Gateway) -> tuple[str, str]:
    plain, masked = ids(gateway, "CreateMonitor")[:2]
    return plain, masked


def test_live_a_write_needs_a_yes(recorded: Gateway, issuer: Issuer, fresh: StandIn) -> None:
    plain, _ = plain_and_masked(recorded)
    token = issuer.token("sre-agent")
    unasked = replay(recorded, token, plain, "--live")
    assert (unasked.status, unasked.results) == (1, ["left out"])
    assert "--yes" in unasked.calls[0]["why"]
    status, shown = on_terminal(recorded, token, plain, "--live", answers=b"n\n")
    assert (status, "you said no" in shown) == (1, True), shown
    assert "CreateMonitor, write" in shown
    assert '"name": "plain"' in shown
    assert fresh.requests() == []
    ignore = ("--ignore", "$..id", "--ignore", "$..created", "--ignore", "$..modified")
    status, shown = on_terminal(recorded, token, plain, "--live", *ignore, answers=b"y\n")
    assert (status, "1 same" in shown) == (0, True), shown
    assert [one.method for one in fresh.requests()] == ["POST"]
    differs = replay(recorded, token, plain, "--live", "--yes")
    assert (differs.status, differs.results) == (1, ["differs"])
    assert "$.id" in [each["path"] for each in differs.calls[0]["body"]]


def test_what_holds_a_mask_is_never_sent(recorded: Gateway, issuer: Issuer, fresh: StandIn) -> None:
    _, masked = plain_and_masked(recorded)
    for arguments in (["--live", "--yes"], []):
        done = replay(recorded, issuer.token("sre-agent"), masked, *arguments)
        assert (done.status, done.results) == (1, ["left out"])
        assert "holds a mask in place of a secret" in done.calls[0]["why"]
    assert fresh.requests() == []


def test_an_approval_is_told_of_and_nobody_is_asked(
    recorded: Gateway, make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path, fresh: StandIn
) -> None:
    rule = {"id": "people-decide", "effect": "require_approval", "who": {"groups": ["agents"]}}
    rule |= {"op": {"name": ["CreateMonitor"]}, "approval": {"need": [{"group": "sre-leads", "count": 1}]}}
    policy = tmp_path / "asks.yaml"
    policy.write_text(json.dumps({"version": 1, "rules": [rule]}))
    asks = make_gateway(config={"policy": [str(policy)]})
    plain, _ = plain_and_masked(recorded)
    before = len(recorded.records())
    done = replay(recorded, issuer.token("sre-agent"), plain, "--config", str(asks.config_path), text=True)
    assert done.status == 1
    assert "it needs a person's approval" in done.out
    assert "require_approval" in done.out
    assert {record["kind"] for record in recorded.records()[before:]} == {"replayed"}
    assert fresh.requests() == []


@pytest.mark.long
def test_the_sandbox_can_be_the_stand_in(
    recorded: Gateway, issuer: Issuer, datadog: StandIn, fresh: StandIn
) -> None:
    (recorded.state / "sandbox").mkdir()
    (recorded.state / "sandbox" / "issuer").symlink_to(issuer.dir)
    (recorded.state / "sandbox" / "datadog").symlink_to(datadog.dir)
    try:
        call = ids(recorded, "ListMonitors")[0]
        done = replay(recorded, issuer.token("sre-agent"), call, "--stand-in", "sandbox")
    finally:
        for name in ("issuer", "datadog"):
            (recorded.state / "sandbox" / name).unlink()
    assert (done.status, done.results) == (0, ["same"]), done.out + done.error
    assert "the sandbox's Datadog" in done.used["answered_by"]
    assert [one.path for one in fresh.requests()] == ["/api/v1/monitor"]


def of_file(gateway: Gateway, issuer: Issuer, path: Path) -> Done:
    return replay(gateway, issuer.token("sre-agent"), str(path))


def test_abuse_36_a_crafted_recording_is_decided_anew_and_its_credentials_go_nowhere(
    recorded: Gateway, issuer: Issuer, fresh: StandIn, tmp_path: Path
) -> None:
    def crafted(**headers: str) -> Path:
        flow = next(f for f in recorded.flows() if f.metadata.get("ddgate.operation") == "CreateAPIKey")
        flow.metadata.update({"ddgate.effect": "allow", "ddgate.refused": False, "ddgate.principal": "root"})
        flow.metadata["ddgate.operation"] = "ListMonitors"
        for name, value in headers.items():
            flow.request.headers[name.replace("_", "-")] = value
        return write_flow(tmp_path / "crafted.mitm", flow)

    denied = of_file(recorded, issuer, crafted(Authorization="Bearer x", Proxy_Authorization="Basic eDp5"))
    assert denied.calls[0]["ddgate"]["reason"] == "denied_by_rule"
    elsewhere = of_file(recorded, issuer, crafted(Host="api.evil.example"))
    assert elsewhere.calls[0]["ddgate"]["reason"] == "destination_mismatch"
    flow = next(f for f in recorded.flows() if f.metadata.get("ddgate.operation") == "ListMonitors")
    flow.request.host = "api.evil.example"
    evil = of_file(recorded, issuer, write_flow(tmp_path / "evil.mitm", flow))
    assert evil.calls[0]["ddgate"]["reason"] == "unknown_host"
    flow.request.host, flow.request.headers["X-DDGate-Identity"] = "api.datadoghq.com", "Bearer not.a.token"
    good = of_file(recorded, issuer, write_flow(tmp_path / "good.mitm", flow))
    assert good.results == ["same"], good.out
    told = [record for record in recorded.records_of("replayed") if record["attributes"].get("result")]
    assert told[-1]["attributes"]["recorded"].endswith(", as a file says")
    flow.request.raw_content = b"[ddgate: 9 bytes, hmac-sha256:00; not stored]"
    unstored = of_file(recorded, issuer, write_flow(tmp_path / "unstored.mitm", flow))
    assert unstored.results == ["left out"]
    assert "doesn't hold its body" in unstored.calls[0]["why"]
    assert fresh.requests() == []


@pytest.mark.long
def test_what_was_denied_then_and_is_allowed_now_is_told(
    recorded: Gateway, make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path, fresh: StandIn
) -> None:
    may = make_gateway(config={"policy": [write_open_policy(tmp_path)]})
    rule = json.loads(Path(may.config_path).read_text())["policy"][0]
    everything = Path(rule).read_text().replace('"destructive"', '"destructive", "privileged"')
    Path(rule).write_text(everything)
    (call,) = ids(recorded, "CreateAPIKey")
    done = replay(recorded, issuer.token("sre-agent"), call, "--config", str(may.config_path))
    assert (done.status, done.results) == (1, ["differs"]), done.out + done.error
    assert done.calls[0]["decision"]["effect"] == "allow"
    assert "no answer of Datadog's" in done.calls[0]["why"]
    assert fresh.requests() == []


def test_live_on_a_machine_without_the_state_directory(
    recorded: Gateway, issuer: Issuer, fresh: StandIn, tmp_path: Path
) -> None:
    flow = next(f for f in recorded.flows() if f.metadata.get("ddgate.operation") == "ListMonitors")
    path = str(write_flow(tmp_path / "exported.mitm", flow))
    elsewhere = ("--state", str(tmp_path / "none"))
    done = replay(recorded, issuer.token("demo-agent"), path, "--live", *elsewhere, text=True)
    assert done.status == 0, done.out + done.error
    assert "nothing here: there is no audit log on this machine" in done.out
    assert len(fresh.requests()) == 1
    assert not (tmp_path / "none").exists()
    rehearsed = replay(recorded, issuer.token("demo-agent"), path, *elsewhere)
    assert rehearsed.status == 2
    assert "a rehearsal needs the installation's state directory" in rehearsed.error


def test_a_rehearsal_leaves_nothing_in_the_state_directory(recorded: Gateway, issuer: Issuer) -> None:
    """What it counts, asks and records is its own gateway's, and goes with it."""
    kept = {path.name for path in recorded.state.iterdir()}
    call = ids(recorded, "ListMonitors")[0]
    assert replay(recorded, issuer.token("sre-agent"), call).status == 0
    assert {path.name for path in recorded.state.iterdir()} - kept <= {"recordings-index.sqlite3"}
    assert len(list((recorded.state / "gateways").glob("*.json"))) == 1
