"""A team's own detectors, in YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import re2
from pydantic import AfterValidator, Field

from addons.core.redact.detectors.detector import Check, Detector, compiled, finds
from addons.core.redact.detectors.randomness import entropy
from addons.core.yaml_form import validate
from addons.core.yaml_source import Path, Problem, ProblemsError, Section, Source, complaint, load

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_KIND = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
_RESERVED = frozenset(("secrets", "pii"))
_MAX_PATTERN = 4096
_MAX_DETECTORS = 1000
_MAX_GROUPS = 50  # RE2 takes its time for each, at every byte
_MAX_KEYWORDS = 2000
_MAX_KEYWORD = 256
_TELLING = 3  # letters; a shorter keyword would have nearly every body read
_PLAIN = b'{"status": "ok", "count": 3, "items": [{"name": "a b", "on": true}]}\n'


class DetectorInvalid(ValueError):  # noqa: N818 - named after what is wrong, as the other refusals are
    """A file of detectors is refused: where, what is wrong, what to do, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class RandomEnough:
    """A check that can travel to another process: not empty, and `bits` of entropy per byte or more."""

    bits: float

    def __call__(self, value: bytes) -> bool:
        return bool(value) and entropy(value) >= self.bits


def id_problem(text: str) -> tuple[str, str] | None:
    """What is wrong with an id, and what to do; None where nothing is."""
    if text in _RESERVED:
        return f"{text!r} stands for all detectors of a sort", "choose another id"
    if not _ID.fullmatch(text):
        return "not an id", "letters, digits, '.', '_' and '-'; at most 64"
    return None


def _id(text: str) -> str:
    if (problem := id_problem(text)) is not None:
        raise complaint(*problem)
    return text


def _kind(text: str) -> str:
    if not _KIND.fullmatch(text):
        raise complaint("does not fit into a mask", "lower-case letters, digits and '-'; at most 40")
    return text


def keyword_problem(word: str) -> tuple[str, str] | None:
    """What is wrong with a keyword, and what to do; None where nothing is."""
    if not word.isascii():  # in JSON it may stand as \\u…, and its case is not folded
        return "characters beyond ASCII", "take a part of the word that has none, or leave the keywords out"
    if not 0 < len(word) <= _MAX_KEYWORD:
        return f"empty, or longer than {_MAX_KEYWORD} characters", "take a part of the word"
    return None


def _keyword(text: str) -> str:
    if (problem := keyword_problem(text)) is not None:
        raise complaint(*problem)
    return text


class _Entry(Section):
    id: Annotated[str, AfterValidator(_id)]
    kind: Annotated[str, AfterValidator(_kind)] | None = None
    pattern: str
    group: Annotated[int, Field(ge=0)] = 0
    keywords: Annotated[
        tuple[Annotated[str, Field(min_length=1), AfterValidator(_keyword)], ...],
        Field(max_length=_MAX_KEYWORDS),
    ] = ()
    entropy: Annotated[float, Field(ge=0, le=8)] = 0.0
    pii: bool = False
    examples: Annotated[tuple[str, ...], Field(min_length=1)]
    counterexamples: tuple[str, ...] = ()


class _File(Section):
    version: Literal[1]
    detectors: Annotated[tuple[_Entry, ...], Field(min_length=1, max_length=_MAX_DETECTORS)]


def read_own_detectors(text: str, source: str) -> tuple[Detector, ...]:
    """Read ddgate's own form: `version: 1` and `detectors`, each with `id`, `pattern` (RE2 syntax, ASCII),
    `examples`, and where needed `kind` (as masks show it), `group`, `keywords` (in any case), `entropy` (bits
    per byte), `pii`, `counterexamples`. Every example is tried. `source` is the name of the text in problems.

    Raises:
        DetectorInvalid: with every problem.

    """
    try:
        read = load(text, source)
        file = validate(_File, read)
    except ProblemsError as error:
        raise DetectorInvalid(error.problems) from None
    problems: list[Problem] = []
    detectors: list[Detector] = []
    places: dict[str, int] = {}
    for index, entry in enumerate(file.detectors):
        path: Path = ("detectors", index)
        first = places.setdefault(entry.id, index)
        if first != index:
            line = read.at(("detectors", first)).line
            problems.append(
                Problem(
                    read.at((*path, "id")), f"{entry.id!r} stands twice; first in line {line}", "rename one"
                )
            )
        detectors += _detector(entry, read, path, problems)
    if problems:
        raise DetectorInvalid(problems)
    return tuple(detectors)


def _detector(entry: _Entry, read: Source, path: Path, problems: list[Problem]) -> list[Detector]:
    wrong = pattern_problem(entry.pattern, entry.group)
    if wrong is not None:
        field, message, remedy = wrong
        problems.append(Problem(read.at((*path, field)), message, remedy))
        return []
    made = own_detector(
        entry.id,
        entry.pattern,
        group=entry.group,
        kind=entry.kind,
        keywords=entry.keywords,
        check=RandomEnough(entry.entropy),
        pii=entry.pii,
        examples=entry.examples,
        counterexamples=entry.counterexamples,
    )
    if fits_plain_text(made):
        where = read.at((*path, "pattern"))
        problems.append(Problem(where, FITS_PLAIN_TEXT, "narrow it, or add keywords or entropy"))
    problems += _tried(made, read, path)
    return [made]


def own_detector(  # noqa: PLR0913 - all that makes a detector
    name: str,
    pattern: str,
    *,
    group: int,
    kind: str | None,
    keywords: Iterable[str],
    check: Check,
    pii: bool = False,
    examples: tuple[str, ...] = (),
    counterexamples: tuple[str, ...] = (),
) -> Detector:
    """Make a detector of parts that were checked. The keywords are its gate, or the pattern where they say
    too little.
    """
    words = sorted({keyword.lower() for keyword in keywords})
    telling = bool(words) and all(len(word) >= _TELLING for word in words)
    return Detector(
        id=name,
        kind=kind or re.sub(r"[^a-z0-9-]", "-", name.lower())[:40],
        pattern=pattern,
        # In JSON a keyword stands as it is, while a pattern may reach over what is escaped there.
        gate="(?i:" + "|".join(re2.escape(word) for word in words) + ")" if telling else pattern,
        keywords=tuple(word.encode() for word in words),
        examples=examples,
        counterexamples=counterexamples,
        group=group,
        check=check,
        pii=pii,
        any_case=True,
        beside=True,
    )


@lru_cache(maxsize=_MAX_DETECTORS)
def pattern_problem(pattern: str, group: int) -> tuple[str, str, str] | None:
    """What is wrong with a pattern or its group: which of the two, what, and what to do."""
    if not pattern.isascii():
        return "pattern", "characters beyond ASCII", "write their UTF-8 bytes as \\x.., outside of [...]"
    if not 0 < len(pattern) <= _MAX_PATTERN:
        return "pattern", f"empty, or longer than {_MAX_PATTERN} characters", "split it into several"
    try:
        made = compiled(pattern)
    except re2.error as error:
        why = error.args[0] if error.args else "not a pattern"
        why = why.decode("latin-1") if isinstance(why, bytes) else str(why)
        return "pattern", f"not RE2 syntax: {why}", "RE2 has no look-around and no back-references"
    if made.search(b"") is not None:
        return "pattern", "fits the empty text", "demand at least one character"
    if made.groups > _MAX_GROUPS:
        return "pattern", f"over {_MAX_GROUPS} groups", "write (?:…) for those that hold no secret"
    if group > made.groups:
        return "group", f"the pattern has {made.groups} groups, not {group}", "0 is all that the pattern fits"
    return None


FITS_PLAIN_TEXT = "finds something in nearly every message"


def fits_plain_text(detector: Detector) -> bool:
    """Whether it finds something where nothing is, so that no message would be left of use."""
    return bool(finds(detector, _PLAIN))


def _tried(detector: Detector, read: Source, path: Path) -> Iterable[Problem]:
    """Run examples and counterexamples; their texts may be secret, so that only their places are told."""
    gate = compiled(detector.gate)
    for index, example in enumerate(detector.examples):
        here = read.at((*path, "examples", index))
        data = example.encode()
        if not finds(detector, data):
            yield Problem(
                here, _why_not(detector, data), "mend the example, or what keeps it from being found"
            )
        elif not all(gate.search(each) for each in (data, json.dumps(example).encode())):
            yield Problem(
                here, "not found inside of JSON, where it is escaped", "add keywords that it contains"
            )
    for index, example in enumerate(detector.counterexamples):
        if finds(detector, example.encode()):
            here = read.at((*path, "counterexamples", index))
            yield Problem(here, "this counterexample is found", "narrow the pattern, or raise entropy")


def _why_not(detector: Detector, data: bytes) -> str:
    if detector.keywords and not any(word in data.lower() for word in detector.keywords):
        return "this example contains none of the keywords"
    match = compiled(detector.pattern).search(data)
    if match is None:
        return "the pattern does not fit this example"
    bits = abs(entropy(match.group(detector.group) or b""))
    return f"what is found in this example has {bits:.1f} bits of entropy"
