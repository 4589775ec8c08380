import json
import pickle

import pytest

from addons.core.redact.detector_set import BUILT_IN, with_own
from addons.core.redact.detectors.detector import finds
from addons.core.redact.detectors.own import DetectorInvalid, read_own_detectors
from addons.core.redact.detectors.table import DETECTORS
from addons.core.redact.detectors.vendors import fill, lower
from addons.core.redact.masking.mask import Masker
from addons.core.redact.message_masks import MessageMasks

TOKEN = "acme_" + lower(24)
GOOD = f"""
version: 1
detectors:
  - id: acme-token
    pattern: acme_[a-z0-9]{{24}}
    keywords: [ACME_]
    entropy: 3
    examples: ["use {TOKEN} now"]
    counterexamples: [acme_{"a" * 24}, acme_short]
  - id: staff-number
    kind: staff
    pattern: '(?i)staff[_ ]no["'' :=]{{1,5}}([0-9]{{6}})'
    group: 1
    pii: true
    keywords: [staff]
    examples: ["staff no: 471100"]
"""


def masks(*, pii: bool = False) -> MessageMasks:
    return MessageMasks(Masker(b"k" * 16), with_own(read_own_detectors(GOOD, "own.yaml")), pii=pii)


@pytest.mark.parametrize("pii", [False, True])
def test_own_detectors_mask_in_text_and_json_and_by_their_key(*, pii: bool) -> None:
    document = {"message": f"see {TOKEN}", "staff_no": "471100", "nested": json.dumps({"staff no": 471100})}
    for body in (json.dumps(document), json.dumps(document, indent=2)):
        done = masks(pii=pii).secrets.scrub_body(body.encode(), "application/json")
        told = json.loads(done.data)
        assert told["message"].startswith("see [REDACTED:acme-token:")
        assert told["staff_no"].startswith("[REDACTED:staff:") is pii
        assert ("471100" not in told["nested"]) is pii
        assert done.findings["acme-token"] == 1
    text = masks(pii=pii).secrets.scrub_text(f"{TOKEN}, staff no: 471100").text
    assert TOKEN not in text
    assert ("471100" in text) is not pii


def test_the_words_for_all_and_its_own_name_choose_an_own_detector() -> None:
    detectors = with_own(read_own_detectors(GOOD, "own.yaml"))
    assert detectors.names() == BUILT_IN.names() | {"acme-token", "staff-number"}
    assert [one.id for one in detectors.own] == ["acme-token", "staff-number"]
    for names, found in (
        (("secrets",), {"acme-token"}),
        (("pii",), {"staff-number"}),
        (("acme-token",), {"acme-token"}),
        (("email",), set()),
    ):
        scanner = detectors.scanner(names)
        text = f"{TOKEN} staff no: 471100".encode()
        assert {finding.detector for finding in scanner.detect(text)} == found, names
    assert detectors.scanner(["secrets"]) is detectors.scanner(["secrets", "acme-token"])
    assert detectors.scanner(["secrets"]) is not BUILT_IN.scanner(["secrets"])


def test_a_name_that_is_built_in_means_both() -> None:
    text = "version: 1\ndetectors: [{id: email, pattern: 'own-[0-9]{6}', examples: [own-471100]}]"
    scanner = with_own(read_own_detectors(text, "own.yaml")).scanner(["email", "pii"])
    assert [one.secret for one in scanner.detect(b"own-471100 ines@mail.example.net")] == [
        b"ines@mail.example.net",
        b"own-471100",
    ]


def test_own_detectors_can_travel_to_another_process() -> None:
    own = read_own_detectors(GOOD, "own.yaml")
    assert pickle.loads(pickle.dumps(own)) == own  # noqa: S301 - made here
    there = pickle.loads(pickle.dumps(masks(pii=True)))  # noqa: S301 - made here
    text = f"{TOKEN}, staff no: 471100, ines@mail.example.net"
    assert there.secrets.scrub_text(text) == masks(pii=True).secrets.scrub_text(text)
    assert pickle.loads(pickle.dumps(BUILT_IN)) is BUILT_IN  # noqa: S301 - made here


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            "id: secrets\n    pattern: a\n    examples: [a]",
            "o.yaml:3:9: detectors[0].id: 'secrets' stands for all",
        ),
        ("id: a b\n    pattern: a\n    examples: [a]", "o.yaml:3:9: detectors[0].id: not an id (letters"),
        ("id: a\n    pattern: 'a('\n    examples: [a]", "o.yaml:4:14: not RE2 syntax: missing )"),
        ("id: a\n    pattern: 'a(?=b)'\n    examples: [a]", "o.yaml:4:14: not RE2 syntax"),
        ("id: a\n    pattern: 'a*'\n    examples: [a]", "o.yaml:4:14: fits the empty text"),
        ("id: a\n    pattern: 'ä'\n    examples: [a]", "o.yaml:4:14: characters beyond ASCII"),
        (
            "id: a\n    pattern: a\n    group: 1\n    examples: [a]",
            "o.yaml:5:12: the pattern has 0 groups, not 1",
        ),
        ("id: a\n    pattern: a", "o.yaml:3:5: 'detectors[0].examples' is missing"),
        ("id: a\n    pattern: a\n    examples: [xyz]", "o.yaml:5:16: the pattern does not fit this example"),
        ("id: a\n    pattern: a\n    keywords: [q]\n    examples: [a]", "contains none of the keywords"),
        ("id: a\n    pattern: a\n    entropy: 2\n    examples: [aa]", "has 0.0 bits of entropy"),
        ("id: a\n    pattern: 'a\"b'\n    examples: ['a\"b']", "not found inside of JSON"),
        (
            "id: a\n    pattern: a\n    examples: [a]\n    counterexamples: [ab]",
            "this counterexample is found",
        ),
        ("id: a\n    pattern: a\n    examples: [a]\n    keyword: [a]", "did you mean 'keywords'?"),
        (
            "id: a\n    pattern: a\n    keywords: [Schlüssel]\n    examples: [a]",
            "detectors[0].keywords[0]: characters beyond ASCII",
        ),
        ("id: a\n    pattern: '[a-z]+'\n    examples: [a]", "finds something in nearly every message"),
        (f"id: a\n    pattern: '{'(' * 60}ab{')' * 60}'\n    examples: [ab]", "o.yaml:4:14: over 50 groups"),
        (
            "id: a\n    pattern: '((a{1000}){1000})'\n    examples: [a]",
            "o.yaml:4:14: not RE2 syntax: invalid repetition size",
        ),
        ("id: a\n    pattern: a\n    kind: A B\n    examples: [a]", "does not fit into a mask"),
        (
            "id: a\n    pattern: a\n    examples: [a]\n  - id: a\n    pattern: b\n    examples: [b]",
            "stands twice; first in line 3",
        ),
    ],
)
def test_a_detector_that_is_wrong_is_refused_with_its_place(entry: str, problem: str) -> None:
    with pytest.raises(DetectorInvalid) as refused:
        read_own_detectors(f"version: 1\ndetectors:\n  - {entry}\n", "o.yaml")
    assert problem in str(refused.value)


def test_no_refusal_shows_an_example() -> None:
    secret = fill(30)
    with pytest.raises(DetectorInvalid) as refused:
        read_own_detectors(f"version: 1\ndetectors: [{{id: a, pattern: zz, examples: [{secret}]}}]", "o.yaml")
    assert secret not in str(refused.value)


def test_a_card_shows_its_last_digits_where_asked() -> None:
    for number in ("4242 4242 4242 4242", "4242424242424242"):
        masked = MessageMasks(Masker(b"k" * 16, card_last_four=True), pii=True).secrets.scrub_text(
            f"pan {number}"
        )
        assert masked.text.startswith("pan [REDACTED:card-4242:")
        again = MessageMasks(Masker(b"k" * 16, card_last_four=True), pii=True).secrets.scrub_text(masked.text)
        assert not again.changed
    plain = MessageMasks(Masker(b"k" * 16), pii=True).secrets.scrub_text("pan 4242424242424242")
    assert plain.text.startswith("pan [REDACTED:card:")


def test_the_built_in_ones_are_not_touched() -> None:
    assert BUILT_IN.detectors == DETECTORS
    assert BUILT_IN.own == ()
    assert all(finds(one, example.encode()) for one in DETECTORS for example in one.examples)
