"""What one control process is made of. Pages, API and messages get this, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from addons.control.changes import ChangeFeed
from addons.control.login.code_flow import LoginFlow
from addons.control.login.people import People
from addons.control.login.sessions import Sessions
from addons.control.public_url import PublicUrl
from addons.control.verifying import Verifying
from addons.control.witnessing import Witnessing
from addons.core.config import Config
from addons.store.approvals.reading import Approvals
from addons.store.moment import Moment
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal


@dataclass(frozen=True, slots=True)
class ControlParts:
    """Paths in `config` are relative to `base_dir`. `login` is None where none is configured. `now` is the
    clock that everything here reads; `environment` is where secrets may be named;
    `scrub` masks the secrets in what a person wrote.
    """

    config: Config
    base_dir: Path
    environment: Mapping[str, str]
    state: StateDir
    journal: Journal
    approvals: Approvals
    sessions: Sessions
    people: People
    login: LoginFlow | None
    feed: ChangeFeed
    public: PublicUrl
    now: Callable[[], Moment]
    scrub: Callable[[str], str]
    witnessing: Witnessing
    verifying: Verifying
