"""The processes that commit for journals."""

from __future__ import annotations

import subprocess

_MODULE = "addons.store.writing.committer_child"


def committer_of(pid: int) -> int:
    """The id of the process that commits for process `pid`."""
    found = subprocess.run(
        ["pgrep", "-P", str(pid), "-f", _MODULE], capture_output=True, text=True, check=True
    )
    (committer,) = found.stdout.split()
    return int(committer)
