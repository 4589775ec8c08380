"""The API and its OpenAPI document say the same, as schemathesis finds with all its checks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from addons.core.approvals.approval import Requester
from addons.store.approvals.runs import Consume, Lost
from tests.control.desk import ROOT, Desk
from tests.control.people_issuer import PeopleIssuer
from tests.control.served import served
from tests.store.approval_samples import NEEDS

NAMES = frozenset({"agent-1", "alice"})


async def _one_of_each(desk: Desk) -> list[str]:
    """Approvals in every state that a person may meet."""
    token = desk.issuer.token("alice", "sre", "breakers")
    now, journal = desk.clock.now, desk.control.parts.journal
    made = [await desk.ask(f"{number:064x}", thread=f"t{number % 3}") for number in range(8)]
    made.append(await desk.ask("a" * 64, by=Requester("https://agents", "agent-1", "alice", None, NAMES)))
    made.append(await desk.ask("b" * 64, needs=replace(NEEDS, reason_required=True, groups=(("sre", 2),))))
    await desk.decide(made[0], "deny", token)
    await desk.decide(made[1], "break-glass", token, reason="fire")
    for number in (2, 3, 4):
        await desk.decide(made[number], "approve", token)
    for number in (3, 4):
        await journal.change(Consume(made[number].id, made[number].digest, "p1", f"c{number}", now()))
    await journal.change(Lost(made[4].id, "c4", now()))
    return [one.id for one in made]


CONFIG = """
# A reason is wanted by some rules and not by others, which no schema can say.
[[operations]]
include-operation-id = ["approve", "deny"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422]
"""


def _asked(directory: Path, issuer: PeopleIssuer, *options: str) -> subprocess.CompletedProcess[str]:
    (directory / "schemathesis.toml").write_text(CONFIG)
    with served(directory, issuer) as running:
        known = running.do(_one_of_each(running.desk))
        token = issuer.token("alice", "sre", "breakers", exp=time.time() + 3000)
        return subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{running.url}/openapi.json"),
                *("--header", f"Authorization: Bearer {token}", "--checks", "all", "--seed", "1"),
                *("--exclude-path", "/api/v1/events"),  # its answer has no end
                *("--continue-on-failure", "--no-color", *options),
            ],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "SCHEMATHESIS_HOOKS": "tests.control.api.schemathesis_hooks",
                "DDGATE_TEST_APPROVALS": ",".join(known),
            },
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )


def test_the_api_is_as_its_document_says(tmp_path: Path, issuer: PeopleIssuer) -> None:
    done = _asked(tmp_path, issuer, "--phases", "examples,coverage,fuzzing", "--max-examples", "4")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_api_is_as_its_document_says_whatever_is_sent(tmp_path: Path, issuer: PeopleIssuer) -> None:
    done = _asked(tmp_path, issuer, "--max-examples", "200")
    assert done.returncode == 0, done.stdout + done.stderr
