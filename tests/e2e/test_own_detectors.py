"""A team's own detectors on the wire: always in what is stored, in what is forwarded where a rule says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.core.redact.detectors.vendors import hex_, lower
from tests.e2e.gateway_process import Gateway, curl
from tests.e2e.open_policy import write_open_policy
from tests.e2e.replaying import replay
from tests.e2e.traces import assert_nothing_readable, decoded
from tests.sandbox_processes import Issuer, StandIn

URL = "https://http-intake.logs.datadoghq.com/api/v2/logs"
TOKEN = "acme_" + lower(24)
TILL = "till/" + hex_(12)
CARD = "4242 4242 4242 4242"
OWN = f"""
version: 1
detectors:
  - id: acme-token
    pattern: acme_[a-z0-9]{{24}}
    keywords: [acme_]
    examples: [{TOKEN}]
"""
GITLEAKS = """
[[rules]]
id = "till-key"
regex = '''till/([0-9a-f]{12})'''
keywords = ["till/"]
[[rules]]
id = "names-of-files"
path = '''x'''
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("own")
    (directory / "own.yaml").write_text(OWN)
    (directory / "gitleaks.toml").write_text(GITLEAKS)
    config = {
        "policy": [write_open_policy(directory, mask={"forward": {"detect": ["acme-token"]}})],
        "redaction": {
            "detectors": [str(directory / "own.yaml"), str(directory / "gitleaks.toml")],
            "pii": True,
            "card_last_four": True,
        },
    }
    made = Gateway(
        directory / "gateway", issuer.url, datadog.port, datadog.ca, datadog.keys, config=config
    ).start()
    yield made
    made.stop()


@pytest.mark.parametrize("more", [0, 40_000])  # the larger is masked in another process
def test_own_detectors_mask_what_is_stored_and_what_a_rule_says_is_forwarded(
    gateway: Gateway, issuer: Issuer, fresh: StandIn, more: int
) -> None:
    log = [{"message": f"used {TOKEN} at {TILL}, paid with {CARD}", "more": "so on " * (more // 6)}]
    options = ["--data-binary", json.dumps(log), "-H", "Content-Type: application/json"]
    said = curl(gateway, URL, *options, token=issuer.token("demo-agent"))
    assert said.status == 202, said.body
    (received,) = fresh.requests()
    (arrived,) = json.loads(received.body)
    assert arrived["message"].startswith("used [REDACTED:acme-token:")
    assert arrived["message"].endswith(f" at {TILL}, paid with {CARD}")
    (stored,) = json.loads(decoded(gateway.flows()[-1].request))
    assert "[REDACTED:acme-token:" in stored["message"]
    assert " at till/[REDACTED:till-key:" in stored["message"]
    assert "paid with [REDACTED:card-4242:" in stored["message"]
    assert_nothing_readable(gateway, [TOKEN, TILL.partition("/")[2], CARD])
    record = gateway.records_of("attempted")[-1]
    assert {"acme-token", "till-key", "card"} <= record["findings"].keys()


def test_a_wrong_detector_stops_the_start_with_its_place(
    tmp_path: Path, issuer: Issuer, datadog: StandIn
) -> None:
    (tmp_path / "own.yaml").write_text(OWN.replace("{24}", "{25}"))
    config = {"redaction": {"detectors": [str(tmp_path / "own.yaml")]}}
    gateway = Gateway(
        tmp_path / "gateway", issuer.url, datadog.port, datadog.ca, datadog.keys, config=config
    ).start(wait=False)
    assert gateway.process is not None
    assert gateway.process.wait(30) != 0
    said = gateway.log.read_text()
    assert "own.yaml:7:16: the pattern does not fit this example" in said
    assert "Traceback" not in said
    assert TOKEN not in said


def test_what_of_own_detectors_is_not_honoured_is_told_of_a_running_gateway(gateway: Gateway) -> None:
    (told,) = gateway.status()["warnings"]["redaction"]
    assert "the rule 'names-of-files' looks at names of files alone" in told


def test_a_rehearsal_knows_the_detectors_that_the_policy_names(gateway: Gateway, issuer: Issuer) -> None:
    url = "https://api.datadoghq.com/api/v1/monitor?name=one"
    assert curl(gateway, url, token=issuer.token("demo-agent")).status == 200
    call = gateway.flows()[-1].metadata["ddgate.call"]
    done = replay(gateway, issuer.token("demo-agent"), call)
    assert (done.status, done.results) == (0, ["same"]), done.error
