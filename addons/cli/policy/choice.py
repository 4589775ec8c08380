"""Which policy a subcommand speaks of, and how its files are shown."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from addons.cli.options import PROJECT_ROOT
from addons.core.catalogue import Catalogue
from addons.core.policy.policy_set import PolicySet
from addons.store.config_file import LoadedConfig, read_config
from addons.store.masking.detector_files import load_detectors
from addons.store.policy.files import parse_policy

FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FILES]...",
        help="Policy files, read together as one policy. Without any: those that the configuration names, "
        "or `policies/default.yaml` where there is no configuration.",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="DDGATE_CONFIG",
        help="The configuration that names the files; else ./ddgate.yaml in the checkout. Beside FILES it "
        "says which detectors of your own there are.",
    ),
]
DetectorsOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="A configuration with detectors of your own that rules may name."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]


def chosen_files(
    files: list[Path] | None, config_path: Path | None
) -> tuple[list[Path], LoadedConfig | None]:
    """Find which files are meant, and the configuration where that is what named them."""
    if files:
        return files, None
    if config_path is None:
        config_path = PROJECT_ROOT / "ddgate.yaml"
        if not config_path.exists():
            return [PROJECT_ROOT / "policies" / "default.yaml"], None
    loaded = read_config(config_path, os.environ)
    return [loaded.resolve(name) for name in loaded.config.policy], loaded


def known_detectors(config_path: Path | None, loaded: LoadedConfig | None) -> frozenset[str] | None:
    """Names that `detect:` may use: those of the configuration that named the files, or that was given beside
    them. None where there is no configuration.
    """
    if loaded is None and config_path is not None:
        loaded = read_config(config_path, os.environ)
    return load_detectors(loaded).names() if loaded is not None else None


def read_chosen(
    paths: Iterable[Path], catalogue: Catalogue, detectors: frozenset[str] | None = None
) -> PolicySet:
    """Read files as one policy. Raises ProblemsError with every problem of every file."""
    return parse_policy([shown_path(path) for path in paths], catalogue, detectors)


def shown_path(path: Path) -> Path:
    """Shorten a path as a person would write it here."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except (ValueError, OSError):
        return path


def names_of(paths: Iterable[Path]) -> str:
    return ", ".join(str(shown_path(path)) for path in paths)
