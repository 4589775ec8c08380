"""Signed notes as https://c2sp.org/signed-note has them: a text, an empty line, and signature lines.

— <key name> base64(key ID || signature)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from addons.core.transparency.canonical_base64 import from_base64, to_base64

MAX_NOTE = 256 * 1024
"""Bytes. Sixteen signatures have to fit, of 5 kB each where they are post-quantum ones."""
MAX_SIGNATURES = 64

_DASH = "\N{EM DASH} "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_ID_BYTES = 4
_KEY_BYTES = 32
_ED25519_BYTES = 64
_KEY_ID_HEX = re.compile(r"[0-9a-f]{8}")


class NoteInvalid(ValueError):  # noqa: N818 - named after what is wrong, as the other refusals are
    """A note, a signature or a key is malformed, or a signature doesn't hold; says why."""


class KeyAlgorithm(IntEnum):
    """The signature types of signed-note that are known here."""

    ED25519 = 1
    COSIGNATURE = 4
    """A witness's, with the time: https://c2sp.org/tlog-cosignature."""


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line. Raises NoteInvalid for what can't stand in one."""

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.key_id) != _KEY_ID_BYTES:
            raise NoteInvalid(f"a key ID has {_KEY_ID_BYTES} bytes")
        if not self.signature:
            raise NoteInvalid("a signature is empty")

    def line(self) -> str:
        """Without its newline."""
        return f"{_DASH}{self.name} {to_base64(self.key_id + self.signature)}"

    @staticmethod
    def parse(line: str) -> NoteSignature:
        """Read a line, without its newline. Raises NoteInvalid."""
        name, blank, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not blank:
            raise NoteInvalid("a signature line isn't an em dash, a key name and base64")
        try:
            octets = from_base64(encoded)
        except ValueError as error:
            raise NoteInvalid(f"a signature is {error}") from None
        return NoteSignature(name, octets[:_KEY_ID_BYTES], octets[_KEY_ID_BYTES:])


@dataclass(frozen=True, slots=True)
class Note:
    """`text` with its final newline, and who signed it: nothing here says that a signature holds.

    Raises NoteInvalid for what can't be written as a note.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        if not self.text.endswith("\n"):
            raise NoteInvalid("the text doesn't end in a newline")
        if _CONTROL.search(self.text):
            raise NoteInvalid("the text holds a control character")
        if not 0 < len(self.signatures) <= MAX_SIGNATURES:
            raise NoteInvalid(f"a note has 1 to {MAX_SIGNATURES} signatures, not {len(self.signatures)}")
        if len(_utf8(self.encode())) > MAX_NOTE:
            raise NoteInvalid(f"a note has {MAX_NOTE // 1024} KiB at most")

    def encode(self) -> str:
        return self.text + "\n" + "".join(f"{one.line()}\n" for one in self.signatures)

    def signatures_by(self, key: VerifierKey) -> tuple[NoteSignature, ...]:
        """Those that claim to be of `key`."""
        return tuple(one for one in self.signatures if (one.name, one.key_id) == (key.name, key.key_id))

    def check_signed_by(self, key: VerifierKey) -> None:
        """Raises NoteInvalid unless there is a signature of `key` (Ed25519), and all there are hold."""
        found = self.signatures_by(key)
        if not found:
            raise NoteInvalid(f"the note isn't signed by {key.encode()}")
        for one in found:
            key.verify(self.text, one)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half of a key that signs notes. Raises NoteInvalid for what can't be one."""

    name: str
    algorithm: KeyAlgorithm
    public_key: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.public_key) != _KEY_BYTES:
            raise NoteInvalid(f"a public key has {_KEY_BYTES} bytes, not {len(self.public_key)}")

    @property
    def key_id(self) -> bytes:
        return sha256(_utf8(self.name) + b"\n" + bytes((self.algorithm,)) + self.public_key).digest()[:4]

    def encode(self) -> str:
        """`name+key ID+base64`, as `parse` reads it."""
        material = to_base64(bytes((self.algorithm,)) + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{material}"

    @staticmethod
    def parse(text: str) -> VerifierKey:
        """Raises NoteInvalid."""
        name, _, rest = text.partition("+")
        key_id, plus, material = rest.partition("+")
        if not plus or not _KEY_ID_HEX.fullmatch(key_id):
            raise NoteInvalid("a verifier key has the form name+12345678+base64")
        try:
            octets = from_base64(material)
        except ValueError as error:
            raise NoteInvalid(f"the last part of the verifier key is {error}") from None
        if not octets or octets[0] not in set(KeyAlgorithm):
            raise NoteInvalid("the verifier key is of a type that isn't known here; Ed25519 is")
        key = VerifierKey(name, KeyAlgorithm(octets[0]), octets[1:])
        if key.key_id.hex() != key_id:
            raise NoteInvalid(f"the verifier key of {name} says {key_id}, and its ID is {key.key_id.hex()}")
        return key

    def verify(self, text: str, signature: NoteSignature) -> None:
        """Raises NoteInvalid unless this key made `signature` over `text`, as Ed25519 (RFC 8032) alone."""
        if self.algorithm is not KeyAlgorithm.ED25519:
            raise NoteInvalid(f"{self.name} is a cosigner's key")
        self.verify_message(_utf8(text), signature, signature.signature)

    def verify_message(self, message: bytes, line: NoteSignature, signature: bytes) -> None:
        """Raises NoteInvalid unless `line` is of this key, and `signature`, a part of it, of `message`."""
        if (line.name, line.key_id) != (self.name, self.key_id):
            raise NoteInvalid(f"the signature is of {line.name}, and not by {self.encode()}")
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except InvalidSignature:
            raise NoteInvalid(f"the signature by {self.name} doesn't hold") from None


class SignerKey:
    """An Ed25519 key that signs notes under its name. Neither `str` nor `repr` shows it."""

    __slots__ = ("_private", "verifier")

    def __init__(self, name: str, seed: bytes, algorithm: KeyAlgorithm = KeyAlgorithm.ED25519) -> None:
        """`seed` is the private key of RFC 8032, 32 random bytes. Raises NoteInvalid."""
        if len(seed) != _KEY_BYTES:
            raise NoteInvalid(f"a private key has {_KEY_BYTES} bytes, not {len(seed)}")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, algorithm, self._private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"SignerKey({self.verifier.encode()})"

    def sign(self, text: str) -> NoteSignature:
        """Raises NoteInvalid for a cosigner's key, whose signatures say when: `cosignature.cosigned`."""
        if self.verifier.algorithm is not KeyAlgorithm.ED25519:
            raise NoteInvalid(f"{self.verifier.name} is a cosigner's key")
        return NoteSignature(self.verifier.name, self.verifier.key_id, self.sign_message(_utf8(text)))

    def sign_message(self, message: bytes) -> bytes:
        """The bare signature, 64 bytes."""
        return self._private.sign(message)


def parse(raw: str | bytes) -> Note:
    """Read a note. Raises NoteInvalid for whatever isn't exactly one."""
    try:
        whole = raw if isinstance(raw, str) else raw.decode()
    except UnicodeDecodeError:
        raise NoteInvalid("the note isn't UTF-8") from None
    text, separator, lines = whole.rpartition("\n\n")
    if not separator:
        raise NoteInvalid("no empty line separates a text from signatures")
    if not lines.endswith("\n"):
        raise NoteInvalid("the last signature line has no newline")
    parsed = lines[:-1].split("\n", MAX_SIGNATURES)
    return Note(f"{text}\n", tuple(map(NoteSignature.parse, parsed)))


def _check_name(name: str) -> None:
    if not name or "+" in name or _CONTROL.search(name) or any(one.isspace() for one in name):
        raise NoteInvalid("a key name has a character at least, and no space, plus or control character")
    _utf8(name)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise NoteInvalid("half a surrogate pair has no UTF-8") from None
