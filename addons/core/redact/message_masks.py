"""Applies what the rules that matched ask for under `mask`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from itertools import combinations
from types import MappingProxyType

from addons.core.redact.detector_set import BUILT_IN, PII, SECRETS, DetectorSet
from addons.core.redact.formats.json_paths import JsonPath, parse_json_path
from addons.core.redact.masking.asked import Masks
from addons.core.redact.masking.json_masks import KIND, NotMaskable, mask_json
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubbed, Scrubber

_MAX_SCRUBBERS = 64
_MAX_STEPS_LEFT_OUT = 4
_CHARSET = re.compile(r"charset\s*=\s*\"?\s*([^\s;\"]*)")
# Those in which the characters that JSON is built of are the same bytes.
_LIKE_ASCII = frozenset(("", "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1"))


class MessageMasks:
    """Masks bodies with `masker`. One serves many threads; it keeps no message.

    `stored` are the detectors of all that is stored and shown, whatever the rules say, and `secrets` their
    scrubber: secrets, and with `pii` personal data.
    """

    __slots__ = ("_detectors", "_masker", "_scrubbers", "secrets", "stored")

    def __init__(self, masker: Masker, detectors: DetectorSet = BUILT_IN, *, pii: bool = False) -> None:
        self._masker = masker
        self._detectors = detectors
        self._scrubbers: dict[frozenset[str], Scrubber] = {}
        self.stored = frozenset((SECRETS, PII)) if pii else frozenset((SECRETS,))
        self.secrets = self._scrubber(self.stored)

    @property
    def notes(self) -> tuple[str, ...]:
        """What of own files of detectors could not be honoured."""
        return self._detectors.notes

    def prepare(self, detect_sets: Iterable[frozenset[str]]) -> None:
        """Make the scrubbers for sets of detectors, some 25 ms for each that is new. Raises ValueError for a
        name that is none.
        """
        for names in detect_sets:
            if names:
                self._scrubber(names)

    def __reduce__(self) -> tuple[Callable[[], MessageMasks], tuple[()]]:
        """A worker makes its own scrubbers: compiled patterns don't travel."""
        return partial(MessageMasks, self._masker, self._detectors, pii=PII in self.stored), ()

    def is_clean(self, masks: Masks, body: bytes, content_type: str | None) -> bool:
        """Tell, in a small part of the time that `apply` takes, that it would change nothing. It changes
        nothing in some of the bodies that are not clean, too.
        """
        if not body:
            return True
        return not masks.json and (
            not masks.detect or self._scrubber(masks.detect).is_clean(body, content_type)
        )

    def is_prepared(self, masks: Masks) -> bool:
        """Whether `apply` needs no scrubber that is still to be made."""
        return not masks.detect or masks.detect in self._scrubbers

    def apply(self, masks: Masks, body: bytes, content_type: str | None) -> Scrubbed:
        """Mask a body, its content coding undone, first by path and then by detector.

        Raises:
            NotMaskable: something is to be masked by its path, and the body is no JSON.
            TooComplex: as `Scrubber.scrub_body` and `mask_json` do.

        """
        findings: Counter[str] = Counter()
        masked = body
        if masks.json and body:
            if _charset(content_type) not in _LIKE_ASCII:
                raise NotMaskable("the text is in a character set that JSON is not written in")
            masked, count = mask_json(body, _parsed(masks.json), self._masker)
            findings[KIND] += count
        if masks.detect and body:
            done = self._scrubber(masks.detect).scrub_body(masked, content_type)
            findings.update(done.findings)
            masked = done.data
        found = {name: count for name, count in findings.items() if count}
        return Scrubbed(masked, MappingProxyType(found), changed=masked is not body)

    def _scrubber(self, names: frozenset[str]) -> Scrubber:
        scrubber = self._scrubbers.get(names)
        if scrubber is None:
            scrubber = Scrubber(self._masker, scanner=self._detectors.scanner(names))
            if (
                len(self._scrubbers) >= _MAX_SCRUBBERS
            ):  # their sets are unions of those of rules: few, in truth
                self._scrubbers.clear()
            self._scrubbers[names] = scrubber
        return scrubber


@lru_cache(maxsize=256)
def _parsed(paths: frozenset[str]) -> frozenset[JsonPath]:
    return frozenset(reading for path in paths for reading in _readings(parse_json_path(path)))


def _readings(path: JsonPath) -> Iterable[JsonPath]:
    """Give a path, and what it means where one thing stands in place of a list of them: Datadog lists users
    under `$.data[*].attributes`, and shows a single one under `$.data.attributes`. A rule on reads means
    both.
    """
    yield path
    into_lists = [
        place for place, each in enumerate(path.segments) if each.name is None and not each.descends
    ][:_MAX_STEPS_LEFT_OUT]
    for count in range(1, len(into_lists) + 1):
        for left_out in combinations(into_lists, count):
            segments = tuple(each for place, each in enumerate(path.segments) if place not in left_out)
            if segments:  # none would be the whole document
                yield JsonPath(path.text, segments)


def _charset(content_type: str | None) -> str:
    found = _CHARSET.search((content_type or "").lower())
    return found[1] if found is not None else ""
