from __future__ import annotations

import pytest

from addons.core.yaml_source import ProblemsError, load


def complaint(text: str) -> str:
    with pytest.raises(ProblemsError) as raised:
        load(text, "f")
    (problem,) = raised.value.problems
    return str(problem)


@pytest.mark.parametrize(
    ("text", "place", "said", "remedy"),
    [
        ("a:\n\tb: 1", "2:1", "a tab, where only spaces can stand", "indent with spaces"),
        ("a:\n  b: 1\n c: 2", "3:2", "begins in another column", "in one column"),
        ("r:\n  - a: 1\n   b: 2", "3:4", "begins in another column", "in one column"),
        ("- a\nb: 1", "2:1", "begins in another column", "in one column"),
        ("a: b: c", "1:5", "a ':' that makes no key here", "in quotes"),
        ("a: 1\nb 2\nc: 3", "2:1", "neither 'key: value' nor '- item'", "write ':' and a space"),
        ("a: 1\nb:2\nc: 3", "2:1", "neither 'key: value' nor '- item'", "write ':' and a space"),
        ("a: 1\nb: [2}\n", "2:6", "what began in line 2 is not closed by ']'", "close it"),
        ("a: {b: [c]\n", "2:1", "what began in line 1 is not closed by '}'", "close it"),
        ("a: 'b\nc: d\n", "3:1", "the quote of line 1 is not closed", "close it"),
        ("'a' b: c", "1:5", "text behind a value", "in quotes"),
        ("a: *", "1:5", "'*' begins an alias", "in quotes"),
        ("a: [*-b]", "1:5", "aliases are not read", "a glob that begins with '*' needs quotes"),
        ("a: & b", "1:5", "'&' begins an anchor", "in quotes"),
        ("a: %b", "1:4", "'%' can't begin a value", "in quotes"),
        ("a: >64KiB", "1:6", "'>' and '|' begin a block", "in quotes"),
        (r'a: "\q"', "1:6", r"'\' begins an escape", "single quotes"),
        ("a: ]", "1:4", "']' closes nothing", "remove it"),
        ("a: 1\n---\nb: 2", "2:1", "a second document starts here", "two files"),
    ],
)
def test_what_is_not_yaml_is_told_in_plain_words_with_what_to_do(
    text: str, place: str, said: str, remedy: str
) -> None:
    found = complaint(text)
    assert found.startswith(f"f:{place}: ")
    assert said in found
    assert found.endswith(")")
    assert remedy in found.rpartition("(")[2]


@pytest.mark.parametrize(
    "text", ["a: [s3cret: s3cret: s3cret", "s3cret s3cret\na: b", "a: 's3cret", "a: !<s3cret"]
)
def test_no_more_than_a_character_of_the_text_is_quoted(text: str) -> None:
    assert "s3cret" not in complaint(text)
