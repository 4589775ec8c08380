"""`ddgate replay`: recorded calls again, through the gateway, and what differs."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from addons.cli.call_options import OperationOption, SessionOption, SinceOption, UntilOption, WhoOption
from addons.cli.errors import told_plainly
from addons.cli.options import DEFAULT_STATE_DIR, PROJECT_ROOT, StateDirOption
from addons.cli.policy.choice import ConfigOption
from addons.cli.time_option import read_time
from addons.cli.token_choice import (
    AsOption,
    NoTokenNamed,
    TokenChoice,
    TokenCommandOption,
    TokenEnvOption,
    TokenFileOption,
    sandbox_issuer,
)
from addons.store.recordings.selection import Selection

app = typer.Typer()

_CANNOT_BEGIN = 2


class StandIn(StrEnum):
    """What answers in place of Datadog."""

    RECORDING = "recording"
    SANDBOX = "sandbox"


WhatArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID|FILE]...", help="Calls by their ids (or the beginning), or .mitm files."),
]
LiveOption = Annotated[
    bool, typer.Option("--live", help="Through the running gateway, to what is behind it: the real Datadog.")
]
YesOption = Annotated[
    bool, typer.Option("--yes", help="With --live: don't ask before each call that is no read.")
]
StandInOption = Annotated[
    StandIn,
    typer.Option("--stand-in", help="What answers without --live: the recording itself, or the sandbox."),
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="Refuse to begin with more calls.")]
IgnoreOption = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="PATH", help="Don't compare: a JSON path, $..modified, or header:NAME."),
]
HeaderOption = Annotated[
    list[str] | None, typer.Option("--header", metavar="NAME", help="Compare this header, too.")
]
WaitOption = Annotated[
    int, typer.Option("--wait", min=0, max=3600, help="With --live: how many seconds to wait for approvers.")
]
GatewayOption = Annotated[
    str, typer.Option("--gateway", envvar="DDGATE_GATEWAY", metavar="URL", help="The one for --live.")
]
GatewayCaOption = Annotated[
    Path | None,
    typer.Option("--gateway-ca", envvar="DDGATE_GATEWAY_CA", help="Who signs an https:// gateway's own."),
]
CaOption = Annotated[
    Path,
    typer.Option(
        "--ca",
        envvar="DDGATE_CA",
        help="The public CA of the gateway for --live.",
        show_default="certs/ddgate-ca.pem in the checkout",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, for other programs.")]


@app.command()
def replay(  # noqa: PLR0913, PLR0917 - each is an option of the command
    what: WhatArgument = None,
    session: SessionOption = None,
    who: WhoOption = None,
    operation: OperationOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 200,
    stand_in: StandInOption = StandIn.RECORDING,
    ignore: IgnoreOption = None,
    header: HeaderOption = None,
    config_path: ConfigOption = None,
    gateway: GatewayOption = "http://127.0.0.1:8080",
    gateway_ca: GatewayCaOption = None,
    ca: CaOption = PROJECT_ROOT / "certs" / "ddgate-ca.pem",
    wait: WaitOption = 60,
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    token_env: TokenEnvOption = None,
    client_id: AsOption = None,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    live: LiveOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make recorded calls again, as yourself, and show how the answers differ from the recorded ones.

    They are decided anew, by the policy of now and for your own token; nothing that a recording says of who
    called or what was allowed counts, and its credentials are never sent. Without --live it is a rehearsal:
    a gateway of its own with the same policy and issuers, and a stand-in behind it that gives the recorded
    answers. It asks no approver, counts against no limit, and nothing reaches Datadog. With --live each call
    that is no read is shown first and needs your yes. What holds a mask is never sent. Every replay is on
    record. Answers are masked before they are compared.

    Exit status: 0 every call was made again and brought the same answer; 1 some did not; 2 it could not
    begin.

    What policy makes of a run today: ddgate replay --session run-17 --ignore '$..modified'

    One read for real: ddgate replay 01M84AMVMZ --live --token-file TOKEN
    """
    selection = Selection(
        session=session,
        who=who,
        operation=operation,
        since=None if since is None else read_time(since),
        until=None if until is None else read_time(until),
    )
    token = TokenChoice(token_file, token_command, token_env, client_id, sandbox_issuer(state))
    # mitmproxy takes half a second to load, and other subcommands go without it
    from addons.cli.replay.begin import Options, begin  # noqa: PLC0415 - as above
    from addons.cli.replay.choice import Wanted  # noqa: PLC0415 - as above
    from addons.core.redact.formats.json_paths import BadJsonPath  # noqa: PLC0415 - as above
    from addons.replaying.ignored import ignored  # noqa: PLC0415 - as above

    try:
        left_out = ignored(ignore or [])
        source = token.source(os.environ)
    except (BadJsonPath, NoTokenNamed) as problem:
        typer.echo(f"ddgate replay: {problem}", err=True)
        raise typer.Exit(_CANNOT_BEGIN) from None
    wanted = Wanted(what or [], selection, selection != Selection(), limit)
    chosen = Options(
        wanted=wanted,
        state=state,
        config=config_path,
        live=live,
        yes=yes,
        on_sandbox=stand_in is StandIn.SANDBOX,
        gateway=gateway,
        gateway_ca=gateway_ca,
        ca=ca,
        wait=wait,
        ignored=left_out,
        headers=tuple(name.strip().lower() for name in header or ()),
        source=source,
        as_json=as_json,
    )
    try:
        with told_plainly():
            all_same = begin(chosen)
    except typer.Exit:
        raise typer.Exit(_CANNOT_BEGIN) from None
    raise typer.Exit(0 if all_same else 1)
