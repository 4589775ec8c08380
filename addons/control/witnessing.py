"""Has the audit log's checkpoints cosigned by the witnesses of the configuration."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time

from addons.core.config_audit import Witness
from addons.core.transparency.signed_note import VerifierKey
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.identity.issuer_http import FetchFailed
from addons.store.state_dir import StateDir
from addons.store.upkeep.witness_client import KnownWitness, witness_client
from addons.store.upkeep.witnessed_log import witnessed_log
from addons.store.upkeep.witnessing import Inconsistency, WitnessUpkeep
from addons.store.writing.journal import Journal

_log = logging.getLogger(__name__)


class Witnessing:
    """`base` is what paths of the configuration are relative to."""

    def __init__(self, witnesses: Sequence[Witness], base: Path, state: StateDir, journal: Journal) -> None:
        self._witnesses = witnesses
        self._base = base
        self._state = state
        self._journal = journal
        self._upkeeps: dict[str, WitnessUpkeep] = {}
        self._unusable: dict[str, str] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        async with contextlib.AsyncExitStack() as clients, asyncio.TaskGroup() as tasks:
            log = witnessed_log(self._state)
            for witness in self._witnesses:
                key = VerifierKey.parse(witness.key)
                try:
                    client = witness_client(self._base / witness.ca if witness.ca else None)
                except FetchFailed as error:
                    self._unusable[key.name] = str(error)
                    continue
                await clients.enter_async_context(client)
                upkeep = WitnessUpkeep(KnownWitness(witness.url, key), log, client, self._tell, time)
                self._upkeeps[key.name] = upkeep
                tasks.create_task(upkeep.run())
            await asyncio.Event().wait()

    def problems(self) -> dict[str, str]:
        """By witness: that the log's past was changed."""
        found = {name: upkeep.problem for name, upkeep in self._upkeeps.items()}
        return {name: problem for name, problem in found.items() if problem is not None}

    def warnings(self) -> Mapping[str, str]:
        """By witness: why there is no cosignature of late."""
        found = {name: upkeep.warning for name, upkeep in self._upkeeps.items()}
        return self._unusable | {name: said for name, said in found.items() if said is not None}

    async def _tell(self, found: Inconsistency) -> None:
        _log.error("The witness %s refuses the audit log: %s", found.witness, found.why)
        attributes = {"witness": found.witness, "why": found.why, "head": found.head, "held": found.held}
        message = "a witness says that the log's past was changed"
        await self._journal.append(
            [AuditRecord(RecordKind.WITNESS_REFUSED, time(), message=message, attributes=attributes)]
        )
