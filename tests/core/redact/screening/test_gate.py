from __future__ import annotations

import json
from collections.abc import Callable

import hyperscan
import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.redact.decoding import layers
from addons.core.redact.detectors.detector import Detector, compiled
from addons.core.redact.detectors.hyperscan_patterns import translated
from addons.core.redact.detectors.names import NameClass, classify
from addons.core.redact.detectors.table import DETECTORS
from addons.core.redact.detectors.vendors import fill, hex_
from addons.core.redact.masking.mask import Masker
from addons.core.redact.reading.scan import Scanner
from addons.core.redact.screening import announced, gate
from addons.core.redact.screening.gate import EVERYWHERE, Gate, Hits
from addons.core.redact.scrubber import Scrubber

FORMS = [detector.gate for detector in DETECTORS]
EXAMPLES = [example for detector in DETECTORS for example in detector.examples]
NAMES = [
    "password",
    "api_key",
    "sort_key",
    "dbPassword",
    "key",
    "auth",
    "credentials",
    "next_token",
    "X-Sig",
    "otp",
]
WORDS = [
    "GET /v1/items 200",
    "4111 items",
    "café",
    "1741000000000",
    "a=b",
    "--",
    "\u00e9\u00ff",
    "tab\t",
    "\n",
]


@pytest.fixture(scope="module")
def compiled_gate() -> Gate:
    return _compiled(FORMS, by_name=False)


def _compiled(forms: list[str], *, by_name: bool) -> Gate:
    made = Gate(forms, by_name=by_name)
    made._database = made.compile()
    return made


pieces = st.one_of(
    st.sampled_from(EXAMPLES),
    st.sampled_from(EXAMPLES).flatmap(lambda text: st.integers(0, len(text)).map(lambda cut: text[:cut])),
    st.sampled_from(NAMES).flatmap(
        lambda name: st.sampled_from([f"{name}=", f'"{name}":"', f"{name}: ", f"--{name} ", f'["{name}","'])
    ),
    st.sampled_from(WORDS),
    st.text(max_size=8),
)
texts = st.lists(pieces, max_size=6).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass"))


@given(texts)
@settings(deadline=None, max_examples=300)
def test_hyperscan_lets_through_whatever_re2_does(compiled_gate: Gate, text: bytes) -> None:
    runs = (*layers.RUNS_OF_CLASSES, *layers.RUNS_WITH_PIECES)
    with_re2 = gate.alternation([*FORMS, gate._ESCAPED, *runs]).search(text)
    assert bool(compiled_gate.hits(text)) or with_re2 is None


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda each: each.id)
def test_the_compiled_gate_passes_every_example_and_names_its_detector(
    compiled_gate: Gate, detector: Detector
) -> None:
    for example in detector.examples:
        hits = compiled_gate.hits(example.encode())
        assert hits
        assert hits.forms is None or DETECTORS.index(detector) in hits.forms


def test_every_built_in_form_is_hyperscans() -> None:
    assert [form for form in (*FORMS, announced.NAME, *announced.OTHERS) if translated(form) is None] == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"a\Sb", b"a\x0bb"),
        (r"a[^\s]b", b"a\x0bb"),
        (r"[]a]x", b"]x"),
        (r"[^]a]x", b"\xffx"),
        (r"x[[:alpha:]\s]y", b"x y"),
        (r"(?i)secret\.$", b"a SECRET."),
        (r"\bkey\b", b"the key"),
        (r"tok_[a-z]{3,}", b"tok_abcdef"),
        (r"^head", b"head"),
        (r"a.c", b"a\xe9c"),
    ],
)
def test_a_pattern_in_hyperscans_dialect_still_matches(pattern: str, text: bytes) -> None:
    assert compiled(pattern).search(text)
    assert _compiled([pattern], by_name=False).hits(text)


@pytest.mark.parametrize(
    "pattern", [r"a[\S]b", r"\pL+", r"\Qa.b\E", "caf\u00e9", r"(?i)\xe9", r"[[:^space:]]x", "a[b"]
)
def test_what_hyperscan_reads_otherwise_is_left_to_re2(pattern: str) -> None:
    assert translated(pattern) is None


def test_a_form_left_to_re2_is_found_beside_those_that_are_not() -> None:
    both = _compiled([r"one[\S]", "two"], by_name=False)
    assert both.hits(b"... one1").forms == frozenset({0})
    assert both.hits(b"... two").forms == frozenset({0, 1})
    assert not both.hits(b"three")


def test_a_form_beyond_hyperscan_leaves_the_gate_to_re2() -> None:
    large = Gate([r"(?:.{0,30}a.{0,30}b){16}[^a]{900}x"], by_name=False)
    with pytest.raises(hyperscan.error):
        large.compile()
    text = b"-" * 1_200_000 + b"ab" * 16 + b"c" * 900 + b"x"
    assert large.hits(text)
    assert large.hits(text)
    assert large._database is None


@pytest.mark.parametrize(
    "text",
    [
        '{"sort_key":"7f3a9c0e"}',
        '{"next_token": "abc"}',
        '{"type":"token","id":1}',
        '{"group_by":["sort_key","env"]}',
        "cache key: 12",
        "partition_key=12",
        "cache key shop:1:7f3a9c0e expired",
        'unexpected "token" in line 3',
        '{\\"aggregation_key\\":\\"a\\"}',
    ],
)
def test_names_that_announce_nothing_do_not_open_the_gate(text: str) -> None:
    assert not _names().hits(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        '{"api_key":"7f3a9c0e"}',
        '{"db_credentials":{"a":"b"}}',
        '{"name":"password","value":"x"}',
        '{\\"name\\": \\"password\\", \\"value\\": 1}',
        '["authorization","abc"]',
        "password=abc",
        "password%22=abc",
        "token is abc",
        "api key : abc",
        'a token="x"',
        "<secret>abc</secret>",
        'name="db_password"\r\n\r\nabc',
        "sig=0123456789abcdef",
        '<add key="dbPassword" value="x"/>',
        '{"My API key":"abc"}',
        "--db-password abc",
        '{"key":"a","last4":"b"}',
        f'{{"{"x" * 200}_token":"abc"}}',
    ],
)
def test_names_that_announce_something_open_it(text: str) -> None:
    assert _names().hits(text.encode())


@given(
    st.lists(
        st.sampled_from(
            [
                *("db", "Api", "user", "key", "pass", "word", "secret", "token", "auth", "cookie", "jwt"),
                *("sort", "xsort", "gation", "n", "0tag"),
            ]
        )
    )
    .flatmap(lambda words: st.sampled_from(["_", "-", "", "."]).map(lambda glue: glue.join(words)))
    .filter(lambda name: classify(name) is not NameClass.NONE)
)
@settings(deadline=None)
def test_every_name_that_is_judged_a_secret_opens_the_gate(name: str) -> None:
    for text in (f'{{"{name}":"x"}}', f"{name}=x", f'[["{name}","x"]]'):
        assert _names().hits(text.encode()), text


@given(
    st.sampled_from(announced.USUAL_IDLE), st.sampled_from(["", "s", "_value", "_hash", "2", "-new", "Data"])
)
def test_what_the_gate_passes_over_unseen_is_no_name_of_a_secret(word: str, ending: str) -> None:
    for name in (f"{word}_key{ending}", f"x-{word}_key{ending}", f"{word}_key{ending}".upper()):
        assert classify(name) is NameClass.NONE


_ONE: list[Gate] = []


def _names() -> Gate:
    if not _ONE:
        _ONE.append(_compiled([], by_name=True))
    return _ONE[0]


class _Open:
    """A gate that stands open, so that everything is looked at."""

    def hits(self, _text: bytes) -> Hits:
        return EVERYWHERE


SECRETS = [
    {"password": "Ny8fVq3x"},
    {"message": "postgres://shop:Ny8fVq3x@pg.example.net/a"},
    {"message": "token ghp_" + fill(36)},
    {"env": [{"name": "API_TOKEN", "value": hex_(32)}]},
    {"key": "password", "value": {"stringValue": "Ny8fVq3x"}},
    {"credentials": {"shop": {"x": "k7Qz2Xw9Bv4N"}}},
    {"headers": [["authorization", "Ny8fVq3xk7Qz"]]},
    {"argv": ["run", "--password", "Ny8fVq3x"]},
    {"message": json.dumps({"password": "Ny8fVq3x"})},
    {"message": "pa\\u0073sword=Ny8fVq3x"},
]
CLEAN = [
    {"sort_key": hex_(32), "message": "ok", "n": 1.5},
    {"id": hex_(40), "tags": ["env:prod", "a:b"], "nested": {"key": ["x"], "list": [{"a": "b"}] * 3}},
    {"message": 'a line "quoted" {[,]} \\ with all', "empty": {}, "none": None, "list": []},
    {"copy": "Ny8fVq3x", "copied": "ghp_" + fill(36)},
    "plain",
    12345678,
    [],
]
records = st.lists(st.sampled_from([*CLEAN * 3, *SECRETS]), min_size=1, max_size=12)
SHAPES: list[Callable[[list[object]], str]] = [
    json.dumps,
    lambda rows: json.dumps(rows, indent=2),
    lambda rows: json.dumps({"data": rows, "meta": {"page": {"after": "x"}}}),
    lambda rows: json.dumps({"data": {"attributes": {"items": [{"deep": rows}]}}}),
    lambda rows: "\n".join(json.dumps(row) for row in rows),
    lambda rows: "\r\n".join(["text before", *(json.dumps(row) for row in rows), "after"]),
]


@given(records, st.sampled_from(SHAPES))
@settings(deadline=None, max_examples=300)
def test_what_the_gate_leaves_out_would_not_have_been_masked(
    rows: list[object], shape: Callable[[list[object]], str]
) -> None:
    body = (shape(rows) + " " * 600).encode()  # small bodies are read whole anyway
    narrow, wide = _scrubbers()
    assert narrow.scrub_body(body, "application/json").data == wide.scrub_body(body, "application/json").data


_SCRUBBERS: list[Scrubber] = []


def _scrubbers() -> tuple[Scrubber, Scrubber]:
    if not _SCRUBBERS:
        for _ in range(2):
            scanner = Scanner([each for each in DETECTORS if not each.pii], by_name=True)
            scanner.gate._database = scanner.gate.compile()
            _SCRUBBERS.append(Scrubber(Masker(b"k" * 32), scanner=scanner))
        _SCRUBBERS[1]._scanner.gate = _Open()  # type: ignore[assignment] # all of a gate that is asked for
    return _SCRUBBERS[0], _SCRUBBERS[1]


def test_a_text_full_of_places_is_looked_at_whole() -> None:
    assert _names().hits(b"password=" * 20_000) is EVERYWHERE
    assert _names().hits(b"index_key=" * 20_000) is EVERYWHERE


def test_a_gate_without_a_database_makes_one_when_it_has_read_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_source", [gate._MadeHere()])  # a test before may have named a state directory
    fresh = Gate(["tok_[a-z]{8}"], by_name=True)
    assert fresh.hits(b"tok_abcdefgh")
    assert fresh._database is None
    assert not fresh.hits(b"nothing here " * 100_000)
    assert fresh._database is not None


def test_re2_reads_the_same_patterns() -> None:
    assert re2.compile(announced.NAME.encode())
