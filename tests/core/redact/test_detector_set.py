import json

import pytest

from addons.core.redact.detector_set import BUILT_IN
from addons.core.redact.detectors.table import DETECTORS
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubbed, Scrubber

MASKER = Masker(b"k" * 16)
GITHUB = "ghp_" + "x7Kq2Zp9Lw4Vb1Tn6Rd8Mc3Jf5Hs0Gy2Wa4E"
GITLAB = "glpat-" + "x7Kq2Zp9Lw4Vb1Tn6Rd8"
EMAIL = "ines.roth@mail.example.net"
CARD = 4242424242424242
PASSWORD = "Tr0ub4dor&Zebra"

_FORM = "application/x-www-form-urlencoded"
_DOCUMENT = {
    "one": f"use {GITHUB}",
    "two": [GITLAB],
    "mail": EMAIL,
    "pan": CARD,
    "password": PASSWORD,
    "argv": ["--password", PASSWORD],
    "env": [{"name": "DB_PASSWORD", "value": PASSWORD}],
    "message": f'{{"token": "{PASSWORD}"}}',
}
BODIES = {
    "json": (json.dumps(_DOCUMENT).encode(), "application/json"),
    "lines": ("\n".join(json.dumps({key: value}) for key, value in _DOCUMENT.items()).encode(), ""),
    "text": (
        f"{GITHUB} and {GITLAB}, mail {EMAIL}, card {CARD}, password={PASSWORD} --token {PASSWORD}".encode(),
        "text/plain",
    ),
    "form": (f"a={GITHUB}&b={GITLAB}&c={EMAIL}&d={CARD}&password={PASSWORD}".encode(), _FORM),
}


def scrub(body: str, *names: str) -> Scrubbed:
    data, content_type = BODIES[body]
    return Scrubber(MASKER, scanner=BUILT_IN.scanner(names)).scrub_body(data, content_type)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    ("names", "gone"),
    [
        ({"secrets"}, {GITHUB, GITLAB, PASSWORD}),
        ({"pii"}, {EMAIL, str(CARD)}),
        ({"secrets", "pii"}, {GITHUB, GITLAB, PASSWORD, EMAIL, str(CARD)}),
        ({"email"}, {EMAIL}),
        ({"card", "github-token"}, {str(CARD), GITHUB}),
        ({"gitlab-token"}, {GITLAB}),
        ({"pii", "github-token"}, {EMAIL, str(CARD), GITHUB}),
        ({"secrets", "email"}, {GITHUB, GITLAB, PASSWORD, EMAIL}),
    ],
)
def test_the_named_detectors_find_what_is_theirs_and_the_rest_stays(
    body: str, names: set[str], gone: set[str]
) -> None:
    done = scrub(body, *names)
    text = done.data.decode()
    assert {value for value in (GITHUB, GITLAB, PASSWORD, EMAIL, str(CARD)) if value not in text} == gone
    if body == "json":
        json.loads(text)


def test_every_name_of_the_table_can_be_chosen_alone() -> None:
    assert BUILT_IN.names() == {"secrets", "pii", *(detector.id for detector in DETECTORS)}
    assert not {"secrets", "pii"} & {detector.id for detector in DETECTORS}
    for detector in DETECTORS:
        scanner = BUILT_IN.scanner([detector.id])
        for example in detector.examples:
            text = example.encode("latin-1")
            assert scanner.gate.hits(text)
            assert {finding.detector for finding in scanner.detect(text)} == {detector.id}


def test_an_unknown_name_is_an_error_and_so_is_none() -> None:
    with pytest.raises(ValueError, match="no detector is called passwords"):
        BUILT_IN.scanner(["secrets", "passwords"])
    with pytest.raises(ValueError, match="no detector"):
        BUILT_IN.scanner([])


def test_what_names_the_same_detectors_is_one_scanner() -> None:
    assert BUILT_IN.scanner(["secrets", "github-token"]) is BUILT_IN.scanner(["secrets"])
    assert BUILT_IN.scanner(["pii", "email", "card"]) is BUILT_IN.scanner(["pii"])
    assert BUILT_IN.scanner(["pii"]) is not BUILT_IN.scanner(["pii", "secrets"])
