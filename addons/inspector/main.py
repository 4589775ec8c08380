"""The inspector process: shows recordings in mitmweb's pages, apart from the data path.

`python -m addons.inspector.main --state DIR`, or `run_inspector`.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from addons.core.yaml_source import ProblemsError
from addons.inspector.feed import FeedLimits
from addons.inspector.master import InspectorMaster
from addons.store.config_file import read_config
from addons.store.credentials import CredentialProblem
from addons.store.recordings.sealing import NO_KEYS, SealKeys, keys_of
from addons.store.state_dir import StateDir, StateDirUnusable, read_password

DEFAULT_PORT = 8081


class InspectorRefused(Exception):  # noqa: N818 - named after what happened, as the other refusals are
    """The inspector doesn't start like this; the text says why and what to do."""


def run_inspector(  # noqa: PLR0913 - what one process is told at its start
    recordings: Path,
    host: str,
    port: int,
    password: str,
    ready: Callable[[str], None],
    *,
    keys: SealKeys = NO_KEYS,
) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is called with the URL, once it answers; `port` 0 is any.

    `recordings` need not exist yet; `keys` are for those that are sealed.

    Raises `InspectorRefused` for a host that isn't loopback, an empty password, or a port that can't be had.
    """
    if not password:
        raise InspectorRefused("The inspector doesn't run without a password.")
    host = _loopback(host)
    asyncio.run(_serve(lambda: InspectorMaster(recordings, password, FeedLimits(), keys), host, port, ready))


async def _serve(
    make: Callable[[], InspectorMaster], host: str, port: int, ready: Callable[[str], None]
) -> None:
    master = make()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, master.shutdown)
    try:
        bound = master.listen(host, port)
    except OSError as error:
        raise InspectorRefused(
            f"The inspector can't listen on {host} port {port} ({error.strerror}). Name another with --port, "
            "or with `inspector: {port: …}` in ddgate.yaml."
        ) from None
    ready(f"http://{f'[{host}]' if ':' in host else host}:{bound}/")
    await master.serve()


def _loopback(host: str) -> str:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or str(address) not in {"127.0.0.1", "::1"}:
        raise InspectorRefused(
            f"The inspector listens on 127.0.0.1 or ::1 only, not on {host}. "
            "From elsewhere, use a tunnel: ssh -L 8081:127.0.0.1:8081 HOST"
        )
    return str(address)


def _keys(config_path: Path) -> SealKeys:
    loaded = read_config(config_path, os.environ)
    return keys_of(loaded.config, loaded.base_dir, os.environ)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="inspector", description="Shows recordings in mitmweb's pages.")
    parser.add_argument("--state", type=Path, help="state directory: its recordings and its password")
    parser.add_argument(
        "--recordings", type=Path, help="recordings, where the rest of the state isn't readable"
    )
    parser.add_argument("--password-file", type=Path, help="file of mode 0600 with the password")
    parser.add_argument("--config", type=Path, help="the configuration, where recordings are sealed")
    parser.add_argument("--host", default="127.0.0.1", help="127.0.0.1 or ::1")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="inspector: %(message)s")
    try:
        if given.state is not None:
            state = StateDir.open(given.state)
            recordings, password_file = state.recordings, state.inspector_password_file
            password = state.inspector_password()
        elif given.recordings is not None and given.password_file is not None:
            recordings, password_file = given.recordings, given.password_file
            password = read_password(password_file)
        else:
            parser.error("name --state, or both --recordings and --password-file")
        run_inspector(
            recordings,
            given.host,
            given.port,
            password,
            lambda url: print(f"inspector: {url} (its password is in {password_file})", flush=True),  # noqa: T201
            keys=NO_KEYS if given.config is None else _keys(given.config),
        )
    except (InspectorRefused, StateDirUnusable, ProblemsError, CredentialProblem) as error:
        sys.stderr.write(f"inspector: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
