"""Looks for secrets in the parts of a message, and says what would be masked where.

Nothing that is given out can hold more than what masking leaves: it is read off the masked text, in which
every mask is told from every other by a number of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate, repeat

from addons.core.redact.masking.findings import Finding
from addons.core.redact.masking.mask import MASK, Masker, fitting
from addons.core.redact.reading.scan import Scanner
from addons.core.redact.reporting.places import Place, json_places, parameter_places
from addons.core.redact.scrubber import Scrubbed, Scrubber

_MAX_SHOWN = 4
_SHOWN_SHARE = 8
_MAX_NUMBER = 1 << 32
# The marks of byte order that begin the one before are asked for first.
_WIDE = {
    b"\xff\xfe\0\0": "utf-32-le",
    b"\0\0\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
_WIDE_NAMES = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be", "utf-32", "utf-16")


@dataclass(frozen=True, slots=True)
class Mark:
    """One finding: the mask that would stand for it, and of the value its length in bytes, how often a line
    ends in it, and its `beginning` (an eighth of it, 4 characters at most).
    """

    detector: str
    kind: str
    mask: str
    beginning: str
    length: int
    line_ends: int


@dataclass(frozen=True, slots=True)
class Spot:
    """A mark at `start:end` of a masked text."""

    start: int
    end: int
    mark: Mark
    place: Place


@dataclass(frozen=True, slots=True)
class Searched:
    """A part of a message after the search. `text` is masked; each mask that came in is one of `spots`.
    `inside`: how often each detector found something that shows in no place of its own, for it is inside of
    what is compressed or encoded.
    """

    text: bytes = field(repr=False)
    spots: tuple[Spot, ...]
    inside: Mapping[str, int]

    def within(self, before: bytes, after: bytes, line: int) -> Searched:
        """Give the same with what stands around it in its line, `line` lines further down."""
        moved = len(before)
        spots = tuple(
            replace(
                spot,
                start=spot.start + moved,
                end=spot.end + moved,
                place=replace(spot.place, line=spot.place.line + line),
            )
            for spot in self.spots
        )
        return Searched(before + self.text + after, spots, self.inside)


class _NumberingMasker(Masker):
    """Makes masks of which no two are equal, and keeps what each stands for."""

    __slots__ = ("_masker", "_next", "marks")

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        # Who has no key can't put a mask of the same number into what is searched.
        self._next = int(masker.mask("number", b"where the numbers of masks begin")[-9:-1], 16)
        self.marks: dict[bytes, Mark] = {}

    def mask(self, kind: str, secret: bytes | str) -> str:
        return self._masker.mask(kind, secret)

    def mask_of(self, finding: Finding) -> str:
        mask = self._masker.mask_of(finding)
        if MASK.fullmatch(finding.secret):
            return mask
        numbered = f"[REDACTED:{fitting(finding.kind)}:{self._next:08x}]"
        self._next = (self._next + 1) % _MAX_NUMBER
        secret = finding.secret
        beginning = secret[: min(_MAX_SHOWN, len(secret) // _SHOWN_SHARE)].decode("utf-8", "replace")
        mark = Mark(finding.detector, finding.kind, mask, beginning, len(secret), secret.count(b"\n"))
        self.marks[numbered.encode()] = mark
        return numbered


class Searcher:
    """Searches with the detectors of `scanner`, or the built-in ones. Not for several threads at a time.

    Each search raises `TooComplex`.
    """

    def __init__(self, masker: Masker, *, pii: bool = False, scanner: Scanner | None = None) -> None:
        self._masker = _NumberingMasker(masker)
        self._scrubber = Scrubber(self._masker, pii=pii, scanner=scanner)

    def url(self, url: str) -> Searched:
        """Search a request target or a whole URL."""
        self._masker.marks.clear()
        done = self._scrubber.scrub_url(url)
        return self._searched(done.text.encode("utf-8", "surrogatepass"), done.findings, parameter_places)

    def header(self, name: bytes, value: bytes) -> Searched:
        self._masker.marks.clear()
        ((_, masked),), findings = self._scrubber.scrub_headers([(name, value)])
        return self._searched(masked, findings, lambda _text, starts: [Place(1, "") for _ in starts])

    def text(self, text: str) -> Searched:
        return self.body(text.encode("utf-8", "surrogatepass"), None)

    def name(self, name: str) -> str:
        """Give a name as it may be shown."""
        self._masker.marks.clear()
        return self._named(self._scrubber.scrub_text(name).text)

    def body(self, body: bytes, content_type: str | None) -> Searched:
        """Search a body whose content coding is undone. UTF-16 and UTF-32 are given out as UTF-8."""
        self._masker.marks.clear()
        done: Scrubbed = self._scrubber.scrub_body(body, content_type)
        text = _as_utf8(done.data, (content_type or "").lower())
        searched = self._searched(
            text, done.findings, lambda text, starts: json_places(text, starts, content_type)
        )
        lost = body.count(b"\n") - text.count(b"\n")
        return replace(searched, spots=tuple(_as_before(searched.spots, lost))) if lost else searched

    def _named(self, text: str) -> str:
        """A name or a path, with the masks that are made for all."""
        marks = self._masker.marks
        for found in {match.group() for match in MASK.finditer(text.encode("utf-8", "replace"))}:
            if found in marks:
                text = text.replace(found.decode(), marks[found].mask)
        return text

    def _searched(
        self,
        text: bytes,
        findings: Mapping[str, int],
        places: Callable[[bytes, list[int]], list[Place]],
    ) -> Searched:
        marks = self._masker.marks
        if not findings:
            return Searched(text, (), {})
        found = [match.span() for match in MASK.finditer(text) if match.group() in marks]
        there = places(text, [start for start, _ in found])
        spots = tuple(
            Spot(start, end, marks[text[start:end]], replace(place, path=self._named(place.path)))
            for (start, end), place in zip(found, there, strict=True)
        )
        inside = Counter(findings)
        inside.subtract(spot.mark.detector for spot in spots)
        return Searched(text, spots, {name: count for name, count in inside.items() if count > 0})


def _as_before(spots: tuple[Spot, ...], lost: int) -> Iterator[Spot]:
    """With the lines as they were, where it is plain that values took `lost` line ends with them."""
    line_ends = [spot.mark.line_ends for spot in spots]
    before = accumulate(line_ends, initial=0) if sum(line_ends) == lost else repeat(0)
    for spot, more in zip(spots, before, strict=False):
        yield replace(spot, place=replace(spot.place, line=spot.place.line + more))


def _as_utf8(text: bytes, media: str) -> bytes:
    codec = next((codec for mark, codec in _WIDE.items() if text.startswith(mark)), None)
    codec = codec or next((name for name in _WIDE_NAMES if name in media), None)
    if codec is None:
        return text
    try:
        return text.decode(codec).encode()
    except UnicodeDecodeError:
        return text
