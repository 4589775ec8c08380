"""The keys that sign the audit log: Ed25519, in files of the state directory, and numbered from 1, so that
one can follow another. The log says which one signs.
"""

from __future__ import annotations

import itertools

from addons.core.transparency.signed_note import SignerKey, VerifierKey
from addons.store.state_dir import StateDir, StateDirUnusable

_NAME = "audit-signing"


class LogKeys:
    """Reads the files when asked, and keeps nothing."""

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

    def newest(self) -> int:
        """The number that a new log begins with: no key that was replaced signs it."""
        number = 1
        while self._state.has_installation_key(_name(number + 1)):
            number += 1
        return number

    def verifiers(self, origin: str) -> tuple[VerifierKey, ...]:
        """The public halves of all there are, the oldest first; none where the files can't be read, as in a
        copy of the log alone.
        """
        found: list[VerifierKey] = []
        for number in itertools.count(1):
            try:
                if not self._state.has_installation_key(_name(number)):
                    break
                found.append(self.signer(origin, number).verifier)
            except StateDirUnusable:
                break
        return tuple(found)


def _name(number: int) -> str:
    return _NAME if number == 1 else f"{_NAME}-{number}"
