"""The keys under which recordings are kept, where the configuration asks for that."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from addons.core.seal import NONCE_BYTES, KeyNotHeld, SealBroken, SealKey, parse_key, seal, unseal
from addons.store.credentials import CredentialProblem, SecretReader, SecretSource

if TYPE_CHECKING:  # a process that only seals reads no configuration
    from addons.core import config_sections
    from addons.core.config import Config


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals what is written from now on. Random nonces: one key serves for 2**32 flows."""

    key: SealKey

    def seal(self, segment: str, offset: int, flow: bytes) -> bytes:
        """Give the frame for that place, a segment's final name and an offset in bytes."""
        return seal(self.key, secrets.token_bytes(NONCE_BYTES), (segment, offset), flow)


@dataclass(frozen=True, slots=True)
class SealKeys:
    """The keys that what was sealed can be read with, whichever it was written with."""

    _keys: Mapping[bytes, SealKey] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(keys: Iterable[SealKey]) -> SealKeys:
        return SealKeys({key.id: key for key in keys})

    def unseal(self, segment: str, offset: int, frame: bytes) -> bytes:
        """Raises `KeyNotHeld` and `SealBroken`."""
        return unseal(self._keys, (segment, offset), frame)


NO_KEYS = SealKeys()


def sealer_of(config: Config, base_dir: Path, environment: Mapping[str, str]) -> Sealer | None:
    """Read the key that new recordings are sealed with; None where they are not. Raises CredentialProblem."""
    source = config.recordings.encryption_key
    return None if source is None else Sealer(_read(source, base_dir, environment))


def keys_of(config: Config, base_dir: Path, environment: Mapping[str, str]) -> SealKeys:
    """Read the key and the old ones. Raises CredentialProblem."""
    wanted = config.recordings
    sources = [*((wanted.encryption_key,) if wanted.encryption_key else ()), *wanted.old_encryption_keys]
    return SealKeys.of(_read(source, base_dir, environment) for source in sources)


def _read(secret: config_sections.SecretSource, base_dir: Path, environment: Mapping[str, str]) -> SealKey:
    source = SecretSource(
        file=base_dir / secret.file if secret.file else None,
        variable=secret.env,
        command=tuple(secret.command) if secret.command else None,
    )
    return parse_key(SecretReader(source, environment, time.monotonic, _usable).read())


def _usable(raw: bytes, source: SecretSource) -> bytes:
    try:
        parse_key(raw)
    except ValueError as error:
        raise CredentialProblem(
            f"{source}: no key for recordings: {error}; make one with: openssl rand -hex 32"
        ) from None
    return raw.strip()


__all__ = ["NO_KEYS", "KeyNotHeld", "SealBroken", "SealKeys", "Sealer", "keys_of", "sealer_of"]
