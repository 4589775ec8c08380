"""What every command that speaks to control takes: where control is, and who asks."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, cast

import typer

from addons.cli import sandbox_config
from addons.cli.approvals.client import ControlClient, Misused, parse_place
from addons.cli.approvals.words import told
from addons.cli.options import DEFAULT_STATE_DIR, PROJECT_ROOT, StateDirOption
from addons.cli.token_choice import (
    NoTokenNamed,
    TokenChoice,
    TokenCommandOption,
    TokenEnvOption,
    TokenFileOption,
    sandbox_issuer,
)
from addons.core.config_approvals import Control
from addons.sandbox.issuer_login import CONTROL_AUDIENCE
from addons.store.config_file import read_config

ControlOption = Annotated[
    str | None,
    typer.Option(
        "--control",
        envvar="DDGATE_CONTROL",
        metavar="URL",
        help="Where control is.",
        show_default="as ddgate.yaml says, else http://127.0.0.1:8081",
    ),
]
ControlCaOption = Annotated[
    Path | None,
    typer.Option(
        "--control-ca", envvar="DDGATE_CONTROL_CA", help="Who signs an https:// control's certificate."
    ),
]
PersonOption = Annotated[
    str | None, typer.Option("--as", metavar="PERSON", help="A person of the running sandbox, such as alice.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="DDGATE_CONFIG", help="The configuration file; else ./ddgate.yaml."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]


@dataclass(frozen=True, slots=True)
class _Named:
    """The options, as typer gives them."""

    control: str | None = None
    control_ca: Path | None = None
    token_file: Path | None = None
    token_command: str | None = None
    token_env: str | None = None
    person: str | None = None
    config_path: Path | None = None
    state: Path = DEFAULT_STATE_DIR

    def client(self) -> ControlClient:
        """Raises Misused, ProblemsError."""
        choice = TokenChoice(
            self.token_file,
            self.token_command,
            self.token_env,
            self.person,
            sandbox_issuer(self.state),
            audience=CONTROL_AUDIENCE,
        )
        try:
            source = choice.source(os.environ)
        except NoTokenNamed as problem:
            raise Misused(str(problem)) from None
        return ControlClient(parse_place(self.control or self._configured(), self.control_ca), source)

    def _configured(self) -> str:
        candidates = [self.config_path] if self.config_path is not None else []
        if not candidates:
            ours, sandboxs = PROJECT_ROOT / "ddgate.yaml", sandbox_config.config_path(self.state)
            candidates = [sandboxs, ours] if self.person is not None else [ours, sandboxs]
            candidates = [path for path in candidates if path.exists()]
        if not candidates:
            return Control().public_url
        return read_config(candidates[0], os.environ).config.control.public_url


_OPTIONS = {
    "control": ControlOption,
    "control_ca": ControlCaOption,
    "token_file": TokenFileOption,
    "token_command": TokenCommandOption,
    "token_env": TokenEnvOption,
    "person": PersonOption,
    "config_path": ConfigOption,
    "state": StateDirOption,
}


def on_control[**P](command: Callable[Concatenate[ControlClient, P], None]) -> Callable[..., None]:
    """Make a command of a function whose first parameter is the client: in its place stand the options that
    the client is made of. What goes wrong is told plainly.
    """
    signature = inspect.signature(command, eval_str=True)
    own = list(signature.parameters.values())[1:]
    defaults = _Named()
    shared = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=getattr(defaults, name), annotation=option
        )
        for name, option in _OPTIONS.items()
    ]

    @functools.wraps(command)
    def with_options(*args: P.args, **kwargs: P.kwargs) -> None:
        given = cast(dict[str, Any], kwargs)
        named = _Named(**{name: given.pop(name) for name in _OPTIONS})
        with told():
            client = named.client()
            try:
                command(client, *args, **kwargs)
            finally:
                client.close()

    whole = signature.replace(parameters=[*own, *shared])
    with_options.__signature__ = whole  # type: ignore[attr-defined]  # what inspect.signature looks for
    with_options.__annotations__ = {name: one.annotation for name, one in whole.parameters.items()}
    return with_options
