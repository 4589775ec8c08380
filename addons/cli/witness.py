"""`ddgate witness`: watch audit logs from another machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from addons.cli.errors import told_plainly
from addons.core.start_problems import GatewayProblem
from addons.core.transparency.signed_note import KeyAlgorithm, NoteInvalid, VerifierKey
from addons.store.log_format import LogFormat

app = typer.Typer(help="Watch audit logs from another machine.", no_args_is_help=True)

_MOST_KEYS_FILE = 1024 * 1024

DirectoryOption = Annotated[
    Path, typer.Option("--dir", help="The witness's own directory.", file_okay=False, show_default=False)
]


@app.callback()
def _witness() -> None:
    """Watch audit logs from another machine.

    A witness cosigns a log's newest checkpoint where it continues every earlier one. Whoever asks for its
    cosignature (`ddgate audit verify`) learns of a log that was rewritten or cut off, even by somebody who
    has the log's own key. Run it where whoever runs the gateway can't reach.
    """


@app.command()
def serve(  # noqa: PLR0913 - its options
    *,
    directory: DirectoryOption,
    log: Annotated[
        list[str] | None,
        typer.Option("--log", help="The verifier key of a log to watch (`ddgate audit key`); repeatable."),
    ] = None,
    logs: Annotated[
        Path | None,
        typer.Option("--logs", help="A file of such keys, one a line; # begins a comment.", dir_okay=False),
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", help="HOST:PORT. Beyond loopback, put TLS in front of it.")
    ] = "127.0.0.1:8989",
    name: Annotated[
        str | None,
        typer.Option("--name", help="The name of a new witness, such as example.com/witness."),
    ] = None,
    log_format: Annotated[LogFormat, typer.Option("--log-format")] = LogFormat.TEXT,
) -> None:
    """Serve a witness, as c2sp.org/tlog-witness has it: POST /add-checkpoint.

    GET /checkpoint/ID gives the newest checkpoint of a log, cosigned, where ID is the SHA-256 of the log's
    origin in hex; GET /key the witness's verifier key.
    """
    from addons.cli.processes import die_with_parent  # noqa: PLC0415 - only this command serves
    from addons.witness import server  # noqa: PLC0415 - as above

    die_with_parent()
    with told_plainly():
        keys = _keys([*(log or ()), *(_of_file(logs) if logs is not None else ())])
        host, port = _place(listen)
        server.serve(directory, keys, host, port, name=name, log_format=log_format)


@app.command()
def key(
    *,
    directory: DirectoryOption,
    name: Annotated[
        str | None, typer.Option("--name", help="The name of a new witness, such as example.com/witness.")
    ] = None,
) -> None:
    """Print the verifier key of a witness, which is made where the directory is empty."""
    from addons.witness.identity import open_identity  # noqa: PLC0415 - as above

    with told_plainly():
        identity = open_identity(directory, name)
        identity.memory.close()
        print(identity.key.verifier.encode())  # noqa: T201 - the command's answer


@app.command()
def evidence(*, directory: DirectoryOption) -> None:
    """Print what spoke against a log, one JSON object a line; exit status 1 if anything does.

    `two_heads` proves by itself that the log signed two pasts: `held` and `submitted` are both signed by it.
    `unproven` is a signed checkpoint that nobody showed to continue the one before.
    """
    from addons.witness.memory import Memory  # noqa: PLC0415 - as above

    with told_plainly():
        memory = Memory.open(directory)
        try:
            found = memory.evidence()
        finally:
            memory.close()
    for one in found:
        sys.stdout.write(json.dumps(asdict(one)) + "\n")
    if found:
        raise typer.Exit(1)


def _keys(texts: Sequence[str]) -> tuple[VerifierKey, ...]:
    """Raises GatewayProblem."""
    if not texts:
        raise GatewayProblem(
            "a witness needs a log to watch: --log VKEY, where VKEY is what `ddgate audit key` prints"
        )
    keys = []
    for text in texts:
        try:
            found = VerifierKey.parse(text)
        except NoteInvalid as error:
            raise GatewayProblem(f"{text[:200]!r} is not the key of a log: {error}") from None
        if found.algorithm is not KeyAlgorithm.ED25519:
            raise GatewayProblem(f"{text} is the key of a witness; --log takes the key of a log")
        keys.append(found)
    return tuple(dict.fromkeys(keys))


def _of_file(path: Path) -> Iterator[str]:
    """Raises GatewayProblem."""
    try:
        with path.open("rb") as file:
            lines = file.read(_MOST_KEYS_FILE).decode().splitlines()
    except OSError as error:
        raise GatewayProblem(f"{path} can't be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise GatewayProblem(f"{path} is not UTF-8") from None
    for line in lines:
        text = line.partition("#")[0].strip()
        if text:
            yield text


def _place(listen: str) -> tuple[str, int]:
    """Raises GatewayProblem."""
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 2**16 - 1:
        raise GatewayProblem(f"--listen {listen!r} is not HOST:PORT, such as 127.0.0.1:8989")
    return host, int(port)
