"""Removes known values, the gateway's own credentials, in whatever encoding an upstream echoes them."""

from __future__ import annotations

import base64
import hmac
import string
from collections.abc import Sequence

import re2

from addons.core.redact.masking.flex import any_case, base64_forms, flex
from addons.core.redact.masking.mask import MASK

_HEX_DIGITS = frozenset(string.hexdigits)
_MIN_LENGTH = 8
_MIN_BEGINNING = 6
_MAX_BEGINNING = 128
_MIN_ENCODED = 10


class ExactScrubber:
    """Finds `secrets`, pairs of a label (`[a-z0-9-]`, shown in the mask) and the value, ASCII of at least
    8 bytes, exactly and in every encoding: raw (either case for a value of hex digits), percent, JSON and
    HTML escapes in any mixture, base64 in all alignments and both alphabets, hexadecimal.

    The masks need no key: their hex is an HMAC keyed with the secret itself. Raises ValueError for a value
    that is too short to be told from ordinary text, or that is not ASCII.
    """

    __slots__ = ("_any", "_beginnings", "_each", "_encoded", "_encoded_folded")

    def __init__(self, secrets: Sequence[tuple[str, bytes]]) -> None:
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.never_capture = True
        options.max_mem = 64 << 20
        each: list[tuple[re2._Regexp, bytes]] = []
        patterns: list[str] = []
        # The longest first: one may begin another, as a key file that was read half written does.
        for label, secret in sorted(secrets, key=lambda pair: -len(pair[1])):
            if len(secret) < _MIN_LENGTH or not secret.isascii():
                raise ValueError(f"credential {label!r} is shorter than {_MIN_LENGTH} bytes or not ASCII")
            pattern = _pattern(secret)
            digest = hmac.digest(secret, label.encode(), "sha256").hex()[:8]
            mask = f"[REDACTED:{label}:{digest}]".encode()
            if not MASK.fullmatch(mask):
                raise ValueError(f"credential label {label!r} must be 1 to 40 of a-z, 0-9 and '-'")
            each.append((re2.compile(pattern.encode("latin-1"), options=options), mask))
            patterns.append(pattern)
        self._each = tuple(each)
        self._beginnings = frozenset(
            secret[:length].lower() for _, secret in secrets for length in range(_MIN_BEGINNING, len(secret))
        )
        encoded = [_encoded(variant) for _, secret in secrets for variant in _variants(secret.decode())]
        self._encoded_folded = tuple({form for folded, _ in encoded for form in folded})
        self._encoded = tuple({form for _, exact in encoded for form in exact})
        self._any = re2.compile("|".join(patterns).encode("latin-1"), options=options) if patterns else None

    def __repr__(self) -> str:
        return f"ExactScrubber({len(self._each)} secrets)"

    def found(self, data: bytes) -> bool:
        return self._any is not None and self._any.search(data) is not None

    def begins_at_end(self, data: bytes) -> bool:
        """Whether `data` ends as a secret begins: raw, with six characters of it or more, or encoded
        throughout in percent, JSON or hexadecimal escapes or in base64, with ten.
        """
        end = data[-_MAX_BEGINNING:].lower()
        if any(end[at:] in self._beginnings for at in range(len(end) - _MIN_BEGINNING + 1)):
            return True
        folded = data.lower()
        return any(_ends_as(folded, form) for form in self._encoded_folded) or any(
            _ends_as(data, form) for form in self._encoded
        )

    def scrub(self, data: bytes) -> tuple[bytes, int]:
        """Give `data` without the secrets and the number replaced; the same object when there is none."""
        if not self.found(data):
            return data, 0
        total = 0
        for pattern, mask in self._each:
            out: list[bytes] = []
            end = 0
            for match in pattern.finditer(data):
                out += (data[end : match.start()], mask)
                end = match.end()
                total += 1
            if end:
                out.append(data[end:])
                data = b"".join(out)
        return data, total


def without_pauses(data: bytes) -> bytes:
    """`data` without what may stand between the parts of one text: line ends, raw, in JSON or in
    quoted-printable, and the NULs of UTF-16.
    """
    for pause in (b"=\r\n", b"=\n", rb"\r", rb"\n"):
        data = data.replace(pause, b"")
    return data.translate(None, b"\r\n\0")


def _pattern(secret: bytes) -> str:
    text = secret.decode("ascii")
    fold = all(char in _HEX_DIGITS for char in text)
    variants = _variants(text)
    forms = [flex(text, fold=fold)]
    for variant in variants:
        value = variant.encode("ascii")
        forms += base64_forms(value)
        forms += [_separated_hex(value), *(base64_forms(value.hex().encode()))]
    return "|".join(forms)


def _variants(text: str) -> list[str]:
    """In either case, where it is a value of hex digits."""
    fold = all(char in _HEX_DIGITS for char in text)
    return sorted({text, text.lower(), text.upper()}) if fold else [text]


def _encoded(text: str) -> tuple[list[bytes], list[bytes]]:
    """A value as a whole in hexadecimal and in escapes, in lower case; and in base64, in every alignment."""
    value = text.encode("ascii")
    escapes = ("%02x", "%%%02x", "\\u%04x", "\\x%02x")
    folded = ["".join(escape % byte for byte in value).encode() for escape in escapes]
    exact: list[bytes] = []
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # Without the characters that what stands before has a part in.
        exact += (encode(b"\0" * before + value)[own:] for before, own in enumerate((0, 2, 3)))
    return folded, exact


def _ends_as(data: bytes, form: bytes) -> bool:
    """Whether `data` ends as `form` begins, with ten characters of it or more."""
    data, start = data[-len(form) :], form[:_MIN_ENCODED]
    at = data.rfind(start)
    while at >= 0:
        if form.startswith(data[at:]):
            return True
        at = data.rfind(start, 0, at + len(start) - 1)
    return False


def _separated_hex(value: bytes) -> str:
    """Hexadecimal in either case, its bytes next to each other or with one of the usual separators."""
    return r"(?:[ :\-]|\\+x|0x|,)?".join(any_case(f"{byte:02x}") for byte in value)
