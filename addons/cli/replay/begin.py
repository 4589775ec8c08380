"""Puts a replay together: what is made again, through which gateway, and what answers."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from addons.cli import sandbox_config
from addons.cli.replay.choice import Chosen, Wanted, choose
from addons.cli.replay.confirming import confirming
from addons.cli.replay.record import ReplayLog, replay_log
from addons.cli.replay.rehearsal import (
    Behind,
    Rehearsal,
    Settings,
    own_directory,
    read_loaded,
    read_settings,
    rehearsal,
)
from addons.cli.replay.run import Became, Replay, Result
from addons.cli.replay.sending import Way, way_to
from addons.cli.replay.stand_in import Keys, bound, existing_state, keys_of, served, stand_in_of
from addons.cli.replay.telling import Teller, Used
from addons.core.start_problems import GatewayProblem
from addons.replaying.comparing import Comparing
from addons.replaying.ignored import Ignored
from addons.replaying.stand_in import StandIn
from addons.sandbox import datadog_tls
from addons.sandbox.lifecycle import SandboxError
from addons.sidecar.token_sources import TokenError, TokenSource
from addons.sidecar.tokens import TokenKeeper
from addons.store.policy.files import read_catalogue
from addons.store.state_dir import StateDir

_CA_NAME = "ddgate rehearsal CA"  # of a stand-in behind real issuers, which is no sandbox


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command, read."""

    wanted: Wanted
    state: Path
    config: Path | None
    live: bool
    yes: bool
    on_sandbox: bool
    gateway: str
    gateway_ca: Path | None
    ca: Path
    wait: int
    ignored: Ignored
    headers: tuple[str, ...]
    source: TokenSource
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Through:
    """The gateway that calls go through; `policy` names whose it is, `audit_log` is the one it writes."""

    way: Way
    to: str
    policy: str
    audit_log: Path | None
    stand_in: StandIn | None = None
    identity_headers: tuple[str, ...] = ()


def begin(options: Options) -> bool:
    """Replay; tells whether every call brought the same answer.

    Raises StartProblem, OSError.
    """
    state = existing_state(options.state)
    chosen = choose(options.wanted, state)
    teller = Teller(as_json=options.as_json)
    teller.beside(chosen.problems)
    # So that a gateway and its directory go in any case, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = asyncio.run(_replay(options, state, chosen, teller))
    teller.summary(results)
    return all(result.became is Became.SAME for result in results)


async def _replay(options: Options, state: StateDir | None, chosen: Chosen, teller: Teller) -> list[Result]:
    keys = keys_of(state, read_loaded(options.config, options.state))
    keeper = TokenKeeper(options.source, lambda text: teller.beside([text]))
    try:
        await keeper.start()
        async with _through(options, state, chosen, keys) as through:
            with _log(options, state, chosen) as log:
                return await _replay_all(options, chosen, keys, through, keeper, log, teller)
    except TokenError as error:
        raise GatewayProblem(str(error)) from None
    finally:
        await keeper.close()


async def _replay_all(  # noqa: PLR0913, PLR0917 - the parts, which live as long as their blocks
    options: Options,
    chosen: Chosen,
    keys: Keys,
    through: _Through,
    keeper: TokenKeeper,
    log: ReplayLog | None,
    teller: Teller,
) -> list[Result]:
    if log is not None:
        log.begin(len(chosen.calls), chosen.source, str(through.way.gateway))
    teller.used(_used(chosen, through, log))
    replay = Replay(
        way=through.way,
        keeper=keeper,
        catalogue=read_catalogue(),
        comparing=Comparing(keys.masks, keys.values, options.ignored, options.headers),
        confirm=confirming(asks=options.live and not options.yes),
        audit_log=through.audit_log,
        log=log,
        wait=options.wait if options.live else 0,
        identity_headers=through.identity_headers,
        stand_in=through.stand_in,
    )
    results = []
    for exchange in chosen.calls:
        result = await replay.replay(exchange)
        teller.result(result)
        results.append(result)
    return results


def _used(chosen: Chosen, through: _Through, log: ReplayLog | None) -> Used:
    return Used(
        calls=len(chosen.calls),
        source=chosen.source,
        to=through.to,
        gateway=str(through.way.gateway),
        policy=through.policy,
        replay=log.replay if log is not None else None,
    )


def _log(
    options: Options, state: StateDir | None, chosen: Chosen
) -> AbstractContextManager[ReplayLog | None]:
    if state is None or not state.audit_log.exists():
        return nullcontext()
    to = "live" if options.live else "sandbox" if options.on_sandbox else "recording"
    return replay_log(state, to, in_log=chosen.in_log)


@asynccontextmanager
async def _through(
    options: Options, state: StateDir | None, chosen: Chosen, keys: Keys
) -> AsyncIterator[_Through]:
    if options.live:
        yield _Through(
            way_to(options.gateway, options.gateway_ca, options.ca),
            f"what is behind {options.gateway}: Datadog, unless that is a sandbox",
            "",
            state.audit_log if state is not None and state.audit_log.exists() else None,
        )
        return
    if state is None:
        raise GatewayProblem(
            f"a rehearsal needs the installation's state directory, and {options.state} is none; "
            "name it with --state, or use --live"
        )
    settings = read_settings(options.config, state.path)
    if options.on_sandbox:
        with rehearsal(settings, state, _sandbox(settings, state)) as gateway:
            yield _rehearsed(settings, gateway, "the sandbox's Datadog; nothing reaches the real one")
        return
    stand_in = stand_in_of([*chosen.calls, *chosen.beside], keys)
    async with _recording_served(settings, state, stand_in) as behind:
        with rehearsal(settings, state, behind) as gateway:
            yield _rehearsed(
                settings,
                gateway,
                "a stand-in that gives the recorded answers; nothing reaches Datadog",
                stand_in,
            )


def _rehearsed(settings: Settings, gateway: Rehearsal, to: str, stand_in: StandIn | None = None) -> _Through:
    return _Through(
        way_to(gateway.url, None, gateway.ca),
        to,
        f"{', '.join(settings.config.policy)} of {settings.path}",
        gateway.audit_log,
        stand_in,
        (settings.config.identity.header,),
    )


def _sandbox(settings: Settings, state: StateDir) -> Behind:
    if not settings.is_sandbox:
        raise GatewayProblem(
            f"{settings.path} names real issuers, and the sandbox is for its own alone; "
            "leave --stand-in out, then the recording answers"
        )
    try:
        sandbox = sandbox_config.read_sandbox(state.path)
        keys: dict[str, str] = json.loads((sandbox.directory / "datadog" / "keys.json").read_text())
    except (OSError, ValueError, KeyError):
        raise GatewayProblem(f"no sandbox runs in {state.path}; start it: ddgate up --sandbox") from None
    return Behind(sandbox.upstream_port, sandbox.upstream_ca, keys)


@asynccontextmanager
async def _recording_served(settings: Settings, state: StateDir, stand_in: StandIn) -> AsyncIterator[Behind]:
    name = datadog_tls.CA_NAME if settings.is_sandbox else _CA_NAME
    with (
        own_directory(state) as directory,
        bound(0, "--port") as listener,
    ):
        try:
            tls = datadog_tls.server_context(directory, name)
        except SandboxError as error:
            raise GatewayProblem(str(error)) from None
        async with served(stand_in, [(listener, tls)]):
            yield Behind(int(listener.getsockname()[1]), directory / datadog_tls.CA_FILE, {})
