"""A field is compared with the one that it would replace, whatever is wrapped around either."""

from __future__ import annotations

import pytest

from addons.core.approvals.changes import compare
from addons.core.approvals.counterpart import in_form_of
from addons.core.approvals.written import written
from addons.core.model import Json

SLO: dict[str, Json] = {"id": "abc", "name": "old", "type": "metric", "tags": ["a"]}
USER: dict[str, Json] = {"name": "Bob", "disabled": False}


@pytest.mark.parametrize(
    ("body", "resource", "changes", "unchanged"),
    [
        # as it is
        ({"name": "new", "tags": ["a"]}, SLO, {"name"}, 1),
        # v1 SLOs: the answer has a wrapper of its own
        ({"name": "new", "tags": ["a"]}, {"data": SLO, "errors": []}, {"name"}, 1),
        # v1 keys, users, organisations: another
        ({"name": "new"}, {"api_key": {"name": "old", "key": "x"}}, {"name"}, 0),
        ({"disabled": True, "name": "Bob"}, {"user": USER}, {"disabled"}, 1),
        # JSON:API on both sides, on one, on the other
        (
            {"data": {"id": "1", "type": "users", "attributes": {"disabled": True}}},
            {"data": {"id": "1", "type": "users", "attributes": USER}, "included": []},
            {"data.attributes.disabled"},
            2,
        ),
        (
            {"data": {"id": "abc", "type": "slo", "attributes": {"name": "new"}}},
            SLO,
            {"data.attributes.name", "data.type"},
            1,
        ),
        (
            {"data": {"type": "slo", "attributes": {"name": "new"}}},
            {"data": SLO},
            {"data.attributes.name", "data.type"},
            0,
        ),
        (
            {"name": "Ann", "id": "1"},
            {"data": {"id": "1", "type": "users", "attributes": USER}},
            {"name"},
            1,
        ),
        # an attribute that is called like a part of the wrapper
        ({"data": {"attributes": {"type": "x"}}}, {"type": "x"}, set(), 1),
        # nothing in common
        ({"data": {"attributes": {"a": 1}}}, {"data": [1]}, {"data"}, 0),
        ({"data": {"attributes": {"a": 1}}}, {"b": {"c": 1}}, {"data"}, 0),
        ({"a": 1}, [1], {""}, 0),
        ([{"id": "a"}], {"data": [{"id": "a"}]}, {""}, 0),
    ],
)
def test_what_is_compared_with_what(body: Json, resource: Json, changes: set[str], unchanged: int) -> None:
    sent = written(body)
    found = compare(in_form_of(sent, written(resource)), sent)
    assert {change.path for change in found.changes} == changes
    assert found.unchanged == unchanged


def test_the_outermost_is_taken_where_inner_ones_fit_no_better() -> None:
    resource: Json = {"data": {"name": "inner"}, "name": "outer"}
    sent = written({"name": "new"})
    (change,) = compare(in_form_of(sent, written(resource)), sent).changes
    assert change.before == '"outer"'
