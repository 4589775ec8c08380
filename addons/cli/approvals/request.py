"""`ddgate approvals request`: the agent's side of an approval."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from addons.cli.approvals.client import Misused
from addons.cli.approvals.inside import Gateway, Way, way_of_environment, way_of_options
from addons.cli.approvals.words import STATE_STYLES, out, print_json, shown, told
from addons.cli.options import DEFAULT_STATE_DIR, PROJECT_ROOT, StateDirOption
from addons.cli.token_choice import (
    AsOption,
    NoTokenNamed,
    TokenChoice,
    TokenCommandOption,
    TokenEnvOption,
    TokenFileOption,
    sandbox_issuer,
)
from addons.core.approvals.states import State
from addons.core.model import Json

DENIED, ENDED, STILL_PENDING, UNCLEAR = 4, 5, 6, 7
"""Exit statuses of `wait`, besides 0."""

_STATUSES = {
    State.PENDING: STILL_PENDING,
    State.DENIED: DENIED,
    State.EXPIRED: ENDED,
    State.CANCELLED: ENDED,
    State.UNKNOWN: UNCLEAR,
}
_DEFAULT_GATEWAY = "http://127.0.0.1:8080"
_DEFAULT_CLIENT = "demo-agent"
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_ONE_WAIT = 25.0  # seconds that one request waits: nothing on the way takes it for dead
_PACE = 1.0


class Action(StrEnum):
    STATUS = "status"
    WAIT = "wait"
    CANCEL = "cancel"


IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The approval, as the 429 answer names it.")]
ActionArgument = Annotated[Action, typer.Argument(help="What to do.")]
TimeoutOption = Annotated[
    float | None, typer.Option("--timeout", min=0, metavar="SECONDS", help="How long to wait at most.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the gateway's whole answer.")]
GatewayOption = Annotated[
    str,
    typer.Option(
        "--gateway",
        envvar="DDGATE_GATEWAY",
        metavar="URL",
        help="http:// or https://HOST:PORT; needs a token.",
        show_default="HTTPS_PROXY with its login, else http://127.0.0.1:8080",
    ),
]
GatewayCaOption = Annotated[
    Path | None,
    typer.Option(
        "--gateway-ca", envvar="DDGATE_GATEWAY_CA", help="Who signs an https:// gateway's certificate."
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        envvar="DDGATE_CA",
        help="The gateway's public CA, for Datadog's hosts.",
        show_default="what `ddgate run` says, else certs/ddgate-ca.pem in the checkout",
    ),
]


def request(  # noqa: PLR0913, PLR0917 - one parameter for each option
    context: typer.Context,
    approval: IdArgument,
    action: ActionArgument = Action.STATUS,
    timeout: TimeoutOption = None,
    gateway: GatewayOption = _DEFAULT_GATEWAY,
    gateway_ca: GatewayCaOption = None,
    ca: CaOption = None,
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    token_env: TokenEnvOption = None,
    client_id: AsOption = None,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    as_json: JsonOption = False,
) -> None:
    """The agent's side: what became of a call that waits for a person; wait for it; or take it back.

    Asks the gateway, as the agent whose call it is: under `ddgate run` with nothing more to say, elsewhere
    with --gateway and a token. After a yes, repeat the same call, and it runs.

    Exit status of `wait`: 0 approved (or it has run), 4 denied, 5 expired or cancelled, 6 still pending when
    --timeout is over, 7 nobody can tell whether it ran. Of all three: 1 the gateway refuses, 2 misuse, 3 the
    gateway isn't reached.

    In an agent's script: `ddgate approvals request $ID wait --timeout 600 && curl … # as before`

    On the sandbox, from outside: `ddgate approvals request $ID --as sre-agent`
    """
    choice = TokenChoice(
        token_file, token_command, token_env, client_id, sandbox_issuer(state), _DEFAULT_CLIENT
    )
    with told():
        if not _ID.fullmatch(approval):
            raise Misused("an approval's id has letters and digits alone")
        way = None
        if not _is_on_command_line(context, "gateway") and client_id is None:
            way = way_of_environment(os.environ, ca, _default_ca(), only_run=choice.is_explicit)
        if way is None:
            way = _way_by_token(gateway, gateway_ca, ca, choice)
        asked = Gateway(way)
        try:
            answer = _done(asked, approval, action, timeout)
        finally:
            asked.close()
        _print(answer, as_json=as_json)
    if action is Action.WAIT:
        raise typer.Exit(_STATUSES.get(_state(answer), 0))


def _is_on_command_line(context: typer.Context, parameter: str) -> bool:
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def _default_ca() -> Path:
    return PROJECT_ROOT / "certs" / "ddgate-ca.pem"


def _way_by_token(gateway: str, gateway_ca: Path | None, ca: Path | None, choice: TokenChoice) -> Way:
    try:
        source = choice.source(os.environ)
    except NoTokenNamed as problem:
        raise Misused(str(problem)) from None
    return way_of_options(gateway, gateway_ca, ca or _default_ca(), source)


def _done(gateway: Gateway, approval: str, action: Action, timeout: float | None) -> dict[str, Json]:
    if action is Action.CANCEL:
        return gateway.cancel(approval)
    if action is Action.STATUS:
        return gateway.status(approval)
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        began = time.monotonic()
        left = _ONE_WAIT if until is None else min(_ONE_WAIT, max(0.0, until - began))
        answer = gateway.status(approval, left)
        now = time.monotonic()
        if _state(answer) is not State.PENDING or (until is not None and now >= until):
            return answer
        if now - began < _PACE:  # a gateway that doesn't wait, or has just ended
            time.sleep(_PACE if until is None else min(_PACE, max(0.0, until - now)))


def _state(answer: Mapping[str, Json]) -> State:
    """Raises Misused for a state of a later version."""
    approval = answer.get("approval")
    told_state = approval.get("state") if isinstance(approval, dict) else None
    try:
        return State(str(told_state))
    except ValueError:
        raise Misused("the gateway names a state that this version doesn't know; update ddgate") from None


def _print(answer: dict[str, Json], *, as_json: bool) -> None:
    state = _state(answer)
    if as_json:
        print_json(answer)
        return
    approval, console = answer["approval"], out()
    assert isinstance(approval, dict)  # noqa: S101 - _state has looked
    line = Text(state, style=STATE_STYLES[state])
    line.append(f"  {shown(_word(approval, 'operation') or 'a call')}", style="default")
    line.append(f"  {shown(_word(approval, 'id'))}", style="dim")
    console.print(line)
    left = approval.get("places_left")
    if state is State.PENDING and isinstance(left, dict) and left:
        people = ", ".join(f"{count} of {shown(group)}" for group, count in left.items())
        console.print(f"  waits for {people}, until {shown(_word(approval, 'pending_until'))}")
    if state is State.APPROVED:
        console.print(f"  may be used until {shown(_word(approval, 'grant_until'))}")
    if decided := _word(approval, "decided_by"):
        reason = _word(approval, "reason")
        console.print(f"  by {shown(decided)}" + (f": {shown(reason)}" if reason else ""))
    if other := _word(approval, "superseded_by"):
        console.print(f"  {shown(other)} took its place")
    if following := _word(answer, "next"):
        console.print(f"  next: {shown(following)}")


def _word(part: Mapping[str, Json], name: str) -> str:
    value = part.get(name)
    return value if isinstance(value, str) else ""
