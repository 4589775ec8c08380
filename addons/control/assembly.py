"""Puts one control process together from its configuration."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from addons.control.changes import ChangeFeed
from addons.control.login.blocked import Blocked
from addons.control.login.code_flow import CALLBACK, LoginFlow, LoginSettings
from addons.control.login.id_tokens import IdTokens
from addons.control.login.people import People
from addons.control.login.sessions import Sessions
from addons.control.parts import ControlParts
from addons.control.public_url import PublicUrl
from addons.control.verifying import Verifying
from addons.control.witnessing import Witnessing
from addons.core.config_approvals import Login
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.mask import UNREAD
from addons.core.redact.message_masks import MessageMasks
from addons.store import moment
from addons.store.approvals.keeper import Keeper
from addons.store.approvals.reading import Approvals
from addons.store.blocking.blocks import Blocks
from addons.store.config_file import LoadedConfig
from addons.store.credentials import SecretReader, SecretSource, text_secret
from addons.store.identity.key_set_fetch import IssuerSettings
from addons.store.identity.key_sets import KeySets
from addons.store.identity.token_authority import TokenAuthority
from addons.store.masking.detector_files import load_detectors, masks_of
from addons.store.moment import Moment
from addons.store.recordings.segments import SegmentLimits
from addons.store.state_dir import StateDir
from addons.store.upkeep.log_keeper import LogKeeper
from addons.store.writing.journal import Journal, JournalLimits

LOGIN_KEY = "control-login"


@dataclass(frozen=True, slots=True)
class Control:
    """The parts, and what runs beside them. Nothing here has touched the network yet."""

    parts: ControlParts
    key_sets: KeySets
    keeper: Keeper
    log_keeper: LogKeeper
    blocked: Blocked

    def close(self) -> None:
        """Blocks until what is being written is written."""
        self.key_sets.close()
        self.parts.journal.close()
        self.parts.approvals.close()
        self.parts.sessions.close()
        self.blocked.close()


def assemble(
    loaded: LoadedConfig,
    state_path: Path,
    environment: Mapping[str, str],
    port: int,
    now: Callable[[], Moment] = moment.now,
) -> Control:
    """`port` is the one that is listened on; `now` the clock of everything here.

    Raises:
        StartProblem: with a text for the operator.

    """
    config = loaded.config
    state = StateDir.open(state_path)
    public = PublicUrl.of(config.control.model_copy(update={"port": port}).public_url)
    identity = _Identity.of(loaded, environment, state, public, lambda: now().wall)
    with contextlib.ExitStack() as undo:
        undo.callback(identity.key_sets.close)
        sessions = Sessions.open(state)
        undo.callback(sessions.close)
        segments = SegmentLimits(
            max_bytes=config.recordings.segment_size, max_seconds=config.recordings.segment_age
        )
        journal = Journal.open(state, JournalLimits(segments=segments))
        undo.callback(journal.close)
        approvals = Approvals.open(state.audit_log)
        blocked = Blocked(Blocks(state.audit_log), config.token_limits, now)
        agents = frozenset(issuer.audience for issuer in config.issuers)
        parts = ControlParts(
            config=config,
            base_dir=loaded.base_dir,
            environment=environment,
            state=state,
            journal=journal,
            approvals=approvals,
            sessions=sessions,
            people=People(identity.tokens, sessions, public, agents, now, blocked),
            login=identity.login,
            feed=ChangeFeed(approvals),
            public=public,
            now=now,
            scrub=_scrubber(masks_of(state, config, load_detectors(loaded))),
            verifying=Verifying(state),
            witnessing=Witnessing(config.audit.witnesses, loaded.base_dir, state, journal),
        )
        undo.pop_all()
    return Control(
        parts, identity.key_sets, Keeper(state, journal, approvals, now), LogKeeper(state, journal), blocked
    )


def _scrubber(masks: MessageMasks) -> Callable[[str], str]:
    """Reasons go on record and out in messages, and people paste."""

    def scrub(text: str) -> str:
        try:
            return masks.secrets.scrub_text(text).text
        except TooComplex:
            return UNREAD

    return scrub


@dataclass(frozen=True, slots=True)
class _Identity:
    """How people are known: `tokens` and `login` are None where the configuration has none."""

    key_sets: KeySets
    tokens: TokenAuthority | None
    login: LoginFlow | None

    @staticmethod
    def of(
        loaded: LoadedConfig,
        environment: Mapping[str, str],
        state: StateDir,
        public: PublicUrl,
        clock: Callable[[], float],
    ) -> _Identity:
        login = loaded.config.control.login
        if login is None:
            return _Identity(KeySets([]), None, None)
        key_sets = KeySets([_issuer_of_people(login, loaded)])
        flow = LoginFlow(
            LoginSettings(
                issuer=login.issuer,
                client_id=login.client_id,
                secret=_client_secret(login, loaded, environment),
                scopes=tuple(login.scopes),
                ca=loaded.resolve(login.ca) if login.ca else None,
                redirect_uri=f"{public.origin}{CALLBACK}",
            ),
            IdTokens(key_sets, login.issuer, login.client_id, clock),
            state.installation_key(LOGIN_KEY),
            clock,
        )
        return _Identity(key_sets, TokenAuthority(key_sets, clock=clock) if login.audience else None, flow)


def _issuer_of_people(login: Login, loaded: LoadedConfig) -> IssuerSettings:
    """The audience is control's alone, whatever else this issuer signs for."""
    same = next((issuer for issuer in loaded.config.issuers if issuer.issuer == login.issuer), None)
    return IssuerSettings(
        issuer=login.issuer,
        audience=(login.audience or login.client_id,),
        algorithms=tuple(login.algorithms),
        ca=loaded.resolve(login.ca) if login.ca else None,
        max_lifetime=login.session,
        groups_claim=login.claims.groups,
        # Where this issuer says so in agents' tokens, a token that names an owner is a delegated one here.
        on_behalf_of_claim=None if same is None else same.claims.on_behalf_of,
    )


def _client_secret(
    login: Login, loaded: LoadedConfig, environment: Mapping[str, str]
) -> Callable[[], bytes] | None:
    named = login.client_secret
    if named is None:
        return None
    source = SecretSource(
        file=loaded.resolve(named.file) if named.file else None, variable=named.env, command=named.command
    )
    return SecretReader(source, environment, time.monotonic, text_secret).read
