"""The keys for sealed recordings, for the subcommands that read them: from the configuration."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from addons.cli.configured import configured
from addons.store.recordings.sealing import NO_KEYS, SealKeys, keys_of
from addons.store.recordings.segment_reader import SEALED, SEALED_OPEN

_FOLDER = "recordings"


def keys_for(places: Iterable[Path], config_path: Path | None = None) -> SealKeys:
    """Read the keys if one of the places, files or directories (also of a state directory), holds what is
    sealed. Without a configuration (see `configured`) there are no keys, and whoever reads is told which one
    is missing.

    Raises ProblemsError and CredentialProblem.
    """
    if not any(_holds_sealed(place) for place in places):
        return NO_KEYS
    loaded = configured(config_path)
    return NO_KEYS if loaded is None else keys_of(loaded.config, loaded.base_dir, os.environ)


def _holds_sealed(place: Path) -> bool:
    if not place.is_dir():
        return place.name.endswith((SEALED, SEALED_OPEN))
    folder = place / _FOLDER if (place / _FOLDER).is_dir() else place
    return any(each.name.endswith((SEALED, SEALED_OPEN)) for each in folder.iterdir())
