# ruff: noqa: E501 - rules are written as gitleaks writes them

import pytest

from addons.core.redact.detector_set import with_own
from addons.core.redact.detectors.detector import Detector, finds
from addons.core.redact.detectors.gitleaks import read_gitleaks, read_rules
from addons.core.redact.detectors.own import DetectorInvalid
from addons.core.redact.detectors.vendors import hex_, lower
from addons.core.redact.masking.mask import Masker
from addons.core.redact.message_masks import MessageMasks

VALUE = hex_(32)
# As gitleaks' generator writes a rule for a value beside a vendor's name.
BESIDE = r"""(?i)[\w.-]{0,50}?(?:acme)(?:[ \t\w.-]{0,20})[\s'"]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)[\x60'"\s=]{0,5}([a-f0-9]{32})(?:[\x60'"\s;]|\\[nr]|$)"""


def rule(text: str, *more: str) -> str:
    return "\n".join(["title = 'ours'", "[[rules]]", 'id = "acme"', text, *more])


def one(text: str, *more: str) -> Detector:
    (detector,) = read_gitleaks(rule(text, *more), "g.toml")
    return detector


def test_a_rule_finds_in_text_and_over_the_key_of_json() -> None:
    rules = read_rules(rule(f"regex = '''{BESIDE}'''", 'keywords = ["acme"]', "entropy = 2.0"), "g.toml")
    masks = MessageMasks(Masker(b"k" * 16), with_own(rules.detectors, rules.notes))
    assert rules.notes == ()
    for body in (
        f"ACME = '{VALUE}'",
        f'{{"user": {{"Acme": "{VALUE}"}}}}',
        f'{{"m": "{{\\"acme id\\": \\"{VALUE}\\"}}"}}',
    ):
        done = masks.secrets.scrub_body(body.encode(), None)
        assert VALUE.encode() not in done.data
        assert done.findings == {"acme": 1}
    clean = f'{{"trace_id": "{VALUE}", "vendor": "acme"}}'.encode()
    assert masks.secrets.scrub_body(clean, None).data == clean


@pytest.mark.parametrize(
    ("text", "value", "found"),
    [
        ("regex = '''k-([a-z0-9]{8})-([a-z]{2})'''\nsecretGroup = 1", "k-a1b2c3d4-xy", "a1b2c3d4"),
        ("regex = '''k-([a-z0-9]{8})'''", "k-a1b2c3d4", "a1b2c3d4"),
        ("regex = '''k-([a-z0-9]{8})-([a-z]{2})'''", "k-a1b2c3d4-xy", "k-a1b2c3d4-xy"),
        ("regex = '''k-[a-z0-9]{8}'''\nentropy = 2.9", "k-a1b2c3d4", "k-a1b2c3d4"),
        ("regex = '''k-[a-z0-9]{8}'''\nentropy = 2.9", "k-aaaaaaab", None),
        ("regex = '''k-[a-z0-9]{8}'''\nkeywords = ['K-']", "k-a1b2c3d4", "k-a1b2c3d4"),
        ("regex = '''(?i)K-[A-Z0-9]{8}'''\nkeywords = ['other']", "k-a1b2c3d4", None),
        ("regex = '''k-[a-z0-9]{8}'''\n[[rules.allowlists]]\nstopwords = ['B2C']", "k-a1b2c3d4", None),
        ("regex = '''k-[a-z0-9]{8}'''\n[rules.allowlist]\nregexes = ['^k-a1']", "k-a1b2c3d4", None),
        ("regex = '''k-[a-z0-9]{8}'''\n[[rules.allowlists]]\npaths = ['x']", "k-a1b2c3d4", "k-a1b2c3d4"),
        (
            "regex = '''k-[a-z0-9]{8}'''\n[[rules.allowlists]]\ncondition = 'AND'\nregexes = ['^k-a1']\nstopwords = ['zz']",
            "k-a1b2c3d4",
            "k-a1b2c3d4",
        ),
        (
            "regex = '''k-[a-z0-9]{8}'''\n[[rules.allowlists]]\ncondition = 'AND'\nregexes = ['^k']\npaths = ['x']",
            "k-a1b2c3d4",
            "k-a1b2c3d4",
        ),
        ("regex = '''k-[a-z0-9]{8}'''\n[allowlist]\nstopwords = ['b2c']", "k-a1b2c3d4", None),
        (
            "regex = '''k-[a-z0-9]{8}'''\n[[allowlists]]\ntargetRules = ['acme']\nregexes = ['a1']",
            "k-a1b2c3d4",
            None,
        ),
        (
            "regex = '''k-[a-z0-9]{8}'''\n[[allowlists]]\ntargetRules = ['b']\nregexes = ['a1']",
            "k-a1b2c3d4",
            "k-a1b2c3d4",
        ),
    ],
)
def test_a_rule_means_what_it_means_to_gitleaks(text: str, value: str, found: str | None) -> None:
    assert finds(one(text), f"see {value} there".encode()) == ([found.encode()] if found else [])


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("path = 'x'", "g.toml:2:1: the rule 'acme' looks at names of files alone, and is left out"),
        ("regex = 'kk'\nskipReport = true", "has skipReport, and is left out"),
        ("regex = 'kk'\npath = 'x'", "is for some files alone; here it looks everywhere"),
        ("regex = 'kk'\nentrophy = 3", "nothing is known of 'entrophy'"),
        (
            "regex = 'kk(.)'\n[[rules.allowlists]]\nregexTarget = 'line'\nregexes = ['x']",
            "is not honoured: more is masked",
        ),
        ("regex = 'kk'\n[[rules.required]]\nid = 'b'", "requires others nearby; here it stands alone"),
        (
            "regex = 'kk'\n[extend]\nuseDefault = true",
            "g.toml: useDefault: gitleaks' own rules are not there",
        ),
    ],
)
def test_what_is_not_honoured_is_told(text: str, note: str) -> None:
    assert any(note in each for each in read_rules(rule(text), "g.toml").notes)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[rules]", "g.toml: not TOML: "),
        ("title = 'x'", "g.toml: no rules"),
        ("[[rules]]\nregex = 'aa'", "g.toml:1:1: rule 1 has no id"),
        ("[[rules]]\nid = 'pii'\nregex = 'aa'", "the rule 'pii': 'pii' stands for all"),
        ("[[rules]]\nid = 'a'", "g.toml:1:1: the rule 'a': regex is no text"),
        ("[[rules]]\nid = 'a'\nregex = 'a('", "the rule 'a': pattern: not RE2 syntax"),
        ("[[rules]]\nid = 'a'\nregex = 'a*'", "the rule 'a': pattern: fits the empty text"),
        (
            "[[rules]]\nid = 'a'\nregex = 'aa'\nsecretGroup = 2",
            "the rule 'a': group: the pattern has 0 groups",
        ),
        ("[[rules]]\nid = 'a'\nregex = 'aa'\nentropy = 'x'", "the rule 'a': entropy is no number"),
        ("[[rules]]\nid = 'a'\nregex = 'aa'\nkeywords = 'x'", "the rule 'a': keywords is no list"),
        ("[[rules]]\nid = 'a'\nregex = 'aa'\n[rules.allowlist]\nregexes = ['(']", "an allowlist: a regex"),
        (
            "[[rules]]\nid = 'a'\nregex = 'aa'\n\n[[rules]]\nid = 'a'\nregex = 'b'",
            "g.toml:5:1: the rule 'a' stands twice",
        ),
        (
            "[extend]\npath = 'b.toml'\n[[rules]]\nid = 'a'\nregex = 'aa'",
            "extends another file, which is not read",
        ),
    ],
)
def test_what_would_mask_less_than_it_says_is_refused(text: str, problem: str) -> None:
    with pytest.raises(DetectorInvalid) as refused:
        read_gitleaks(text, "g.toml")
    assert problem in str(refused.value)


ONE = "[[rules]]\nid = 'a'\nregex = 'aa[0-9]+'\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a=" + "[" * 100_000, "g.toml: nested too deep"),
        ("a=" + "{a=" * 5000, "g.toml: nested too deep"),
        ("x = 1\n" + ".".join("a" * 20_000) + " = 1", "g.toml:2:1: a key of more than 32 parts"),
        ("['" + "'.'".join("a" * 20_000) + "']", "a key of more than 32 parts"),
        (ONE + "secretGroup = " + "9" * 5000, "g.toml: a number or date that is out of range"),
        (ONE + "entropy = " + "9" * 4000, "entropy is no number from 0 to 8"),
        (ONE + "entropy = inf", "entropy is no number from 0 to 8"),
        (ONE + "entropy = nan", "entropy is no number from 0 to 8"),
        ("[[rules]]\nid = 'a'\nregex = '.'", "the rule 'a': finds something in nearly every message"),
        (
            "[[rules]]\nid = 'a'\nregex = '" + "(" * 99 + "aa" + ")" * 99 + "'",
            "the rule 'a': pattern: over 50 groups",
        ),
        (ONE + "keywords = ['Schlüssel']", "the rule 'a': a keyword: characters beyond ASCII"),
        (ONE + "keywords = ['']", "the rule 'a': a keyword: empty"),
        (ONE + "[[rules.allowlists]]\nregexes = ['']", "a regex that allows everything"),
        (ONE + "[[rules.allowlists]]\nregexes = ['.+']", "a regex that allows everything"),
        (ONE + "[[rules.allowlists]]\nstopwords = ['']", "an empty stop word, which allows everything"),
        (ONE + "[allowlist]\nstopwords = 'aa'", "the rule 'a': an allowlist: stopwords is no list"),
        (
            ONE + "[[rules.allowlists]]\ncondition = 'AND'\nregexes = [1]\nstopwords = ['1']",
            "regexes is no list of texts",
        ),
        (ONE + "[[rules.allowlists]]\ncondition = 'XOR'\nstopwords = ['1']", "condition is none"),
        (
            ONE + f"[[rules.allowlists]]\nregexes = {[str(each) for each in range(3000)]}",
            "an allowlist: over 2000 regexes",
        ),
        (
            ONE + "[[allowlists]]\ntargetRules = 'b'\nregexes = ['1']",
            "targetRules of an allowlist is no list",
        ),
        ("extend = 'b.toml'\n" + ONE, "g.toml: extend is no table"),
    ],
    ids=lambda text: text[:24],
)
def test_a_hostile_file_is_refused_at_once(text: str, problem: str) -> None:
    with pytest.raises(DetectorInvalid) as refused:
        read_gitleaks(text, "g.toml")
    assert problem in str(refused.value)


def test_what_is_told_of_a_file_has_no_control_characters_and_is_short() -> None:
    strange = "\\u001b[31m" + "x" * 10_000
    with pytest.raises(DetectorInvalid) as refused:
        read_gitleaks(f'[[rules]]\nid = "{strange}"\nregex = "aa"', "g.toml")
    notes = read_rules(f'{ONE}"{strange}" = 1', "g.toml").notes
    assert notes
    for told in (str(refused.value), *notes):
        assert told.isprintable()
        assert len(told) < 300


def test_an_allowlist_of_what_is_empty_does_not_allow_everything() -> None:
    text = "regex = 'k-[a-z0-9]{8}'\n[[rules.allowlists]]\nregexes = ['^$', '^[0-9]+$']"
    assert finds(one(text), b"see k-a1b2c3d4 there") == [b"k-a1b2c3d4"]


def test_an_id_becomes_a_kind_that_fits_into_a_mask() -> None:
    (detector,) = read_gitleaks(f"[[rules]]\nid = 'Acme_Key.v2'\nregex = 'k-{lower(12)}'", "g.toml")
    assert (detector.id, detector.kind) == ("Acme_Key.v2", "acme-key-v2")
