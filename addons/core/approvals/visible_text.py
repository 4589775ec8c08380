"""A text as people have to see it before they decide: what can't be seen, what turns the direction of a line,
and what looks like another character is spelled out, as in `⟨U+202E RIGHT-TO-LEFT OVERRIDE⟩`.

What a text needs in order to be read stays: newlines and tabs, accents, letters of one script beside each
other, joiners where a script or an emoji asks for them. After Unicode Technical Report 36 and Unicode
Technical Standard 39, whose confusables these are in part: those of ASCII.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import chain, groupby

from addons.core.approvals.scripts import LIKE, Class, Classes
from addons.core.redact.masking.mask import MASK


class Kind(StrEnum):
    PLAIN = "plain"
    CONTROL = "control"
    BIDI = "bidi"
    INVISIBLE = "invisible"
    """Is drawn as nothing, or over what stands near it."""
    LOOKALIKE = "lookalike"
    MASK = "mask"
    """Stands where ddgate masked a value."""


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring characters of one kind. `text` is what to show: of PLAIN and MASK the text itself."""

    text: str
    kind: Kind


type _Span = tuple[int, int, Kind]

_MASK = re.compile(MASK.pattern.decode("ascii") if isinstance(MASK.pattern, bytes) else MASK.pattern)
_ODD = re.compile(
    # An emoji with its colour and presentation, and several joined; a flag of a region; a key.
    r"(?P<emoji>F(?:t{3,6})T|(?:[eF]v?)+(?:j(?:[eF]v?)+)*|[dq]vK)"
    # RFC 5892, appendix A: joiners behind a virama, and between Arabic letters.
    r"|(?P<joined>V[jJ]|(?<=[Am])J(?=A))"
    r"|(?P<control>c+)|(?P<bidi>b+)|(?P<invisible>[ijJvtT]+)|(?P<lookalike>x+)|(?P<bracket>B)|(?P<pile>[mVK]{9,})"
)
_KINDS = {
    "control": Kind.CONTROL,
    "bidi": Kind.BIDI,
    "invisible": Kind.INVISIBLE,
    "lookalike": Kind.LOOKALIKE,
}
_MOST_MARKS = 8
"""On one letter; more cover the lines above and below."""

_SCRIPTS = "".join(LIKE.values())
_FOREIGN = f"{_SCRIPTS}{_SCRIPTS.lower()}AsD"
# What can't be seen doesn't end a word.
_WORD = re.compile(rf"[lxozdmVK{_FOREIGN}][lxozdmVKijJvtTcb{_FOREIGN}]*")
_FOREIGN_RUN = re.compile(f"[{_FOREIGN}]+")
_DIGIT_RUN = re.compile("D+")
_LIKE_RUN = re.compile(f"[{_SCRIPTS}]+")
_WIDE_RUN = re.compile("w+")

_CONTROLS = {
    0x00: "NULL",
    0x07: "BELL",
    0x08: "BACKSPACE",
    0x0B: "LINE TABULATION",
    0x0C: "FORM FEED",
    0x0D: "CARRIAGE RETURN",
    0x1B: "ESCAPE",
    0x7F: "DELETE",
    0x85: "NEXT LINE",
    0x9B: "CONTROL SEQUENCE INTRODUCER",
}
_UNNAMED = {"Cc": "CONTROL", "Cs": "SURROGATE", "Co": "PRIVATE USE", "Cn": "UNASSIGNED"}


def visible(text: str) -> list[Run]:
    """The text in runs, in order. Linear in its length, whatever is in it; what is spelled out is longer than
    what it stands for, so bound the text beforehand.
    """
    runs: list[Run] = []
    spell = cache(_spelled)
    at = 0
    for start, end, kind in _spans(text):
        if start > at:
            runs.append(Run(text[at:start], Kind.PLAIN))
        piece = text[start:end]
        runs.append(Run(piece if kind is Kind.MASK else _spelled_out(piece, spell), kind))
        at = end
    if at < len(text):
        runs.append(Run(text[at:], Kind.PLAIN))
    return runs


def visible_plain(text: str) -> str:
    """All of it as one text. Unambiguous: a text that already has `⟨U+` in it has its bracket spelled out."""
    return "".join(run.text for run in visible(text))


def _spelled_out(piece: str, spell: Callable[[str, int], str]) -> str:
    if len(piece) == 1:
        return spell(piece, 1)
    return "".join(spell(character, len(list(same))) for character, same in groupby(piece))


def _spelled(character: str, times: int) -> str:
    code = ord(character)
    name = unicodedata.name(character, "") or _CONTROLS.get(code)
    if name is None:
        name = _UNNAMED.get(unicodedata.category(character), "UNNAMED")
    return f"⟨U+{code:04X} {name}{f' ×{times}' if times > 1 else ''}⟩"  # noqa: RUF001 - a multiplication sign


def _spans(text: str) -> Iterator[_Span]:
    """What isn't plain, in order, none overlapping another."""
    at = 0
    for mask in _MASK.finditer(text):
        yield from _odd_spans(text, at, mask.start())
        yield mask.start(), mask.end(), Kind.MASK
        at = mask.end()
    yield from _odd_spans(text, at, len(text))


def _odd_spans(text: str, start: int, end: int) -> list[_Span]:
    if start == end:
        return []
    text = text[start:end]
    # A line's end of two characters is one that is seen.
    classes = text.replace("\r\n", " \n").translate(Classes())
    found = chain(_by_themselves(text, classes), _by_word(classes), _by_line(classes))
    return sorted((start + first, start + last, kind) for first, last, kind in found)


def _by_themselves(text: str, classes: str) -> Iterator[_Span]:
    for odd in _ODD.finditer(classes):
        match odd.lastgroup:
            case "emoji" | "joined" | None:
                continue
            case "bracket":
                if text.startswith("U+", odd.end()):
                    yield odd.start(), odd.end(), Kind.LOOKALIKE
            case "pile":
                yield odd.start() + _MOST_MARKS, odd.end(), Kind.INVISIBLE
            case name:
                yield odd.start(), odd.end(), _KINDS[name]


def _by_line(classes: str) -> Iterator[_Span]:
    """Wide forms are at home in a line with Chinese, Japanese or Korean in it."""
    if Class.WIDE not in classes:
        return
    at = 0
    for line in classes.split(Class.NEWLINE):
        if Class.EAST_ASIAN not in line:
            for wide in _WIDE_RUN.finditer(line):
                yield at + wide.start(), at + wide.end(), Kind.LOOKALIKE
        at += len(line) + 1


def _by_word(classes: str) -> Iterator[_Span]:
    """Letters of another script in a word that has Latin ones, and words that look Latin in every letter.

    Words of one script that follow each other vouch for one another: one with a letter that looks like no
    Latin one shows that the others, too, mean what they are.
    """
    if not _FOREIGN_RUN.search(classes):
        return
    suspects: list[_Span] = []
    script, is_vouched_for = "", False
    scripts_of = cache(_scripts_of)
    for word in _WORD.finditer(classes):
        here = scripts_of(word[0])
        if Class.DIGIT in word[0] and Class.LATIN not in here:
            yield from _spans_of(_DIGIT_RUN, word)
        if not here:
            continue  # a number
        if here != script:
            yield from () if is_vouched_for else suspects
            suspects, script, is_vouched_for = [], here, False
        if Class.LATIN in here:
            yield from _spans_of(_FOREIGN_RUN, word)
        elif len(here) > 1:
            yield from _spans_of(_LIKE_RUN, word)
        else:
            suspects += _spans_of(_LIKE_RUN, word)
            is_vouched_for = is_vouched_for or here.lower() in word[0] or Class.SIGN in word[0]
    yield from () if is_vouched_for else suspects


def _scripts_of(word: str) -> str:
    """The scripts of its letters, each once: `l`, a letter out of `LIKE`, or that of another class."""
    found = {class_.upper() if class_.upper() in _SCRIPTS else class_ for class_ in set(word)}
    if Class.SIGN in found and Class.LATIN not in found:
        found.add(LIKE["GREEK"])
    return "".join(sorted(found & {*_SCRIPTS, Class.LATIN, Class.ELSEWHERE, Class.ARABIC}))


def _spans_of(pattern: re.Pattern[str], word: re.Match[str]) -> Iterator[_Span]:
    return (
        (word.start() + each.start(), word.start() + each.end(), Kind.LOOKALIKE)
        for each in pattern.finditer(word[0])
    )
