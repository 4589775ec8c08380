"""What an editor accepts lies between what `policy check` accepts and what has the form of a policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from addons.core.policy.forms.document import PolicyDocument
from addons.core.policy.forms.rule_document import Rule
from addons.core.policy.forms.schema import DRAFT, policy_schema, schema_text
from addons.core.policy.policy_set import PolicySet
from addons.core.yaml_form import validate
from addons.core.yaml_source import ProblemsError, load
from addons.store.policy.files import POLICIES, read_catalogue

CATALOGUE = read_catalogue()
SCHEMA: Any = policy_schema(CATALOGUE)
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
SHIPPED = [POLICIES / "default.yaml", *sorted((POLICIES / "packs").glob("*.yaml"))]

Document = dict[str, Any]


def schema_takes(document: object) -> bool:
    return bool(VALIDATOR.is_valid(document))


def has_form(document: object) -> bool:
    try:
        validate(PolicyDocument, load(json.dumps(document), "p"))
    except ProblemsError:
        return False
    return True


def check_takes(document: object) -> bool:
    try:
        PolicySet.from_files([("p", json.dumps(document))], CATALOGUE)
    except ProblemsError:
        return False
    return True


def document(text: str) -> Any:
    return load(text, "p").data


def test_the_schema_beside_the_policies_is_current() -> None:
    """If not: `ddgate policy schema -o policies/schema.json`."""
    assert (POLICIES / "schema.json").read_text() == schema_text(CATALOGUE)


def test_it_is_a_schema_of_the_newest_draft_that_editors_of_yaml_read() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == DRAFT


def test_every_name_stands_in_it_once() -> None:
    text = schema_text(CATALOGUE)
    for name in ("GetDashboard", "v1.GetDashboard", "v2.ListLogs", "software-catalog", "github-token"):
        assert text.count(f'"{name}"') == 1, name
    assert len(text) < 200_000


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_is_shipped_names_the_schema_and_is_valid_by_it(path: Any) -> None:
    text = path.read_text()
    name = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / name).resolve() == POLICIES / "schema.json"
    assert [error.message for error in VALIDATOR.iter_errors(document(text))] == []


def definitions() -> Iterator[tuple[str, Document]]:
    yield "the file", SCHEMA
    yield from SCHEMA["definitions"].items()


def test_every_key_is_explained() -> None:
    for model, schema in definitions():
        for key, value in schema.get("properties", {}).items():
            referred = SCHEMA["definitions"].get(value.get("$ref", "").removeprefix("#/definitions/"), {})
            assert "description" in {**referred, **value}, f"{model}.{key}"


def test_every_key_of_a_rule_is_there() -> None:
    keys = {field.alias or name for name, field in Rule.model_fields.items()}
    assert SCHEMA["definitions"]["Rule"]["properties"].keys() == keys


RULE = "version: 1\nlists: {l: [a]}\nlimits: {n: {rate: 30/1m}}\nrules:\n  - {id: a, effect: allow, "
ASKING = RULE.replace("allow", "require_approval")
TEST = "version: 1\ntests:\n  - {name: t, expect: {effect: deny}, given: {"

# What it must take, and each with what is wrong; `has_form` and `check_takes` say the same.
GOOD = [
    "version: 1",
    "version: 1\nprofile: observe\nobserve_until: 2026-12-31",
    RULE + "op: {name: GetMonitor}}",
    RULE + "op: {name: [Get*, v2.ListLogs, ListLogs, unknown]}}",
    RULE + "op: {risk: [read], tags: 'monitors', version: 'v?'}}",
    RULE + "who: {groups: a*, subject: [a, b], claims: {team: {is: 5}}, actor: {absent: true}}}",
    RULE + "http: {method: PUT, query: {force: {in: [a, b], absent: false}}, size: '<=64KiB'}}",
    RULE + "body: {options.a: {any: x, absent: false}, 'b[*].c': [x, lists.l]}}",
    RULE + "target: {tags: {all: [x]}}, op: {name: UpdateMonitor}}",
    RULE + "when: 'body.x == 1', mode: shadow, log: warning, record: hash}",
    RULE + "limit: n, credential: ro, mask: {forward: {detect: secrets}, response: {json: $..email}}}",
    RULE
    + "time: {zone: Europe/Paris, days: mon-fri, hours: ['08:00-12:00', '13:00-18:00'], until: 2030-01-01}}",
    ASKING + "approval: {need: [{group: g, count: 2}], ttl: {grant: 5m}, hold: 0s, reason: required}}",
    "version: 1\nlimits: {a: {key: [identity.claims.team, host], rate: 30/1m, quota: 500 / 1d}}",
    TEST + "op: v2.CreateDowntime, who: {groups: [a]}, body: [1, null], size: 5, at: 2026-01-01T10:00:00Z}}",
    TEST + "op: unknown, query: {a: b, c: [d, e]}, size: 64KiB, target: {tags: []}}}",
]
BAD = [
    "{}",
    "version: 2",
    "version: 1\ncolour: red",
    "version: 1\nprofile: observe",
    "version: 1\nobserve_until: 2026-12-31",
    "version: 1\ndefaults: {effect: allow}",
    "version: 1\nlists: {a: []}",
    "version: 1\nlists: {A: [a]}",
    "version: 1\nlimits: {a: {}}",
    "version: 1\nlimits: {a: {rate: 30}}",
    "version: 1\nlimits: {a: {rate: often, key: [who]}}",
    "version: 1\nrules: [{effect: allow}]",
    "version: 1\nrules: [{id: A b, effect: allow}]",
    "version: 1\nrules: {id: a, effect: allow}",
    RULE + "op: {}}",
    RULE + "op: null}",
    RULE + "op: {nme: GetMonitor}}",
    RULE + "op: {name: GetMonitr}}",
    RULE + "op: {tags: [monitor]}}",
    RULE + "op: {risk: [reed]}}",
    RULE + "op: {risk: []}}",
    RULE + "op: {name: GetMonitor, absent: false}}",
    RULE + "who: {groups: 5}}",
    RULE + "who: {groups: }}",
    RULE + "who: {groups: {is: a, in: [b]}}}",
    RULE + "who: {groups: {}}}",
    RULE + "http: {size: 64KiB}}",
    RULE + "http: {method: FETCH}}",
    RULE + "body: {a: {any: [x], all: [y]}}}",
    RULE + "body: {a: {is: [x]}}}",
    RULE + "mask: {forward: {}}}",
    RULE + "mask: {forward: {detect: [secret]}}}",
    RULE + "mode: dry}",
    RULE + "log: loud}",
    RULE + "record: none}",
    RULE.replace("allow", "deny") + "record: full}",
    ASKING + "approval: {need: [{group: g}]}, record: hash}",
    RULE + "limit: []}",
    RULE + "time: {zone: UTC}}",
    RULE + "time: {hours: 8-18}}",
    RULE + "when: ''}",
    RULE + "approval: {need: [{group: g}]}}",
    RULE.replace("allow", "deny") + "credential: a}",
    ASKING + "reason: x}",
    ASKING + "approval: {need: []}}",
    ASKING + "approval: {need: [{group: g, count: 0}]}}",
    ASKING + "approval: {need: [{group: g}], ttl: {pending: 0s}}}",
    ASKING + "approval: {need: [{group: g}], hold: 5}}",
    TEST + "op: GetMonitr}}",
    TEST + "op: CreateDowntime}}",
    TEST + "op: GetMonitor, size: -1}}",
    TEST + "op: GetMonitor, at: noon}}",
    TEST + "who: {groups: [a]}}}",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_check_accepts_the_schema_accepts(text: str) -> None:
    assert check_takes(document(text))
    assert [error.message for error in VALIDATOR.iter_errors(document(text))] == []


@pytest.mark.parametrize("text", BAD)
def test_what_check_refuses_for_its_form_the_schema_refuses(text: str) -> None:
    assert not check_takes(document(text))
    assert not schema_takes(document(text))


# Documents of every form, and the same with one thing changed.
TEXTS = st.sampled_from(["a", "a*", "lists.l"])
SOME_TEXTS = st.one_of(TEXTS, st.lists(TEXTS, min_size=1, max_size=2))
SCALARS = st.one_of(TEXTS, st.booleans(), st.integers(0, 3), st.just(1.5))
COMPARISONS = st.one_of(
    st.fixed_dictionaries({"is": SCALARS}, optional={"absent": st.booleans()}),
    st.fixed_dictionaries({"in": st.lists(SCALARS, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"absent": st.booleans()}),
)
MATCHERS = st.one_of(SOME_TEXTS, COMPARISONS)
LISTS = st.fixed_dictionaries({"any": SOME_TEXTS}) | st.fixed_dictionaries({"none": SOME_TEXTS})
MASKINGS = st.fixed_dictionaries({"detect": st.sampled_from(["secrets", ["pii", "email"]])}) | st.just(
    {"json": "$..a"}
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "who": st.fixed_dictionaries(
        {}, optional={"groups": MATCHERS, "on_behalf_of": MATCHERS, "claims": st.just({"t": "a"})}
    ),
    "op": st.one_of(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["GetMonitor", "*Monitor", ["v2.ListLogs", "unknown"]])},
            optional={"absent": st.just(False)},
        ),
        st.fixed_dictionaries({"tags": st.just("monitors"), "risk": st.sampled_from(["read", ["write"]])}),
    ),
    "http": st.fixed_dictionaries(
        {},
        optional={
            "size": st.sampled_from(["<=64KiB", "> 5"]),
            "method": st.sampled_from(["GET", ["PUT"]]),
            "query": st.dictionaries(st.just("force"), MATCHERS),
            "host": SOME_TEXTS,
        },
    ),
    "body": st.dictionaries(st.sampled_from(["a", "b.c"]), st.one_of(MATCHERS, LISTS), max_size=2),
    "when": st.just("body.a == 1"),
    "time": st.sampled_from([{"days": "mon-fri"}, {"hours": "08:00-18:00", "zone": "UTC"}]),
    "mode": st.sampled_from(["enforce", "shadow"]),
    "credential": st.just("ro"),
    "mask": st.fixed_dictionaries({}, optional={"forward": MASKINGS, "response": MASKINGS}),
    "limit": st.sampled_from(["n", ["n"]]),
    "log": st.just("info"),
    "record": st.sampled_from(["full", "hash"]),
    "reason": st.just("because"),
    "approval": st.fixed_dictionaries(
        {"need": st.just([{"group": "g"}])}, optional={"hold": st.sampled_from(["5m", "0s"])}
    ),
}
RULES = st.fixed_dictionaries(
    {"id": st.just("a"), "effect": st.sampled_from(["allow", "deny", "require_approval"])}, optional=FIELDS
)
TESTS = st.fixed_dictionaries(
    {
        "name": st.just("t"),
        "given": st.fixed_dictionaries(
            {"op": st.sampled_from(["GetMonitor", "unknown", "v1.CreateDowntime"])},
            optional={"body": SCALARS, "size": st.sampled_from([5, "1KiB"]), "query": st.just({"a": "b"})},
        ),
        "expect": st.fixed_dictionaries(
            {"effect": st.sampled_from(["allow", "deny"])}, optional={"reason": st.just("no_rule")}
        ),
    }
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "lists": st.just({"l": ["x", "y"]}),
        "limits": st.just({"n": {"rate": "30/1m"}}),
        "rules": st.lists(RULES, max_size=1),
        "tests": st.lists(TESTS, max_size=1),
    },
    optional={"profile": st.just("observe"), "observe_until": st.just("2030-01-01")},
)
WRONG = st.sampled_from(["null", '""', "[]", "{}", "[null]", '"odd"', "5", "true"]).map(json.loads)


def places(value: object) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from places(item)


@given(DOCUMENTS, st.data())
@settings(max_examples=300, deadline=None)
def test_the_schema_lies_between_check_and_the_form(made: Document, data: st.DataObject) -> None:
    changed: Document = json.loads(json.dumps(made))
    for _ in range(data.draw(st.integers(0, 2))):
        parent, key = data.draw(st.sampled_from(list(places(changed))))
        how = data.draw(st.sampled_from(["drop", "replace", "add"]))
        if how == "drop":
            del parent[key]
        elif how == "replace":
            parent[key] = data.draw(WRONG)
        elif isinstance(parent, dict):
            parent["odd"] = data.draw(WRONG)
        if not list(places(changed)):
            break
    assume(changed.get("version") is not True)  # which pydantic takes for the 1 that is asked for
    shown = json.dumps(changed)
    if check_takes(changed):
        assert schema_takes(changed), shown
    if schema_takes(changed):
        assert has_form(changed), shown
