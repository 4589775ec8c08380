"""Puts one gateway process together from its configuration: reads everything once, so that whatever is
wrong stops the start with a sentence, and hands the stages what they need.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from addons.core import config_sections, hosts
from addons.core.catalogue import Catalogue
from addons.core.config import Config
from addons.core.policy.policy_set import PolicySet
from addons.core.redact.message_masks import MessageMasks
from addons.core.redact.screening.gate import use_databases
from addons.store import moment
from addons.store.approvals.reading import Approvals
from addons.store.blocking.blocks import Blocks
from addons.store.blocking.watch import BlockWatch
from addons.store.certificates import Authority, ensure_authority
from addons.store.config_file import LoadedConfig
from addons.store.credentials import CredentialProblem, Credentials, CredentialSettings, SecretSource
from addons.store.dialling import Route
from addons.store.identity.configured_issuers import issuer_settings
from addons.store.identity.key_sets import KeySets
from addons.store.identity.token_authority import TokenAuthority
from addons.store.masking.detector_files import load_detectors, masks_of
from addons.store.masking.gate_cache import GateCache
from addons.store.policy.files import read_catalogue, read_policy
from addons.store.policy.limit_counters import LimitCounters
from addons.store.recordings.sealing import sealer_of
from addons.store.recordings.segments import SegmentLimits
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal, JournalLimits
from addons.store.writing.process_lock import ProcessLock


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts of one process. Nothing in it has touched the network yet."""

    config: Config
    base_dir: Path
    state: StateDir
    authority: Authority
    catalogue: Catalogue
    policy_set: PolicySet
    key_sets: KeySets
    tokens: TokenAuthority
    credentials: Credentials
    masks: MessageMasks
    routes: Mapping[str, Route]
    journal: Journal
    limit_counters: LimitCounters
    approvals: Approvals
    process: ProcessLock
    blocks: BlockWatch

    @property
    def gateway_url(self) -> str:
        listen = self.config.listen
        host = f"[{listen.host}]" if ":" in listen.host else listen.host
        return f"{'https' if listen.tls else 'http'}://{host}:{listen.port}"


def prepare(loaded: LoadedConfig, state_path: Path, environment: Mapping[str, str]) -> Runtime:
    """Reads certificates, policy, catalogue and credentials.

    Raises:
        StartProblem: with a text for the operator.

    """
    config, base = loaded.config, loaded.base_dir
    now = datetime.datetime.now(datetime.UTC)
    authority = ensure_authority(base / config.certs, hosts.domains(), now)
    catalogue = read_catalogue()
    detectors = load_detectors(loaded)
    policy = [base / name for name in config.policy]
    policy_set = read_policy(policy, catalogue, config.credentials, detectors.names())
    credentials = Credentials(_credential_settings(config, base), environment)
    credentials.load_all()
    state = StateDir.open(state_path)
    key_sets = KeySets(issuer_settings(config, base))
    use_databases(GateCache(state))
    process = ProcessLock.take(state)
    return Runtime(
        config=config,
        base_dir=base,
        state=state,
        authority=authority,
        catalogue=catalogue,
        policy_set=policy_set,
        key_sets=key_sets,
        tokens=TokenAuthority(key_sets),
        credentials=credentials,
        masks=masks_of(state, config, detectors),
        routes={
            host: Route(to.address, to.port, str(base / to.ca) if to.ca else None)
            for host, to in config.upstream.connect_to.items()
        },
        journal=Journal.open(
            state,
            JournalLimits(
                segments=SegmentLimits(
                    max_bytes=config.recordings.segment_size, max_seconds=config.recordings.segment_age
                )
            ),
            sealer=sealer_of(config, base, environment),
            apart=process,
        ),
        limit_counters=LimitCounters.open(state),
        approvals=Approvals.open(state.audit_log),
        process=process,
        blocks=BlockWatch(Blocks(state.audit_log), config.token_limits, moment.now),
    )


def _source(secret: config_sections.SecretSource, base: Path) -> SecretSource:
    return SecretSource(
        file=base / secret.file if secret.file else None,
        variable=secret.env,
        command=tuple(secret.command) if secret.command else None,
    )


def _credential_settings(config: Config, base: Path) -> list[CredentialSettings]:
    return [
        CredentialSettings(
            name,
            _source(one.api_key, base),
            _source(one.application_key, base) if one.application_key else None,
            frozenset(one.sites),
        )
        for name, one in config.credentials.items()
    ]


def credential_check(credentials: Credentials) -> Callable[[], str | None]:
    """For `/readyz`: the first credential that can't be read now, without its value."""

    def check() -> str | None:
        try:
            credentials.load_all()
        except CredentialProblem as problem:
            return str(problem)
        return None

    return check
