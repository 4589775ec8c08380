"""Compares what a recording holds, its secrets masked, with what is there now.

A mask is `[REDACTED:<kind>:<8 hex>]`, the hex an HMAC under the installation's key. The same secret has the
same mask; another one of its kind has other digits. What a rule masked beyond the secrets stands open in a
call that is made now, and is recognised by its HMAC or by its kind.
"""

from __future__ import annotations

import json
from enum import IntEnum

import re2

from addons.core.model import Json
from addons.core.redact.detector_set import BUILT_IN, PII, SECRETS, DetectorSet
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.json_masks import KIND as BY_PATH
from addons.core.redact.masking.mask import MASK, UNREAD, Masker
from addons.core.redact.scrubber import Scrubber

_LONGEST_PATTERN = 64 * 1024
_MOST_MASKS = 50
_DIGITS = re2.compile(r"(\[REDACTED:[a-z0-9\-]{1,40}:)[0-9a-f]{8}\]")
_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1


class Fit(IntEnum):
    """`ALIKE`: the same but for the secrets, which are of the same kind."""

    DIFFERENT = 0
    ALIKE = 1
    SAME = 2


class MaskedValues:
    """`masker` has the key that the recording's masks were made with. None where nobody here has it: then
    masks of one kind are taken for the same. `detectors` are those that masked it.
    """

    def __init__(self, masker: Masker | None, detectors: DetectorSet = BUILT_IN) -> None:
        self._masker = masker
        scanner = detectors.scanner((SECRETS, PII))
        self._scrubber = Scrubber(masker or Masker(b"unknown"), scanner=scanner)

    def values(self, recorded: Json, now: Json) -> Fit:
        """Compare JSON values; numbers by their value. Raises RecursionError past some depth."""
        if isinstance(recorded, dict) and isinstance(now, dict):
            if recorded.keys() != now.keys():
                return Fit.DIFFERENT
            return self._all([(recorded[key], now[key]) for key in recorded])
        if isinstance(recorded, list) and isinstance(now, list):
            if len(recorded) != len(now):
                return Fit.DIFFERENT
            return self._all(list(zip(recorded, now, strict=True)))
        if isinstance(recorded, str) and isinstance(now, str):
            return self.texts(recorded, now)
        if isinstance(recorded, str) or isinstance(now, str):
            return self._scalars(recorded, now)
        numbers = _is_number(recorded) and _is_number(now)
        same = recorded == now and (numbers or type(recorded) is type(now))
        return Fit.SAME if same else Fit.DIFFERENT

    def texts(self, recorded: str, now: str) -> Fit:
        if recorded == now:
            return Fit.SAME
        ours, theirs = _octets(recorded), _octets(now)
        if b"[REDACTED:" not in ours:
            # What is masked today may not have been then. Only the same value counts.
            is_same = b"[REDACTED:" in theirs and self._by_pattern(theirs, ours) is Fit.SAME
            return Fit.SAME if is_same else Fit.DIFFERENT
        if _DIGITS.sub(r"\1]", recorded) == _DIGITS.sub(r"\1]", now):
            return Fit.ALIKE if self._masker is not None else Fit.SAME
        return self._by_pattern(ours, theirs)

    def _all(self, pairs: list[tuple[Json, Json]]) -> Fit:
        fit = Fit.SAME
        for recorded, now in pairs:
            fit = min(fit, self.values(recorded, now))
            if fit is Fit.DIFFERENT:
                break
        return fit

    def _by_pattern(self, recorded: bytes, now: bytes) -> Fit:
        """The text between the masks must be there; what stands in their places must fit them."""
        masks = list(MASK.finditer(recorded))
        if not masks or len(masks) > _MOST_MASKS or len(recorded) > _LONGEST_PATTERN:
            return Fit.DIFFERENT
        pattern, end = "(?s)", 0
        for mask in masks:
            pattern += _literal(recorded[end : mask.start()]) + "(.+?)"
            end = mask.end()
        found = re2.compile((pattern + _literal(recorded[end:])).encode("latin-1"), options=_LATIN1)
        match = found.fullmatch(now)
        if match is None:
            return Fit.DIFFERENT
        places = zip((mask.group().decode("ascii") for mask in masks), match.groups(), strict=True)
        return min(self._stands_for(mask, text) for mask, text in places)

    def _stands_for(self, mask: str, text: bytes) -> Fit:
        kind = mask.split(":")[1]
        if text == mask.encode() or (self._masker is not None and self._masker.mask(kind, text) == mask):
            return Fit.SAME
        if kind == BY_PATH or mask == UNREAD:
            return Fit.ALIKE  # a rule masks it whatever it is
        shown = text
        if not MASK.fullmatch(text):
            try:
                shown = self._scrubber.scrub_body(text, None).data
            except TooComplex:
                return Fit.DIFFERENT
        if not MASK.fullmatch(shown) or shown.split(b":")[1] != kind.encode():
            return Fit.DIFFERENT
        return Fit.ALIKE

    def _scalars(self, recorded: Json, now: Json) -> Fit:
        """A mask is a string, in the place of a number or boolean too."""
        if (
            recorded is None
            or now is None
            or isinstance(recorded, list | dict)
            or isinstance(now, list | dict)
        ):
            return Fit.DIFFERENT
        mask, value = (recorded, now) if isinstance(recorded, str) else (now, recorded)
        if not isinstance(mask, str) or not MASK.fullmatch(_octets(mask)):
            return Fit.DIFFERENT
        fit = self._stands_for(mask, json.dumps(value).encode())
        return fit if mask is recorded or fit is Fit.SAME else Fit.DIFFERENT


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _literal(text: bytes) -> str:
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\x{byte:02x}" for byte in text)  # noqa: PLR2004 - ASCII


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
