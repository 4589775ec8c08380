"""A witness cosigns what continues what it cosigned, and nothing else, whoever asks and however often."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.transparency import checkpoint, cosignature, signed_note
from addons.core.transparency.add_checkpoint import SIZE_TYPE, AddCheckpoint, log_id
from addons.core.transparency.checkpoint import Checkpoint
from addons.core.transparency.signed_note import (
    KeyAlgorithm,
    Note,
    NoteSignature,
    SignerKey,
    VerifierKey,
)
from addons.store.state_dir import StateDirUnusable
from addons.witness import memory as memory_module
from addons.witness.judging import Answer, Witness
from addons.witness.memory import EvidenceKind, Memory
from tests.witness.small_log import SmallLog

KEY = SignerKey("witness.example", b"w" * 32, KeyAlgorithm.COSIGNATURE)
NOW = 1_800_000_000
FILE = "witness.sqlite3"


@pytest.fixture
def log() -> SmallLog:
    return SmallLog(size=10)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    Memory.create(tmp_path, KEY.verifier.name)
    opened = Memory.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def witness(memory: Memory, log: SmallLog) -> Witness:
    return watching(memory, log.key)


def watching(memory: Memory, *keys: VerifierKey) -> Witness:
    return Witness(KEY, memory, keys, lambda: NOW)


def cosigns(answer: Answer, log: SmallLog, size: int | None = None) -> bool:
    if answer.status != 200:
        return False
    line = NoteSignature.parse(answer.text.removesuffix("\n"))
    text = signed_note.parse(log.note(size)).text
    assert cosignature.verify(text, line, KEY.verifier) == NOW
    return True


def test_a_first_checkpoint_is_cosigned_and_then_what_continues_it(witness: Witness, log: SmallLog) -> None:
    assert cosigns(witness.add_checkpoint(log.request(0)), log)
    log.grow(300)
    for old, new in ((10, 11), (11, 16), (16, 255), (255, 300)):
        assert cosigns(witness.add_checkpoint(log.request(old, new)), log, new)


def test_an_empty_log_is_one_too(witness: Witness) -> None:
    log = SmallLog()
    assert cosigns(witness.add_checkpoint(log.request(0)), log)
    log.grow(3)
    assert cosigns(witness.add_checkpoint(log.request(0)), log)


def test_the_same_checkpoint_is_cosigned_again(witness: Witness, log: SmallLog) -> None:
    assert cosigns(witness.add_checkpoint(log.request(0)), log)
    assert cosigns(witness.add_checkpoint(log.request(10)), log)


def test_the_newest_is_there_to_read_with_both_signatures(witness: Witness, log: SmallLog) -> None:
    assert witness.newest(log_id(log.key.name)).status == 404
    witness.add_checkpoint(log.request(0, 4))
    witness.add_checkpoint(log.request(4))
    note = signed_note.parse(witness.newest(log_id(log.key.name)).text)
    assert checkpoint.verified(note.encode(), log.key).size == 10
    (line,) = note.signatures_by(KEY.verifier)
    assert cosignature.verify(note.text, line, KEY.verifier) == NOW
    assert witness.newest(log_id("other.example")).status == 404
    assert witness.newest("'; DROP TABLE heads").status == 404


@pytest.mark.parametrize("old", [0, 3, 11])
def test_another_old_size_than_the_one_held_gets_that_size(witness: Witness, log: SmallLog, old: int) -> None:
    witness.add_checkpoint(log.request(0))
    log.grow(20)
    assert witness.add_checkpoint(log.request(old)) == Answer(409, "10\n", SIZE_TYPE)  # type: ignore[arg-type]


def test_an_old_size_where_none_is_held_gets_zero(witness: Witness, log: SmallLog) -> None:
    assert witness.add_checkpoint(log.request(3)) == Answer(409, "0\n", SIZE_TYPE)  # type: ignore[arg-type]


def test_an_older_checkpoint_is_not_cosigned_after_a_newer_one(witness: Witness, log: SmallLog) -> None:
    witness.add_checkpoint(log.request(0))
    for old in range(5):
        assert witness.add_checkpoint(log.request(old, 4)).status == 409
    body = AddCheckpoint(10, (), signed_note.parse(log.note(4))).encode()
    assert witness.add_checkpoint(body).status == 400


def test_a_log_that_is_not_watched_is_not_found(witness: Witness) -> None:
    assert witness.add_checkpoint(SmallLog("other.example", b"o" * 32, 3).request(0)).status == 404


def test_a_strangers_signature_in_the_logs_name_is_forbidden(witness: Witness, log: SmallLog) -> None:
    assert witness.add_checkpoint(SmallLog(log.key.name, b"o" * 32, 3).request(0)).status == 403


def test_every_byte_of_a_submission_counts(tmp_path: Path) -> None:
    """One bit flipped anywhere, and what was sent is not cosigned."""
    log = SmallLog(size=11)
    Memory.create(tmp_path, "w")
    memory = Memory.open(tmp_path)
    witness = watching(memory, log.key)
    witness.add_checkpoint(log.request(0, 6))
    body = log.request(6)
    for at in range(len(body)):
        changed = bytearray(body)
        changed[at] ^= 1 << at % 8
        assert witness.add_checkpoint(bytes(changed)).status in {400, 403, 404, 409, 422}
    assert witness.add_checkpoint(body).status == 200
    memory.close()


@given(st.binary(max_size=300))
@settings(max_examples=50, deadline=None)
def test_any_bytes_get_an_answer(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    directory = tmp_path_factory.mktemp("witness")
    Memory.create(directory, "w")
    memory = Memory.open(directory)
    assert watching(memory, SmallLog().key).add_checkpoint(body).status == 400
    memory.close()


def test_a_signed_note_that_is_no_checkpoint_is_a_bad_request(witness: Witness, log: SmallLog) -> None:
    note = Note("hello\n", (log.signer.sign("hello\n"),))
    assert witness.add_checkpoint(AddCheckpoint(0, (), note).encode()).status == 400


def test_a_proof_where_nothing_was_before_is_refused_and_proves_nothing(
    witness: Witness, memory: Memory, log: SmallLog
) -> None:
    body = AddCheckpoint(0, (b"h" * 32,), signed_note.parse(log.note())).encode()
    assert witness.add_checkpoint(body).status == 422
    assert memory.evidence() == []


def test_two_pasts_of_one_size_are_kept_as_proof(
    witness: Witness, memory: Memory, log: SmallLog, caplog: pytest.LogCaptureFixture
) -> None:
    witness.add_checkpoint(log.request(0))
    log.rewrite(4)
    answer = witness.add_checkpoint(log.request(10))
    assert (answer.status, answer.media_type) == (409, "text/plain; charset=utf-8")
    (found,) = memory.evidence()
    assert found.kind is EvidenceKind.TWO_HEADS
    one, two = (checkpoint.verified(note, log.key) for note in (found.held, found.submitted))
    assert (one.size, one.root != two.root) == (two.size, True)
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]
    witness.add_checkpoint(log.request(10))
    assert len(memory.evidence()) == len(caplog.records) == 1


def test_a_past_that_was_changed_is_not_cosigned_and_kept(
    witness: Witness, memory: Memory, log: SmallLog, caplog: pytest.LogCaptureFixture
) -> None:
    witness.add_checkpoint(log.request(0))
    held = log.note()
    log.rewrite(4)
    log.grow(12)
    assert witness.add_checkpoint(log.request(10)).status == 422
    (found,) = memory.evidence()
    assert (found.kind, found.held, found.submitted) == (EvidenceKind.UNPROVEN, held, log.note())
    assert "INCONSISTENT" in caplog.text


def test_a_wrong_proof_of_a_true_checkpoint_harms_nobody(
    witness: Witness, memory: Memory, log: SmallLog
) -> None:
    """Whoever saw a checkpoint can send it with a wrong proof; the log's own comes, and clears it."""
    witness.add_checkpoint(log.request(0))
    log.grow(12)
    body = AddCheckpoint(10, (b"h" * 32,), signed_note.parse(log.note())).encode()
    assert witness.add_checkpoint(body).status == 422
    assert len(memory.evidence()) == 1
    assert cosigns(witness.add_checkpoint(log.request(10)), log)
    assert memory.evidence() == []


def test_wrong_proofs_do_not_fill_the_disk(
    witness: Witness, memory: Memory, log: SmallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "_MOST_UNPROVEN", 3)
    witness.add_checkpoint(log.request(0))
    log.grow(40)
    for size in range(11, 31):
        note = signed_note.parse(log.note(size))
        stranger = NoteSignature("stranger.example", b"1234", bytes([size]) * 64)
        noisy = Note(note.text, (*note.signatures, stranger))
        for one in (note, noisy):
            witness.add_checkpoint(AddCheckpoint(10, (b"h" * 32,), one).encode())
    found = memory.evidence()
    assert len(found) == 3
    assert not any("stranger" in one.submitted for one in found)


def test_strangers_signatures_are_not_handed_on(witness: Witness, log: SmallLog) -> None:
    note = signed_note.parse(log.note())
    stranger = NoteSignature("stranger.example", b"1234", b"s" * 64)
    noisy = Note(note.text, (stranger, *note.signatures))
    assert cosigns(witness.add_checkpoint(AddCheckpoint(0, (), noisy).encode()), log)
    assert "stranger" not in witness.newest(log_id(log.key.name)).text


def test_a_log_may_change_its_key_where_the_witness_knows_both(memory: Memory, log: SmallLog) -> None:
    new = SmallLog(log.key.name, b"n" * 32, 12)
    both = watching(memory, log.key, new.key)
    assert both.add_checkpoint(log.request(0)).status == 200
    assert both.add_checkpoint(new.request(10)).status == 200
    text = Checkpoint(log.key.name, 12, new.root(12)).text()
    signatures = (log.signer.sign(text), new.signer.sign(text))
    twice = AddCheckpoint(12, (), Note(text, signatures)).encode()
    assert both.add_checkpoint(twice).status == 200
    assert watching(memory, log.key).add_checkpoint(new.request(12)).status == 403
    assert watching(memory, log.key).add_checkpoint(twice).status == 200
    spoilt = Note(text, (signatures[0], log.signer.sign("x\n")))
    assert watching(memory, log.key).add_checkpoint(AddCheckpoint(12, (), spoilt).encode()).status == 403


def test_logs_do_not_know_of_each_other(memory: Memory, log: SmallLog) -> None:
    other = SmallLog("other.example", b"o" * 32, 3)
    witness = watching(memory, log.key, other.key)
    assert cosigns(witness.add_checkpoint(log.request(0)), log)
    assert cosigns(witness.add_checkpoint(other.request(0)), other)


def test_it_remembers(tmp_path: Path, memory: Memory, witness: Witness, log: SmallLog) -> None:
    witness.add_checkpoint(log.request(0))
    memory.close()
    again = Memory.open(tmp_path)
    assert watching(again, log.key).add_checkpoint(log.request(0)).status == 409
    assert cosigns(watching(again, log.key).add_checkpoint(log.request(10)), log)
    again.close()


def test_without_its_memory_it_cosigns_nothing(tmp_path: Path, witness: Witness, log: SmallLog) -> None:
    (tmp_path / FILE).rename(tmp_path / "away")
    with pytest.raises(StateDirUnusable):
        witness.add_checkpoint(log.request(0))
    Memory.create(tmp_path, "another")
    with pytest.raises(StateDirUnusable):
        witness.add_checkpoint(log.request(0))


def test_of_two_pasts_sent_at_once_one_is_cosigned(tmp_path: Path, memory: Memory, log: SmallLog) -> None:
    """Two processes, many threads: all go on from the same checkpoint, and one wins."""
    second = Memory.open(tmp_path)
    witnesses = [watching(memory, log.key), watching(second, log.key)]
    witnesses[0].add_checkpoint(log.request(0))
    bodies = []
    for number in range(8):
        fork = SmallLog(size=10)
        fork.leaves += [b"fork %d" % number] * (number + 1)
        bodies.append(fork.request(10))
    answers: list[int] = []
    gate = threading.Barrier(8)

    def send(number: int) -> None:
        gate.wait()
        answers.append(witnesses[number % 2].add_checkpoint(bodies[number]).status)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(answers) == [200] + [409] * 7
    second.close()


steps = st.tuples(st.integers(0, 1), st.integers(0, 12), st.integers(0, 12))


@given(st.lists(steps, max_size=25))
@settings(max_examples=60, deadline=None)
def test_whatever_a_lying_log_tries_one_past_is_cosigned(
    tmp_path_factory: pytest.TempPathFactory, tries: list[tuple[int, int, int]]
) -> None:
    """It has two pasts, which agree on the first four records, and asks with either, from and to any size."""
    directory = tmp_path_factory.mktemp("witness")
    Memory.create(directory, "w")
    memory = Memory.open(directory)
    pasts = SmallLog(size=12), SmallLog(size=12)
    pasts[1].leaves[4:] = [b"another"] * 8
    witness = watching(memory, pasts[0].key)
    cosigned: list[tuple[int, bytes]] = []
    for past, *sizes in tries:
        old, new = sorted(sizes)
        if witness.add_checkpoint(pasts[past].request(old, new)).status == 200:
            cosigned.append((new, pasts[past].root(new)))
    memory.close()
    assert cosigned == sorted(cosigned, key=lambda one: one[0])
    assert any(all(past.root(size) == root for size, root in cosigned) for past in pasts)
