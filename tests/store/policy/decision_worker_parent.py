"""A process that holds a decision worker, prints the worker's id once it is ready, and waits to be killed."""

from __future__ import annotations

import asyncio
import sys

from addons.store.policy.decision_worker import DecisionWorker
from tests.core.policy.policy_making import CATALOGUE, policy, request


async def main() -> None:
    worker = DecisionWorker(CATALOGUE)
    policy_set = policy("- {id: a, effect: allow, body: {type: x}}")
    await worker.judge(policy_set, request("CreateMonitor"), b"{}", None)
    sys.stdout.write(f"{worker.processes()[0]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
