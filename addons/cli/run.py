"""`ddgate run`: one command with its calls to Datadog going through the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from addons.cli.options import DEFAULT_STATE_DIR, PROJECT_ROOT, StateDirOption
from addons.cli.token_choice import (
    DEFAULT_AUDIENCE,
    AsOption,
    AudienceOption,
    NoTokenNamed,
    TokenChoice,
    TokenCommandOption,
    TokenEnvOption,
    TokenFileOption,
    WorkloadOption,
    sandbox_issuer,
)
from addons.sidecar import no_proxy
from addons.sidecar.ca_bundle import BadCaError, combined_bundle
from addons.sidecar.child import CannotStartError, run_child, unreached
from addons.sidecar.environment import Pointers, child_environment
from addons.sidecar.first_process import leave_first_place
from addons.sidecar.listener import Listener
from addons.sidecar.token_sources import TokenError, TokenSource
from addons.sidecar.tokens import TokenKeeper
from addons.sidecar.upstreams import BadGatewayError, Gateway, find_upstreams, parse_gateway

app = typer.Typer()

_OWN_FAILURE = 125  # as env(1) and timeout(1): not a status of the command
DEFAULT_GATEWAY = "http://127.0.0.1:8080"
_DEFAULT_CLIENT = "demo-agent"

CommandArgument = Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The command to run.")]
GatewayOption = Annotated[
    str,
    typer.Option("--gateway", envvar="DDGATE_GATEWAY", metavar="URL", help="http:// or https://HOST:PORT."),
]
GatewayCaOption = Annotated[
    Path | None,
    typer.Option(
        "--gateway-ca", envvar="DDGATE_GATEWAY_CA", help="Who signs an https:// gateway's certificate."
    ),
]
CaOption = Annotated[
    Path,
    typer.Option(
        "--ca",
        envvar="DDGATE_CA",
        help="The gateway's public CA, for Datadog's hosts.",
        show_default="certs/ddgate-ca.pem in the checkout",
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", envvar="DDGATE_STRICT", help="Refuse every host that isn't Datadog's.")
]


# Everything from the first argument on is the command's own.
@app.command(context_settings={"allow_interspersed_args": False})
def run(  # noqa: PLR0913, PLR0917 - one parameter for each option
    command: CommandArgument,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    gateway_ca: GatewayCaOption = None,
    ca: CaOption = PROJECT_ROOT / "certs" / "ddgate-ca.pem",
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    token_env: TokenEnvOption = None,
    workload: WorkloadOption = None,
    audience: AudienceOption = DEFAULT_AUDIENCE,
    client_id: AsOption = None,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    strict: StrictOption = False,
) -> None:
    """Run a command whose calls to Datadog go through the gateway.

    The command needs no Datadog key and sees no token. Its exit status is this one's; 125 is a failure of
    ddgate run itself, 126 a command that can't be executed, 127 one that isn't there.

    In a GitHub Actions job with `permissions: id-token: write`: `ddgate run --issuer github -- pytest`

    In a pod that has a projected token: `ddgate run --issuer kubernetes -- my-agent`
    """
    leave_first_place()
    wanted = TokenChoice(
        token_file,
        token_command,
        token_env,
        client_id,
        sandbox_issuer(state),
        _DEFAULT_CLIENT,
        audience if workload is not None else None,
        workload,
    )
    try:
        to_gateway = parse_gateway(gateway, gateway_ca)
        source = wanted.source(os.environ)
        status = asyncio.run(_run(_Plan(command, to_gateway, ca, source, wanted.secret_variables, strict)))
    except CannotStartError as problem:
        _tell(str(problem))
        status = problem.status
    except (NoTokenNamed, BadGatewayError, BadCaError, TokenError) as problem:
        _tell(str(problem))
        status = _OWN_FAILURE
    except OSError as problem:
        _tell(f"{problem.filename or 'can not start'}: {problem.strerror}")
        status = _OWN_FAILURE
    except KeyboardInterrupt:  # before there was a command
        status = 130
    raise typer.Exit(status)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything the options named, read and usable."""

    command: Sequence[str]
    gateway: Gateway
    ca: Path
    source: TokenSource
    secret_variables: frozenset[str]
    strict: bool


async def _run(plan: _Plan) -> int:
    _warn_ahead(plan)
    keeper = TokenKeeper(plan.source, _tell)
    listener = Listener(find_upstreams(os.environ, plan.gateway, _tell), keeper, strict=plan.strict)
    with combined_bundle(plan.ca, os.environ, _tell) as bundle:
        try:
            await keeper.start()
            await listener.start()
            pointers = Pointers(listener.proxy_url, bundle, plan.secret_variables)
            return await run_child(plan.command, child_environment(os.environ, pointers, _tell))
        finally:
            await listener.close()
            await keeper.close()


def _warn_ahead(plan: _Plan) -> None:
    if plan.gateway.sends_in_clear:
        _tell(f"the token goes to {plan.gateway} unencrypted; use https:// on a network")
    if plan.strict and any(
        not no_proxy.covers_datadog(entry) for entry in no_proxy.from_environment(os.environ)
    ):
        _tell("the hosts in NO_PROXY go around this proxy, with --strict too")
    if (reason := unreached(plan.command)) is not None:
        _tell(reason)


def _tell(text: str) -> None:
    # Who read it may have gone, and the command goes on all the same.
    with contextlib.suppress(OSError):
        print(f"ddgate run: {text}", file=sys.stderr, flush=True)  # noqa: T201 - words to whoever ran it
