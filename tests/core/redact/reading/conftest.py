"""What several tests of reading start from."""

from __future__ import annotations

import pytest

from addons.core.redact.detectors.table import DETECTORS
from addons.core.redact.masking.mask import Masker
from addons.core.redact.reading.scan import Scanner
from addons.core.redact.scrubber import Scrubber


@pytest.fixture(scope="package")
def quick() -> Scrubber:
    """With a gate that has its database."""
    scanner = Scanner([detector for detector in DETECTORS if not detector.pii], by_name=True)
    scanner.gate._database = scanner.gate.compile()
    return Scrubber(Masker(b"k" * 16), scanner=scanner)
