"""`ddgate env`: what leads an agent to the gateway where `ddgate run` can't start it."""

from __future__ import annotations

import os
import re
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from addons.cli.options import DEFAULT_STATE_DIR, PROJECT_ROOT, StateDirOption
from addons.cli.run import DEFAULT_GATEWAY, CaOption, GatewayCaOption, GatewayOption
from addons.cli.token_choice import (
    DEFAULT_AUDIENCE,
    AudienceOption,
    NoTokenNamed,
    TokenChoice,
    TokenCommandOption,
    TokenEnvOption,
    TokenFileOption,
    WorkloadOption,
)
from addons.sidecar import environment_forms as forms
from addons.sidecar.ca_bundle import BadCaError, bundle_content
from addons.sidecar.environment_forms import Reached
from addons.sidecar.upstreams import BadGatewayError, parse_gateway

app = typer.Typer()

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_AUDIENCE = re.compile(r"[A-Za-z0-9._~:/-]+", re.ASCII)

ShellOption = Annotated[bool, typer.Option("--shell", help="For `eval` in a POSIX shell; the default.")]
DockerfileOption = Annotated[bool, typer.Option("--dockerfile", help="Lines for an agent's Dockerfile.")]
KubernetesOption = Annotated[bool, typer.Option("--kubernetes", help="What an agent's pod needs, in YAML.")]
JsonOption = Annotated[bool, typer.Option("--json", help="The variables as JSON.")]


class _BadOptionsError(Exception):
    """The options don't go together; the text says what to do."""


@app.command()
def env(  # noqa: PLR0913, PLR0917 - one parameter for each option
    gateway: GatewayOption = DEFAULT_GATEWAY,
    gateway_ca: GatewayCaOption = None,
    ca: CaOption = PROJECT_ROOT / "certs" / "ddgate-ca.pem",
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    token_env: TokenEnvOption = None,
    workload: WorkloadOption = None,
    audience: AudienceOption = DEFAULT_AUDIENCE,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    shell: ShellOption = False,
    dockerfile: DockerfileOption = False,
    kubernetes: KubernetesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print the variables that `ddgate run` sets, for an agent that it can't start.

    They lead straight to the gateway, with the token as the proxy's password: no listener renews it, and
    hosts other than Datadog's are refused. The token is never printed, only where the agent reads it.

    In a shell, for the agent alone: `(eval "$(ddgate env --token-file token)"; exec my-agent)`

    For an image or a pod: `ddgate env --dockerfile --gateway https://gateway.example.com:8080`
    """
    wanted = TokenChoice(
        token_file, token_command, token_env, None, state, audience=audience, workload=workload
    )
    try:
        form = _form(shell=shell, dockerfile=dockerfile, kubernetes=kubernetes, as_json=as_json)
        cas = (ca,) if gateway_ca is None else (ca, gateway_ca)
        text = _text(form, Reached(parse_gateway(gateway, gateway_ca), cas), wanted, state)
    except (_BadOptionsError, NoTokenNamed, BadGatewayError, BadCaError) as problem:
        _tell(str(problem))
        raise typer.Exit(2) from None
    except OSError as problem:
        _tell(f"{problem.filename or 'the bundle of CAs'}: {problem.strerror}")
        raise typer.Exit(2) from None
    typer.echo(text, nl=False)


class _Form(Enum):
    SHELL = "--shell"
    DOCKERFILE = "--dockerfile"
    KUBERNETES = "--kubernetes"
    JSON = "--json"


def _form(*, shell: bool, dockerfile: bool, kubernetes: bool, as_json: bool) -> _Form:
    asked = zip(_Form, (shell, dockerfile, kubernetes, as_json), strict=True)
    match [form for form, is_asked in asked if is_asked]:
        case []:
            return _Form.SHELL
        case [form]:
            return form
        case _:
            raise _BadOptionsError("give one of --shell, --dockerfile, --kubernetes and --json, not several")


def _text(form: _Form, reached: Reached, wanted: TokenChoice, state: Path) -> str:
    audience = wanted.audience or DEFAULT_AUDIENCE
    if not _AUDIENCE.fullmatch(audience):
        raise _BadOptionsError("--audience has a character that a URL can't carry as it is")
    if form in {_Form.DOCKERFILE, _Form.KUBERNETES}:
        if wanted.is_explicit:
            raise _BadOptionsError(f"{form.value} has the token in a file of its own; name no source of it")
        for ca in reached.cas:
            bundle_content((ca,), {}, _tell)  # that it can be used
        if form is _Form.DOCKERFILE:
            return forms.for_dockerfile(reached)
        return forms.for_kubernetes(reached, audience)
    if form is _Form.JSON:
        return forms.for_json(os.environ, reached, _write_bundle(reached, state), _tell)
    read_token = _read_token(wanted, audience)
    return forms.for_shell(os.environ, reached, read_token, _write_bundle(reached, state), _tell)


def _read_token(wanted: TokenChoice, audience: str) -> str:
    if wanted.count > 1:
        raise _BadOptionsError(
            "give one of --token-file, --token-command, --token-env and --issuer, not several"
        )
    if wanted.file is not None:
        return forms.token_file_command(wanted.file.absolute())
    if wanted.command is not None:
        return forms.token_shell_command(wanted.command)
    if wanted.workload is not None:
        return forms.workload_command(wanted.workload, audience)
    name = wanted.variable or "DDGATE_TOKEN"
    if not _VARIABLE.fullmatch(name):
        raise _BadOptionsError("--token-env needs the name of a variable")
    return f"${name}"


def _write_bundle(reached: Reached, state: Path) -> Path:
    """The same file each time, put in place whole: an agent may be reading it."""
    path = state.absolute() / "agent-ca-bundle.pem"
    content = bundle_content(reached.cas, os.environ, _tell)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}")
    new.write_bytes(content)
    new.replace(path)
    return path


def _tell(text: str) -> None:
    print(f"ddgate env: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the command's words to its user
