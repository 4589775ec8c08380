"""Options that several subcommands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

PROJECT_ROOT = Path(__file__).resolve().parents[2]
DEFAULT_STATE_DIR = PROJECT_ROOT / ".ddgate"


def state_dir_option() -> Any:
    """Make the option that names the state directory; without it: `.ddgate` in the checkout."""
    return typer.Option(
        "--state",
        envvar="DDGATE_STATE",
        help="The directory that holds the audit log, the recordings and the keys.",
        show_default=".ddgate in the checkout",
        file_okay=False,
    )


StateDirOption = Annotated[Path, state_dir_option()]
