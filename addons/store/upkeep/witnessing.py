"""Has one witness cosign the log's head whenever it grew, while the gateway runs.

A witness that can't be reached stops nothing; its cosignatures come later, and the warning says since when
they lack. One that says the log's past was changed is a problem, after a look at what it holds.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx

from addons.core.transparency import checkpoint, signed_note
from addons.core.transparency.checkpoint import Checkpoint, CheckpointInvalid
from addons.core.transparency.signed_note import Note, NoteInvalid, NoteSignature, VerifierKey
from addons.store.audit.problems import AuditLogUnusable
from addons.store.upkeep.witness_client import (
    KnownWitness,
    Seen,
    WitnessInconsistent,
    WitnessProblem,
    WitnessStale,
    newest,
    submit,
)
from addons.store.writing.journal import JournalUnavailable

EVERY_SECONDS = 1.0
LONGEST_WAIT = 60.0
_log = logging.getLogger(__name__)

# Of the log: the last two where its tables hold what nobody here wrote.
_UNUSABLE = (AuditLogUnusable, JournalUnavailable, sqlite3.Error, OSError, ArithmeticError, ValueError)


@dataclass(frozen=True, slots=True)
class WitnessedLog:
    """What the upkeep needs of the log; each may block, and raise AuditLogUnusable or sqlite3.Error.

    `head` gives the newest signed checkpoint that is committed, as a note. `proof` and `root` are of sizes
    up to the head's: the consistency proof from one to another, and the root at one. `cosigned` gives the
    size that the witness of this name is known to have cosigned last, 0 for none. `keep` stores a note with
    cosignatures of it; another process may have done so already. `keys` gives every key the log ever had.
    """

    head: Callable[[], str]
    proof: Callable[[int, int], Sequence[bytes]]
    root: Callable[[int], bytes]
    cosigned: Callable[[str], int]
    keep: Callable[[str, Sequence[NoteSignature]], None]
    keys: Callable[[], Sequence[VerifierKey]]


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """A witness doesn't follow the log any more. `head` is the note that it refused. `held`, where it showed
    it, is what it cosigned before: signed by the log as well, it proves that the log changed its past.
    """

    witness: str
    why: str
    head: str
    held: str | None

    @property
    def is_proven(self) -> bool:
        return self.held is not None


class WitnessUpkeep:
    """`on_inconsistent` is told once, until the witness cosigns again; `clock` gives seconds since the
    epoch.
    """

    def __init__(
        self,
        witness: KnownWitness,
        log: WitnessedLog,
        client: httpx.AsyncClient,
        on_inconsistent: Callable[[Inconsistency], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._witness = witness
        self._log = log
        self._client = client
        self._on_inconsistent = on_inconsistent
        self._clock = clock
        self._cosigned: int | None = None
        self._follows = False
        self._wait = EVERY_SECONDS
        self._found: Inconsistency | None = None
        self._lacking: tuple[float, str] | None = None

    @property
    def problem(self) -> str | None:
        """For readiness: why the log can't be trusted any more, and what to do."""
        if self._found is None:
            return None
        return (
            f"{self._found.why}. Its past was changed, or was restored from an older copy: "
            "stop, keep the file, and run `ddgate audit verify`."
        )

    @property
    def warning(self) -> str | None:
        """What is lacking, and since when: the witness gives no cosignatures."""
        if self._lacking is None:
            return None
        since, why = self._lacking
        return f"no cosignature for {max(0, int(self._clock() - since))} s: {why}"

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            wait = await self.ask()
            await asyncio.sleep(wait)

    async def ask(self) -> float:
        """Ask once, where there is something to ask; the seconds to wait until the next time."""
        try:
            asked = await self._ask()
        except WitnessProblem as error:
            self._lack(str(error))
        except (
            AuditLogUnusable,
            JournalUnavailable,
            sqlite3.Error,
            OSError,
            ArithmeticError,
            ValueError,
        ) as error:
            # Its text is told where the log itself is looked after; here it only must not end the task.
            self._lack(f"the log can't be read or written for it ({type(error).__name__})")
        else:
            if asked:
                self._settle()
            self._wait = EVERY_SECONDS if self._found is None else LONGEST_WAIT
            return self._wait
        waited, self._wait = self._wait, min(self._wait * 2, LONGEST_WAIT)
        return waited

    async def _ask(self) -> bool:
        """Whether the witness follows the log, as far as there is something to know.

        Raises WitnessProblem, and what the log's functions raise.
        """
        note, head = await self._head()
        if self._cosigned is None:
            self._cosigned = await asyncio.to_thread(self._log.cosigned, self._witness.key.name)
        # Asked once in any case: what was changed while no gateway ran must not wait for the next record.
        if self._follows and head.size == self._cosigned:
            return True
        try:
            lines = await self._submit(note, head)
        except WitnessStale as stale:
            return await self._catch_up(stale)
        except WitnessInconsistent as error:
            return await self._accused(str(error), note)
        return await self._keep(note, head, lines)

    async def _submit(self, note: str, head: Checkpoint) -> tuple[NoteSignature, ...]:
        old = min(self._cosigned or 0, head.size)
        proof = await asyncio.to_thread(self._log.proof, old, head.size)
        return await submit(self._client, self._witness, note, old, proof)

    async def _catch_up(self, stale: WitnessStale) -> bool:
        """Another process asked meanwhile, or an answer was lost; or entries are lost that it cosigned."""
        note, head = await self._head()  # read after it answered: whatever it cosigned was committed before
        if stale.size > head.size:
            why = f"the witness cosigned {stale.size} entries, and the log has {head.size}"
            return await self._accused(why, note)
        self._cosigned = stale.size
        try:
            lines = await self._submit(note, head)
        except WitnessStale as again:  # others are quicker; next time
            self._cosigned = again.size
            return False
        except WitnessInconsistent as error:
            return await self._accused(str(error), note)
        return await self._keep(note, head, lines)

    async def _keep(self, note: str, head: Checkpoint, lines: Sequence[NoteSignature]) -> bool:
        await asyncio.to_thread(self._log.keep, note, lines)
        self._cosigned = head.size
        self._follows = True
        return True

    async def _accused(self, why: str, note: str) -> bool:
        """What it holds, if the log signed it, and the log's past has it no more, settles the matter. Without
        that only the connection says so: enough over TLS, nothing over plain HTTP, where anybody could.

        Raises WitnessProblem where it isn't believed.
        """
        self._follows = False
        held = await self._conflicting(note)
        if held is None and not self._witness.url.startswith("https:"):
            raise WitnessProblem(f"{why}, and doesn't show what it cosigned before, so it isn't believed")
        if self._found is None:
            found = Inconsistency(self._witness.key.name, why, note, held.encode() if held else None)
            _log.critical("INCONSISTENT: %s. The past of the audit log was changed or lost.", why)
            self._found = found  # first: readiness says so whether or not it can be put on record
            await self._on_inconsistent(found)
        self._lacking = self._lacking or (self._clock(), why)
        return False

    async def _conflicting(self, note: str) -> Note | None:
        """What the witness holds, where the log signed it and hasn't it in its past."""
        try:
            seen = await newest(self._client, self._witness, _checkpoint(note).origin)
        except WitnessProblem:
            return None
        if seen is None or not self._is_signed(seen, await asyncio.to_thread(self._log.keys)):
            return None
        _, head = await self._head()  # read after it answered, as in `_catch_up`
        if seen.checkpoint.size > head.size:
            return seen.note
        root = await asyncio.to_thread(self._log.root, seen.checkpoint.size)
        return seen.note if root != seen.checkpoint.root else None

    @staticmethod
    def _is_signed(seen: Seen, keys: Sequence[VerifierKey]) -> bool:
        for key in keys:
            try:
                seen.note.check_signed_by(key)
            except NoteInvalid:
                continue
            return True
        return False

    async def _head(self) -> tuple[str, Checkpoint]:
        note = await asyncio.to_thread(self._log.head)
        return note, _checkpoint(note)

    def _settle(self) -> None:
        if self._lacking is not None:
            _log.info("The witness %s cosigns again.", self._witness.key.name)
        self._found = self._lacking = None

    def _lack(self, why: str) -> None:
        if self._lacking is None or self._lacking[1] != why:
            _log.warning("No cosignature: %s.", why)
        self._lacking = (self._lacking[0] if self._lacking else self._clock(), why)


def _checkpoint(note: str) -> Checkpoint:
    """Raises WitnessProblem."""
    try:
        return checkpoint.parse(signed_note.parse(note).text)
    except (NoteInvalid, CheckpointInvalid) as error:
        raise WitnessProblem(f"the log's own head can't be read: {error}") from None
