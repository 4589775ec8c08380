"""The one `-s` target: the stages in their order, and nothing else.

A request passes them from top to bottom, and so does its answer. What a stage must have seen before
another is fixed by this list alone; a test holds it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mitmproxy import ctx
from mitmproxy.addonmanager import Loader

from addons import flowstate, logs, options_guard, streamed_answer, wire_bounds, wire_errors
from addons.answer_timeout import AnswerTimeout, StreamWatch
from addons.approval import Approval, Surroundings
from addons.approval_draft import Drafts
from addons.approval_status import ApprovalStatus
from addons.audit import Audit, RunSettings
from addons.body import DecodedBody
from addons.core.config_sections import Listen
from addons.core.start_problems import StartProblem
from addons.credential import CredentialOnTheWire
from addons.destination import Destination
from addons.event_streams import EventStreams
from addons.gate import DefaultDeny, Guard, Release
from addons.identity import Identity, LastLook
from addons.lifecycle import Lifecycle
from addons.listener import Listener
from addons.options_guard import OptionsGuard
from addons.policy import Policy
from addons.policy_reload import PolicyReload
from addons.recorder import Recorder
from addons.redaction import Redaction
from addons.runtime import Runtime, credential_check, prepare
from addons.store import moment
from addons.store.approvals.keeper import Keeper
from addons.store.approvals.watch import ApprovalWatch
from addons.store.blocking.watch import BlockKeeper
from addons.store.config_file import read_config
from addons.store.dialling import Dialling
from addons.store.policy.counts import PolicyCounts
from addons.store.policy.decider import Decider
from addons.store.policy.decision_worker import DecisionWorker
from addons.store.policy.files import checked, parse_texts
from addons.store.targets.cache import CacheLimits
from addons.store.targets.call import TargetCall
from addons.store.targets.datadog_get import DatadogGet, GetLimits
from addons.store.targets.reader import TargetReader
from addons.store.upkeep.log_keeper import LogKeeper, Retention
from addons.stream_redaction import StreamRedaction
from addons.upkeep import Upkeep
from addons.upstream import Upstream

_LONGEST_READ = 10.0  # seconds that a call may wait for the resource that its rules look at
_DIGESTS = "approval-digest"  # the installation's key for digests of exact requests
_STOCK_PORT = 8080  # where stock mitmproxy listens when it is told nothing


def stages(runtime: Runtime) -> Sequence[object]:
    config = runtime.config
    guard = OptionsGuard()
    audit = Audit(runtime.journal, RunSettings(runtime.process.name, config.approvals.replay_window))
    counts = PolicyCounts()
    targets = _target_reader(runtime, audit)
    worker = DecisionWorker(runtime.catalogue)
    body_digest_key = runtime.state.installation_key("body-digest")
    redaction = Redaction(runtime.masks, body_digest_key)
    policy = Policy(
        runtime.policy_set,
        runtime.catalogue,
        decider=Decider(worker, targets),
        limits=runtime.limit_counters,
        counts=counts,
    )
    reload = _reload(runtime, policy, redaction, worker)
    identity = Identity(runtime.tokens, config.identity.header, runtime.blocks)
    watch = ApprovalWatch(runtime.approvals.data_version, runtime.approvals.states)
    approval = _approval(runtime, policy, redaction, identity, watch, lambda: lifecycle.is_draining)
    lifecycle = Lifecycle(
        guard=Guard(audit.settle),
        settle=audit.settle,
        retry=audit.retry,
        end_reads=targets.close,
        journal=runtime.journal,
        key_sets=runtime.key_sets,
        state_dir=runtime.state.path,
        checks=_checks(runtime, guard, policy),
        warnings=lambda: _warnings(runtime, policy, reload),
        policy_revision=lambda: policy.policy_set.revision if policy.policy_set is not None else "",
        counted=lambda: replace(counts.counted(), findings=redaction.counted()),
        holding=lambda: approval.holding,
        listen=runtime.gateway_url,
    )
    return (
        DefaultDeny(),
        guard,
        Upstream(runtime.routes),
        Listener(config.listen, runtime.base_dir),
        lifecycle,
        reload,
        _upkeep(runtime),
        identity,
        Destination(config.sites),
        ApprovalStatus(
            runtime.approvals,
            watch,
            runtime.journal,
            config.approvals.longest_wait,
            lambda: lifecycle.is_draining,
            identity.check_blocked,
        ),
        DecodedBody(config.limits.decoded_body),
        EventStreams(config.limits.body),
        policy,
        approval,
        CredentialOnTheWire(runtime.credentials, config.limits.decoded_body),
        redaction,
        StreamRedaction(
            redaction.mask_part, redaction.store_stream, limit=config.limits.body, digest_key=body_digest_key
        ),
        Recorder(runtime.gateway_url),
        LastLook(identity),
        audit,
        AnswerTimeout(config.upstream.timeout),
        StreamWatch(identity.check_again),
        Release(),
    )


def _upkeep(runtime: Runtime) -> Upkeep:
    state, journal, config = runtime.state, runtime.journal, runtime.config
    approvals = Keeper(state, journal, runtime.approvals, moment.now, retention=config.approvals.retention)
    log = LogKeeper(state, journal, Retention(config.audit.retention, config.recordings.retention))
    freezes = BlockKeeper(runtime.blocks, journal, config.token_limits, moment.now)
    rounds = {"time limits": approvals.run, "the audit log": log.run, "freezes": freezes.run}
    return Upkeep(rounds, runtime.approvals, runtime.process)


def _approval(  # noqa: PLR0913, PLR0917 - what it asks, as it asks it
    runtime: Runtime,
    policy: Policy,
    redaction: Redaction,
    identity: Identity,
    watch: ApprovalWatch,
    is_draining: Callable[[], bool],
) -> Approval:
    digest_key = runtime.state.installation_key(_DIGESTS)
    drafts = Drafts(redaction.preview, policy.look, policy.count_against_limits, digest_key)
    around = Surroundings(
        draft=drafts.draft,
        still_holds=drafts.still_holds,
        decide_again=policy.decide_again,
        count=policy.count_against_limits,
        check_again=identity.check_again,
        check_blocked=identity.check_blocked,
        is_current=policy.is_current,
        is_draining=is_draining,
        process=runtime.process.name,
    )
    return Approval(runtime.config.approvals, around, runtime.journal, runtime.approvals, watch, digest_key)


def _reload(runtime: Runtime, policy: Policy, redaction: Redaction, worker: DecisionWorker) -> PolicyReload:
    config = runtime.config
    return PolicyReload(
        policy,
        [runtime.base_dir / name for name in config.policy],
        lambda texts: checked(
            parse_texts(texts, runtime.catalogue, runtime.policy_set.detectors), config.credentials
        ),
        runtime.journal,
        prepare=[lambda policy_set: redaction.prepare(masks.detect for masks in policy_set.masks)],
        announce=[worker.prepare, policy.announce],
    )


def _checks(runtime: Runtime, guard: OptionsGuard, policy: Policy) -> Mapping[str, Callable[[], str | None]]:
    return {
        "options": lambda: "; ".join(guard.problems) or None,
        "policy": lambda: None if policy.policy_set is not None else "no policy is loaded",
        "credential": credential_check(runtime.credentials),
        "identity": lambda: _stale_issuers(runtime),
        "blocklist": lambda: runtime.blocks.problem,
        "audit": lambda: str(runtime.journal.failure() or "") or None,
    }


def _warnings(runtime: Runtime, policy: Policy, reload: PolicyReload) -> Mapping[str, Sequence[str]]:
    found = {
        "policy": (*policy.warnings(), *reload.warnings),
        "identity": runtime.blocks.warnings(),
        "redaction": runtime.masks.notes,
    }
    return {name: warnings for name, warnings in found.items() if warnings}


def _target_reader(runtime: Runtime, audit: Audit) -> TargetReader:
    upstream = runtime.config.upstream
    return TargetReader(
        runtime.catalogue,
        TargetCall(
            get=DatadogGet(Dialling(runtime.routes), GetLimits(seconds=min(upstream.timeout, _LONGEST_READ))),
            credentials=runtime.credentials,
            journal=runtime.journal,
            scrubber=runtime.masks.secrets,
            digest_key=runtime.state.installation_key("body-digest"),
            new_call_id=flowstate.new_call_id,
            keep=audit.keep,
        ),
        CacheLimits(max_age=upstream.target_max_age),
    )


def _stale_issuers(runtime: Runtime) -> str | None:
    stale = [one.issuer for one in runtime.key_sets.freshness() if not one.ready]
    return f"no keys of {', '.join(stale)}; check that the issuer can be reached" if stale else None


class Chain:
    """Builds the stages when mitmproxy loads it. `runtime` is given by the gateway's own process; under stock
    mitmdump it is prepared here, from DDGATE_CONFIG and DDGATE_STATE.
    """

    name = "ddgate"

    def __init__(self, runtime: Runtime | None = None) -> None:
        self._runtime = runtime
        self.addons: Sequence[object] = ()

    def load(self, loader: Loader) -> None:  # noqa: ARG002 - the hook's signature
        runtime = self._runtime or _from_environment()
        config = runtime.config
        logs.install(
            logging.getLevelNamesMapping()[config.log.level.upper()], logs.LogFormat(config.log.format)
        )
        wire_errors.install()
        wire_bounds.install(config.limits.head)
        streamed_answer.install()
        self._claim_listener(config.listen)
        options_guard.apply(
            {
                "confdir": str(runtime.authority.directory),
                "body_size_limit": str(config.limits.body),
            }
        )
        for warning in runtime.authority.warnings:
            logging.getLogger("ddgate").warning(warning)
        self.addons = stages(runtime)

    def _claim_listener(self, listen: Listen) -> None:
        """Makes the listener the configured one.

        Stock mitmdump has begun to open its own by the time a script loads, on every interface by default,
        so there the same must be said on its command line.

        """
        wanted = {"listen_host": listen.host, "listen_port": listen.port}
        if self._runtime is not None:
            ctx.options.update(**wanted)
        elif (ctx.options.listen_host, ctx.options.listen_port or _STOCK_PORT) != (listen.host, listen.port):
            print(  # noqa: T201 - before any log is set up
                "ddgate: mitmdump must be told to listen where ddgate.yaml says: add "
                f"--listen-host {listen.host} --listen-port {listen.port}",
                file=sys.stderr,
            )
            raise SystemExit(1)


def _from_environment() -> Runtime:
    root = Path(__file__).resolve().parent.parent
    config = Path(os.environ.get("DDGATE_CONFIG", root / "ddgate.yaml"))
    state = Path(os.environ.get("DDGATE_STATE", root / ".ddgate"))
    try:
        return prepare(read_config(config, os.environ), state, os.environ)
    except (StartProblem, OSError) as error:
        # mitmproxy would go on without the script: end here, with the reason and without a traceback.
        print(f"ddgate: {error}", file=sys.stderr)  # noqa: T201 - before any log is set up
        raise SystemExit(1) from None


addons = [Chain()]
