"""What stands at a JSON path is masked, and nothing else changes by a byte."""

import json
import re
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.model import Json
from addons.core.redact.formats.json_paths import JsonPath, Segment, fold, parse_json_path
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.json_masks import NotMaskable, mask_json
from addons.core.redact.masking.mask import MASK, Masker

MASKER = Masker(b"k" * 16)
M = re.compile(rb'"\[REDACTED:policy:[0-9a-f]{8}\]"')


def mask(text: str | bytes, *paths: str) -> tuple[bytes, int]:
    data = text.encode() if isinstance(text, str) else text
    return mask_json(data, [parse_json_path(path) for path in paths], MASKER)


def shown(text: str | bytes, *paths: str) -> str:
    """The masked text, `M` for every mask."""
    return M.sub(b"M", mask(text, *paths)[0]).decode()


@pytest.mark.parametrize(
    ("paths", "text", "masked"),
    [
        (["$.a"], '{"a": "x", "b": "x"}', '{"a": M, "b": "x"}'),
        (["$.a"], '{"b": {"a": "x"}}', '{"b": {"a": "x"}}'),
        (["$..a"], '{"b": [{"a": "x"}], "a": "y"}', '{"b": [{"a": M}], "a": M}'),
        (["$..a.b"], '{"a": {"a": {"b": "x"}, "b": "y", "c": {"b": "z"}}}',
         '{"a": {"a": {"b": M}, "b": M, "c": {"b": "z"}}}'),
        (["$.a..b"], '{"b": "x", "a": {"c": [{"b": "y"}]}}', '{"b": "x", "a": {"c": [{"b": M}]}}'),
        (["$.data[*].email"], '{"data": [{"email": "x"}, {"email": "y"}]}',
         '{"data": [{"email": M}, {"email": M}]}'),
        (["$.data[*].email"], '{"data": {"k": {"email": "x"}}}', '{"data": {"k": {"email": M}}}'),
        (["$.data.*.email"], '{"data": [{"email": "x"}]}', '{"data": [{"email": M}]}'),
        (["$[1]"], '["x", "y", "z"]', '["x", M, "z"]'),
        (["$[0]"], '{"0": "x"}', '{"0": "x"}'),
        (['$["0"]'], '["x"]', '["x"]'),
        (["$..[0]"], '[["x", "y"], "z"]', '[[M, M], "z"]'),
        (["$[1][0]"], '[["x", "y"], ["z", "w"]]', '[["x", "y"], [M, "w"]]'),
        (["$"], '{"a": ["x", {"b": "y"}]}', '{"a": [M, {"b": M}]}'),
        (["$"], '"x"', "M"),
        (["$.a", "$.b[0]"], '{"a": "x", "b": ["y", "z"]}', '{"a": M, "b": [M, "z"]}'),
        (["$.a.b", "$.a"], '{"a": {"b": "x", "c": "y"}}', '{"a": {"b": M, "c": M}}'),
        (['$.a["b.c"][0]'], '{"a": {"b.c": ["x"], "b": {"c": "y"}}}', '{"a": {"b.c": [M], "b": {"c": "y"}}}'),
        (["$.e_mail"], '{"E_Mail": "x", "e-mail": "y"}', '{"E_Mail": M, "e-mail": "y"}'),
        (["$.Password"], '{"pa\\u017f\\u017fword": "x"}', '{"pa\\u017f\\u017fword": M}'),
        (["$.pässe"], '{"P\\u00c4SSE": "x", "pa\\u0308sse": "y"}', '{"P\\u00c4SSE": M, "pa\\u0308sse": M}'),
        (["$.email"], '{"\\u0065mail": "x"}', '{"\\u0065mail": M}'),
        (["$.a"], '{"a": "x", "a": "y"}', '{"a": M, "a": M}'),
        (['$[""]'], '{"": "x", "a": "y"}', '{"": M, "a": "y"}'),
        (["$.a"], '\ufeff{"a": "x"}', '\ufeff{"a": M}'),
        (["$.a"], '{"a":"x"}\n{"b":"y"}\r\n{"a":"z"}\n', '{"a":M}\n{"b":"y"}\r\n{"a":M}\n'),
        (["$.a"], '{"a":"x"}{"a":"y"} [1]', '{"a":M}{"a":M} [1]'),
        (["$.a"], ' \t\r\n{ "a"\n:\t"x" , "b" : [ ] } \n', ' \t\r\n{ "a"\n:\tM , "b" : [ ] } \n'),
    ],
)  # fmt: skip
def test_what_a_path_names_is_masked_and_nothing_else(paths: list[str], text: str, masked: str) -> None:
    assert shown(text, *paths) == masked


def test_of_an_object_every_string_number_and_boolean_goes_and_keys_null_and_empty_stay() -> None:
    hidden = (
        '{"s": "x", "i": -1, "f": 1.5e3, "t": true, "u": false, "n": null, "e": "", "o": {}, "l": [[], 7]}'
    )
    masked = '{"s": M, "i": M, "f": M, "t": M, "u": M, "n": null, "e": "", "o": {}, "l": [[], M]}'
    assert shown(f'{{"a": {hidden}, "b": 1}}', "$.a") == f'{{"a": {masked}, "b": 1}}'
    assert mask(hidden, "$")[1] == 6


def test_a_boolean_cannot_be_told_by_its_mask() -> None:
    (yes, no, same) = json.loads(mask('[true, false, "x"]', "$")[0])
    assert yes == no != same


def test_one_value_has_one_mask_however_it_is_written() -> None:
    one, two, other = json.loads(mask('["caf\\u00e9", "café", "cafe"]', "$")[0])
    assert one == two != other
    assert one == MASKER.mask("policy", "café")


def test_a_mask_stays_and_text_around_one_goes() -> None:
    found = MASKER.mask("email", "ines@example.com")
    text = json.dumps([found, f"to {found}"])
    first, second = json.loads(mask(text, "$")[0])
    assert first == found
    assert MASK.fullmatch(second.encode())
    assert mask(text, "$")[1] == 1


def test_a_clean_document_is_the_same_object() -> None:
    for data in (b'{"b": "x"}', b"", b"  \n", b'{"a": null}'):
        masked, count = mask_json(data, [parse_json_path("$.a")], MASKER)
        assert masked is data
        assert count == 0


def test_the_same_text_elsewhere_goes_too_if_it_is_no_plain_word() -> None:
    text = json.dumps(
        {
            "email": "ines@example.com",
            "team": "platform",
            "handle": "ines@example.com",
            "other": ["platform", "ines@example.com, please", "jens@example.com"],
            "ines@example.com": 1,
        }
    )
    masked, count = mask(text, "$.email", "$.team")
    after = json.loads(masked)
    assert after["handle"] == after["email"] == MASKER.mask("policy", "ines@example.com")
    assert after["other"] == ["platform", "ines@example.com, please", "jens@example.com"]
    assert after["ines@example.com"] == 1  # a key
    assert count == 3


def test_the_same_text_goes_too_where_it_is_escaped() -> None:
    assert (
        shown('{"email": "\\u0069nes@example.com", "a": "ines@example.com"}', "$.email")
        == '{"email": M, "a": M}'
    )
    assert (
        shown('{"email": "ines@example.com", "a": "\\u0069nes@example.com"}', "$.email")
        == '{"email": M, "a": M}'
    )


@pytest.mark.parametrize(
    "text",
    [
        "<html>ines@example.com</html>", "/* a */ 1", "a=1&b=2", "data: {}", ")]}',\n{}", "{}\x00",
        "{", "[", '{"a"', '{"a":', '{"a": "x"', '["x"', "[1,]", '{"a": 1,}', "[,1]", '{,"a": 1}', ",", "1, 2",
        '{"a" "x"}', '{"a": "x" "b": "y"}', '{"a":: "x"}', '{"a": "b": "c"}', '{"a"}', '{"a", "b"}',
        '{"a":}', '{"a":, 1}', '{1: "x"}',
        '["a": 1]', "[1 2]", "[1}", '{"a": 1]', "]", "}", "[]]", '\ufeff\ufeff{"a": 1}',
        "01", "+1", ".5", "1.", "1e", "0x1", "NaN", "Infinity", "-", "tru", "truee", "truetrue",
        "'a'", '"a', '"\\x41"', '"\\u12"', '"a\tb"', '"a\nb"',
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["$..a", "$"])
def test_what_is_no_json_cannot_be_masked(text: str, path: str) -> None:
    with pytest.raises(NotMaskable) as caught:
        mask(text, path)
    assert "example.com" not in str(caught.value)


@pytest.mark.parametrize("data", ['{"a": "x"}'.encode("utf-16"), b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}'])
def test_what_is_not_utf_8_cannot_be_masked(data: bytes) -> None:
    with pytest.raises(NotMaskable):
        mask(data, "$.a")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 65 + "]" * 65,
        "[" * 100_000,
        '{"a":' * 65 + "1" + "}" * 65,
        "[" + ",".join(str(number) for number in range(200_001)) + "]",
        " " * (64 * 1024 * 1024 + 1),
    ],
    ids=["deep", "very deep", "deep objects", "many", "large"],
)
def test_what_costs_too_much_is_too_complex(text: str) -> None:
    with pytest.raises(TooComplex):
        mask(text, "$")


def test_64_levels_are_read() -> None:
    text = "[" * 64 + '"x"' + "]" * 64
    assert shown(text, "$" + "[0]" * 64) == text.replace('"x"', "M")


def test_a_lone_surrogate_is_masked() -> None:
    assert shown('{"a": "\\ud800", "b\\udfff": "x"}', "$.a", "$.b") == '{"a": M, "b\\udfff": "x"}'


_KEYS = st.sampled_from(["a", "b", "A", "c.d", "\u017f", "S", ""])
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
# Too short for a copy to be looked for.
_TEXTS = st.text(st.characters(max_codepoint=127), max_size=6) | st.text(max_size=1)
_JSON = st.recursive(
    _SCALARS | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)
_SEGMENTS = st.builds(
    lambda what, descends: Segment(
        fold(what) if isinstance(what, str) else None, what if isinstance(what, int) else None, descends
    ),
    _KEYS | st.integers(0, 3) | st.none(),
    st.booleans(),
)
_PATHS = st.lists(st.lists(_SEGMENTS, max_size=4).map(lambda made: JsonPath("", tuple(made))), max_size=3)

type Place = tuple[int, ...]


def children(value: Json) -> Iterator[tuple[str | int, Json]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def descendants(value: Json, place: Place) -> Iterator[tuple[Json, Place]]:
    yield value, place
    for index, (_, child) in enumerate(children(value)):
        yield from descendants(child, (*place, index))


def selected(value: Json, place: Place, segments: Sequence[Segment]) -> Iterator[Place]:
    """The places of a document that a path names, as RFC 9535 defines them: node list by node list."""
    if not segments:
        yield place
        return
    segment, *rest = segments
    for node, at in descendants(value, place) if segment.descends else [(value, place)]:
        for index, (key, child) in enumerate(children(node)):
            by_name = segment.name is not None and isinstance(key, str) and fold(key) == segment.name
            by_index = segment.index is not None and not isinstance(key, str) and key == segment.index
            if by_name or by_index or (segment.name is None and segment.index is None):
                yield from selected(child, (*at, index), rest)


def expected(value: Json, place: Place, hidden: set[Place]) -> Json:
    if isinstance(value, dict):
        return {
            key: expected(child, (*place, index), hidden) for index, (key, child) in enumerate(value.items())
        }
    if isinstance(value, list):
        return [expected(child, (*place, index), hidden) for index, child in enumerate(value)]
    is_hidden = any(place[: len(each)] == each for each in hidden)
    return "M" if is_hidden and value is not None and value != "" else value


@given(value=_JSON, paths=_PATHS, ascii_only=st.booleans(), indent=st.sampled_from([None, 0, 3]))
def test_the_places_are_those_of_the_standard(
    value: Json, paths: list[JsonPath], ascii_only: bool, indent: int | None
) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    masked, count = mask_json(data, paths, MASKER)
    hidden = {place for path in paths for place in selected(value, (), path.segments)}
    assert json.loads(M.sub(b'"M"', masked)) == expected(value, (), hidden)
    assert count == len(M.findall(masked))
    # Between the masks it is the text that came, byte for byte.
    literal = rb'(?:"(?:[^"\\]|\\.)*"|[-+.0-9eE]+|true|false)'
    assert re.fullmatch(literal.join(re.escape(part) for part in M.split(masked)), data, re.DOTALL)


@given(value=_JSON, paths=_PATHS)
def test_masking_twice_is_masking_once(value: Json, paths: list[JsonPath]) -> None:
    once, _ = mask_json(json.dumps(value).encode(), paths, MASKER)
    again, count = mask_json(once, paths, MASKER)
    assert again is once
    assert count == 0


@given(st.text(alphabet='{}[]",:\\u10 atrue\n', max_size=30))
def test_it_is_as_strict_as_a_parser(text: str) -> None:
    def values(rest: str) -> None:
        while rest := rest.lstrip(" \t\r\n"):
            value, end = json.JSONDecoder().raw_decode(rest)
            rest = rest[end:]
            if not isinstance(value, (str, list, dict)) and rest[:1] not in " \n":
                raise ValueError(rest)

    try:
        values(text)
    except ValueError:
        with pytest.raises(NotMaskable):
            mask(text, "$..a")
    else:
        mask(text, "$..a")
