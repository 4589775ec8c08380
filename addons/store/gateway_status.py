"""What each gateway process says of itself, for control to read: one small file a process, written anew
every second. A file that is no longer written is a process that is gone or stuck.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FOLDER = "gateways"
STALE_AFTER = 5.0


@dataclass(frozen=True, slots=True)
class Counted:
    """How often each came since the process started: `decisions` and `withheld` by effect, reason and rule,
    `shadow` by rule, effect and outcome (`match` or `error`), `findings` of secrets and personal data by
    detector. `withheld` are the verdicts that `profile: observe` did not enforce. Where no rule decided, its
    place is empty.
    """

    decisions: tuple[tuple[str, str, str, int], ...] = ()
    withheld: tuple[tuple[str, str, str, int], ...] = ()
    shadow: tuple[tuple[str, str, str, int], ...] = ()
    findings: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """`problems` maps what is not ready (policy, credential, audit, identity, options) to one sentence that
    says what is wrong and what to do; it never holds a secret. `warnings` maps what is wrong, and yet no
    reason to send calls elsewhere, to its lines. `time` in seconds since the epoch. `holding` are the calls
    that wait for a person.
    """

    pid: int
    time: float
    listen: str
    state: str
    calls_in_flight: int
    policy_revision: str
    problems: Mapping[str, str]
    warnings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    counted: Counted = Counted()
    holding: int = 0

    @property
    def is_ready(self) -> bool:
        return self.state == "serving" and not self.problems

    @property
    def lacks_only_keys(self) -> bool:
        """Whether it serves, and nothing is wrong but that an issuer can't be reached: agents of the others
        are served, and it needs no start to get over that.
        """
        return self.state == "serving" and self.problems.keys() <= {"identity"}


def write_status(state_dir: Path, status: GatewayStatus) -> None:
    """Raises OSError."""
    folder = state_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{status.pid}.json"
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(asdict(status)))
    unfinished.replace(path)


def remove_status(state_dir: Path, pid: int) -> None:
    with suppress(OSError):
        (state_dir / FOLDER / f"{pid}.json").unlink()


def read_statuses(state_dir: Path, now: float) -> tuple[GatewayStatus, ...]:
    """Every process that wrote lately or is still alive; files of dead processes are left out."""
    found = []
    for path in sorted((state_dir / FOLDER).glob("*.json")):
        try:
            status = _status(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            continue  # being replaced, or not ours
        if now - status.time <= STALE_AFTER or _is_alive(status.pid):
            found.append(status)
    return tuple(found)


def _status(told: Any) -> GatewayStatus:
    """Raises TypeError or ValueError where it is none."""
    if not isinstance(told, dict) or not isinstance(counted := told.pop("counted", {}), dict):
        raise TypeError("not a status")
    findings = tuple((str(detector), int(count)) for detector, count in counted.pop("findings", ()))
    rows = {
        name: tuple((str(one), str(two), str(three), int(count)) for one, two, three, count in each)
        for name, each in counted.items()
    }
    return GatewayStatus(**told, counted=Counted(**rows, findings=findings))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
