"""Asking a witness: https://c2sp.org/tlog-witness from the log's side.

Nothing that it answers is believed without its signature, but that it refuses. The connection is bounded in
time and size, never redirected, and never through a proxy that the environment names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx

from addons.core.transparency import checkpoint, cosignature, signed_note
from addons.core.transparency.add_checkpoint import SIZE_TYPE, AddCheckpoint, log_id
from addons.core.transparency.checkpoint import Checkpoint, CheckpointInvalid
from addons.core.transparency.signed_note import Note, NoteInvalid, NoteSignature, VerifierKey
from addons.store.identity.issuer_http import FetchFailed, FetchLimits, cause, issuer_client

LIMITS = FetchLimits(seconds=5.0, answer_bytes=signed_note.MAX_NOTE + 64 * 1024)

_REFUSALS: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "it doesn't understand the checkpoint",
    HTTPStatus.FORBIDDEN: (
        "it doesn't know the key that signs the log; start it with this one, too: --log VKEY"
    ),
    HTTPStatus.NOT_FOUND: "it doesn't watch this log; start it with the log's key: --log VKEY",
}


class WitnessProblem(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """No cosignature was had; the text says why, for an operator."""


class WitnessUnreachable(WitnessProblem):
    """It gave no answer that says anything: later, perhaps."""


class WitnessRefused(WitnessProblem):
    """Its answer, or its signature, shows that one of the two is set up wrongly."""


class WitnessStale(WitnessProblem):
    """It cosigned another size last than it was asked to go on from: `size`."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the witness cosigned {size} entries last")
        self.size = size


class WitnessInconsistent(WitnessProblem):
    """It says that this checkpoint doesn't continue the one that it cosigned."""


@dataclass(frozen=True, slots=True)
class KnownWitness:
    """`url` is what comes before `/add-checkpoint`; `key` is of the algorithm COSIGNATURE."""

    url: str
    key: VerifierKey


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest checkpoint that a witness cosigned, at `time` (seconds since the epoch). That the log signed
    `note` is not verified yet.
    """

    note: Note
    checkpoint: Checkpoint
    time: int


def witness_client(ca: Path | None = None, limits: FetchLimits = LIMITS) -> httpx.AsyncClient:
    """`ca` is a PEM file that replaces the public authorities. Raises FetchFailed if it can't be used."""
    return issuer_client(ca, limits)


async def submit(  # noqa: PLR0913, PLR0917 - one request
    client: httpx.AsyncClient,
    witness: KnownWitness,
    note: str,
    old_size: int,
    proof: Sequence[bytes],
    limits: FetchLimits = LIMITS,
) -> tuple[NoteSignature, ...]:
    """Ask to cosign the checkpoint `note`, which continues the one of `old_size` entries as `proof` shows.

    Returns the witness's cosignatures, verified. Raises one of WitnessUnreachable, WitnessRefused,
    WitnessStale, WitnessInconsistent; NoteInvalid for a note that is none.
    """
    sent = AddCheckpoint(old_size, tuple(proof), signed_note.parse(note))
    answer, body = await _answer(client, witness, "POST", "/add-checkpoint", limits, sent.encode())
    if answer.status_code == HTTPStatus.OK:
        return _cosignatures(sent.note.text, body, witness.key)
    if answer.status_code == HTTPStatus.CONFLICT:
        raise _conflict(answer, body, old_size, witness.key.name)
    if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        raise WitnessInconsistent(
            f"the witness {witness.key.name} says that the log doesn't continue the {old_size} entries that "
            "it cosigned"
        )
    refusal = _REFUSALS.get(answer.status_code)
    if refusal is not None:
        raise WitnessRefused(f"the witness {witness.key.name} refuses: {refusal}")
    raise _odd(answer, witness)


async def newest(
    client: httpx.AsyncClient, witness: KnownWitness, origin: str, limits: FetchLimits = LIMITS
) -> Seen | None:
    """What the witness cosigned last of this log, or None where that is nothing.

    Not every witness has this to read: it is not part of C2SP. Raises WitnessUnreachable; WitnessRefused for
    what it didn't cosign.
    """
    path = f"/checkpoint/{log_id(origin)}"
    answer, body = await _answer(client, witness, "GET", path, limits)
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return None
    if answer.status_code != HTTPStatus.OK:
        raise _odd(answer, witness)
    try:
        note = signed_note.parse(body)
        seen = checkpoint.parse(note.text)
        times = [cosignature.verify(note.text, one, witness.key) for one in note.signatures_by(witness.key)]
    except (NoteInvalid, CheckpointInvalid) as error:
        raise WitnessRefused(f"the witness {witness.key.name} shows no checkpoint: {error}") from None
    if not times or seen.origin != origin:
        raise WitnessRefused(f"the witness {witness.key.name} shows a checkpoint that it didn't cosign")
    return Seen(note, seen, max(times))


def _odd(answer: httpx.Response, witness: KnownWitness) -> WitnessUnreachable:
    return WitnessUnreachable(f"the witness {witness.key.name} answers with status {answer.status_code}")


def _conflict(answer: httpx.Response, body: bytes, old_size: int, name: str) -> WitnessProblem:
    if answer.headers.get("Content-Type", "").partition(";")[0].strip() == SIZE_TYPE:
        try:
            size = checkpoint.parse_size(body.decode("ascii").removesuffix("\n"))
        except (CheckpointInvalid, UnicodeDecodeError):
            return WitnessUnreachable(f"the witness {name} doesn't say which size it cosigned last")
        if size != old_size:
            return WitnessStale(size)
    return WitnessInconsistent(f"the witness {name} says that it cosigned other {old_size} entries")


def _cosignatures(text: str, body: bytes, key: VerifierKey) -> tuple[NoteSignature, ...]:
    """Those by `key`; a witness may have several, and others are nothing to us. Raises WitnessRefused."""
    try:
        lines = body.decode().removesuffix("\n").split("\n")
        parsed = [NoteSignature.parse(line) for line in lines]
        own = tuple(one for one in parsed if (one.name, one.key_id) == (key.name, key.key_id))
        for one in own:
            cosignature.verify(text, one, key)
    except (NoteInvalid, UnicodeDecodeError) as error:
        reason = error if isinstance(error, NoteInvalid) else "it isn't UTF-8"
        raise WitnessRefused(f"the witness {key.name} sends no valid cosignature: {reason}") from None
    if not own:
        raise WitnessRefused(
            f"the witness signs with another key than {key.encode()}; configure the one that "
            "`ddgate witness key` prints"
        )
    return own


async def _answer(  # noqa: PLR0913, PLR0917 - one request
    client: httpx.AsyncClient,
    witness: KnownWitness,
    method: str,
    path: str,
    limits: FetchLimits,
    body: bytes | None = None,
) -> tuple[httpx.Response, bytes]:
    """Raises WitnessUnreachable where there is no whole answer."""
    try:
        async with asyncio.timeout(limits.seconds):
            return await _exchange(client, method, witness.url.rstrip("/") + path, body, limits)
    except FetchFailed as error:
        raise WitnessUnreachable(f"the witness at {witness.url} can't be used: {error}") from None
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError, UnicodeError) as error:
        raise WitnessUnreachable(f"the witness at {witness.url} can't be reached ({cause(error)})") from None


async def _exchange(
    client: httpx.AsyncClient, method: str, url: str, body: bytes | None, limits: FetchLimits
) -> tuple[httpx.Response, bytes]:
    headers = {"Accept-Encoding": "identity"}
    if body is not None:
        headers["Content-Type"] = "text/plain; charset=utf-8"
    async with client.stream(method, url, content=body, headers=headers) as answer:
        # Unpacking could turn a small answer into a huge one before it is measured.
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FetchFailed("its answer is compressed although that was not asked for")
        read = bytearray()
        async for chunk in answer.aiter_raw():
            read += chunk
            if len(read) > limits.answer_bytes:
                raise FetchFailed(f"its answer is larger than {limits.answer_bytes} bytes")
        return answer, bytes(read)
