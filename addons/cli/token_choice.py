"""The options that say where a token comes from, for every command that shows one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from addons.sidecar.token_sources import CommandSource, EnvironmentSource, FileSource, TokenError, TokenSource
from addons.sidecar.workload_tokens import Workload, workload_source

DEFAULT_AUDIENCE = "ddgate"
_TOKEN = "DDGATE_TOKEN"  # noqa: S105 - a variable's name
_TOKEN_COMMAND = "DDGATE_TOKEN_COMMAND"  # noqa: S105 - as above

TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file", envvar="DDGATE_TOKEN_FILE", help="A file that holds the token; read anew when due."
    ),
]
TokenCommandOption = Annotated[
    str | None,
    typer.Option("--token-command", envvar=_TOKEN_COMMAND, help="A shell command that prints a token."),
]
TokenEnvOption = Annotated[
    str | None,
    typer.Option(
        "--token-env", envvar="DDGATE_TOKEN_ENV", metavar="NAME", help="A variable that holds the token."
    ),
]
WorkloadOption = Annotated[
    Workload | None,
    typer.Option("--issuer", envvar="DDGATE_ISSUER", help="Where this runs, and who gives a token there."),
]
AudienceOption = Annotated[
    str,
    typer.Option(
        "--audience", envvar="DDGATE_AUDIENCE", help="With --issuer: what the gateway asks for as `aud`."
    ),
]
AsOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="CLIENT_ID",
        help="A client of the running sandbox.",
        show_default="demo-agent there",
    ),
]


class NoTokenNamed(Exception):  # noqa: N818 - named after what is wrong
    """The options name no source of tokens, or several; the text says what to do."""


@dataclass(frozen=True, slots=True)
class _SandboxSource:
    issuer: Path
    client_id: str
    audience: str | None

    async def fetch(self) -> str:
        from addons.sandbox.issuer_client import fetch_token  # noqa: PLC0415 - real agents never load it
        from addons.sandbox.lifecycle import SandboxError  # noqa: PLC0415 - as above

        try:
            return await asyncio.to_thread(fetch_token, self.issuer, self.client_id, audience=self.audience)
        except (SandboxError, OSError) as error:
            raise TokenError(f"{error}") from None


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """What the options say. `issuer` is the directory of the sandbox's, `audience` what its tokens are for
    (None: the gateway), and `default_client` who asks there when nobody is named (None: nobody is).
    `workload` is the place that gives a token of its own.
    """

    file: Path | None
    command: str | None
    variable: str | None
    client_id: str | None
    issuer: Path
    default_client: str | None = None
    audience: str | None = None
    workload: Workload | None = None

    def source(self, environment: Mapping[str, str]) -> TokenSource:
        """Raises NoTokenNamed."""
        if self.count > 1:
            raise NoTokenNamed(
                "give one of --token-file, --token-command, --token-env, --issuer and --as, not several"
            )
        if self.file is not None:
            return FileSource(self.file)
        if self.command is not None:
            return CommandSource(self.command)
        if self.variable is not None:
            return EnvironmentSource(self.variable, environment.get(self.variable, ""))
        if self.workload is not None:
            return workload_source(self.workload, self.audience or DEFAULT_AUDIENCE, environment)
        if self.client_id is None and _TOKEN in environment:
            return EnvironmentSource(_TOKEN, environment[_TOKEN])
        client = self.client_id or self.default_client
        if client is not None and (self.client_id is not None or self._sandbox_runs):
            return _SandboxSource(self.issuer, client, self.audience)
        ways = "--token-file, --token-command, --token-env or the variable DDGATE_TOKEN"
        raise NoTokenNamed(f"no token: name one with {ways} {self._of_sandbox()}")

    @property
    def is_explicit(self) -> bool:
        """Whether one of the options, or its variable, is given."""
        return self.count > 0

    @property
    def count(self) -> int:
        """How many of them are."""
        every = (self.file, self.command, self.variable, self.client_id, self.workload)
        return sum(part is not None for part in every)

    @property
    def secret_variables(self) -> frozenset[str]:
        named = (self.variable,) if self.variable else ()
        workloads = self.workload.secret_variables if self.workload is not None else ()
        return frozenset((_TOKEN, _TOKEN_COMMAND, *named, *workloads))

    @property
    def _sandbox_runs(self) -> bool:
        return (self.issuer / "issuer.json").exists()

    def _of_sandbox(self) -> str:
        if self._sandbox_runs:
            return "(or, on the sandbox that runs here, say who you are: --as alice)"
        return f"(no sandbox runs in {self.issuer.parent.parent} either)"


def sandbox_issuer(state: Path) -> Path:
    return state / "sandbox" / "issuer"
