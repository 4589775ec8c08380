"""The `ddgate` command."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from addons.cli.errors import told_plainly
from addons.cli.lazy_group import LazyGroup, loading
from addons.cli.options import DEFAULT_STATE_DIR, PROJECT_ROOT, StateDirOption


class _Ddgate(LazyGroup):
    modules = MappingProxyType(
        {
            "run": "addons.cli.run",
            "env": "addons.cli.env",
            "replay": "addons.cli.replay.command",
            "audit": "addons.cli.audit.command",
            "policy": "addons.cli.policy.command",
            "approvals": "addons.cli.approvals.command",
            "recordings": "addons.cli.recordings.command",
            "redact": "addons.cli.redact.command",
            "sessions": "addons.cli.sessions",
            "config": "addons.cli.config",
            "token": "addons.cli.token",
            "witness": "addons.cli.witness",
            **{name: f"addons.cli.blocking.{name}" for name in ("freeze", "unfreeze", "revoke")},
        }
    )


app = typer.Typer(
    name="ddgate",
    cls=_Ddgate,
    help="The gateway through which autonomous agents reach Datadog.",
    epilog="Without a command it starts everything: on ddgate.yaml if there is one, else on the sandbox.",
    invoke_without_command=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="DDGATE_CONFIG", help="The configuration file; else ./ddgate.yaml."
    ),
]
SandboxOption = Annotated[
    bool, typer.Option("--sandbox", help="Use the sandbox, whatever configuration there is.")
]
StayOption = Annotated[
    bool, typer.Option("--stay", help="Let it all run on at the end, with the inspector, until Ctrl-C.")
]


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    state: StateDirOption = DEFAULT_STATE_DIR,
    config_path: ConfigOption = None,
    *,
    sandbox: SandboxOption = False,
) -> None:
    if context.invoked_subcommand is None:
        up(state, config_path, sandbox=sandbox)


@app.command()
def up(
    state: StateDirOption = DEFAULT_STATE_DIR,
    config_path: ConfigOption = None,
    *,
    sandbox: SandboxOption = False,
) -> None:
    """Start gateway, control and inspector, and the sandbox where there is no configuration."""
    with loading():
        from addons.cli.up import up as start  # noqa: PLC0415 - mitmproxy takes a second to load

    with told_plainly():
        start(config_path, state, use_sandbox=sandbox)


@app.command()
def gateway(state: StateDirOption = DEFAULT_STATE_DIR, config_path: ConfigOption = None) -> None:
    """Run one gateway process: the data path and nothing else. SIGHUP makes it read its policy anew."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it serves: what is read at the start is new
    with loading():
        from addons.cli.processes import die_with_parent  # noqa: PLC0415 - as above
        from addons.gateway import serve  # noqa: PLC0415 - as above
        from addons.runtime import prepare  # noqa: PLC0415 - as above
        from addons.store.config_file import read_config  # noqa: PLC0415 - as above

    die_with_parent()
    with told_plainly():
        loaded = read_config(config_path or PROJECT_ROOT / "ddgate.yaml", os.environ)
        serve(prepare(loaded, state, os.environ))


@app.command()
def control(state: StateDirOption = DEFAULT_STATE_DIR, config_path: ConfigOption = None) -> None:
    """Run control: the approvals page and its API, their messages, `/healthz`, `/readyz` and `/metrics`."""
    with loading():
        from addons.cli.processes import die_with_parent  # noqa: PLC0415 - as above
        from addons.control.server import serve  # noqa: PLC0415 - as above
        from addons.store.config_file import read_config  # noqa: PLC0415 - as above

    die_with_parent()
    with told_plainly():
        serve(read_config(config_path or PROJECT_ROOT / "ddgate.yaml", os.environ), state, os.environ)


@app.command()
def inspector(state: StateDirOption = DEFAULT_STATE_DIR, config_path: ConfigOption = None) -> None:
    """Run mitmweb on the redacted recordings, as they come."""
    with loading():
        from addons.cli.processes import die_with_parent  # noqa: PLC0415 - as above
        from addons.core.start_problems import GatewayProblem  # noqa: PLC0415 - as above
        from addons.inspector.main import InspectorRefused, run_inspector  # noqa: PLC0415 - as above
        from addons.store.config_file import read_config  # noqa: PLC0415 - as above
        from addons.store.recordings.sealing import keys_of  # noqa: PLC0415 - as above
        from addons.store.state_dir import StateDir  # noqa: PLC0415 - as above

    die_with_parent()
    with told_plainly():
        loaded = read_config(config_path or PROJECT_ROOT / "ddgate.yaml", os.environ)
        directory = StateDir.open(state)
        place = loaded.config.inspector
        password = directory.inspector_password()
        try:
            run_inspector(
                directory.recordings,
                place.host,
                place.port,
                password,
                lambda _url: None,
                keys=keys_of(loaded.config, loaded.base_dir, os.environ),
            )
        except InspectorRefused as refused:
            raise GatewayProblem(str(refused)) from None


@app.command()
def demo(*, stay: StayOption = False) -> None:
    """See the whole story in a minute: on a sandbox of its own, which it removes again."""
    with loading():
        from addons.cli.demo.command import tell  # noqa: PLC0415 - as above

    with told_plainly():
        tell(stay=stay)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
