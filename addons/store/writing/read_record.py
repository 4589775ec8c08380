"""Whoever reads the trail or the recordings leaves a record of it."""

from __future__ import annotations

import contextlib
import os
import pwd
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from addons.core.model import Json
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.mask import MASK_KEY, UNREAD, Masker
from addons.core.redact.scrubber import Scrubber
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.record import AuditRecord, RecordKind, RecordRefused
from addons.store.state_dir import StateDir, StateDirUnusable
from addons.store.writing.audit_log import AuditLog

type Scrubbers = Callable[[StateDir], Scrubber | None]
"""Makes what masks as the installation's configuration says, or None where nobody can tell."""

_BUSY_SECONDS = 3.0
_NO_LOGIN = 2**32 - 1  # what Linux says of a process that nobody's login started


def built_in(state: StateDir) -> Scrubber:
    """Mask with the built-in detectors alone. Raises StateDirUnusable."""
    return Scrubber(Masker(state.installation_key(MASK_KEY)))


def note_read(
    state: StateDir,
    command: str,
    asked: Mapping[str, Json],
    found: int,
    scrubber: Scrubbers = built_in,
) -> str | None:
    """Append a `read` record: who of the operating system's users asked for what, and how much was shown.

    `command` is as it was typed, without options (`audit query`); `asked` names the options that were given
    (those that are None are left out). What looks like a secret in `asked` is masked: people search for keys.

    Gives a sentence for the person where it can't be put on record, else None. What was found may be shown
    nevertheless: a copy of the log must be readable, also where it can't be written.
    """
    try:
        given = {name: value for name, value in asked.items() if value is not None}
        typed = scrubbed(given, state, scrubber)
        attributes: dict[str, Json] = {"command": command, "asked": typed, "found": found, **person()}
        _append(
            state, AuditRecord(RecordKind.READ, time.time(), attributes=attributes, message=_said(command))
        )
    except (AuditLogUnusable, StateDirUnusable, RecordRefused) as error:
        return f"This look is not on record: {error}"
    return None


def _append(state: StateDir, record: AuditRecord) -> None:
    """Write to the log: the only place here that does. Raises `AuditLogUnusable`, `RecordRefused`."""
    log = AuditLog.open(state.audit_log, busy_seconds=_BUSY_SECONDS, create=False)
    with contextlib.closing(log):
        for outcome in log.append([[(record, record.encode())]]):
            if isinstance(outcome, RecordRefused):
                raise outcome


def _said(command: str) -> str:
    return f"read with `ddgate {command}`"


def person() -> dict[str, Json]:
    """`os_user`, and `login_user` where somebody logged in as another before (sudo, su)."""
    user, login = _name(os.getuid()), _login()
    return {"os_user": user} if login in {None, user} else {"os_user": user, "login_user": login}


def _login() -> str | None:
    """The user of the login session, which sudo doesn't change; None where the system doesn't tell."""
    try:
        number = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if number == _NO_LOGIN else _name(number)


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def scrubbed(asked: Mapping[str, Json], state: StateDir, scrubber: Scrubbers = built_in) -> Json:
    """What somebody typed, with what looks like a secret masked; every text of it, where `scrubber` gives
    none.

    Raises `AuditLogUnusable`, `StateDirUnusable`.
    """
    if not any(_texts(value) for value in asked.values()):
        return dict(asked)
    if not state.audit_log.exists():  # before a key is made beside what is no state directory
        raise AuditLogUnusable(
            f"There is no audit log at {state.audit_log}.", "Name its directory with --state."
        )
    made = scrubber(state)

    def scrub(text: str) -> str:
        try:
            return UNREAD if made is None else made.scrub_text(text).text
        except TooComplex:
            return UNREAD

    return _mapped(dict(asked), scrub)


def _texts(value: Json) -> bool:
    return isinstance(value, (str, list, dict))


def _mapped(value: Json, change: Callable[[str], str]) -> Json:
    match value:
        case str():
            return change(value)
        case list():
            return [_mapped(item, change) for item in value]
        case dict():
            return {name: _mapped(item, change) for name, item in value.items()}
        case _:
            return value
