"""The configuration, for a command that does without one too."""

from __future__ import annotations

import os
from pathlib import Path

from addons.cli.options import PROJECT_ROOT
from addons.store.config_file import LoadedConfig, parse_config, read_config


def configured(config_path: Path | None = None) -> LoadedConfig | None:
    """Read `config_path`, else DDGATE_CONFIG's file, else ./ddgate.yaml; None where there is none. Raises
    ProblemsError.
    """
    path = _path(config_path)
    return read_config(path, os.environ) if path.exists() else None


def parsed() -> LoadedConfig | None:
    """As `configured`, without a look at the files that it names, which this command does without."""
    path = _path(None)
    return parse_config(path, os.environ) if path.exists() else None


def _path(given: Path | None) -> Path:
    named = os.environ.get("DDGATE_CONFIG")
    return given or (Path(named) if named else PROJECT_ROOT / "ddgate.yaml")
