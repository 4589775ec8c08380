"""A recording served as Datadog on loopback: what `ddgate recordings serve` and `ddgate replay` both run."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from addons.core.config_sections import Redaction
from addons.core.redact.detector_set import BUILT_IN
from addons.core.redact.masking.mask import MASK_KEY, Masker
from addons.core.redact.message_masks import MessageMasks
from addons.core.start_problems import GatewayProblem
from addons.replaying.asked import Asking
from addons.replaying.exchange import Exchange
from addons.replaying.ignored import NOTHING, Ignored
from addons.replaying.masked_values import MaskedValues
from addons.replaying.stand_in import StandIn
from addons.replaying.stand_in_calls import StandInCalls, TooMuchRecorded
from addons.sandbox.lifecycle import LOOPBACK
from addons.sandbox.server import Answer, Handler, Request, Server
from addons.store.config_file import LoadedConfig
from addons.store.masking.detector_files import load_detectors
from addons.store.recordings.flows import NoRecordings, find_recordings
from addons.store.state_dir import StateDir

BODY_DIGEST_KEY = "body-digest"
"""Name of the installation's key of the digests that stand for bodies which aren't stored."""
_NO_KEY = b"no key of an installation is known"


@dataclass(frozen=True, slots=True)
class Keys:
    """What the recordings were masked with. `are_known` is False where it was another installation, so that
    masks can be compared by their kind alone.
    """

    masks: MessageMasks
    values: MaskedValues
    asking: Asking
    are_known: bool


def keys_of(state: StateDir | None, loaded: LoadedConfig | None = None, ignored: Ignored = NOTHING) -> Keys:
    """`loaded` is the configuration that the recordings were masked by, with its own detectors; None for one
    without any. Raises StateDirUnusable, ProblemsError.
    """
    redaction = loaded.config.redaction if loaded is not None else Redaction()
    detectors = load_detectors(loaded) if loaded is not None else BUILT_IN
    mask_key = _NO_KEY if state is None else state.installation_key(MASK_KEY)
    digest_key = _NO_KEY if state is None else state.installation_key(BODY_DIGEST_KEY)
    masker = Masker(mask_key, card_last_four=redaction.card_last_four)
    masks = MessageMasks(masker, detectors, pii=redaction.pii)
    values = MaskedValues(None if state is None else masker, detectors)
    return Keys(masks, values, Asking(masks, digest_key, ignored), are_known=state is not None)


def existing_state(path: Path) -> StateDir | None:
    """Open the state directory if there is one: reading a file must not make one. Raises StateDirUnusable."""
    return StateDir.open(path) if (path / "keys").is_dir() else None


def found_files(places: Sequence[Path]) -> list[Path]:
    """Raises GatewayProblem."""
    try:
        return find_recordings(places)
    except NoRecordings as problem:
        raise GatewayProblem(str(problem)) from None


def stand_in_of(exchanges: Iterable[Exchange], keys: Keys, *, once: bool = False) -> StandIn:
    """Raises GatewayProblem where the recordings are too large."""
    calls = StandInCalls(keys.asking, keys.values)
    try:
        calls.add(exchanges)
    except TooMuchRecorded as problem:
        raise GatewayProblem(str(problem)) from None
    return StandIn(calls, keys.asking, once=once)


def bound(port: int, what: str) -> socket.socket:
    """Listen on loopback; 0 is any port that is free. Raises GatewayProblem."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(512)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise GatewayProblem(
            f"port {port} on {LOOPBACK} can't be taken ({error.strerror}); choose another with {what} N, "
            f"or {what} 0 for any that is free"
        ) from None
    return listener


@asynccontextmanager
async def served(
    stand_in: StandIn, listeners: Sequence[tuple[socket.socket, ssl.SSLContext | None]]
) -> AsyncIterator[None]:
    """Answer on the listeners until the block ends."""
    servers = [Server(listener, _handler(stand_in), tls) for listener, tls in listeners]
    try:
        yield
    finally:
        await asyncio.gather(*(server.close() for server in servers))


def _handler(stand_in: StandIn) -> Handler:
    async def answer(request: Request) -> Answer:
        target = f"{request.path}?{request.query}" if request.query else request.path
        given = stand_in.answer(request.method, target, request.headers, request.body)
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in given.headers)
        return Answer(given.status, headers, given.body)

    return answer
