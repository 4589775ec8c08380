import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redact.formats.json_paths import BadJsonPath, Segment, fold, parse_json_path


def name(text: str, *, descends: bool = False) -> Segment:
    return Segment(name=text, descends=descends)


EACH = Segment()


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("$", []),
        ("$.a", [name("a")]),
        ("$.data[*].attributes.email", [name("data"), EACH, name("attributes"), name("email")]),
        ("$.a.*", [name("a"), EACH]),
        ("$..password", [name("password", descends=True)]),
        ("$..*", [Segment(descends=True)]),
        ("$..[*]", [Segment(descends=True)]),
        ("$..[0]", [Segment(index=0, descends=True)]),
        ('$..["a b"]', [name("a b", descends=True)]),
        ('$.a["b.c"][0]', [name("a"), name("b.c"), Segment(index=0)]),
        ("$['a']['b']", [name("a"), name("b")]),
        ("$[ 'a' ][ 12 ]", [name("a"), Segment(index=12)]),
        ("$['it\\'s']", [name("it's")]),
        ("""$['a"b']""", [name('a"b')]),
        ('$["a\\"b"]', [name('a"b')]),
        ('$["a\\\\"]', [name("a\\")]),
        ("$['a\\\\']", [name("a\\")]),
        ('$["]"]', [name("]")]),
        ('$["\\u0061\\ud83d\\ude00"]', [name("a\N{GRINNING FACE}")]),
        ('$[""]', [name("")]),
        ("$.größe", [name("grösse")]),
        ("$.Data.E_Mail2", [name("data"), name("e_mail2")]),
    ],
)
def test_a_path_means_its_segments(text: str, segments: list[Segment]) -> None:
    path = parse_json_path(text)
    assert path.text == text
    assert list(path.segments) == segments


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("", "does not begin with $", "$.data[*]"),
        ("data.email", "does not begin with $", "$.data[*]"),
        ("$data", "character 2 stands where", "$.data[*]"),
        ("$.", "character 2 has no name after it", "name a key"),
        ("$..", "character 2 has no name after it", "name a key"),
        ("$.a.", "character 4 has no name after it", "name a key"),
        ("$...a", "character 4 can't begin a name", "quotes"),
        ("$.[0]", "character 3 can't follow a single .", "leave the . out"),
        ("$.0", "character 3 can't begin a name", "quotes"),
        ("$.user-id.x", "'-' at character 7", '["user-id"]'),
        ("$.a b", "' ' at character 4", '["a b"]'),
        ("$.a [0]", "' ' at character 4", ""),
        ("$.a*", "'*' at character 4", '["a*"]'),
        ("$[?@.a]", "filter", "[*]"),
        ("$.a[?(@.b == 1)]", "filter", "[*]"),
        ("$[(@.length-1)]", "filter", "[*]"),
        ("$[1:2]", "slice", "[*]"),
        ("$[:]", "slice", "[*]"),
        ("$[0,1]", "several selectors", "one path for each"),
        ("$['a','b']", "several selectors", "one path for each"),
        ("$[-1]", "counts from the end", "[*]"),
        ("$[01]", "no index", "leading zeros"),
        ("$[]", "nothing in it", "[*]"),
        ("$[ ]", "nothing in it", "[*]"),
        ("$[a]", "without quotes", '["a"]'),
        ("$[user-id]", "without quotes", '["user-id"]'),
        ("$[12345678901]", "no list has", "[*]"),
        ("$.a[", "never closed", "close it"),
        ("$.a[0", "never closed", "close it"),
        ("$['a", "never closed", "close it"),
        ("$['a\"]", "never closed", "same quote"),
        ('$["\\x41"]', "what JSON can't hold", "escape"),
        ('$["\\ud800"]', "what JSON can't hold", "whole characters"),
        ('$["a\tb"]', "what JSON can't hold", "escape"),
        ("$" + ".a" * 65, "more than 64 levels", "$.data[*]"),
        ("$." + "a" * 1024, "longer than 1024", "$.data[*]"),
    ],
)
def test_a_bad_path_is_refused_with_what_is_wrong_where_and_what_to_do(
    text: str, message: str, remedy: str
) -> None:
    with pytest.raises(BadJsonPath) as caught:
        parse_json_path(text)
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="$.[]*?'\"\\:,-0a \u00e9", max_size=24))
def test_any_text_is_a_path_or_a_refusal(text: str) -> None:
    try:
        path = parse_json_path(text)
    except BadJsonPath:
        return
    assert text.startswith("$")
    assert len(path.segments) <= len(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("email", "EMail"),
        ("\N{KELVIN SIGN}ey", "key"),
        ("pa\N{LATIN SMALL LETTER LONG S}\N{LATIN SMALL LETTER LONG S}word", "password"),
        ("\N{FULLWIDTH LATIN SMALL LETTER A}", "a"),
        ("\N{LATIN SMALL LIGATURE FI}le", "file"),
        ("straße", "STRASSE"),
        ("e\N{COMBINING ACUTE ACCENT}", "É"),
    ],
)
def test_names_that_a_reader_may_take_for_one_are_one(one: str, other: str) -> None:
    assert fold(one) == fold(other)
    assert fold(fold(one)) == fold(one)


def test_other_names_stay_apart() -> None:
    assert len({fold(text) for text in ("email", "e-mail", "e_mail", "emails", "mail", "")}) == 6
