"""A gateway that leaves something out, to see what that costs: `tree` (the Merkle tree and its signature), or
`trail` (records and recordings as a whole). For benchmarks alone: it breaks what ddgate is for.

    python -m tests.bench.gateway_without tree|trail|nothing
"""

from __future__ import annotations

import sys
from typing import Any

from addons.cli.main import app
from addons.store.audit.record import SegmentRef
from addons.store.audit.tree import LogTree
from addons.store.writing.journal import Appended, Journal


def grow(*_arguments: Any, **_options: Any) -> None:
    return None


async def append(*_arguments: Any, **_options: Any) -> Appended:
    return Appended((1,), SegmentRef("none.mitm", 0, 0, ""))


PATCHES: dict[str, list[tuple[type, str, object]]] = {
    "nothing": [],
    "tree": [(LogTree, "grow", grow)],
    "trail": [(Journal, "append", append)],
}


def main() -> None:
    for owner, name, value in PATCHES[sys.argv[1]]:
        setattr(owner, name, value)
    app(["gateway"])


if __name__ == "__main__":
    main()
