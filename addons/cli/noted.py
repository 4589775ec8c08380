"""What somebody typed, masked as the configuration says before it is put on record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from addons.core.model import Json
from addons.store.state_dir import StateDir
from addons.store.writing import read_record

if TYPE_CHECKING:
    from addons.core.redact.scrubber import Scrubber


def note_read(state: StateDir, command: str, asked: Mapping[str, Json], found: int) -> str | None:
    """As `read_record.note_read`, with a team's own detectors too."""
    return read_record.note_read(state, command, asked, found, _scrubber)


def scrubbed(asked: Mapping[str, Json], state: StateDir) -> Json:
    """As `read_record.scrubbed`, with a team's own detectors too."""
    return read_record.scrubbed(asked, state, _scrubber)


def _scrubber(state: StateDir) -> Scrubber | None:
    """None where the configuration or its detectors can't be read: what they would mask is not known then.
    Raises StateDirUnusable.
    """
    from addons.cli.configured import parsed  # noqa: PLC0415 - the configuration takes a while to load
    from addons.core.yaml_source import ProblemsError  # noqa: PLC0415 - as above
    from addons.store.masking.detector_files import load_detectors, masks_of  # noqa: PLC0415 - as above

    try:
        loaded = parsed()
        if loaded is None:
            return read_record.built_in(state)
        return masks_of(state, loaded.config, load_detectors(loaded)).secrets
    except ProblemsError:
        return None
