import pytest

from addons.core.redact.detectors.check_digits import iban, luhn
from addons.core.redact.detectors.detector import Detector, compiled, finds, jwt_header
from addons.core.redact.detectors.table import DETECTORS
from addons.core.redact.masking.mask import MASK, Masker
from addons.core.redact.reading.scan import default_scanner


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.id)
def test_a_detector_finds_its_examples_and_leaves_its_counterexamples(detector: Detector) -> None:
    assert detector.examples
    assert detector.counterexamples
    gate = compiled(detector.gate)
    for example in detector.examples:
        assert finds(detector, example.encode("latin-1")), example
        assert gate.search(example.encode("latin-1")), f"the gate misses {example}"
    for example in detector.counterexamples:
        assert not finds(detector, example.encode("latin-1")), example


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.id)
def test_the_gate_of_all_passes_every_example(detector: Detector) -> None:
    scanner = default_scanner(pii=True)
    for example in detector.examples:
        assert any(finding.detector for finding in scanner.detect(example.encode("latin-1")))
        assert scanner.gate.hits(example.encode("latin-1"))


def test_an_id_is_one_kind_and_kinds_fit_into_a_mask() -> None:
    by_id: dict[str, set[tuple[str, bool]]] = {}
    for detector in DETECTORS:  # one id may have several forms
        by_id.setdefault(detector.id, set()).add((detector.kind, detector.pii))
    assert all(len(each) == 1 for each in by_id.values())
    assert len(by_id) >= 200
    assert len({detector.pattern for detector in DETECTORS}) == len(DETECTORS)
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


@pytest.mark.parametrize(
    ("name", "is_found"), [("vault-token", True), ("dropbox-token", True), ("groq-key", False)]
)
def test_a_prefix_that_base64_may_hold_by_chance_is_none_behind_base64(name: str, is_found: bool) -> None:
    detector = next(one for one in DETECTORS if one.id == name)
    value = finds(detector, detector.examples[0].encode())[0]
    noise = b"q8Jx2vKd0ZrT5mWc" * 2
    assert finds(detector, b"x " + noise + b"+" + value) == ([value] if is_found else [])
