"""An auditor's questions to the log of a gateway that is running."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from addons.core.redact.detectors.vendors import fill
from tests.e2e import forked
from tests.e2e.gateway_process import ROOT, Gateway, curl
from tests.sandbox_processes import Issuer, StandIn

API = "https://api.datadoghq.com"
SECRET = "sk_live_" + fill(24)
MONITOR = {"type": "metric alert", "query": "a > 1", "name": "Zürich", "message": f"page {SECRET}"}
SCHEMA = json.loads((ROOT / "tests" / "core" / "ocsf_api_activity.schema.json").read_text())


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    gateway = Gateway(
        tmp_path_factory.mktemp("asked") / "gateway", issuer.url, datadog.port, datadog.ca, datadog.keys
    ).start()
    try:
        token = issuer.token("sre-agent", on_behalf_of="bob@example.com")
        assert curl(gateway, f"{API}/api/v1/monitor", "-d", json.dumps(MONITOR), token=token).status == 200
        denied = curl(gateway, f"{API}/api/v2/api_keys", "-d", '{"data": {}}', token=token)
        assert denied.status == 403
        assert curl(gateway, f"{API}/api/v1/monitor", token="nonsense").status in {401, 407}
        yield gateway
    finally:
        gateway.stop()


def ddgate(gateway: Gateway, *arguments: str) -> str:
    done = forked.run([*arguments, "--state", str(gateway.state)])
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_who_did_what_for_whom_is_one_question(asked: Gateway) -> None:
    outcome, attempted = lines(
        ddgate(
            asked, "audit", "query", "--on-behalf-of", "bob@example.com", "--operation", "*Monitor", "--json"
        )
    )
    assert (outcome["kind"], attempted["kind"]) == ("outcome", "attempted")
    (denied,) = lines(ddgate(asked, "audit", "query", "--effect", "deny", "--since", "1h", "--json"))
    assert (denied["actor"]["subject"], denied["http_response"]["status"]) == ("sre-agent", 403)
    assert ddgate(asked, "audit", "query", "--who", "sre-agent", "--text", "zürich", "--count") == "1\n"
    assert ddgate(asked, "audit", "query", "--text", SECRET, "--count") == "1\n"  # where it was masked


def test_a_call_is_told_with_what_was_sent_and_whether_its_recording_stands(asked: Gateway) -> None:
    (outcome,) = lines(ddgate(asked, "audit", "query", "--kind", "outcome", "--json"))
    told = ddgate(asked, "audit", "show", outcome["call"])
    assert "on behalf of    bob@example.com" in told
    assert "are what was recorded" in told
    assert ", in force since " in told
    assert '"name": "Z\\u00fcrich"' in told  # as it was sent
    assert "page [REDACTED:" in told
    assert SECRET not in told
    assert "200 by Datadog" in told
    assert "audit show" in ddgate(asked, "audit", "show", outcome["call"])  # the look before


def test_the_run_of_a_token_is_listed_with_its_counts(asked: Gateway) -> None:
    (session,) = lines(ddgate(asked, "sessions", "--who", "sre-agent", "--json"))
    assert (session["calls"], session["answered"], session["on_behalf_of"]) == (2, 1, ["bob@example.com"])
    assert session["effects"]["deny"] == 1
    assert sum(session["findings"].values()) >= 1
    assert len(ddgate(asked, "sessions", "show", session["session"]).partition("\n\n")[2].splitlines()) == 2


def test_every_record_of_a_gateway_is_a_valid_ocsf_event(asked: Gateway) -> None:
    validator = Draft202012Validator(SCHEMA, format_checker=FormatChecker())
    events = lines(ddgate(asked, "audit", "export"))
    for event in events:
        validator.validate(event)
    assert {"started", "attempted", "outcome", "refused"} <= {
        event["metadata"]["event_code"] for event in events
    }
    assert [event["metadata"]["sequence"] for event in events] == list(range(1, len(events) + 1))


def test_no_search_leaves_its_secret_in_the_state_directory(asked: Gateway) -> None:
    ddgate(asked, "audit", "query", "--text", SECRET)
    for path in Path(asked.state).rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_every_recording_that_the_log_names_is_there_byte_for_byte(asked: Gateway, tmp_path: Path) -> None:
    def verify(state: Path) -> subprocess.CompletedProcess[str]:
        command = ["audit", "verify", "--recordings", "--state", str(state)]
        return forked.run(command)

    whole = verify(asked.state)
    assert whole.returncode == 0, whole.stderr
    assert "recordings are, byte for byte, what the log says." in whole.stderr
    copied = tmp_path / "state"
    shutil.copytree(asked.state, copied)
    (segment, *_) = sorted((copied / "recordings").glob("*.mitm*"))
    segment.write_bytes(
        segment.read_bytes().replace(b"Z\\u00fcrich", b"B\\u00fcrich").replace(b"metric", b"METRIC")
    )
    changed = verify(copied)
    assert changed.returncode == 1
    assert "is not what was recorded" in changed.stderr
    export = ["recordings", "export", "--format", "curl", "-o", "-", "--state", str(copied)]
    sent = forked.run(export)
    assert sent.returncode == 1
    assert "METRIC" not in sent.stdout
    segment.unlink()
    assert "is not in" in verify(copied).stderr
