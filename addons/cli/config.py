"""`ddgate config`: check the configuration, and show what is in effect."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
import yaml
from pydantic import BaseModel
from rich.console import Console

from addons.cli.errors import told_plainly
from addons.cli.options import PROJECT_ROOT
from addons.core.config import Config
from addons.core.config_sections import SecretSource
from addons.core.model import Json
from addons.store.config_file import read_config
from addons.store.masking.detector_files import load_detectors
from addons.store.policy.files import read_catalogue, read_policy

app = typer.Typer(
    help="Check `ddgate.yaml` and show what is in effect.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

FileArgument = Annotated[
    Path,
    typer.Argument(
        envvar="DDGATE_CONFIG",
        help="The configuration file.",
        show_default="./ddgate.yaml in the checkout",
    ),
]
DEFAULT_FILE = PROJECT_ROOT / "ddgate.yaml"


@app.command()
def check(file: FileArgument = DEFAULT_FILE) -> None:
    """Find everything that is wrong with the configuration, and with the files it names.

    Reads the file under the `DDGATE__…` variables of this shell: certificates, keys and secrets have to be
    there, the policy has to be well and pass its tests. Nothing is started and nothing is fetched.
    Exit status: 0 nothing is wrong, 1 something is.

    The one in the checkout: `ddgate config check`

    Another, with one key changed: `DDGATE__LISTEN__PORT=9090 ddgate config check /etc/ddgate.yaml`
    """
    with told_plainly():
        loaded = read_config(file, os.environ)
        paths = [loaded.resolve(name) for name in loaded.config.policy]
        detectors = load_detectors(loaded)
        policy_set = read_policy(paths, read_catalogue(), loaded.config.credentials, detectors.names())
    errors = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False, markup=False)
    for warning in (*detectors.notes, *policy_set.warnings):
        errors.print(f"{warning} [warning]", style="yellow")
    typer.echo(f"{file}: nothing wrong; {len(policy_set.rules)} rules, {policy_set.revision}")


@app.command()
def show(
    file: FileArgument = DEFAULT_FILE,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")] = False,
) -> None:
    """Show every key as it is in effect: the file, the `DDGATE__…` variables, and the defaults.

    What is printed is a configuration again. Of a secret it names the source, never the value, and of a
    command the program alone.

    For example: `ddgate config show`

    One key: `ddgate config show --json | jq .listen`
    """
    with told_plainly():
        config = read_config(file, os.environ).config
    shown = effective(config)
    if as_json:
        typer.echo(json.dumps(shown, indent=2))
    else:
        typer.echo(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).rstrip())


def effective(config: Config) -> Json:
    """Make data of the configuration that is fit to be shown."""
    shown: Json = json.loads(config.model_dump_json())
    return _with_sources(config, shown)


def _with_sources(part: object, shown: Json) -> Json:
    """`shown`, the data of a part, with every secret in it told by its source, wherever it stands."""
    if isinstance(part, SecretSource):
        return _source(part)
    if isinstance(part, BaseModel) and isinstance(shown, dict):
        return {name: _with_sources(getattr(part, name), value) for name, value in shown.items()}
    if isinstance(part, Mapping) and isinstance(shown, dict):
        return {name: _with_sources(part[name], value) for name, value in shown.items()}
    if isinstance(part, tuple) and isinstance(shown, list):
        return [_with_sources(each, value) for each, value in zip(part, shown, strict=True)]
    return shown


def _source(secret: SecretSource) -> Json:
    if secret.command is not None:
        # a program's arguments may hold a token of their own
        return {"command": [secret.command[0], *(["…"] if len(secret.command) > 1 else [])]}
    return {"file": secret.file} if secret.file is not None else {"env": secret.env}
