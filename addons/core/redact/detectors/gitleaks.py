"""Rules in gitleaks' TOML form, as detectors.

A rule's `regex`, `secretGroup`, `keywords`, `entropy` and the `regexes` and `stopwords` of its and of global
allowlists mean what they mean there (https://github.com/gitleaks/gitleaks#configuration). What speaks of
files and commits has nothing to speak of here. What can't be honoured is told in a note, or refused where
less would be masked than the file says.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

import re2

from addons.core.redact.detectors.detector import Detector, compiled
from addons.core.redact.detectors.own import (
    FITS_PLAIN_TEXT,
    DetectorInvalid,
    fits_plain_text,
    id_problem,
    keyword_problem,
    own_detector,
    pattern_problem,
)
from addons.core.redact.detectors.randomness import entropy
from addons.core.yaml_source import Position, Problem

_HEAD = re.compile(r"^[ \t]*\[\[[ \t]*rules[ \t]*\]\]", re.MULTILINE)
_RULE_KEYS = frozenset(
    {"id", "description", "regex", "path", "secretGroup", "entropy", "keywords", "tags"}
    | {"allowlist", "allowlists", "skipReport", "required"}
)
# The standard library's reader takes the square of how many parts a key has, in time and in memory.
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""", re.ASCII)
_MAX_RULES = 2000
_MAX_ALLOWED = 2000  # regexes in the allowlists of one rule
_MAX_BITS = 8
_SHOWN_NAME = 80
_ANY_VALUE = (b"a", b"Z", b"5", b"_", b"\0")


@dataclass(frozen=True, slots=True)
class GitleaksRules:
    """`notes`: what of the file is not honoured, a line each."""

    detectors: tuple[Detector, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Allowed:
    """One allowlist: values that are no secrets. `both`: only where a pattern and a stop word agree."""

    regexes: tuple[str, ...]
    stopwords: tuple[bytes, ...]
    both: bool = False

    def allows(self, value: bytes) -> bool:
        fits = any(_searched(regex).search(value) is not None for regex in self.regexes)
        folded = value.lower()
        stops = any(word in folded for word in self.stopwords)
        return (fits and stops) if self.both else (fits or stops)


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """gitleaks' checks of what a pattern found. Can travel to another process."""

    bits: float
    allowed: tuple[Allowed, ...]

    def __call__(self, value: bytes) -> bool:
        if not value or (self.bits and entropy(value) <= self.bits):
            return False
        return not any(one.allows(value) for one in self.allowed)


@cache  # as many as the configuration has
def _searched(regex: str) -> re2._Regexp:
    return compiled(regex)


def read_gitleaks(text: str, source: str) -> tuple[Detector, ...]:
    """As `read_rules`, without the notes. Raises DetectorInvalid."""
    return read_rules(text, source).detectors


def read_rules(text: str, source: str) -> GitleaksRules:
    """Read a gitleaks configuration; `source` is its name in problems and notes.

    Raises:
        DetectorInvalid: with every problem; each names the rule, and its line where that can be told.

    """
    document = _parsed(text, source)
    reader = _Reader(source, tuple(text.count("\n", 0, head.end()) + 1 for head in _HEAD.finditer(text)))
    detectors = reader.read(document)
    if reader.problems:
        raise DetectorInvalid(reader.problems)
    return GitleaksRules(tuple(detectors), tuple(reader.notes))


def _parsed(text: str, source: str) -> Mapping[str, object]:
    if (key := _LONG_KEY.search(text)) is not None:
        line = Position(source, text.count("\n", 0, key.start()) + 1, 1)
        raise DetectorInvalid([Problem(line, "a key of more than 32 parts", "no rule needs such a key")])
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem = f"not TOML: {error}"
    except RecursionError:
        problem = "nested too deep"
    except ValueError:  # an integer over Python's limit of digits, a date that is none
        problem = "a number or date that is out of range"
    raise DetectorInvalid([Problem(Position(source), problem)])


@dataclass(slots=True)
class _Reader:
    source: str
    lines: tuple[int, ...]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def read(self, document: Mapping[str, object]) -> list[Detector]:
        whole = Position(self.source)
        self._extend(document.get("extend", {}), whole)
        everywhere = self._everywhere(document, whole)
        rules = document.get("rules")
        if not isinstance(rules, list) or not rules or len(rules) > _MAX_RULES:
            self._add(whole, f"no rules, or more than {_MAX_RULES}", "write each under [[rules]]")
            return []
        seen: set[str] = set()
        detectors = []
        for index, rule in enumerate(rules):
            table = _table(rule)
            name = table.get("id")
            line = self.lines[index] if len(self.lines) == len(rules) else 0
            where = Position(self.source, line, 1 if line else 0)
            if not isinstance(name, str):
                self._add(where, f"rule {index + 1} has no id", "give it one, of its own")
            elif (problem := id_problem(name)) is not None:
                self._add(where, f"the rule {name[:_SHOWN_NAME]!r}: {problem[0]}", problem[1])
            elif name in seen:
                self._add(where, f"the rule {name!r} stands twice", "rename one")
            else:
                seen.add(name)
                shared = [one for one, targets in everywhere if not targets or name in targets]
                detectors += self._rule(name, table, shared, where)
        return detectors

    def _everywhere(
        self, document: Mapping[str, object], where: Position
    ) -> list[tuple[Mapping[str, object], tuple[str, ...]]]:
        """The allowlists of the whole file, each with the rules that it is for (none: all)."""
        tables = _tables(document, "allowlist") + _tables(document, "allowlists")
        if any(not _is_texts(table.get("targetRules")) for table in tables):
            self._add(where, "targetRules of an allowlist is no list of ids", 'targetRules = ["acme"]')
        return [(table, _texts(table.get("targetRules"))) for table in tables]

    def _extend(self, table: object, where: Position) -> None:
        if not isinstance(table, dict):
            self._add(where, "extend is no table", "write it as [extend]")
            return
        if table.get("path") or table.get("url"):
            remedy = "name that file under redaction.detectors too"
            self._add(where, "extends another file, which is not read", remedy)
        if table.get("useDefault"):
            self._note(where, "useDefault: gitleaks' own rules are not there; ddgate has its own detectors")
        if table.get("disabledRules"):
            self._note(where, "disabledRules: there are none of gitleaks' own to disable")

    def _rule(
        self, name: str, table: Mapping[str, object], shared: list[Mapping[str, object]], where: Position
    ) -> list[Detector]:
        regex, group = table.get("regex"), table.get("secretGroup", 0)
        bits, keywords = table.get("entropy", 0), table.get("keywords", [])
        if regex is None and table.get("path"):
            self._note(where, f"the rule {name!r} looks at names of files alone, and is left out")
            return []
        if table.get("skipReport") is True:
            self._note(where, f"the rule {name!r} has skipReport, and is left out")
            return []
        if not isinstance(regex, str):
            return self._refuse(where, name, "regex is no text", "write it in '''…'''")
        if not isinstance(group, int) or isinstance(group, bool) or group < 0:
            return self._refuse(
                where, name, "secretGroup is no number of a group", "a whole number from 0 up"
            )
        if not isinstance(bits, int | float) or isinstance(bits, bool) or not 0 <= bits < _MAX_BITS:
            return self._refuse(where, name, "entropy is no number from 0 to 8", "bits per character: 3.5")
        if not isinstance(keywords, list) or not all(isinstance(word, str) for word in keywords):
            return self._refuse(where, name, "keywords is no list of words", 'keywords = ["acme_"]')
        for problem in filter(None, map(keyword_problem, keywords)):
            return self._refuse(where, name, f"a keyword: {problem[0]}", problem[1])
        wrong = pattern_problem(regex, group)
        if wrong is not None:
            return self._refuse(where, name, f"{wrong[0]}: {wrong[1]}", wrong[2])
        self._tell_of_rest(name, table, where)
        group, whole = _group(regex, group)
        lists = [*_tables(table, "allowlist"), *_tables(table, "allowlists"), *shared]
        allowed = [one for each in lists for one in self._allowed(each, name, where, whole=whole)]
        check = RuleCheck(float(bits), tuple(allowed))
        made = own_detector(name, regex, group=group, kind=None, keywords=keywords, check=check)
        if fits_plain_text(made):
            return self._refuse(where, name, FITS_PLAIN_TEXT, "narrow it, or add keywords or entropy")
        return [made]

    def _tell_of_rest(self, name: str, table: Mapping[str, object], where: Position) -> None:
        if table.get("path"):
            self._note(where, f"the rule {name!r} is for some files alone; here it looks everywhere")
        if table.get("required"):
            self._note(where, f"the rule {name!r} requires others nearby; here it stands alone")
        unknown = [repr(key[:_SHOWN_NAME]) for key in sorted(table.keys() - _RULE_KEYS)]
        if unknown:
            self._note(where, f"the rule {name!r}: nothing is known of {', '.join(unknown[:8])}")

    def _allowed(
        self, table: Mapping[str, object], name: str, where: Position, *, whole: bool
    ) -> Iterable[Allowed]:
        """`whole`: the secret of the rule is all that its pattern fits."""
        condition = str(table.get("condition", "OR")).upper()
        both = condition in {"AND", "&&"}
        problem = _allowlist_problem(table, condition)
        if problem is not None:
            self._refuse(where, name, f"an allowlist: {problem[0]}", problem[1])
            return
        if both and (table.get("paths") or table.get("commits")):
            return  # no file, no commit: never allowed
        regexes, stopwords = _texts(table.get("regexes")), _texts(table.get("stopwords"))
        target = table.get("regexTarget") or "secret"
        if regexes and target != "secret" and not (whole and target == "match"):
            said = repr(target)[:_SHOWN_NAME]
            note = f"the rule {name!r}: an allowlist for {said} needs what stands around a secret"
            self._note(where, f"{note}, and is not honoured: more is masked")
            if both:
                return
            regexes = ()
        if regexes or stopwords:
            words = tuple(word.lower().encode() for word in stopwords)
            yield Allowed(regexes, words, both=both and bool(regexes) and bool(words))

    def _refuse(self, where: Position, name: str, message: str, remedy: str) -> list[Detector]:
        self._add(where, f"the rule {name!r}: {message}", remedy)
        return []

    def _add(self, where: Position, message: str, remedy: str) -> None:
        self.problems.append(Problem(where, message, remedy))

    def _note(self, where: Position, message: str) -> None:
        self.notes.append(f"{where}: {message}")


def _allowlist_problem(table: Mapping[str, object], condition: str) -> tuple[str, str] | None:
    """What is wrong with an allowlist, and what to do: whatever would have less masked than was meant."""
    if condition not in {"OR", "||", "AND", "&&"}:
        return "condition is none", "OR or AND"
    for key in ("regexes", "stopwords"):
        if not _is_texts(table.get(key)):
            return f"{key} is no list of texts", f'{key} = ["…"]'
    if not all(_texts(table.get("stopwords")) or ("-",)):
        return "an empty stop word, which allows everything", "leave it out"
    regexes = _texts(table.get("regexes"))
    if len(regexes) > _MAX_ALLOWED:
        return f"over {_MAX_ALLOWED} regexes", "join some with |"
    for regex in regexes:
        if not regex.isascii():
            return "characters beyond ASCII", "write their bytes: \\x.."
        try:
            allowed = _searched(regex)
        except re2.error:
            return "a regex that is not RE2 syntax", "mend it"
        if all(allowed.search(value) is not None for value in _ANY_VALUE):
            return "a regex that allows everything", "narrow it, or leave the rule out"
    return None


def _group(regex: str, group: int) -> tuple[int, bool]:
    """Which group holds the secret, and whether that is all of the match. gitleaks takes the first that is
    not empty; where there are several, and none is named, all of the match is masked here.
    """
    groups = compiled(regex).groups
    if group == 0 and groups == 1:
        return 1, False
    return group, group == 0


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _tables(table: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    value = table.get(key)
    found = value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, dict)]


def _is_texts(value: object) -> bool:
    """Whether it is a list of texts, or is not there."""
    return value is None or (isinstance(value, list) and all(isinstance(each, str) for each in value))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
