"""What each character is, for `visible_text`: one letter a character, so that texts can be searched by class.

Python knows no script property; a letter's script is the first word of its name (Unicode 15, section 4.8).
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from string import ascii_letters, digits


class Class(StrEnum):
    """One letter for each kind of character that is treated differently."""

    OTHER = "."
    """Stands for itself, and ends a word."""
    NEWLINE = "n"
    CONTROL = "c"
    BIDI = "b"
    INVISIBLE = "i"
    JOINER = "j"
    NON_JOINER = "J"
    VARIATION = "v"
    TAG = "t"
    TAG_END = "T"
    PICTOGRAPH = "e"
    BLACK_FLAG = "F"
    KEYCAP_BASE = "q"  # * and #, which are no letters
    KEYCAP = "K"
    MARK = "m"
    VIRAMA = "V"
    DIGIT = "d"
    FOREIGN_DIGIT = "D"
    NEUTRAL = "o"
    """A letter or number of no script."""
    SIGN = "z"
    """A Greek letter that units and formulas use, and nobody takes for a Latin one."""
    LATIN = "l"
    LOOKALIKE = "x"
    """Stands for an ASCII character in every text."""
    WIDE = "w"
    """Stands for an ASCII character, unless the text around is Chinese, Japanese or Korean."""
    EAST_ASIAN = "k"
    """Of scripts that are written without blanks, and so touch Latin words."""
    ARABIC = "A"
    ELSEWHERE = "s"
    """Of any other script."""
    BRACKET = "B"


# A script's letters that look like ASCII have the capital as their class, its other ones the small letter.
LIKE = {"CYRILLIC": "Y", "GREEK": "G", "CHEROKEE": "H", "ARMENIAN": "R", "COPTIC": "P", "LISU": "U"}


def _characters(codes: str) -> str:
    return "".join(chr(int(code, 16)) for code in codes.split())


# By code: side by side with the letters that they look like, nobody could check them.
_ASCII_IN = {
    "CYRILLIC": _characters(
        "405 406 408 410 412 415 417 41A 41C 41D 41E 420 421 422 423 425 42C 4AE 4C0 50C 51A 51C"
        " 430 431 433 435 43E 440 441 443 445 455 456 458 461 475 4AF 4BB 4CF 501 51B 51D"
    ),
    "GREEK": _characters(
        "391 392 395 396 397 399 39A 39C 39D 39F 3A1 3A4 3A5 3A7 3D2 3F9 37F"
        " 3B1 3B3 3B7 3B9 3BA 3BD 3BF 3C1 3C3 3C4 3C5 3C7 3C9 3F2 3F3"
    ),
    "ARMENIAN": _characters("531 53C 54D 54F 555 563 566 570 575 576 578 57D 581 584 585"),
}
_ALL_LIKE = frozenset({"CHEROKEE", "COPTIC", "LISU"})
# Phonetic alpha and g, small capitals c o v w z s, two clicks, the Kelvin sign, and what looks like one of
# ; / . * : - not the dotless i, which Turkish needs.
_IN_EVERY_TEXT = _characters(
    "251 261 1D04 1D0F 1D20 1D21 1D22 A731 1C0 1C3 212A 37E 2044 2215 29F8 2024 2217 2236 A789"
)
# Capital gamma, delta, theta, lambda, xi, pi, sigma, phi, psi, omega; small delta, theta, lambda, mu, xi, pi,
# phi, psi.
_SIGNS = _characters("393 394 398 39B 39E 3A0 3A3 3A6 3A8 3A9 3B4 3B8 3BB 3BC 3BE 3C0 3C6 3C8")
# Micro, ohm and angstrom signs, feminine and masculine ordinals.
_OF_NO_SCRIPT = _characters("B5 2126 212B AA BA")
_WITHOUT_BLANKS = frozenset(
    {
        *("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "HALFWIDTH", "IDEOGRAPHIC"),
        *("YI", "TANGUT", "NUSHU", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"),
    }
)
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Format characters that are seen: signs around Arabic, Kaithi and Egyptian numbers.
_SEEN_FORMATS = (
    *((0x600, 0x605), (0x6DD, 0x6DD), (0x70F, 0x70F), (0x890, 0x891), (0x8E2, 0x8E2)),
    *((0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x13430, 0x1343F)),
)
# Letters, marks and symbols that are drawn as nothing (DerivedCoreProperties, Default_Ignorable_Code_Point,
# and the Braille pattern without dots).
_UNSEEN = (
    *((0x34F, 0x34F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065)),
    *((0x2800, 0x2800), (0x3164, 0x3164), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF)),
)
# Emoji_Presentation and Extended_Pictographic, in whole blocks.
_PICTOGRAPHS = (
    *((0xA9, 0xA9), (0xAE, 0xAE), (0x203C, 0x203C), (0x2049, 0x2049), (0x2122, 0x2122), (0x2139, 0x2139)),
    *((0x2194, 0x2199), (0x21A9, 0x21AA), (0x231A, 0x23FF), (0x24C2, 0x24C2), (0x25AA, 0x25FE)),
    *((0x2600, 0x27BF), (0x2934, 0x2935), (0x2B05, 0x2B55), (0x3030, 0x3030), (0x303D, 0x303D)),
    *((0x3297, 0x3297), (0x3299, 0x3299), (0x1F000, 0x1FAFF), (0x1FC00, 0x1FFFD)),
)
_ALONE = {
    **dict.fromkeys(ascii_letters, Class.LATIN),
    **dict.fromkeys(digits, Class.DIGIT),
    **dict.fromkeys("*#", Class.KEYCAP_BASE),
    **dict.fromkeys("\n\t", Class.OTHER),
    **dict.fromkeys(_BIDI, Class.BIDI),
    **dict.fromkeys(_IN_EVERY_TEXT, Class.LOOKALIKE),
    **dict.fromkeys(_OF_NO_SCRIPT, Class.NEUTRAL),
    **dict.fromkeys(_SIGNS, Class.SIGN),
    "\n": Class.NEWLINE,
    "\u200d": Class.JOINER,
    "\u200c": Class.NON_JOINER,
    "\u20e3": Class.KEYCAP,
    "\ufe0e": Class.VARIATION,
    "\ufe0f": Class.VARIATION,
    "\u2028": Class.CONTROL,
    "\u2029": Class.CONTROL,
    "\U0001f3f4": Class.BLACK_FLAG,
    "\U000e007f": Class.TAG_END,
    "\u27e8": Class.BRACKET,
}
_OF_CATEGORY = {
    "Cc": Class.CONTROL,
    "Cf": Class.INVISIBLE,
    "Cs": Class.INVISIBLE,
    "Co": Class.INVISIBLE,
    "Cn": Class.INVISIBLE,
    "Mn": Class.MARK,
    "Mc": Class.MARK,
    "Me": Class.MARK,
    "Nd": Class.FOREIGN_DIGIT,
    "Lm": Class.NEUTRAL,
    "No": Class.NEUTRAL,
}


class Classes(dict[int, str]):
    """For `str.translate`: gives a text of the same length in which every character is its class."""

    def __missing__(self, code: int) -> str:
        found = self[code] = str(class_of(chr(code)))
        return found


def class_of(character: str) -> str:
    """A `Class`, or a letter out of `LIKE`."""
    alone = _ALONE.get(character)
    if alone is not None:
        return alone
    code = ord(character)
    if 0xE0020 <= code <= 0xE007E:  # noqa: PLR2004 - tags, which spell a region behind a black flag
        return Class.TAG
    if 0xFE00 <= code <= 0xFE0F or _is_in(code, _UNSEEN):  # noqa: PLR2004 - variation selectors
        return Class.INVISIBLE
    if _is_in(code, _PICTOGRAPHS):
        return Class.PICTOGRAPH
    category = unicodedata.category(character)
    if category == "Cf" and _is_in(code, _SEEN_FORMATS):
        return Class.OTHER
    if category[0] == "M" and unicodedata.combining(character) == 9:  # noqa: PLR2004 - Virama
        return Class.VIRAMA
    return _stand_in(character) or _OF_CATEGORY.get(category) or _letter(character, category)


def _stand_in(character: str) -> str | None:
    """Whether its decomposition says that it is an ASCII character in another form."""
    form, _, rest = unicodedata.decomposition(character).partition(" ")
    if not rest or not all(int(part, 16) < 0x80 for part in rest.split()):  # noqa: PLR2004 - ASCII
        return None
    if form == "<font>" or (form == "<compat>" and "ROMAN NUMERAL" in unicodedata.name(character, "")):
        return Class.LOOKALIKE
    return Class.WIDE if form in {"<wide>", "<small>"} else None


def _letter(character: str, category: str) -> str:
    if category[0] != "L":
        return Class.OTHER
    script = unicodedata.name(character, "").partition(" ")[0]
    if script in LIKE:
        is_like = script in _ALL_LIKE or character in _ASCII_IN[script]
        return LIKE[script] if is_like else LIKE[script].lower()
    if script == "LATIN":
        return Class.LATIN
    if script in _WITHOUT_BLANKS:
        return Class.EAST_ASIAN
    return Class.ARABIC if script == "ARABIC" else Class.ELSEWHERE


def _is_in(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)
