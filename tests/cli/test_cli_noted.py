"""What people type is masked with a team's own detectors before it is put on record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from addons.cli.main import app
from addons.cli.noted import note_read
from addons.core.redact.detectors.vendors import lower
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog

OWN = "acme_" + lower(24)
DETECTORS = (
    f"version: 1\ndetectors: [{{id: acme-token, pattern: 'acme_[a-z0-9]{{24}}', examples: [{OWN}]}}]\n"
)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDir:
    """Of a gateway with own detectors, whose keys are not at hand here."""
    state = StateDir.open(tmp_path / "state")
    AuditLog.open(state.audit_log, busy_seconds=5, create=True).close()
    config = {
        "version": 1,
        "issuers": [{"issuer": "https://id.example.com", "audience": "ddgate", "algorithms": ["RS256"]}],
        "credentials": {"default": {"api_key": {"env": "SET_FOR_THE_GATEWAY_ALONE"}}},
        "policy": ["policy.yaml"],
        "redaction": {"detectors": ["own.yaml"]},
    }
    (tmp_path / "ddgate.yaml").write_text(json.dumps(config))
    (tmp_path / "own.yaml").write_text(DETECTORS)
    monkeypatch.setenv("DDGATE_CONFIG", str(tmp_path / "ddgate.yaml"))
    return state


def stored(state: StateDir) -> bytes:
    return b"".join(path.read_bytes() for path in state.path.rglob("*") if path.is_file())


def test_what_is_searched_for_and_the_reason_of_a_freeze_are_masked_by_own_detectors(state: StateDir) -> None:
    asked = ["audit", "query", "--who", f"lost {OWN} today", "--state", str(state.path)]
    frozen = ["freeze", "agent", "--reason", f"leaked {OWN} today", "--state", str(state.path)]
    for arguments in (asked, frozen):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
    assert OWN.encode() not in stored(state)
    assert b"lost [REDACTED:acme-token:" in stored(state)
    assert b"leaked [REDACTED:acme-token:" in stored(state)


@pytest.mark.parametrize("broken", ["own.yaml", "ddgate.yaml"])
def test_where_the_detectors_can_not_be_read_no_text_is_put_on_record(state: StateDir, broken: str) -> None:
    (state.path.parent / broken).write_text("version: 7")
    assert note_read(state, "audit query", {"text": f"lost {OWN} today", "limit": 5}, 3) is None
    assert OWN.encode() not in stored(state)
    assert b'"text":"[REDACTED:unread:00000000]"' in stored(state)
