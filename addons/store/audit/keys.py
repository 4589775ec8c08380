"""The keys that sign the audit log: Ed25519, in files of the state directory, and numbered from 1, so that
one can follow another. The log says which one signs.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from addons.core.transparency.signed_note import KeyAlgorithm, SignerKey, VerifierKey
from addons.store.state_dir import StateDir, StateDirUnusable, create_private_file

_NAME = "audit-signing"


class LogKeys:
    """Reads the files when asked, and keeps nothing. The public halves stand in files of their own, so that a
    private key that was replaced can go.
    """

    def __init__(self, state: StateDir) -> None:
        self._state = state

    def signer(self, origin: str, number: int) -> SignerKey:
        """The key of this number, under the name of the log. Raises `StateDirUnusable`, also if it is gone:
        a new one in its place could not continue the log.
        """
        if not self._state.has_installation_key(_name(number)):
            raise StateDirUnusable(
                f"The key that signs the audit log ({_name(number)}.key in {self._state.keys}) is gone.",
                "Restore it from a backup, or begin a new log: ddgate audit new-log.",
            )
        return SignerKey(origin, self._state.installation_key(_name(number)))

    def make(self, origin: str, number: int) -> SignerKey:
        """As `signer`, and makes the key where there is none."""
        self._state.make_keys()
        return SignerKey(origin, self._state.installation_key(_name(number)))

    def publish(self, key: SignerKey, number: int) -> None:
        """Once the key signs: no earlier one signs a newest head after this. Raises `StateDirUnusable`."""
        path = self._public(number)
        try:
            if not path.exists():
                create_private_file(path, key.verifier.public_key.hex().encode() + b"\n")
        except OSError as error:
            raise StateDirUnusable(
                f"{path} can't be made ({error.strerror}).", "Make the state directory writable."
            ) from None

    def is_any(self) -> bool:
        """Whether a log was ever begun here."""
        return self._is_there(1)

    def newest(self) -> int:
        """The number that a new log begins with: no key that was replaced signs it."""
        number = 1
        while self._is_there(number + 1):
            number += 1
        return number

    def verifiers(self, origin: str) -> tuple[VerifierKey, ...]:
        """The public halves of all there were, the oldest first; none where the files can't be read, as in a
        copy of the log alone.
        """
        found: list[VerifierKey] = []
        for number in itertools.count(1):
            try:
                if not self._is_there(number):
                    break
                found.append(self._verifier(origin, number))
            except (OSError, ValueError, StateDirUnusable):
                break
        return tuple(found)

    def current(self, origin: str) -> tuple[VerifierKey, ...]:
        """Of `verifiers`, those that the newest head may be signed by: the newest one that is known to sign,
        and one after it, which may have begun to just now.
        """
        keys = self.verifiers(origin)
        public = [number for number in range(1, len(keys) + 1) if self._public(number).exists()]
        return keys[public[-1] - 1 :] if public else keys

    def _verifier(self, origin: str, number: int) -> VerifierKey:
        if self._public(number).exists():
            public = bytes.fromhex(self._public(number).read_text(encoding="ascii"))
            return VerifierKey(origin, KeyAlgorithm.ED25519, public)
        return self.signer(origin, number).verifier

    def _is_there(self, number: int) -> bool:
        return self._public(number).exists() or self._state.has_installation_key(_name(number))

    def _public(self, number: int) -> Path:
        return self._state.keys / f"{_name(number)}.pub"


def _name(number: int) -> str:
    return _NAME if number == 1 else f"{_NAME}-{number}"
