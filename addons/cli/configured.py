"""The configuration, for a command that does without one too."""

from __future__ import annotations

import os
from pathlib import Path

from addons.cli.options import PROJECT_ROOT
from addons.store.config_file import LoadedConfig, read_config


def configured(config_path: Path | None = None) -> LoadedConfig | None:
    """Read `config_path`, else DDGATE_CONFIG's file, else ./ddgate.yaml; None where there is none. Raises
    ProblemsError.
    """
    named = os.environ.get("DDGATE_CONFIG")
    path = config_path or (Path(named) if named else PROJECT_ROOT / "ddgate.yaml")
    return read_config(path, os.environ) if path.exists() else None
