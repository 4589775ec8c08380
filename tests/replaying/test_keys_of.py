"""What recordings were masked by is what calls are masked by that are compared with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from addons.cli.replay.stand_in import keys_of
from addons.core.redact.detectors.vendors import lower
from addons.replaying.comparing import Answer, Comparing, Comparison
from addons.replaying.exchange import RecordedAnswer
from addons.store.config_file import LoadedConfig, parse_config
from addons.store.masking.detector_files import load_detectors, masks_of
from addons.store.state_dir import StateDir
from tests.replaying.making import JSON, exchange

TOKEN, MAIL, CARD = "acme_" + lower(24), "ines.roth@mail.example.net", "4242 4242 4242 4242"
BODY = json.dumps({"title": f"{TOKEN} of {MAIL}, paid with {CARD}"}).encode()
OWN = f"version: 1\ndetectors: [{{id: acme, pattern: 'acme_[a-z0-9]{{24}}', examples: [{TOKEN}]}}]"
CONFIG = """
version: 1
policy: [policy.yaml]
credentials: {default: {api_key: {file: gone}}}
issuers: [{issuer: "https://issuer.example.net", audience: ddgate, algorithms: [RS256]}]
redaction: {detectors: [own.yaml], pii: true, card_last_four: true}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedConfig:
    (tmp_path / "own.yaml").write_text(OWN)
    (tmp_path / "ddgate.yaml").write_text(CONFIG)
    return parse_config(tmp_path / "ddgate.yaml", {})


def test_a_call_and_an_answer_are_masked_by_the_configuration_of_the_recording(
    tmp_path: Path, loaded: LoadedConfig
) -> None:
    state = StateDir.open(tmp_path / "state")
    recorded = masks_of(state, loaded.config, load_detectors(loaded)).secrets
    stored = recorded.scrub_body(BODY, "application/json").data
    assert stored.count(b"[REDACTED:") == 3
    keys = keys_of(state, loaded)
    asked = keys.asking.recorded(exchange("POST", "/api/v1/monitor", stored))
    headers = {"content-type": "application/json"}
    assert keys.asking.incoming("POST", asked.host, "/api/v1/monitor", headers, BODY) == asked
    comparing = Comparing(keys.masks, keys.values)
    assert comparing.compare(RecordedAnswer(200, JSON, stored), Answer(200, JSON, BODY)) == (
        Comparison((200, 200))
    )
    plain = keys_of(state)
    assert plain.asking.incoming("POST", asked.host, "/api/v1/monitor", headers, BODY) != asked
