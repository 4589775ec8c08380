"""Every detector's examples wherever traffic has them, and whatever stands behind them."""

import json
from functools import cache
from urllib.parse import quote

import pytest

from addons.core.redact.detector_set import BUILT_IN, PII, SECRETS
from addons.core.redact.detectors.detector import Detector, finds
from addons.core.redact.detectors.table import DETECTORS
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber

BOUNDARIES = (",", ")", "]", "<", "&", '"', "'", ";", "\n", "\t", "|", "}", " ")


@cache
def scrubber(*names: str) -> Scrubber:
    return Scrubber(Masker(b"k" * 16), scanner=BUILT_IN.scanner(names))


def everything() -> Scrubber:
    return scrubber(SECRETS, PII)


def _gone(text: bytes, values: list[bytes]) -> bool:
    return not any(value in text for value in values)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.id)
def test_an_example_is_gone_wherever_it_stands(detector: Detector) -> None:
    for example in detector.examples:
        values = finds(detector, example.encode())
        body = json.dumps({"n": [1, {"message": example}], "tail": f"see {example}"}).encode()
        done = everything().scrub_body(body, "application/json").data
        told = json.loads(done)
        assert _gone(json.dumps([told["n"][1]["message"], told["tail"]], ensure_ascii=False).encode(), values)
        nested = json.dumps({"message": json.dumps({"inner": example})}).encode()
        inner = json.loads(json.loads(everything().scrub_body(nested, None).data)["message"])["inner"]
        assert _gone(inner.encode(), values), "JSON in JSON"
        url = everything().scrub_url(f"/api/v1/events?q={quote(example, safe='')}&page=2").text
        assert _gone(url.encode(), [*values, *(quote(value, safe="").encode() for value in values)])
        (header,), _ = everything().scrub_headers([(b"x-note", example.encode())])
        assert _gone(header[1], values), "a header"
        for behind in ("", *BOUNDARIES):
            text = f"at the end {example}{behind}"
            assert _gone(everything().scrub_body(text.encode(), "text/plain").data, values), repr(behind)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.id)
def test_two_that_one_character_parts_are_both_found(detector: Detector) -> None:
    for example in detector.examples:
        values = finds(detector, example.encode())
        if values == [example.encode()] and detector.group:
            twice = f"{example},{example}".encode()
            assert finds(detector, twice) == [*values, *values]


@pytest.mark.parametrize("detector", [one for one in DETECTORS if one.beside], ids=lambda one: one.id)
def test_in_json_a_number_is_told_by_its_key(detector: Detector) -> None:
    for example in detector.examples:
        (value,) = finds(detector, example.encode())
        name = example.encode().split(value)[0].rstrip(b" :=\"'").decode().replace(" ", "_")
        document = {"user": {name: value.decode(), "city": "Ulm"}}
        tight, wide = json.dumps(document, separators=(",", ":")), json.dumps(document, indent=2)
        for body in (json.dumps(document), tight, wide):
            done = everything().scrub_body(body.encode(), "application/json")
            user = json.loads(done.data)["user"]
            assert user[name].startswith(f"[REDACTED:{detector.kind}:"), user
            assert user["city"] == "Ulm"
            assert done.findings == {detector.id: 1}
