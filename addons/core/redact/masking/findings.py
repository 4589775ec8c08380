"""What was found where, and how overlapping finds become one edit."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from addons.core.redact.masking.mask import MASK

_SEPARATORS = b" \t\r\n:;,.=&|/-_[]()"
MAX_FINDINGS = 150_000
"""Of one message. Each takes some 50 microseconds to find, to mask and to look for copies of."""
_MAX_MASK = 64  # bytes
_MIN_REST = 8  # shorter rests beside a mask are `Bearer ` and the like


class TooComplex(ValueError):  # noqa: N818 - named for what the caller is told
    """A message costs more than its cap to read: store its hash and size only."""


@dataclass(slots=True)
class Work:
    """How many bytes one message may still cost, layers included. `secrets`: what was found so far, to look
    for copies of it in the other parts of a message.
    """

    left: int
    secrets: dict[bytes, Finding] = field(default_factory=dict, repr=False)

    def spend(self, size: int) -> None:
        self.left -= size + 16
        if self.left < 0:
            raise TooComplex("the message has too many layers or secrets to read")


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret at `start:end` of some text. `secret` is the decoded value that the mask stands for.
    `bare`: the mask needs quotes, for it replaces a JSON number; `inside` is how many JSON strings that
    number stands in, each of which escapes the quotes once more.
    """

    start: int
    end: int
    detector: str
    kind: str
    secret: bytes = field(repr=False)
    bare: bool = False
    inside: int = 0

    def moved(self, start: int, end: int, *, inside: int = 0) -> Finding:
        """The same in a text around, where it stands in `inside` more JSON strings."""
        return Finding(start, end, self.detector, self.kind, self.secret, self.bare, self.inside + inside)

    def unquoted(self) -> Finding:
        """The same where quotes would be out of place: in what is encoded otherwise than a JSON string is."""
        return replace(self, bare=False, inside=0)

    def masked(self, mask: bytes) -> bytes:
        """The mask as it stands in the text."""
        if not self.bare:
            return mask
        quote = b"\\" * ((1 << self.inside) - 1) + b'"'
        return quote + mask + quote


def settle(found: Iterable[Finding], text: bytes) -> list[Finding]:
    """Put findings in order, without overlaps and without what is masked already.

    Where several cover the same text the widest stands; of equals the first found, so detectors with a
    form of their own go before guesses by name.
    """
    merged: list[Finding] = []
    for finding in sorted(found, key=lambda each: (each.start, -each.end)):
        if merged and finding.start < merged[-1].end:
            last = merged[-1]
            if finding.end > last.end:
                span = text[last.start : finding.end]
                merged[-1] = replace(last, end=finding.end, secret=span)
            continue
        merged.append(finding)
    if not any(_is_near_mask(finding, text) for finding in merged):
        return merged
    masks = [match.span() for match in MASK.finditer(text)]
    ends = [end for _, end in masks]
    return [piece for finding in merged for piece in _around(finding, masks, ends, text)]


def _is_near_mask(finding: Finding, text: bytes) -> bool:
    """Whether one may overlap: cheaper to tell for each than to go through all of a large text."""
    return text.find(b"[REDACTED:", max(0, finding.start - _MAX_MASK), finding.end + _MAX_MASK) >= 0


def _around(finding: Finding, masks: list[tuple[int, int]], ends: list[int], text: bytes) -> list[Finding]:
    """Cut a finding around masks; of what is left only parts that are no mere separators stay."""
    first = bisect_right(ends, finding.start)
    if first == len(masks) or masks[first][0] >= finding.end:
        return [finding]
    pieces: list[Finding] = []
    position = finding.start
    while position < finding.end:
        begin, stop = masks[first] if first < len(masks) else (finding.end, finding.end)
        span = text[position : min(begin, finding.end)]
        if len(span.strip(_SEPARATORS)) >= _MIN_REST:
            pieces.append(Finding(position, position + len(span), finding.detector, finding.kind, span))
        position = max(position, stop)
        first += 1
    return pieces
