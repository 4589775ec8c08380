"""What a detector is, and the checks that a pattern alone can't make."""

# ruff: noqa: PLR2004 - lengths and digits of the standards that are named

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass

import re2

from addons.core.redact.names import entropy, is_placeholder

type Check = Callable[[bytes], bool]

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1


@dataclass(frozen=True, slots=True)
class Detector:
    """One kind of secret with a form of its own.

    `pattern` is RE2 syntax over Latin-1 bytes; `group` the capture that holds the secret (0: all of it).
    `gate` is a cheap pattern that every text with a match contains, an alternation of fixed pieces if
    possible: it decides whether a body is looked at. `keywords`: a text without any of them is not searched
    (none: always searched). `examples` must be found, `counterexamples` must not. `structural` detectors
    rely on what surrounds a value and are not tried on joined pieces of a list.
    """

    id: str
    kind: str
    pattern: str
    gate: str
    keywords: tuple[bytes, ...]
    examples: tuple[str, ...]
    counterexamples: tuple[str, ...] = ()
    group: int = 0
    check: Check | None = None
    pii: bool = False
    structural: bool = False


def compiled(pattern: str) -> re2._Regexp:
    return re2.compile(pattern.encode("latin-1"), options=_LATIN1)


def luhn(value: bytes) -> bool:
    """ISO/IEC 7812 check digit, separators ignored; 13 to 19 digits that are not all the same."""
    digits = [code - 48 for code in value if 48 <= code <= 57]
    if not 13 <= len(digits) <= 19 or len(set(digits)) < 2:
        return False
    total = sum(
        digit if index % 2 == 0 else digit * 2 - 9 * (digit > 4)
        for index, digit in enumerate(reversed(digits))
    )
    return total % 10 == 0


def iban(value: bytes) -> bool:
    """ISO 13616: length of 15 to 34 and the remainder of 97."""
    text = value.replace(b" ", b"").decode("latin-1").upper()
    if not 15 <= len(text) <= 34 or not text.isalnum() or not text.isascii():
        return False
    return int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def jwt_header(value: bytes) -> bool:
    """RFC 7519: the first part is base64url of a JSON object that names an algorithm or a type."""
    head = value.split(b".", 1)[0]
    try:
        text = binascii.a2b_base64(head.translate(bytes.maketrans(b"-_", b"+/")) + b"==")
    except binascii.Error:
        return False
    return b'"alg"' in text or b'"typ"' in text or b'"kid"' in text or b'"enc"' in text


def random_enough(bits: float) -> Check:
    """Make a check for at least `bits` bits of entropy per byte, and no placeholder."""
    return lambda value: entropy(value) >= bits and not is_placeholder(value)
