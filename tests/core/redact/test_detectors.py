import pytest

from addons.core.redact.detector import Detector, compiled, iban, jwt_header, luhn
from addons.core.redact.detectors import DETECTORS
from addons.core.redact.mask import MASK, Masker
from addons.core.redact.scan import default_scanner


def _finds(detector: Detector, text: str) -> list[bytes]:
    data = text.encode("latin-1")
    if detector.keywords and not any(keyword in data for keyword in detector.keywords):
        return []
    values = [match.group(detector.group) for match in compiled(detector.pattern).finditer(data)]
    return [value for value in values if detector.check is None or detector.check(value)]


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.id)
def test_a_detector_finds_its_examples_and_leaves_its_counterexamples(detector: Detector) -> None:
    assert detector.examples
    assert detector.counterexamples
    gate = compiled(detector.gate)
    for example in detector.examples:
        assert _finds(detector, example), example
        assert gate.search(example.encode("latin-1")), f"the gate misses {example}"
    for example in detector.counterexamples:
        assert not _finds(detector, example), example


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.id)
def test_the_gate_of_all_passes_every_example(detector: Detector) -> None:
    scanner = default_scanner(pii=True)
    for example in detector.examples:
        assert any(finding.detector for finding in scanner.detect(example.encode("latin-1")))
        assert scanner.gate.hits(example.encode("latin-1"))


def test_ids_are_unique_and_kinds_fit_into_a_mask() -> None:
    assert len({detector.id for detector in DETECTORS}) == len(DETECTORS)
    masker = Masker(b"k" * 16)
    for detector in DETECTORS:
        assert MASK.fullmatch(masker.mask(detector.kind, b"x").encode())


def test_checksums() -> None:
    assert luhn(b"4242 4242-42424242")
    assert not luhn(b"4242424242424241")
    assert not luhn(b"0000000000000000")
    assert iban(b"GB29 NWBK 6016 1331 9268 19")
    assert not iban(b"GB30 NWBK 6016 1331 9268 19")
    assert jwt_header(b"eyJhbGciOiJIUzI1NiJ9.e30.x")
    assert not jwt_header(b"eyJwYWdlIjoyfQ.e30.x")
