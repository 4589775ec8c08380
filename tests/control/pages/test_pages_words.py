"""How the pages write texts: nothing gets out of its place, and nothing is lost on the way."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.control.pages.changes import change_shown
from addons.control.pages.words import byte_count, compared, duration, exact, iso, json_shown, relative, shown
from addons.core.approvals.changes import Change, ChangeKind
from addons.core.approvals.visible_text import visible_plain

TAGS = re.compile(r"<[^>]*>")
OURS = re.compile(r'</?bdi>|</?mark>|<span class="[a-z ]+"(?: title="[^"<>]*")?>|</span>')
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
HOSTILE = st.lists(
    st.sampled_from(["<", ">", '"', "'", "&", "\\", "\n", "script", "\u202e", "\u200b", "a", "\u0430", " "]),
    max_size=30,
).map("".join)


def text_of(markup: str) -> str:
    """What a browser makes of it, when nothing but our own tags is in it."""
    assert not OURS.sub("", markup).count("<")
    return html.unescape(TAGS.sub("", markup))


@given(ANY_TEXT | HOSTILE)
def test_a_text_comes_out_whole_visible_and_escaped(text: str) -> None:
    markup = shown(text)
    assert text_of(markup) == visible_plain(text)
    assert markup.startswith("<bdi>")
    assert markup.endswith("</bdi>")


@given(HOSTILE, HOSTILE)
def test_what_differs_is_marked_and_nothing_else(before: str, after: str) -> None:
    old, new = compared(before, after)
    for text, markup in ((before, old), (after, new)):
        text_of(markup)
        assert ("<mark>" in markup) <= (before != after)
        assert ("<mark>" in old or "<mark>" in new) == (before != after), text


@given(st.text("ab c.,\"'<&", max_size=40), st.text("ab c.,\"'<&", max_size=40))
def test_a_comparison_shows_both_texts_whole(before: str, after: str) -> None:
    old, new = compared(before, after)
    assert (text_of(old), text_of(new)) == (before, after)


@given(HOSTILE.map(lambda text: text.replace("\n", "")))
def test_json_comes_out_whole_even_where_it_is_none(text: str) -> None:
    found = text_of(json_shown(text))
    assert len(found) >= len(text)


def test_each_string_of_json_stands_on_its_own() -> None:
    found = json_shown('{\n  "\u05d0": "\u05d1",\n  "n": 1.0\n}')
    assert re.findall("<bdi>(.*?)</bdi>", found) == [
        *("&#34;\u05d0&#34;", "&#34;\u05d1&#34;", "&#34;n&#34;"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "old", "new"),
    [
        ("a > 500", "a > 900", "a &gt; <mark>500</mark>", "a &gt; <mark>900</mark>"),
        ('"x y"', '"x z y"', "&#34;x y&#34;", "&#34;x <mark>z </mark>y&#34;"),
        ("same", "same", "same", "same"),
        (
            "[REDACTED:key:0123abcd] a",
            "[REDACTED:key:99999999] a",
            '<mark><span class="odd mask" title="{}">[REDACTED:key:0123abcd]</span></mark> a',
            '<mark><span class="odd mask" title="{}">[REDACTED:key:99999999]</span></mark> a',
        ),
    ],
)
def test_a_comparison_marks_words(before: str, after: str, old: str, new: str) -> None:
    title = re.compile('title="[^"]*"')
    found = [title.sub('title="{}"', text) for text in compared(before, after)]
    assert found == [f"<bdi>{old}</bdi>", f"<bdi>{new}</bdi>"]


def test_a_change_of_a_long_text_is_shown_by_lines() -> None:
    change = Change("message", ChangeKind.CHANGED, '"a\\nb"', '"a\\n<c>"')
    lines = change_shown(change).lines
    assert lines == ((" ", shown("a")), ("-", shown("b")), ("+", shown("<c>")))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (2, "in a moment"),
        (-4, "just now"),
        (30, "in 30 seconds"),
        (-89, "89 seconds ago"),
        (-91, "2 minutes ago"),
        (1800 - 0.4, "in 30 minutes"),
        (-86400, "24 hours ago"),
        (7 * 86400, "in 7 days"),
    ],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert relative(1000.0 + seconds, 1000.0) == words


def test_exact_times() -> None:
    at = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC).timestamp()
    assert (iso(at), exact(at)) == ("2026-11-23T12:00:05Z", "2026-11-23 12:00:05 UTC")
    assert duration(86400) == "24 hours"


def test_sizes() -> None:
    assert [byte_count(size) for size in (0, 1, 1023, 1536, 2 * 1024**2)] == [
        *("0 bytes", "1 byte", "1023 bytes", "1.5 KiB", "2.0 MiB")
    ]
