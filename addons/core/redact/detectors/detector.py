"""What a detector is, and the checks that a pattern alone can't make."""

from __future__ import annotations

import binascii
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import re2

from addons.core.redact.detectors.placeholders import is_placeholder
from addons.core.redact.detectors.randomness import entropy, has_digit

type Check = Callable[[bytes], bool]

COMMAND = "command-password"
"""Id of the detector of passwords among a command's arguments."""

_BASE62 = (string.digits + string.ascii_uppercase + string.ascii_lowercase).encode()
_BASE64 = _BASE62 + b"+/_-"
_PIECES = bytes.maketrans(b"+/_-", b"    ")
_DIGITS = frozenset(string.digits.encode())
_WORD = re.compile(rb"[a-z]+(?:[A-Z][a-z]{2,})*|(?:[A-Z][a-z]{2,})+|[A-Z]+|[0-9]+")
_BEFORE = 48  # bytes
_NOISE = 12
_SHORTEST_WORD = 3
_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_LATIN1.log_errors = False


@dataclass(frozen=True, slots=True)
class Detector:
    """One kind of secret with a form of its own.

    `pattern` is RE2 syntax over Latin-1 bytes; `group` the capture that holds the secret (0: all of it).
    `gate` is a cheap pattern that every text with a match contains, an alternation of fixed pieces if
    possible: it decides whether a body is looked at. `keywords`: a text without any of them is not searched
    (none: always searched); with `any_case` they are in lower case and sought in the text's lower case.
    `examples` must be found, `counterexamples` must not. `structural` detectors rely on what surrounds a
    value and are not tried on joined pieces of a list. `beside`: the pattern rests on a name in front of the
    value, so that in JSON it is tried on `"key": "value"` too.

    `doubt`: a pattern, with the secret in `group`, that stands around each place of the gate with anything to
    find, so that a place without is passed over (see `doubts`); empty where no such is known. `of_classes`:
    `gate` has no fixed pieces, for which Hyperscan would need an automaton of its own. `is_short`: so little
    of it is fixed that random base64 has it by chance (see `amid_noise`).
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
    any_case: bool = False
    beside: bool = False
    doubt: str = ""
    of_classes: bool = False
    is_short: bool = False


def is_of_base64(text: bytes) -> bool:
    """Whether a run of base64 or base64url can hold `text`."""
    return not text.translate(None, _BASE64)


def amid_noise(text: bytes, start: int) -> bool:
    """Whether what stands before `start` is a piece of the same random text: of a picture or a long id. A
    word, a path or a name is none.
    """
    before = text[max(0, start - _BEFORE) : start]
    left = before[len(before.rstrip(_BASE64)) :]
    if len(left) < _NOISE:
        return False
    word = left[len(left.rstrip(_BASE62)) :]
    if word:
        return _WORD.fullmatch(word) is None
    pieces = left.translate(_PIECES).split()[len(left) == _BEFORE :]  # the first may be cut
    if any(_WORD.fullmatch(piece) for piece in pieces if len(piece) >= _SHORTEST_WORD):
        return False
    return left.upper() != left and left.lower() != left and not _DIGITS.isdisjoint(left)


def compiled(pattern: str) -> re2._Regexp:
    """Raises re2.error for what is no pattern."""
    return re2.compile(pattern.encode("latin-1"), options=_LATIN1)


def spans(pattern: re2._Regexp, text: bytes, group: int) -> Iterator[tuple[int, int]]:
    """Where `group` is in each match. The next may begin with the boundary that the last one ended in."""
    if not group:
        yield from (match.span() for match in pattern.finditer(text))
        return
    position = 0
    while (match := pattern.search(text, position)) is not None:
        start, end = match.span(group)
        if start >= 0:  # else a branch without the group, for what looks alike
            yield start, end
        position = max(end if start >= 0 else match.end(), position + 1)


def finds(detector: Detector, data: bytes) -> list[bytes]:
    """Give what a detector alone finds in plain text, keywords and checks included."""
    text = data.lower() if detector.any_case else data
    if detector.keywords and not any(keyword in text for keyword in detector.keywords):
        return []
    found = spans(compiled(detector.pattern), data, detector.group)
    values = [data[start:end] for start, end in found if not (detector.is_short and amid_noise(data, start))]
    return [value for value in values if value and (detector.check is None or detector.check(value))]


def jwt_header(value: bytes) -> bool:
    """RFC 7519: the first part is base64url of a JSON object that names an algorithm or a type."""
    head = value.split(b".", 1)[0]
    try:
        text = binascii.a2b_base64(head.translate(bytes.maketrans(b"-_", b"+/")) + b"==")
    except binascii.Error:
        return False
    return b'"alg"' in text or b'"typ"' in text or b'"kid"' in text or b'"enc"' in text


def crc32_base62(value: bytes) -> bool:
    """Whether the last six characters are the CRC-32 of those before, in base 62: GitHub's form, and npm's
    (github.blog, "Behind GitHub's new authentication token formats", 2021).
    """
    text, check = value[:-6], value[-6:]
    rest, digits = binascii.crc32(text), b""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        digits = _BASE62[digit : digit + 1] + digits
    return bool(text) and digits == check


def random_enough(bits: float) -> Check:
    """Make a check for at least `bits` bits of entropy per byte, and no placeholder."""
    return lambda value: entropy(value) >= bits and not is_placeholder(value)


def random_with_digit(bits: float) -> Check:
    """`random_enough`, for prefixes that words begin with too."""
    enough = random_enough(bits)
    return lambda value: enough(value) and has_digit(value)
