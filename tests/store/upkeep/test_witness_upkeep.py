"""The log is cosigned as it grows; a witness that is away stops nothing, one that was shown another past is
heard.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from addons.core.transparency import checkpoint, cosignature, signed_note
from addons.core.transparency.signed_note import KeyAlgorithm, NoteSignature, SignerKey
from addons.store.audit.problems import AuditLogUnusable
from addons.store.upkeep.witness_client import KnownWitness, witness_client
from addons.store.upkeep.witnessing import (
    EVERY_SECONDS,
    LONGEST_WAIT,
    Inconsistency,
    WitnessedLog,
    WitnessUpkeep,
)
from tests.store.upkeep.test_witness_client import answering
from tests.witness.small_log import SmallLog
from tests.witness.witness_process import WitnessProcess


@pytest.fixture
def log() -> SmallLog:
    return SmallLog(size=10)


@pytest.fixture
def witness(tmp_path: Path, log: SmallLog) -> Iterator[WitnessProcess]:
    with WitnessProcess.start(tmp_path / "w", [log.vkey]) as started:
        yield started


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with witness_client() as opened:
        yield opened


class Watched:
    """An upkeep, and what it told."""

    def __init__(self, log: SmallLog, witness: KnownWitness, client: httpx.AsyncClient) -> None:
        self.told: list[Inconsistency] = []
        self.now = 1000.0
        self.upkeep = WitnessUpkeep(witness, access(log), client, self._tell, lambda: self.now)

    async def _tell(self, found: Inconsistency) -> None:
        self.told.append(found)


def access(log: SmallLog) -> WitnessedLog:
    return WitnessedLog(log.head, log.proof, log.root, log.cosigned, log.keep, log.keys)


async def test_every_head_is_cosigned(
    witness: WitnessProcess, client: httpx.AsyncClient, log: SmallLog
) -> None:
    watched = Watched(log, witness.known, client)
    for size in (10, 11, 300):
        log.grow(size)
        assert await watched.upkeep.ask() == EVERY_SECONDS
        (line,) = log.kept[size]
        text = signed_note.parse(log.note(size)).text
        assert cosignature.verify(text, NoteSignature.parse(line), witness.known.key)
    assert watched.upkeep.problem is watched.upkeep.warning is None
    assert watched.told == []


async def test_a_head_that_did_not_grow_is_not_sent_again(
    witness: WitnessProcess, client: httpx.AsyncClient, log: SmallLog
) -> None:
    watched = Watched(log, witness.known, client)
    await watched.upkeep.ask()
    witness.stop()
    assert await watched.upkeep.ask() == EVERY_SECONDS
    assert watched.upkeep.warning is None


async def test_a_start_asks_even_so(
    witness: WitnessProcess, client: httpx.AsyncClient, log: SmallLog
) -> None:
    """What was changed while no gateway ran shows before the next record."""
    await Watched(log, witness.known, client).upkeep.ask()
    log.rewrite(4)
    again = Watched(log, witness.known, client)
    await again.upkeep.ask()
    assert again.upkeep.problem is not None


async def test_several_processes_take_turns(
    witness: WitnessProcess, client: httpx.AsyncClient, log: SmallLog
) -> None:
    one, two = Watched(log, witness.known, client), Watched(log, witness.known, client)
    for size in (10, 20, 30, 40):
        log.grow(size)
        for each in (one, two):
            assert await each.upkeep.ask() == EVERY_SECONDS
            assert each.upkeep.problem is each.upkeep.warning is None
    assert sorted(log.kept) == [10, 20, 30, 40]


async def test_an_answer_that_was_lost_is_made_up_for(
    witness: WitnessProcess, client: httpx.AsyncClient, log: SmallLog
) -> None:
    await Watched(log, witness.known, client).upkeep.ask()
    log.kept.clear()
    log.grow(20)
    watched = Watched(log, witness.known, client)
    await watched.upkeep.ask()
    assert list(log.kept) == [20]


async def test_a_witness_that_is_away_is_asked_ever_less_and_stops_nothing(
    tmp_path: Path, client: httpx.AsyncClient, log: SmallLog, caplog: pytest.LogCaptureFixture
) -> None:
    started = WitnessProcess.start(tmp_path / "w", [log.vkey])
    watched = Watched(log, started.known, client)
    await watched.upkeep.ask()
    started.stop()
    log.grow(20)
    waits = [await watched.upkeep.ask() for _ in range(8)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    watched.now += 90
    assert watched.upkeep.warning is not None
    assert watched.upkeep.warning.startswith("no cosignature for 90 s: the witness at http://127.0.0.1:")
    assert watched.upkeep.problem is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    with WitnessProcess.start(tmp_path / "w", [log.vkey], started.port):
        assert await watched.upkeep.ask() == EVERY_SECONDS
    assert watched.upkeep.warning is None
    assert sorted(log.kept) == [10, 20]


@pytest.mark.parametrize("size", [10, 12])
async def test_a_changed_past_is_a_problem_with_proof(
    witness: WitnessProcess, client: httpx.AsyncClient, log: SmallLog, size: int
) -> None:
    watched = Watched(log, witness.known, client)
    await watched.upkeep.ask()
    held = checkpoint.verified(log.note(), log.key)
    log.rewrite(3)
    log.grow(size)
    if size == 10:  # a head that did not grow is asked for at a start only
        watched = Watched(log, witness.known, client)
    assert await watched.upkeep.ask() == LONGEST_WAIT
    (found,) = watched.told
    assert found.is_proven
    assert found.held is not None
    assert checkpoint.verified(found.held, log.key) == held
    assert checkpoint.verified(found.head, log.key).size == size
    assert watched.upkeep.problem is not None
    assert "ddgate audit verify" in watched.upkeep.problem
    await watched.upkeep.ask()
    assert len(watched.told) == 1


async def test_a_log_that_was_cut_off_is_a_problem_with_proof(
    witness: WitnessProcess, client: httpx.AsyncClient, log: SmallLog
) -> None:
    """As when the log was restored from a copy of yesterday."""
    await Watched(log, witness.known, client).upkeep.ask()
    log.kept.clear()
    del log.leaves[7:]
    watched = Watched(log, witness.known, client)
    await watched.upkeep.ask()
    (found,) = watched.told
    assert "cosigned 10 entries, and the log has 7" in found.why
    assert found.is_proven


async def test_a_log_that_was_cut_off_and_grew_again_is_a_problem(
    witness: WitnessProcess, client: httpx.AsyncClient, log: SmallLog
) -> None:
    await Watched(log, witness.known, client).upkeep.ask()
    log.kept.clear()
    log.leaves[7:] = [b"other"] * 20
    watched = Watched(log, witness.known, client)
    await watched.upkeep.ask()
    assert [found.is_proven for found in watched.told] == [True]


async def test_a_log_that_is_put_right_is_cosigned_again(
    witness: WitnessProcess, client: httpx.AsyncClient, log: SmallLog
) -> None:
    watched = Watched(log, witness.known, client)
    await watched.upkeep.ask()
    right = list(log.leaves)
    log.rewrite(3)
    log.grow(12)
    await watched.upkeep.ask()
    assert watched.upkeep.problem is not None
    log.leaves = right
    await watched.upkeep.ask()
    assert watched.upkeep.problem is watched.upkeep.warning is None


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (422, b"", ()),
        (409, b"", ()),
        (409, b"99\n", (("Content-Type", "text/x.tlog.size"),)),
    ],
)
async def test_over_plain_http_an_accusation_without_proof_is_not_believed(
    client: httpx.AsyncClient, log: SmallLog, status: int, body: bytes, headers: tuple[tuple[str, str], ...]
) -> None:
    with answering(status, body, *headers) as witness:
        watched = Watched(log, witness, client)
        assert await watched.upkeep.ask() == EVERY_SECONDS
    assert watched.upkeep.problem is None
    assert watched.upkeep.warning is not None
    assert "isn't believed" in watched.upkeep.warning
    assert watched.told == []


async def test_over_tls_it_is(log: SmallLog) -> None:
    """A witness of another make, which has nothing to read beside `add-checkpoint`."""
    key = SignerKey("witness.example", b"w" * 32, KeyAlgorithm.COSIGNATURE).verifier

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(422 if request.method == "POST" else 404, stream=httpx.ByteStream(b""))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        watched = Watched(log, KnownWitness("https://witness.example", key), client)
        assert await watched.upkeep.ask() == LONGEST_WAIT
    assert [found.is_proven for found in watched.told] == [False]
    assert watched.upkeep.problem is not None


async def test_what_the_log_has_in_its_past_proves_nothing_against_it(log: SmallLog) -> None:
    """Somebody between the two refuses the head, and shows what the witness did cosign."""
    key = SignerKey("witness.example", b"w" * 32, KeyAlgorithm.COSIGNATURE)
    line = cosignature.cosigned(signed_note.parse(log.note(4)).text, key, 5).line()

    def answer(request: httpx.Request) -> httpx.Response:
        shown = f"{log.note(4)}{line}\n".encode()
        if request.method == "POST":
            return httpx.Response(422, stream=httpx.ByteStream(b""))
        return httpx.Response(200, stream=httpx.ByteStream(shown))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        watched = Watched(log, KnownWitness("http://witness.example", key.verifier), client)
        assert await watched.upkeep.ask() == EVERY_SECONDS
    assert watched.told == []
    assert watched.upkeep.warning is not None
    assert "isn't believed" in watched.upkeep.warning


async def test_a_witness_can_not_make_up_a_past_of_the_log(
    tmp_path: Path, client: httpx.AsyncClient, log: SmallLog
) -> None:
    """It holds a checkpoint of the log's name that another key signed."""
    forged = SmallLog(log.key.name, b"f" * 32, 15)
    with WitnessProcess.start(tmp_path / "w", [log.vkey, forged.vkey]) as liar:
        await Watched(forged, liar.known, client).upkeep.ask()
        watched = Watched(log, liar.known, client)
        await watched.upkeep.ask()
    assert watched.told == []
    assert watched.upkeep.problem is None


async def test_a_log_that_can_not_be_read_is_asked_for_again(
    witness: WitnessProcess, client: httpx.AsyncClient, log: SmallLog
) -> None:
    broken = True

    def head() -> str:
        if broken:
            raise AuditLogUnusable("The audit log /x is damaged.", "Stop.")
        return log.head()

    async def tell(_: Inconsistency) -> None:
        raise AssertionError

    with_head = WitnessedLog(head, log.proof, log.root, log.cosigned, log.keep, log.keys)
    upkeep = WitnessUpkeep(witness.known, with_head, client, tell, lambda: 0.0)
    await upkeep.ask()
    assert upkeep.warning is not None
    assert "AuditLogUnusable" in upkeep.warning
    broken = False
    await upkeep.ask()
    assert upkeep.warning is None
    assert list(log.kept) == [10]
