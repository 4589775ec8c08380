"""How random a text looks: what nobody would have written, and what a machine gives out."""

# ruff: noqa: PLR2004 - thresholds of a heuristic stand beside what they judge

from __future__ import annotations

import math
import re
import string
from itertools import pairwise

import re2

DIGITS = frozenset(string.digits.encode())
LETTERS = frozenset(string.ascii_letters.encode())
UUID = re.compile(rb"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_LOWER = frozenset(string.ascii_lowercase.encode())
_SEPARATORS = frozenset(b"-_.~")
_DIGEST = re2.compile(rb"^(?:[0-9a-f]{32,128}|[0-9A-F]{32,128})$")
_CONSONANTS = re2.compile(rb"(?i)[bcdfghjklmnpqrstvwxz]{5}")
_LOWER_RUN = re2.compile(rb"[bcdfghjklmnpqrstvwxz]{5}")
_ADDRESS = re2.compile(rb"^0x[0-9a-fA-F]{40}$")  # of a contract: what other people call a token
_PLACE = re2.compile(rb"^[a-z]{4,}$")
# What seldom follows a letter: one pair in twenty of the words of programs, documentation and messages in
# fifteen languages, every second one of random letters.
_SELDOM_AFTER = {
    "a": "oq",
    "b": "dfghkmnpqtvwxz",
    "c": "bfgjnpqvwxyz",
    "d": "ghjkmnqvwxyz",
    "e": "j",
    "f": "bghjkmnpqvwxyz",
    "g": "bcdfjkmpqvwxyz",
    "h": "bcdfghjklmnpqsvwxyz",
    "i": "hijquy",
    "j": "bcdfghijklmnpqrstuvwxyz",
    "k": "bcdfghjkmnpqvwxyz",
    "l": "fhjkqrwxz",
    "m": "cfghjknqrtvwxyz",
    "n": "bhjqrwxz",
    "o": "hjqxyz",
    "p": "bcdfgjmnqvwxz",
    "q": "abcdefghijklmnopqrstvwxyz",
    "r": "hjqwxz",
    "s": "bdgjqvwx",
    "t": "bgjkqvwxz",
    "u": "hjoquvwxyz",
    "v": "bcdfghjklmnpqrstuvwxyz",
    "w": "bcdfghjklmpqtuvwxyz",
    "x": "abdfghjklmnoqrsuvwxyz",
    "y": "bcdfghjkqruvwxyz",
    "z": "bcdfghjklmnopqrstuvwxyz",
}
_MIN_NOISE = 40  # characters
_MIN_RUN = 16
_MIN_LABELLED = 20
_MIN_WORDLESS = 12
_MIN_SELDOM = 4  # `acknowledged` has three


def entropy(value: bytes) -> float:
    """Shannon entropy in bits per byte."""
    total = len(value)
    counts = [value.count(code) for code in dict.fromkeys(value)]
    return -sum(n / total * math.log2(n / total) for n in counts) if total else 0.0


def has_digit(value: bytes) -> bool:
    return not DIGITS.isdisjoint(value)


def switches(value: bytes) -> int:
    """How often the text changes between digits, lower case and upper case."""
    count, before = 0, 0
    for code in value:
        kind = 1 if code in DIGITS else 2 if code in _LOWER else 3 if code in LETTERS else before
        count += before not in (0, kind)
        before = kind
    return count


def is_noise(value: bytes) -> bool:
    """Whether a text that stands where a name might is a random id, whatever it ends with."""
    return (
        len(value) >= _MIN_NOISE
        and b" " not in value
        and has_digit(value)
        and value.upper() != value != value.lower()
        and switches(value) * 5 > len(value) * 2
    )


def is_opaque(value: bytes) -> bool:
    """Whether it is a UUID or a digest in hexadecimal, and nothing that anybody chose."""
    return (UUID.match(value) is not None or _DIGEST.search(value) is not None) and entropy(value) >= 2.5


def is_jumbled(value: bytes) -> bool:
    """Whether letters and digits stand as in no name of a program: case that changes all the time."""
    changes = switches(value)
    return len(value) >= _MIN_RUN and (
        changes * 5 > len(value) * 2 or (changes * 3 >= len(value) and _CONSONANTS.search(value) is not None)
    )


def is_wordless(value: bytes) -> bool:
    """Whether letters alone stand as in no word, nor in a name of a program that is put together of words."""
    if len(value) < _MIN_WORDLESS or not value.isalpha():
        return False
    text = value.lower().decode("latin-1")
    if len(set(text)) * 3 < len(text) or any(run in text for run in ("abcdef", "qwertz", "qwerty")):
        return False
    seldom = sum(after in _SELDOM_AFTER.get(letter, "") for letter, after in pairwise(text))
    return seldom >= max(_MIN_SELDOM, len(text) / 4) or (seldom * 8 >= len(text) and is_jumbled(value))


def is_beyond_doubt(value: bytes) -> bool:
    """For what follows a label and a space, as words do: no name of a thing, as people and clusters give
    them, no word with a number, no UUID.
    """
    if len(value) < _MIN_LABELLED or not has_digit(value) or LETTERS.isdisjoint(value):
        return False
    if UUID.match(value) or _ADDRESS.search(value) or any(map(_PLACE.search, value.split(b"/")[:-1])):
        return False
    if value.upper() != value != value.lower():  # `TokenService2Impl` changes its case less often
        return is_jumbled(value) or (_SEPARATORS.isdisjoint(value) and _LOWER_RUN.search(value) is not None)
    is_mixed = switches(value) >= 4 and entropy(value) >= 3.0
    return _SEPARATORS.isdisjoint(value) and (is_mixed or _CONSONANTS.search(value) is not None)
