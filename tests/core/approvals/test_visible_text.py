"""What could deceive a person who decides is spelled out; what a text needs to be read stays."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.visible_text import Kind, Run, visible, visible_plain


def odd(text: str) -> list[tuple[Kind, str]]:
    return [(run.kind, run.text) for run in visible(text) if run.kind is not Kind.PLAIN]


def named(*names: str) -> str:
    return "".join(f"⟨U+{ord(unicodedata.lookup(name)):04X} {name}⟩" for name in names)


# Escapes throughout: a reader of this file must see what it holds.
READABLE = {
    "ascii": "avg(last_5m):avg:prod.latency{*} > 500\n\tpage @sre",
    "line ends of Windows": "one\r\ntwo\r\n",
    "accents": "r\u00e9sum\u00e9 na\u00efve e\u0301 n\u0303 \u0110\u00e0 N\u1eb5ng",
    "Turkish": "\u0131s\u0131 s\u0131n\u0131f T\u00fcrk\u00e7e",
    "Russian": "\u0423\u0434\u0430\u043b\u0438 \u043c\u043e\u043d\u0438\u0442\u043e\u0440, \u0430 "
    "\u043f\u043e\u0442\u043e\u043c \u0438 \u0443 \u0441\u0435\u0440\u0432\u0438\u0441\u0430",
    "Russian with Latin names": "\u043e\u0442\u0447\u0451\u0442 \u0441 Datadog "
    "\u0438 SQL, API-\u043a\u043b\u044e\u0447",
    "Greek": "\u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1 \u03ba\u03cc\u03c3\u03bc\u03b5 \u03bf "
    "\u03bd\u03b1",
    "Greek with signs of formulas": "\u03b4\u03bf\u03bc\u03b7 \u03c4\u03bf\u03c5",
    "units": "10\u03bcs 5\u00b5m k\u03a9 \u0394t \u00b2 \u00bd m\u00b2",
    "Japanese": "\u691c\u77e5\u3059\u308b T\u30b7\u30e3\u30c4 A\u3055\u3093 "
    "\uff21\uff30\uff29\u3092\uff11\uff10\u56de\u3000\uff01",
    "Hebrew": "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "Arabic with its digits": "\u0645\u0631\u062d\u0628\u0627 \u0662\u0660",
    "Persian with its joiner": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "Devanagari with its joiner": "\u0915\u094d\u200d\u0937",
    "Thai": "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "Armenian": "\u0540\u0561\u0575\u0565\u0580\u0565\u0576 \u0578",
    "emoji": "\U0001f680 \u2764\ufe0f \u00a9\ufe0f",
    "emoji of a colour": "\U0001f44d\U0001f3fd",
    "emoji that are joined": "\U0001f469\U0001f3fd\u200d\U0001f680 "
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "keys": "1\ufe0f\u20e3 #\ufe0f\u20e3",
    "flags": "\U0001f1e9\U0001f1ea \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "brackets": "\u27e8x, y\u27e9",
    "quotes and dashes": "\u201cx\u201d \u2013 \u2026 \u2019s",
}
CYRILLIC_A = "CYRILLIC SMALL LETTER A"
DECEPTIVE = {
    "right-to-left override": ("a\u202eb", Kind.BIDI, "RIGHT-TO-LEFT OVERRIDE"),
    "isolate": ("a\u2067b", Kind.BIDI, "RIGHT-TO-LEFT ISOLATE"),
    "mark": ("a\u200fb", Kind.BIDI, "RIGHT-TO-LEFT MARK"),
    "Arabic mark": ("a\u061cb", Kind.BIDI, "ARABIC LETTER MARK"),
    "zero-width space": ("a\u200bb", Kind.INVISIBLE, "ZERO WIDTH SPACE"),
    "joiner between letters": ("a\u200db", Kind.INVISIBLE, "ZERO WIDTH JOINER"),
    "non-joiner between letters": ("a\u200cb", Kind.INVISIBLE, "ZERO WIDTH NON-JOINER"),
    "byte order mark": ("a\ufeffb", Kind.INVISIBLE, "ZERO WIDTH NO-BREAK SPACE"),
    "soft hyphen": ("a\u00adb", Kind.INVISIBLE, "SOFT HYPHEN"),
    "word joiner": ("a\u2060b", Kind.INVISIBLE, "WORD JOINER"),
    "grapheme joiner": ("a\u034fb", Kind.INVISIBLE, "COMBINING GRAPHEME JOINER"),
    "variation selector": ("a\ufe0fb", Kind.INVISIBLE, "VARIATION SELECTOR-16"),
    "another variation selector": ("\u2764\ufe01", Kind.INVISIBLE, "VARIATION SELECTOR-2"),
    "supplementary variation selector": ("a\U000e0100", Kind.INVISIBLE, "VARIATION SELECTOR-17"),
    "tag": ("a\U000e0041", Kind.INVISIBLE, "TAG LATIN CAPITAL LETTER A"),
    "Hangul filler": ("a\u3164b", Kind.INVISIBLE, "HANGUL FILLER"),
    "Braille blank": ("a\u2800b", Kind.INVISIBLE, "BRAILLE PATTERN BLANK"),
    "Khmer inherent vowel": ("a\u17b4", Kind.INVISIBLE, "KHMER VOWEL INHERENT AQ"),
    "line separator": ("a\u2028b", Kind.CONTROL, "LINE SEPARATOR"),
    "Cyrillic letter in a Latin word": ("p\u0430ypal", Kind.LOOKALIKE, CYRILLIC_A),
    "Greek letter in a Latin word": ("hell\u03bf", Kind.LOOKALIKE, "GREEK SMALL LETTER OMICRON"),
    "Hebrew letter in a Latin word": ("l\u05e1g", Kind.LOOKALIKE, "HEBREW LETTER SAMEKH"),
    "Cherokee letter alone": ("pay \u13aa", Kind.LOOKALIKE, "CHEROKEE LETTER GO"),
    "Cyrillic letter between Latin words": ("a \u0430 b", Kind.LOOKALIKE, CYRILLIC_A),
    "fullwidth": ("\uff41bc", Kind.LOOKALIKE, "FULLWIDTH LATIN SMALL LETTER A"),
    "fullwidth sign": ("a\uff1bb", Kind.LOOKALIKE, "FULLWIDTH SEMICOLON"),
    "mathematical": ("\U0001d41ab", Kind.LOOKALIKE, "MATHEMATICAL BOLD SMALL A"),
    "letterlike": ("\u210ei", Kind.LOOKALIKE, "PLANCK CONSTANT"),
    "Roman numeral": ("\u217cog", Kind.LOOKALIKE, "SMALL ROMAN NUMERAL FIFTY"),
    "Kelvin": ("\u212aey", Kind.LOOKALIKE, "KELVIN SIGN"),
    "division slash": ("a\u2215b", Kind.LOOKALIKE, "DIVISION SLASH"),
    "Greek question mark": ("a\u037eb", Kind.LOOKALIKE, "GREEK QUESTION MARK"),
    "phonetic alpha": ("p\u0251y", Kind.LOOKALIKE, "LATIN SMALL LETTER ALPHA"),
    "another digit in a number": ("5\u0660", Kind.LOOKALIKE, "ARABIC-INDIC DIGIT ZERO"),
    "a bracket like ours": ("\u27e8U+41\u27e9", Kind.LOOKALIKE, "MATHEMATICAL LEFT ANGLE BRACKET"),
}


@pytest.mark.parametrize("name", READABLE)
def test_readable_text_stays_as_it_is(name: str) -> None:
    assert visible(READABLE[name]) == [Run(READABLE[name], Kind.PLAIN)]


@pytest.mark.parametrize("name", DECEPTIVE)
def test_what_deceives_is_spelled_out(name: str) -> None:
    text, kind, character = DECEPTIVE[name]
    assert odd(text) == [(kind, named(character))]
    assert visible_plain(text) == text.replace(unicodedata.lookup(character), named(character))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "⟨U+001B ESCAPE⟩[31m"),
        ("a\rb", "a⟨U+000D CARRIAGE RETURN⟩b"),
        ("a\x00", "a⟨U+0000 NULL⟩"),
        ("\x01", "⟨U+0001 CONTROL⟩"),
        ("\x85", "⟨U+0085 NEXT LINE⟩"),
        ("\x9b1m", "⟨U+009B CONTROL SEQUENCE INTRODUCER⟩1m"),
    ],
)
def test_control_characters_are_spelled_out(text: str, shown: str) -> None:
    assert visible_plain(text) == shown
    assert [kind for kind, _ in odd(text)] == [Kind.CONTROL]


@pytest.mark.parametrize(
    ("code", "name"),
    [(0xE000, "PRIVATE USE"), (0x378, "UNASSIGNED"), (0xD800, "SURROGATE"), (0xE0080, "UNASSIGNED")],
)
def test_what_has_no_form_of_its_own_is_spelled_out(code: int, name: str) -> None:
    assert odd(f"a{chr(code)}b") == [(Kind.INVISIBLE, f"⟨U+{code:04X} {name}⟩")]


def test_a_word_that_looks_latin_in_every_letter_is_spelled_out() -> None:
    word = "\u0435\u0445\u0435\u0441"
    letters = [unicodedata.name(letter) for letter in word]
    assert odd(word) == odd(f"delete {word} now") == [(Kind.LOOKALIKE, named(*letters))]


def test_words_of_the_same_script_beside_it_vouch_for_a_word() -> None:
    word, other = "\u0441\u043e\u0440", "\u043b\u0435\u0436\u0438\u0442"
    assert odd(f"{word} {other}") == odd(f"{other}, 5 {word}") == []
    assert odd(f"{other} lies {word}") == odd(f"\u05e9\u05dc {word}") != []


def test_fullwidth_letters_need_east_asian_text_in_their_line() -> None:
    assert odd("\uff41\n\u6f22") == [(Kind.LOOKALIKE, named("FULLWIDTH LATIN SMALL LETTER A"))]
    assert odd("\uff41\u6f22") == []


def test_equal_characters_are_counted() -> None:
    assert visible("a" + "\u200b" * 3 + "\u200c") == [
        Run("a", Kind.PLAIN),
        Run("⟨U+200B ZERO WIDTH SPACE ×3⟩⟨U+200C ZERO WIDTH NON-JOINER⟩", Kind.INVISIBLE),  # noqa: RUF001 - a multiplication sign
    ]


def test_marks_that_cover_other_lines_are_spelled_out() -> None:
    assert odd("a" + "\u0301" * 8) == []
    assert odd("a" + "\u0301" * 10) == [(Kind.INVISIBLE, "⟨U+0301 COMBINING ACUTE ACCENT ×2⟩")]  # noqa: RUF001 - as above


def test_masks_are_told_apart() -> None:
    mask = "[REDACTED:api-key:0123abcd]"
    assert visible(f"key={mask}\u202e!") == [
        *(Run("key=", Kind.PLAIN), Run(mask, Kind.MASK)),
        *(Run(named("RIGHT-TO-LEFT OVERRIDE"), Kind.BIDI), Run("!", Kind.PLAIN)),
    ]
    assert odd("[REDACTED:api-key:0123ABCD]") == []


def test_a_tag_sequence_that_is_no_flag_is_spelled_out() -> None:
    without_end = "\U0001f3f4\U000e0067\U000e0062\U000e0065"
    assert [kind for kind, _ in odd(without_end)] == [Kind.INVISIBLE]
    behind_another = "\U0001f680\U000e0067\U000e0062\U000e0065\U000e007f"
    assert [kind for kind, _ in odd(behind_another)] == [Kind.INVISIBLE]


STEERING = re.compile(
    "[\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\u2028\u2029\u00ad\u3164\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)
any_text = st.text(st.characters(codec=None, exclude_categories=()))
risky = st.text(
    st.sampled_from(
        "ab1 \n\r#[U+\u27e8\u0430\u0431\u03bf\u03bc\u05e1\u0645\u094d\u200d\u200c\ufe0f\u202e\u0301\u20e3"
        "\uff41\u6f22\u0660\u2764\U0001f3f4\U000e0067\U000e007f"
    )
)


@given(any_text | risky)
def test_nothing_that_steers_or_hides_is_left(text: str) -> None:
    assert not STEERING.search(visible_plain(text))


def original(runs: list[Run]) -> str:
    """The text that the runs are of."""

    def restored(shown: re.Match[str]) -> str:
        return chr(int(shown[1], 16)) * int(shown[2] or 1)

    spelled = re.compile(r"⟨U\+([0-9A-F]+) [^⟩×]*?(?: ×([0-9]+))?⟩")  # noqa: RUF001 - as above
    return "".join(
        run.text if run.kind in {Kind.PLAIN, Kind.MASK} else spelled.sub(restored, run.text) for run in runs
    )


@given(any_text | risky)
def test_nothing_is_lost_and_nothing_is_added(text: str) -> None:
    runs = visible(text)
    assert original(runs) == text
    assert all(run.text for run in runs)


@given(any_text | risky, any_text | risky)
def test_two_texts_are_never_shown_alike(one: str, other: str) -> None:
    if one != other:
        assert visible_plain(one) != visible_plain(other)


@given(st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x20)))
def test_printable_ascii_is_plain(text: str) -> None:
    assert visible_plain(text) == text


def test_what_cannot_be_seen_does_not_part_a_word() -> None:
    assert [kind for kind, _ in odd("p\u200b\u0434\u200by")] == [
        *(Kind.INVISIBLE, Kind.LOOKALIKE, Kind.INVISIBLE),
    ]
