"""Cosignatures, version 1, as https://c2sp.org/tlog-cosignature has them: a witness says when it saw a
checkpoint, and that it is consistent with every earlier one that it saw.
"""

from __future__ import annotations

from addons.core.transparency import checkpoint
from addons.core.transparency.signed_note import (
    KeyAlgorithm,
    NoteInvalid,
    NoteSignature,
    SignerKey,
    VerifierKey,
)

_TIME_BYTES = 8
_SIGNATURE_BYTES = 64
_LATEST = 2**63 - 1


def cosigned(text: str, key: SignerKey, time: int) -> NoteSignature:
    """Cosign the checkpoint with this text at `time`, seconds since the epoch.

    Raises CheckpointInvalid for a text that is no checkpoint, NoteInvalid for a key that isn't a cosigner's
    or a time that can't be.
    """
    checkpoint.parse(text)
    verifier = key.verifier
    if verifier.algorithm is not KeyAlgorithm.COSIGNATURE:
        raise NoteInvalid(f"{verifier.name} is not a cosigner's key")
    signature = key.sign_message(_message(text, time))
    return NoteSignature(verifier.name, verifier.key_id, time.to_bytes(_TIME_BYTES) + signature)


def verify(text: str, signature: NoteSignature, key: VerifierKey) -> int:
    """The time, in seconds since the epoch, at which `key` cosigned the checkpoint. Raises NoteInvalid."""
    if key.algorithm is not KeyAlgorithm.COSIGNATURE:
        raise NoteInvalid(f"{key.name} is not a cosigner's key")
    if len(signature.signature) != _TIME_BYTES + _SIGNATURE_BYTES:
        raise NoteInvalid(f"the signature by {signature.name} isn't a cosignature of version 1")
    time = int.from_bytes(signature.signature[:_TIME_BYTES])
    key.verify_message(_message(text, time), signature, signature.signature[_TIME_BYTES:])
    return time


def _message(text: str, time: int) -> bytes:
    if not 0 <= time <= _LATEST:
        raise NoteInvalid(f"{time} is no time of a cosignature")
    try:
        return f"cosignature/v1\ntime {time}\n{text}".encode()
    except UnicodeEncodeError:
        raise NoteInvalid("half a surrogate pair has no UTF-8") from None
