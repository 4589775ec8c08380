"""Reads the files of own detectors that `ddgate.yaml` names."""

from __future__ import annotations

from addons.core.config import Config
from addons.core.redact.detector_set import DetectorSet, with_own
from addons.core.redact.detectors.detector import Detector
from addons.core.redact.detectors.gitleaks import read_rules
from addons.core.redact.detectors.own import DetectorInvalid, read_own_detectors
from addons.core.redact.masking.mask import MASK_KEY, Masker
from addons.core.redact.message_masks import MessageMasks
from addons.core.yaml_source import Problem, ProblemsError
from addons.store.config_file import LoadedConfig, read_text
from addons.store.state_dir import StateDir

_GITLEAKS = ".toml"


def load_detectors(loaded: LoadedConfig) -> DetectorSet:
    """Read the files under `redaction.detectors`: gitleaks' form where the name ends in `.toml`, else YAML.

    Raises:
        ProblemsError: with every problem of every file.

    """
    own: list[Detector] = []
    notes: list[str] = []
    problems: list[Problem] = []
    origins: dict[str, str] = {}
    for index, name in enumerate(loaded.config.redaction.detectors):
        path, here = loaded.resolve(name), loaded.source.at(("redaction", "detectors", index))
        try:
            text = read_text(path, here, "paths are relative to this file")
            if path.suffix.lower() == _GITLEAKS:
                rules = read_rules(text, str(path))
                found = rules.detectors
                notes += rules.notes
            else:
                found = read_own_detectors(text, str(path))
        except (ProblemsError, DetectorInvalid) as error:
            problems += error.problems
            continue
        for detector in found:
            origin = origins.setdefault(detector.id, name)
            if origin != name:
                message = f"{name}: {detector.id!r} is in {origin} too"
                problems.append(Problem(here, message, "rename one, or leave one file out"))
        own += found
    if problems:
        raise ProblemsError(problems)
    return with_own(own, notes)


def masks_of(state: StateDir, config: Config, detectors: DetectorSet) -> MessageMasks:
    """Make the masks of this installation, as its configuration has them. Raises StateDirUnusable."""
    redaction = config.redaction
    masker = Masker(state.installation_key(MASK_KEY), card_last_four=redaction.card_last_four)
    return MessageMasks(masker, detectors, pii=redaction.pii)
