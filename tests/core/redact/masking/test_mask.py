import base64
from urllib.parse import quote

import pytest

from addons.core.redact.detectors.vendors import hex_
from addons.core.redact.masking.mask import MASK as MASK_FORM
from addons.core.redact.masking.mask import Masker, contains_mask
from addons.core.redact.reporting.message_findings import Searcher
from addons.core.redact.scrubber import Scrubber

MASKER = Masker(b"installation key")
MASK = MASKER.mask("password", "Hunter2")


def test_one_secret_has_one_mask_and_keys_differ() -> None:
    assert MASKER.mask("password", b"Hunter2") == MASK
    assert Masker(b"another").mask("password", "Hunter2") != MASK
    assert MASK.startswith("[REDACTED:password:")
    assert "Hunter2" not in MASK


def test_a_mask_is_never_masked_again() -> None:
    assert MASKER.mask("token", MASK) == MASK


@pytest.mark.parametrize(
    "name", [b"X.Api.Key", b"x~password", b"pass\x1bword", b"\xfcpassword", b"x" * 45 + b"-token"]
)
def test_the_mask_of_a_header_is_one_whatever_the_name(name: bytes) -> None:
    scrubber = Scrubber(MASKER)
    masked, _ = scrubber.scrub_headers([(name, b"Tr0ub4dor-Zebra9")])
    assert MASK_FORM.fullmatch(masked[0][1])
    assert contains_mask(masked[0][1])
    assert scrubber.scrub_headers(masked) == (masked, {})
    (spot,) = Searcher(MASKER).header(name, b"Tr0ub4dor-Zebra9").spots
    assert spot.mark.mask.encode() == masked[0][1]


def test_the_mask_of_a_header_does_not_tell_a_secret_in_its_name() -> None:
    secret = "ghp_" + hex_(36)
    ((name, value),), _ = Scrubber(MASKER).scrub_headers([(f"{secret}-token".encode(), b"Tr0ub4dor-Zebra9")])
    assert value.startswith(b"[REDACTED:header:")
    assert secret[4:] not in f"{name!r} {value!r}"


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="masking key"):
        Masker(b"")


@pytest.mark.parametrize(
    "carrier",
    [
        f'{{"password":"{MASK}"}}',
        quote(f"a={MASK}"),
        quote(quote(MASK, safe=""), safe=""),
        MASK.replace("[", "\\u005b").replace("]", "\\u005D"),
        MASK.replace("[", "\\\\u005b"),
        "".join(f"\\u{ord(c):04x}" for c in MASK),
        "".join(f"%{ord(c):02X}" for c in MASK),
        MASK.replace("[", "&#91;").replace(":", "&#x3a;"),
        *(base64.b64encode(b"x" * lead + b"pw=" + MASK.encode()).decode() for lead in range(3)),
    ],
)
def test_a_mask_is_found_in_every_encoding(carrier: str) -> None:
    assert contains_mask(carrier.encode())


@pytest.mark.parametrize(
    "text", ["", "it said [REDACTED] twice", "[REDACTED:x]", "[REDACTED:email:nothex!!]", "%5BREDACTED%5D"]
)
def test_what_others_write_is_no_mask(text: str) -> None:
    assert not contains_mask(text.encode())
