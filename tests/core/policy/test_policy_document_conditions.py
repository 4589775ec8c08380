from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from addons.core.model import Effect, Json
from addons.core.policy.conditions.document_conditions import JsonTest, document_condition
from addons.core.policy.conditions.field_paths import parse_field_path
from addons.core.policy.request import PolicyRequest, Reads, Seen, Unreadable
from addons.core.policy.rules import Fit, RuleError, UnreadableEvidence
from tests.core.policy.policy_making import request

ALLOW, DENY, ASK = Effect.ALLOW, Effect.DENY, Effect.REQUIRE_APPROVAL
GONE = object()


def condition(
    path: str, effect: Effect, reads: Reads = Reads.BODY, **test: Any
) -> Callable[[PolicyRequest], Fit]:
    return document_condition(parse_field_path(path), JsonTest(**test), effect, reads)


def fit(document: Json, path: str, effect: Effect, **test: Any) -> Fit:
    return condition(path, effect, **test)(request(body=Seen(document)))


@pytest.mark.parametrize("effect", list(Effect))
@pytest.mark.parametrize(
    ("test", "value", "fits"),
    [
        ({"globs": ("metric*", "x")}, "metric alert", True),
        ({"globs": ("metric*", "x")}, "Metric alert", False),
        ({"globs": ("*",)}, 1, False),
        ({"globs": ("*",)}, True, False),
        ({"globs": ("1",)}, 1, False),
        ({"is_": 1}, 1, True),
        ({"is_": 1}, 1.0, True),
        ({"is_": 1.0}, 1, True),
        ({"is_": 1}, True, False),
        ({"is_": 0}, False, False),
        ({"is_": True}, 1, False),
        ({"is_": True}, 1.0, False),
        ({"is_": True}, True, True),
        ({"is_": True}, "true", False),
        ({"is_": False}, False, True),
        ({"is_": 1}, "1", False),
        ({"is_": "1"}, 1, False),
        ({"is_": "1"}, "1", True),
        ({"is_": "a*"}, "ab", False),
        ({"is_": 2**53}, 2**53 + 1, False),
        ({"is_": 1}, 10**400, False),
        ({"is_": 1.5}, 10**400, False),
        ({"in_": ("a", 1, True)}, "a", True),
        ({"in_": ("a", 1)}, 1.0, True),
        ({"in_": ("a", 1)}, True, False),
        ({"in_": ("a", 1, True)}, True, True),
        ({"in_": ()}, "a", False),
        ({"any_": ("env:p*",)}, ["a", "env:prod"], True),
        ({"any_": ("env:p*",)}, ["a"], False),
        ({"any_": ("*",)}, [], False),
        ({"all_": ("env:*", "team:*")}, ["env:prod", "team:a"], True),
        ({"all_": ("env:*",)}, ["env:prod", "team:a"], False),
        ({"all_": ("*",)}, [], False),
        ({"none_": ("env:p*",)}, ["a"], True),
        ({"none_": ("env:p*",)}, ["a", "env:prod"], False),
        ({"none_": ("*",)}, [], True),
        ({"any_": ("a",), "none_": ("b",)}, ["a", "b"], False),
        ({"any_": ("a",), "none_": ("b",)}, ["a"], True),
        ({"absent": True}, False, False),
        ({"absent": True}, {}, False),
        ({"absent": False}, False, True),
        ({"absent": False}, [{}], True),
        ({"absent": True, "is_": "a"}, "a", True),
        ({"absent": True, "is_": "a"}, "b", False),
    ],
)
def test_what_a_value_fits(effect: Effect, test: dict[str, Any], value: Json, fits: bool) -> None:
    assert fit({"f": value}, "f", effect, **test) is (Fit.YES if fits else Fit.NO)


@pytest.mark.parametrize("effect", list(Effect))
@pytest.mark.parametrize(
    ("test", "value"),
    [
        ({"globs": ("*",)}, ["a"]),
        ({"globs": ("*",)}, {}),
        ({"is_": "a"}, ["a"]),
        ({"in_": ("a",)}, {"a": "a"}),
        ({"any_": ("a",)}, "a"),
        ({"any_": ("a",)}, {"a": 1}),
        ({"any_": ("a",)}, ["a", 1]),
        ({"any_": ("a",)}, ["a", None]),
        ({"all_": ("a",)}, [["a"]]),
        ({"none_": ("a",)}, [True]),
        ({"none_": ("a",)}, 1),
    ],
)
def test_what_cant_be_compared_is_an_error(effect: Effect, test: dict[str, Any], value: Json) -> None:
    with pytest.raises(RuleError, match=r"^body\.f: "):
        fit({"f": value}, "f", effect, **test)


@pytest.mark.parametrize("document", [{}, {"f": None}, {"f": {"g": None}}, {"f": "x"}, [], None])
@pytest.mark.parametrize("test", [{"globs": ("*",)}, {"is_": 1}, {"any_": ("*",)}, {"none_": ("*",)}])
def test_what_lacks_fits_deny_and_approval_rules_and_never_allow_rules(
    document: Json, test: dict[str, Any]
) -> None:
    assert fit(document, "f.g", DENY, **test) is Fit.LACKING
    assert fit(document, "f.g", ASK, **test) is Fit.YES
    assert fit(document, "f.g", ALLOW, **test) is Fit.NO


@pytest.mark.parametrize("effect", list(Effect))
@pytest.mark.parametrize("test", [{}, {"is_": 1}, {"any_": ("*",)}])
def test_absent_says_how_what_lacks_fits(effect: Effect, test: dict[str, Any]) -> None:
    assert fit({}, "f", effect, absent=True, **test) is Fit.YES
    assert fit({}, "f", effect, absent=False, **test) is Fit.NO


@pytest.mark.parametrize(
    ("values", "allow", "deny", "ask"),
    [
        (["a", "a"], Fit.YES, Fit.YES, Fit.YES),
        (["a", "b"], Fit.NO, Fit.YES, Fit.YES),
        (["b", "b"], Fit.NO, Fit.NO, Fit.NO),
        (["a", GONE], Fit.NO, Fit.YES, Fit.YES),
        (["b", GONE], Fit.NO, Fit.LACKING, Fit.YES),
        (["b", None], Fit.NO, Fit.LACKING, Fit.YES),
        ([], Fit.NO, Fit.LACKING, Fit.YES),
    ],
)
def test_of_several_values_all_must_fit_to_allow_and_one_is_enough_to_deny_or_ask(
    values: list[Any], allow: Fit, deny: Fit, ask: Fit
) -> None:
    document: Json = {"data": [{} if value is GONE else {"f": value} for value in values]}
    for effect, expected in ((ALLOW, allow), (DENY, deny), (ASK, ask)):
        assert fit(document, "data[*].f", effect, is_="a") is expected


def test_absent_beside_several_values() -> None:
    document: Json = {"data": [{"f": "a"}, {}]}
    assert fit(document, "data[*].f", ALLOW, is_="a", absent=True) is Fit.YES
    assert fit(document, "data[*].f", DENY, is_="b", absent=False) is Fit.NO
    assert fit(document, "data[*].f", DENY, absent=True) is Fit.YES
    assert fit(document, "data[*].f", ALLOW, absent=True) is Fit.NO


@pytest.mark.parametrize("effect", list(Effect))
def test_an_error_is_not_passed_over_for_a_value_that_settles_it(effect: Effect) -> None:
    for first in ("a", "b"):
        with pytest.raises(RuleError):
            fit({"data": [{"f": first}, {"f": []}]}, "data[*].f", effect, is_="a")


def test_each_condition_reads_its_own_document() -> None:
    asked = request(body=Seen({"f": "body"}), target=Seen({"f": "target"}))
    for reads in Reads:
        assert condition("f", ALLOW, reads, is_=reads.value)(asked) is Fit.YES


@pytest.mark.parametrize("effect", list(Effect))
@pytest.mark.parametrize("reads", list(Reads))
def test_a_document_that_cant_be_read_or_was_not_looked_at_is_an_error(effect: Effect, reads: Reads) -> None:
    seen: dict[str, Any] = {"body": Seen({}), "target": Seen({})}
    test = condition("f", effect, reads, absent=True)
    with pytest.raises(UnreadableEvidence) as caught:
        test(request(**{**seen, reads.value: Unreadable("no JSON")}))
    assert (caught.value.reads, caught.value.why) == (reads, "no JSON")
    with pytest.raises(RuleError) as missing:
        test(request(**{**seen, reads.value: None}))
    assert not isinstance(missing.value, UnreadableEvidence)


@pytest.mark.parametrize("effect", list(Effect))
@pytest.mark.parametrize("absent", [None, True, False])
def test_a_key_in_another_case_is_an_error_and_its_value_is_not_told(
    effect: Effect, absent: bool | None
) -> None:
    with pytest.raises(RuleError, match=r"body\[\*\]\.type: the document spells 'type'") as caught:
        fit([{"type": "a"}, {"TyPe": "hunter2"}], "[*].type", effect, is_="a", absent=absent)
    assert "hunter2" not in str(caught.value)
    assert "TyPe" not in str(caught.value)


SCALARS = st.one_of(
    st.booleans(), st.integers(-3, 3), st.sampled_from([0.0, 1.0, -1.5]), st.sampled_from("ab1")
)
NAMES = st.sampled_from(["type", "options", "tags", "x"])
DOCUMENTS = st.recursive(
    st.one_of(st.none(), SCALARS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
TESTS = st.one_of(
    st.fixed_dictionaries({"globs": st.just(("a*", "b"))}),
    st.fixed_dictionaries({"is_": SCALARS}),
    st.fixed_dictionaries({"in_": st.lists(SCALARS, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"any_": st.just(("a*",))}),
    st.fixed_dictionaries({"all_": st.just(("a*",))}),
    st.fixed_dictionaries({"none_": st.just(("a*",))}),
)
PATHS = st.sampled_from(
    ["type", "options.type", "options.tags", "options[*].type", "tags[*]", "[*].x", "x[0]"]
)
RESTRICTING = st.sampled_from([DENY, ASK])


def matches(document: Json, path: str, effect: Effect, test: dict[str, Any]) -> bool:
    """Whether a deny or approval rule takes effect: an error denies."""
    try:
        return fit(document, path, effect, **test) is not Fit.NO
    except RuleError:
        return True


def objects_in(document: Json) -> list[dict[str, Json]]:
    inner = (
        document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    )
    here = [document] if isinstance(document, dict) else []
    return here + [found for each in inner for found in objects_in(each)]


@given(DOCUMENTS, PATHS, RESTRICTING, TESTS, st.data())
def test_leaving_a_field_out_or_null_evades_no_restriction(
    document: Json, path: str, effect: Effect, test: dict[str, Any], data: st.DataObject
) -> None:
    assume(matches(document, path, effect, test))
    less = deepcopy(document)
    full = [each for each in objects_in(less) if each]
    assume(full)
    chosen = data.draw(st.sampled_from(full))
    key = data.draw(st.sampled_from(sorted(chosen)))
    if data.draw(st.booleans()):
        chosen[key] = None
    else:
        del chosen[key]
    assert matches(less, path, effect, test)


@given(DOCUMENTS, PATHS, RESTRICTING, TESTS, st.data())
def test_adding_a_field_that_the_path_does_not_name_evades_no_restriction(
    document: Json, path: str, effect: Effect, test: dict[str, Any], data: st.DataObject
) -> None:
    assume(matches(document, path, effect, test))
    more = deepcopy(document)
    found = objects_in(more)
    assume(found)
    added = data.draw(st.sampled_from(["y", "Type", "OPTIONS", "tags ", "type.x", "Tags"]))
    data.draw(st.sampled_from(found))[added] = data.draw(DOCUMENTS)
    assert matches(more, path, effect, test)


@given(DOCUMENTS, PATHS, TESTS)
def test_what_an_allow_rule_lets_through_holds_the_field_everywhere(
    document: Json, path: str, test: dict[str, Any]
) -> None:
    try:
        allowed = fit(document, path, ALLOW, **test) is Fit.YES
    except RuleError:
        return
    found = parse_field_path(path).values(document)
    assert not allowed or (found.values and not found.lacking)


@given(SCALARS, SCALARS)
def test_values_are_equal_as_json_has_them(wanted: Any, value: Any) -> None:
    def kind(each: object) -> str:
        return {bool: "bool", str: "text"}.get(type(each), "number")

    expected = kind(wanted) == kind(value) and wanted == value
    for test in ({"is_": wanted}, {"in_": (wanted,)}):
        assert (fit({"f": value}, "f", ALLOW, **test) is Fit.YES) is expected
