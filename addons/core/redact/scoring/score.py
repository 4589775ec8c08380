"""Scores redaction on labelled messages: what still shows of the secrets, and what changed without need."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.mask import UNREAD
from addons.core.redact.scoring.corpus_case import Case
from addons.core.redact.scoring.readings import readings, shows
from addons.core.redact.scrubber import Scrubber

# They say how the body travels, not what it says.
_OF_TRANSPORT = frozenset(("content-encoding", "content-length"))


@dataclass(frozen=True, slots=True)
class Redacted:
    """A message after masking; `body` under no content coding."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of a message that hides something. `overkill`: a string that had to stay is gone, or JSON is none any
    more.
    """

    leaked: bool
    overkill: bool


@dataclass(frozen=True, slots=True)
class Share:
    """`count` out of `of`."""

    count: int
    of: int

    @property
    def part(self) -> float:
        return self.count / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Miss:
    """A case that was judged bad; `kind` is its tier and family, or its category."""

    id: str
    kind: str


@dataclass(frozen=True, slots=True)
class Score:
    """Recall as `found` of all, by tier and by family; of the clean messages, how many changed."""

    found: Share
    by_tier: Mapping[str, Share]
    by_family: Mapping[str, Share]
    changed: Share
    changed_by_category: Mapping[str, Share]
    missed: tuple[Miss, ...]
    overkill: tuple[Miss, ...]
    changes: tuple[Miss, ...]


def redact_case(scrubber: Scrubber, case: Case) -> Redacted:
    """Mask a case as what is stored is masked. What is too complex to read is withheld."""
    headers = tuple((name, _header(scrubber, name, value)) for name, value in case.headers)
    return Redacted(_url(scrubber, case.url), headers, _body(scrubber, case))


def leaks(case: Case, after: Redacted) -> Verdict:
    """Judge a case that hides something. Raises ValueError for one that does not."""
    if case.hidden is None:
        raise ValueError("the case hides nothing")
    body = _text(after.body, case.content_type).decode("utf-8", "replace")
    texts = readings(body) | readings(after.url) | readings(_head(after.headers))
    leaked = any(shows(piece, texts) for piece in case.hidden.pieces)
    everything = "\n".join(texts)
    overkill = any(each not in everything for each in case.hidden.keep)
    return Verdict(
        leaked, overkill or (case.content_type.startswith("application/json") and _is_broken(body))
    )


def changes(case: Case, after: Redacted) -> bool:
    """Whether a clean case did not stay as it is. JSON is the same if its values are."""
    if after.url != case.url or _head(after.headers) != _head(case.headers):
        return True
    before, body = _text(case.body, case.content_type), _text(after.body, case.content_type)
    if before == body:
        return False
    try:
        return bool(json.loads(before) != json.loads(body))
    except (ValueError, RecursionError):
        return True


class Tally:
    """Adds up verdicts, one case at a time."""

    def __init__(self) -> None:
        self._all: Counter[tuple[str, str]] = Counter()
        self._counted: Counter[tuple[str, str]] = Counter()
        self._missed: list[Miss] = []
        self._overkill: list[Miss] = []
        self._changes: list[Miss] = []

    def add(self, case: Case, after: Redacted) -> None:
        if case.hidden is None:
            changed = changes(case, after)
            self._count(changed, ("clean", ""), ("category", case.category))
            if changed:
                self._changes.append(Miss(case.id, case.category))
            return
        verdict = leaks(case, after)
        hidden = case.hidden
        self._count(not verdict.leaked, ("hidden", ""), ("tier", hidden.tier), ("family", hidden.family))
        miss = Miss(case.id, f"{hidden.tier} {hidden.family}")
        self._missed += [miss] * verdict.leaked
        self._overkill += [miss] * verdict.overkill

    def score(self) -> Score:
        return Score(
            found=self._share("hidden", ""),
            by_tier=self._shares("tier"),
            by_family=self._shares("family"),
            changed=self._share("clean", ""),
            changed_by_category=self._shares("category"),
            missed=tuple(self._missed),
            overkill=tuple(self._overkill),
            changes=tuple(self._changes),
        )

    def _count(self, verdict: bool, *labels: tuple[str, str]) -> None:  # noqa: FBT001 - a value, no switch
        self._all.update(labels)
        self._counted.update(labels if verdict else ())

    def _share(self, group: str, label: str) -> Share:
        return Share(self._counted[group, label], self._all[group, label])

    def _shares(self, group: str) -> dict[str, Share]:
        return {label: self._share(group, label) for of, label in sorted(self._all) if of == group}


def _url(scrubber: Scrubber, url: str) -> str:
    try:
        return scrubber.scrub_url(url).text
    except TooComplex:
        return UNREAD


def _header(scrubber: Scrubber, name: str, value: str) -> str:
    field_name, content = name.encode("utf-8", "surrogatepass"), value.encode("utf-8", "surrogatepass")
    try:
        ((_, masked),), _ = scrubber.scrub_headers([(field_name, content)])
    except TooComplex:
        return UNREAD
    return masked.decode("utf-8", "surrogatepass")


def _body(scrubber: Scrubber, case: Case) -> bytes:
    try:
        return scrubber.scrub_body(case.body, case.content_type).data
    except TooComplex:
        return UNREAD.encode()


def _head(headers: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in headers if name.lower() not in _OF_TRANSPORT)


def _text(body: bytes, content_type: str) -> bytes:
    if "utf-16" not in content_type:
        return body
    try:
        return body.decode("utf-16").encode()
    except UnicodeDecodeError:
        return body


def _is_broken(body: str) -> bool:
    if body[:1] not in ("[", "{"):
        return False
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return True
    return False
