"""Who a witness is: a name, and an Ed25519 key of its own, made once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from addons.core.transparency.signed_note import KeyAlgorithm, NoteInvalid, SignerKey
from addons.store.state_dir import StateDir, StateDirUnusable, private_directory
from addons.witness.memory import Memory

_KEY = "witness"


@dataclass(frozen=True, slots=True)
class Identity:
    """Its key, and what it remembers under that key: the one is worth nothing without the other."""

    key: SignerKey
    memory: Memory


def open_identity(directory: Path, name: str | None = None) -> Identity:
    """Open the witness of this directory; make it, where the directory is new or empty.

    `name` is for a new one; without it, it gets one that no other has. Raises `StateDirUnusable`: also where
    only the key or only the memory is there, and for another name than it has.
    """
    state = StateDir(directory.absolute())
    private_directory(state.path)
    private_directory(state.keys)
    has_key = state.has_installation_key(_KEY)
    if not Memory.exists(state.path):
        if has_key:
            raise StateDirUnusable(
                f"{state.path} holds a witness's key without its memory.",
                "Restore witness.sqlite3 as it was last, or retire this key, and begin another witness in an "
                "empty directory: one that forgot would cosign another past.",
            )
        Memory.create(state.path, _checked(name or f"witness-{secrets.token_hex(4)}"))
    memory = Memory.open(state.path)
    try:
        return Identity(_key(state, memory, name, has_key=has_key), memory)
    except BaseException:
        memory.close()
        raise


def _key(state: StateDir, memory: Memory, name: str | None, *, has_key: bool) -> SignerKey:
    if not has_key and not memory.is_empty():
        raise StateDirUnusable(
            f"{state.keys} has lost the key of the witness {memory.name}.",
            "Restore it, or begin another witness in an empty directory.",
        )
    if name not in {None, memory.name}:
        raise StateDirUnusable(
            f"The witness of {state.path} has the name {memory.name} already.",
            "Leave --name away, or begin another witness in an empty directory.",
        )
    return SignerKey(memory.name, state.installation_key(_KEY), KeyAlgorithm.COSIGNATURE)


def _checked(name: str) -> str:
    try:
        SignerKey(name, bytes(32))
    except NoteInvalid as error:
        raise StateDirUnusable(f"{name!r} can't be a witness's name: {error}.", "Choose another.") from None
    return name
