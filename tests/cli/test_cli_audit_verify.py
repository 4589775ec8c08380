"""What an auditor is told: that the log verifies, or where it doesn't; proofs that stand alone; its keys."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from addons.cli.main import app
from addons.core.transparency.signed_note import KeyAlgorithm, SignerKey
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog
from addons.store.writing.journal import Journal, JournalUnavailable
from addons.store.writing.process_lock import ProcessLock

RECORDS = 520


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, words)], catch_exceptions=False)


def told(result: Result) -> str:
    return result.stdout + result.stderr


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    state = StateDir.open(tmp_path / "state")
    log = AuditLog.open(state.audit_log, busy_seconds=5, create=True)
    for start in range(0, RECORDS, 40):
        records = [AuditRecord(RecordKind.ATTEMPTED, float(n), f"{n:032x}") for n in range(start, start + 40)]
        log.append([[(one, one.encode())] for one in records])
    log.close()
    return state


def key_of(state: StateDir) -> str:
    return run("key", "--state", state.path).stdout.strip()


def change(state: StateDir, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(state.audit_log, isolation_level=None)) as connection:
        connection.execute(sql)


def test_a_whole_log_is_said_to_verify_and_the_look_is_on_record(state: StateDir) -> None:
    result = run("verify", "--state", state.path)
    assert result.exit_code == 0
    assert f"verifies: {RECORDS} records" in result.stdout
    assert "of the state directory itself" in result.stdout
    again = json.loads(run("verify", "--state", state.path, "--key", key_of(state), "--json").stdout)
    assert (again["verifies"], again["records"], again["key"]) == (True, RECORDS + 1, key_of(state))
    ((body,),) = (
        sqlite3.connect(state.audit_log).execute("SELECT body FROM records WHERE idx = 521").fetchall()
    )
    record = json.loads(body)
    assert (record["kind"], record["attributes"]["command"]) == ("read", "audit verify")


def test_the_first_bad_record_is_named(state: StateDir) -> None:
    change(state, "UPDATE records SET body = replace(body, 'attempted', 'refused') WHERE idx >= 77")
    result = run("verify", "--state", state.path)
    assert result.exit_code == 1
    assert "does NOT verify. record 77: its text is not what was hashed" in result.stderr
    found = json.loads(run("verify", "--state", state.path, "--json").stdout)
    assert (found["verifies"], found["first"], found["last"]) == (False, 77, 77)


def test_a_kept_checkpoint_tells_what_was_cut_off(state: StateDir, tmp_path: Path) -> None:
    run("checkpoint", "--state", state.path)
    before, kept = tmp_path / "before", tmp_path / "kept"
    shutil.copy(state.audit_log, before)
    run("verify", "--state", state.path)  # leaves a record
    kept.write_text(run("checkpoint", "--state", state.path).stdout)
    assert run("verify", "--state", state.path, "--from", kept).exit_code == 0
    shutil.copy(before, state.audit_log)
    (state.path / "audit-checkpoint").unlink()
    assert run("verify", "--state", state.path).exit_code == 0  # by itself it is whole
    shutil.copy(before, state.audit_log)
    result = run("verify", "--state", state.path, "--from", kept)
    assert result.exit_code == 1
    assert f"record 521: missing: the checkpoint in {kept} covers 521 records" in result.stderr


def test_a_log_that_was_put_back_is_told_by_the_checkpoint_beside_it(state: StateDir, tmp_path: Path) -> None:
    before = tmp_path / "before"
    shutil.copy(state.audit_log, before)
    run("change-key", "--state", state.path)
    shutil.copy(before, state.audit_log)
    assert "record 521: missing" in run("verify", "--state", state.path).stderr
    with pytest.raises(JournalUnavailable, match="doesn't verify: record 521"):
        Journal.open(state)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--key", "nonsense"], "This is no public key"),
        (["--witness-key", "nonsense"], "This is no public key"),
        (["--from", "missing"], "can't be read (No such file"),
        (["--log", "missing"], "There is no audit log"),
    ],
)
def test_what_is_asked_wrongly_is_told(state: StateDir, words: list[str], said: str) -> None:
    result = run("verify", "--state", state.path, *words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "Traceback" not in told(result)


def test_a_hostile_checkpoint_is_told(state: StateDir, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    for content in (b"", b"\xff\xfe", b"x" * 2_000_000, b"a\n1\nAAAA\n\n"):
        hostile.write_bytes(content)
        result = run("verify", "--state", state.path, "--from", hostile)
        assert result.exit_code == 1
        assert f"the checkpoint in {hostile}" in result.stderr


def test_a_witness_that_has_not_cosigned_is_missed(state: StateDir) -> None:
    witness = SignerKey("example.com/witness", b"w" * 32, KeyAlgorithm.COSIGNATURE).verifier
    result = run("verify", "--state", state.path, "--witness-key", witness.encode())
    assert result.exit_code == 1
    assert "example.com/witness has cosigned nothing" in result.stderr


def test_a_proof_stands_alone(state: StateDir, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    result = run("prove", "#77", "--state", state.path, "-o", proof)
    assert result.exit_code == 0
    assert stat.S_IMODE(proof.stat().st_mode) == 0o600
    checked = run("check-proof", proof, "--key", key_of(state))
    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["time"] == 76.0
    assert "Record 77 of 520" in checked.stderr
    by_call = run("prove", f"{76:032x}", "--state", state.path)
    assert by_call.exit_code == 0
    assert run("prove", "#77", "--state", state.path, "-o", proof).exit_code == 1  # never over a file


def test_a_proof_of_something_else_is_refused(state: StateDir, tmp_path: Path) -> None:
    text = run("prove", "#77", "--state", state.path).stdout
    key, proof = key_of(state), tmp_path / "proof"
    other = SignerKey(key.partition("+")[0], b"o" * 32).verifier.encode()
    lines = text.split("\n")
    changed = [
        (text.replace("index 76", "index 75"), key),
        ("\n".join([*lines[:3], *lines[4:]]), key),
        (text.replace(lines[1], lines[1][:-8] + "AAAAAAA="), key),
        (text, other),
        ("", key),
        ("\x00\xff", key),
    ]
    for content, trusted in changed:
        proof.write_text(content)
        result = run("check-proof", proof, "--key", trusted)
        assert result.exit_code == 1, content
        assert "doesn't hold" in result.stderr
    assert run("check-proof", proof).exit_code == 1


def test_pruning_keeps_the_log_verifying_and_old_proofs_holding(state: StateDir, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    run("prove", "#77", "--state", state.path, "-o", proof)
    kept = tmp_path / "kept"
    kept.write_text(run("checkpoint", "--state", state.path).stdout)
    result = run("prune", "--before", "1970-01-01T00:05:00", "--yes", "--state", state.path)
    assert result.stdout == "Texts up to record 256 are gone.\n"
    verified = run("verify", "--state", state.path, "--from", kept)
    assert verified.exit_code == 0
    assert "the texts of 256 of them pruned" in verified.stdout
    assert run("check-proof", proof, "--key", key_of(state)).exit_code == 0
    assert "was pruned" in run("prove", "#78", "--state", state.path).stderr
    assert (
        "nothing to prune"
        in run("prune", "--before", "1970-01-01T00:05:00", "--yes", "--state", state.path).stdout
    )
    change(state, "UPDATE records SET body = NULL WHERE idx = 300")
    assert "record 300: the text is gone" in run("verify", "--state", state.path).stderr


def test_the_key_is_changed_and_the_old_one_still_vouches(state: StateDir) -> None:
    old = key_of(state)
    new = run("change-key", "--state", state.path).stdout.strip()
    assert key_of(state).split() == [old, new]
    assert run("verify", "--state", state.path, "--key", old).exit_code == 0
    assert run("verify", "--state", state.path, "--key", new).exit_code == 1


def test_the_private_half_of_a_key_that_was_replaced_can_go(state: StateDir) -> None:
    run("change-key", "--state", state.path)
    run("verify", "--state", state.path)
    (state.keys / "audit-signing.key").unlink()
    assert run("verify", "--state", state.path).exit_code == 0
    Journal.open(state).close()


def test_a_key_that_was_replaced_signs_no_head_any_more(state: StateDir, tmp_path: Path) -> None:
    """Whoever stole the old key, and can write to the state directory, can't put another log in its place."""
    before = tmp_path / "before"
    run("checkpoint", "--state", state.path)
    shutil.copy(state.audit_log, before)
    run("change-key", "--state", state.path)
    shutil.copy(before, state.audit_log)
    (state.path / "audit-checkpoint").unlink()
    assert "signed by a key that was replaced" in run("verify", "--state", state.path).stderr


def test_no_log_follows_one_that_is_gone_by_itself(state: StateDir) -> None:
    state.audit_log.unlink()
    with pytest.raises(JournalUnavailable, match=r"is gone.*new-log"):
        Journal.open(state)
    (state.path / "audit-checkpoint").unlink()
    with pytest.raises(JournalUnavailable, match=r"is gone.*new-log"):
        Journal.open(state)
    assert not state.audit_log.exists()
    assert run("new-log", "--because", "somebody removed it", "--state", state.path).exit_code == 0
    Journal.open(state).close()


def test_a_checkpoint_that_a_power_cut_left_empty_stops_nothing(state: StateDir) -> None:
    (state.path / "audit-checkpoint").write_bytes(bytes(300))
    Journal.open(state).close()


def test_a_new_log_names_the_old_one(state: StateDir) -> None:
    change(state, "UPDATE records SET body = '{}' WHERE idx = 5")
    old = run("checkpoint", "--state", state.path).stdout
    process = ProcessLock.take(state)
    refused = run("new-log", "--because", "it was edited", "--state", state.path)
    assert refused.exit_code == 1
    assert "Stop every gateway" in refused.stderr
    process.release()
    result = run("new-log", "--because", "it was edited", "--state", state.path)
    assert result.exit_code == 0
    (aside,) = state.path.glob("audit-2*.sqlite3")
    with contextlib.closing(sqlite3.connect(state.audit_log)) as log:
        ((body,),) = log.execute("SELECT body FROM records").fetchall()
    record = json.loads(body)
    assert record["kind"] == "log_begun"
    assert record["attributes"]["why"] == "it was edited"
    assert record["attributes"]["previous"]["file"] == aside.name
    assert record["attributes"]["previous"]["head"] == old
    digest = hashlib.sha256(aside.read_bytes()).hexdigest()
    assert record["attributes"]["previous"]["sha256"] == digest
    again = run("new-log", "--because", "once more", "--state", state.path)
    assert again.exit_code == 0
    assert len(list(state.path.glob("audit-2*.sqlite3"))) == 2
    assert hashlib.sha256(aside.read_bytes()).hexdigest() == digest
    assert run("verify", "--state", state.path).exit_code == 0
    assert "record 5" in run("verify", "--state", state.path, "--log", aside).stderr


def test_a_log_in_use_is_not_set_aside(state: StateDir) -> None:
    log = AuditLog.open(state.audit_log, busy_seconds=5, create=False)
    result = run("new-log", "--because", "x", "--state", state.path)
    log.close()
    assert result.exit_code == 1
    assert "Another process uses the audit log" in result.stderr
    assert run("verify", "--state", state.path).exit_code == 0
