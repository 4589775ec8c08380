"""`ddgate recordings serve`: a recording as Datadog, for tests."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from addons.cli.errors import told_plainly
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.core.model import Json

if TYPE_CHECKING:
    from addons.replaying.stand_in import StandIn
    from addons.store.state_dir import StateDir

FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FILES]...",
        help="Recordings (*.mitm), or directories of them. Without any: those of the state directory.",
    ),
]
PortOption = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="For HTTPS, on loopback; 0: any that is free.")
]
HttpPortOption = Annotated[
    int, typer.Option("--http-port", min=0, max=65535, help="For plain HTTP; 0: any that is free.")
]
OnceOption = Annotated[
    bool,
    typer.Option("--once", help="Give each recorded answer once, then 404; else the last one goes on."),
]
IgnoreOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="PATH",
        help="Know a call whatever stands there: $..timestamp in its JSON body, or query:NAME.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Say where it listens as one JSON object, for other programs.")
]


def serve(  # noqa: PLR0913 - each is an option of the command
    files: FilesArgument = None,
    port: PortOption = 0,
    http_port: HttpPortOption = 0,
    ignore: IgnoreOption = None,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    once: OnceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Answer as Datadog did, out of recordings: for tests of what calls Datadog. Ctrl-C ends it.

    A call is known by its method, host, path, query and body; the order of parameters and of JSON keys says
    nothing. It is masked before it is compared, with the keys of the state directory, so that other keys and
    other secrets find the recorded answer. Several recordings of one call are answered in their order, and
    then the last one again. What isn't known gets 404, and a text that says which recorded call is nearest.

    Clients reach it directly (its address in place of Datadog's: then any recorded host fits), or behind a
    gateway on the sandbox: `upstream: {connect_to: {"*": {address: 127.0.0.1, port: PORT, ca: CA}}}`. It
    asks for no key: whoever is on this machine can read the recording from it.

    For example: ddgate recordings serve run.mitm --port 8126 --ignore '$.series[*].points'
    """
    from addons.cli.policy.recordings import shown  # noqa: PLC0415 - as above
    from addons.cli.replay import stand_in as replay_stand_in  # noqa: PLC0415 - mitmproxy takes a while to load
    from addons.cli.replay.rehearsal import read_loaded  # noqa: PLC0415 - as above
    from addons.cli.sealed_recordings import keys_for  # noqa: PLC0415 - as above
    from addons.core.redact.formats.json_paths import BadJsonPath  # noqa: PLC0415 - as above
    from addons.replaying.ignored import ignored  # noqa: PLC0415 - as above
    from addons.replaying.load_recording import Exchanges  # noqa: PLC0415 - as above
    from addons.store.recordings.flows import Recordings  # noqa: PLC0415 - as above

    try:
        left_out = ignored(ignore or [])
    except BadJsonPath as problem:
        raise typer.BadParameter(str(problem), param_hint="--ignore") from None
    with told_plainly(), ExitStack() as stack:
        known = replay_stand_in.existing_state(state)
        paths = replay_stand_in.found_files(files or [state])
        keys = replay_stand_in.keys_of(known, read_loaded(None, state), left_out)
        exchanges = Exchanges(Recordings(paths, keys=keys_for(paths)))
        stand_in = replay_stand_in.stand_in_of(exchanges.read(), keys, once=once)
        said = [str(damage) for damage in exchanges.damage]
        said += _put_on_record(known, files, stand_in.calls.count)
        if not keys.are_known:
            said.append(f"no keys in {state}: masks are compared by their kind alone")
        errors = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False, markup=False)
        for each in said:
            errors.print(shown(each), style="yellow")
        if known is not None:
            directory = known.path / "stand-in"
            directory.mkdir(mode=0o700, exist_ok=True)
        else:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ddgate-stand-in-")))
        asyncio.run(_serve(stand_in, directory, (port, http_port), as_json=as_json))


def _put_on_record(state: StateDir | None, files: list[Path] | None, count: int) -> list[str]:
    from addons.cli.noted import note_read  # noqa: PLC0415 - as above

    if state is None or not state.audit_log.exists():
        return []
    asked: dict[str, Json] = {"files": [str(path) for path in files]} if files else {}
    problem = note_read(state, "recordings serve", asked, count)
    return [problem] if problem else []


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Of several that start at once one makes the CA, and the others find it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


async def _serve(stand_in: StandIn, directory: Path, ports: tuple[int, int], *, as_json: bool) -> None:
    from addons.cli.replay import stand_in as replay_stand_in  # noqa: PLC0415 - as above
    from addons.core.start_problems import GatewayProblem  # noqa: PLC0415 - as above
    from addons.sandbox import datadog_tls  # noqa: PLC0415 - as above
    from addons.sandbox.lifecycle import SandboxError  # noqa: PLC0415 - as above

    try:
        with _alone(directory):
            tls = datadog_tls.server_context(directory)
    except SandboxError as error:
        raise GatewayProblem(str(error)) from None
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    with (
        replay_stand_in.bound(ports[0], "--port") as https,
        replay_stand_in.bound(ports[1], "--http-port") as http,
    ):
        async with replay_stand_in.served(stand_in, [(https, tls), (http, None)]):
            _tell(
                stand_in.calls.count,
                f"https://127.0.0.1:{https.getsockname()[1]}",
                f"http://127.0.0.1:{http.getsockname()[1]}",
                directory / datadog_tls.CA_FILE,
                as_json=as_json,
            )
            await stopped.wait()


def _tell(count: int, https: str, http: str, ca: Path, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"calls": count, "https": https, "http": http, "ca": str(ca)}))
        return
    typer.echo(f"{count} recorded calls are answered as Datadog did; Ctrl-C ends it.")
    typer.echo(f"  https  {https}   CA: {ca}")
    typer.echo(f"  http   {http}")
