"""What a person judges a call by: all that would run, and what it would change."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.body_fields import BodyKind
from addons.core.approvals.preview import BadPreview, CannotPreview, Preview, basis, make_preview
from addons.core.model import Json
from addons.core.policy.request import Seen, Unreadable
from tests.core.approvals.previewing import MONITOR, asked, preview

PATH = "/api/v1/monitor/1234"
NEW: dict[str, Json] = {"name": "prod latency", "options": {"thresholds": {"critical": 900}}}


def test_an_update_is_shown_against_what_is_there() -> None:
    made = preview("UpdateMonitor", PATH, NEW, Seen(MONITOR))
    assert (made.operation, made.version, made.risks) == ("UpdateMonitor", "v1", ("write",))
    (change,) = made.changes
    assert (change.path, change.before, change.after) == ("options.thresholds.critical", "500", "900")
    assert (made.unchanged, made.not_mentioned) == (1, 8)
    assert made.not_mentioned_names[:2] == ("options.thresholds.warning", "options.notify_no_data")
    assert made.resource_note == (
        "A PUT can replace the whole: Datadog may reset the 8 fields that are there and not in the request."
    )
    assert made.was_read


def test_everything_that_will_be_sent_is_there() -> None:
    one = replace(
        asked("UpdateMonitor", f"{PATH}?a=b%20c&a=%26", NEW, Seen(MONITOR)),
        headers=(("Content-Type", "application/json"), ("X", "1"), ("X", "2")),
        content_encoding="gzip",
    )
    request = make_preview(one).request
    assert (request.method, request.host, request.target) == (
        "PUT",
        "api.datadoghq.com",
        f"{PATH}?a=b%20c&a=%26",
    )
    assert request.query == (("a", "b c"), ("a", "&"))
    assert request.headers == one.headers
    assert (request.content_type, request.content_encoding) == ("application/json", "gzip")
    assert request.body.kind is BodyKind.JSON
    assert json.loads(request.body.text) == NEW


def test_i5_a_secret_in_the_content_type_is_not_shown() -> None:
    """It has to be known as it is, for the boundary in it."""
    body = b'--S3\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--S3--'
    one = replace(
        asked("UpdateMonitor", PATH, body),
        headers=(("Content-Type", "[REDACTED:key:01234567]"),),
        content_type="multipart/form-data; boundary=S3",
    )
    made = make_preview(one)
    assert made.request.body.kind is BodyKind.MULTIPART
    assert made.request.content_type == "[REDACTED:key:01234567]"
    assert "S3" not in json.dumps(made.to_json())


def test_an_operation_that_is_not_known_says_so() -> None:
    made = preview(None, "/api/v2/new", {"a": 1})
    assert (made.operation, made.version, made.risks) == (None, None, ("unknown",))


def test_all_risks_are_named_the_operation_s_own_first() -> None:
    assert preview("v1.DeleteAPIKey", "/api/v1/api_key/x").risks == ("destructive", "privileged")


@pytest.mark.parametrize(
    ("name", "path", "body", "resource", "note"),
    [
        ("CreateMonitor", "/api/v1/monitor", NEW, None, "Nothing is there yet"),
        ("MuteHost", "/api/v1/host/x/mute", {}, None, "replaces nothing that could be read"),
        ("UpdateMonitor", PATH, NEW, None, "was not read"),
        ("DeleteMonitor", PATH, b"", None, "was not read"),
        ("UpdateMonitor", PATH, NEW, Unreadable("it is 404"), "could not be read: it is 404."),
        ("UpdateMonitor", PATH, b"a=b", Seen(MONITOR), "compare field by field: it is not JSON"),
        ("UpdateMonitor", PATH, b"", Seen(MONITOR), "compare field by field: the request has no body"),
        ("UpdateMonitor", PATH, NEW, Seen(None), "says nothing of what is there now"),
        ("UpdateMonitor", PATH, NEW, Seen([1] * 50_000), "too large to be compared"),
        ("UpdateMonitor", PATH, {"x": 1}, Seen(MONITOR), "has none of these fields"),
        ("v2.UpdateUser", "/api/v2/users/1", {"x": 1, "a": 2}, Seen({"a": 2}), ""),
        ("UpdateMonitor", PATH, {"a" * 500_000: dict.fromkeys(map(str, range(999)), 1)},
         Seen({"a" * 500_000: {"b": 1}}), "too many, or too large, to be listed"),
        ("UpdateMonitor", PATH, {"l": [1]}, Seen({"l": [*range(2, 20_004)]}), "too many, or too large"),
        ("v2.UpdateUser", "/api/v2/users/1", {"a": 1}, Seen({"a": 2, "b": 3}), ""),
        ("UpdateMonitor", PATH, {"name": "x", "id": 1}, Seen({"name": "y", "id": 1}), ""),
        ("DeleteMonitor", PATH, b"", Seen(MONITOR), ""),
    ],
)  # fmt: skip
def test_the_note_says_why_there_is_nothing_to_compare(
    name: str, path: str, body: bytes | Json, resource: Seen | Unreadable | None, note: str
) -> None:
    made = preview(name, path, body, resource)
    assert (note in made.resource_note) if note else made.resource_note == ""


def test_fields_without_a_counterpart_are_new() -> None:
    made = preview("UpdateMonitor", PATH, {"x": 1}, Seen(MONITOR))
    assert [(change.path, change.kind.value) for change in made.changes] == [("x", "added")]


def test_names_of_what_is_not_mentioned_are_few_and_counted() -> None:
    resource: Json = {"name": "x", **{f"f{n}": n for n in range(30)}}
    made = preview("UpdateMonitor", PATH, {"name": "y"}, Seen(resource))
    assert (made.not_mentioned, len(made.not_mentioned_names)) == (30, 20)


@pytest.mark.parametrize(
    ("target", "body", "why"),
    [
        (PATH, None, "can't be shown to anybody"),
        (PATH, b'"' + b"a" * 1024 * 1024 + b'"', "bytes"),
        (PATH, json.dumps([0] * 20_000).encode(), "values"),
        (f"{PATH}?a=1;b=2", b"", "the query can't be shown"),
        (f"{PATH}?a=%zz", b"", "the query can't be shown"),
    ],
)
def test_what_can_not_be_shown_in_full_is_not_shown(target: str, body: bytes | None, why: str) -> None:
    with pytest.raises(CannotPreview) as refused:
        make_preview(replace(asked("UpdateMonitor", target), body=body))
    assert why in refused.value.text
    assert refused.value.remedy
    assert str(refused.value) == f"{refused.value.text}; {refused.value.remedy}"


PREVIEWS = [
    preview("UpdateMonitor", PATH, NEW, Seen(MONITOR)),
    preview("UpdateMonitor", f"{PATH}?a=b", b"a=b&c=d", content_type="application/x-www-form-urlencoded"),
    preview("UpdateMonitor", PATH, b'{"n": 12345678901234567890123}\n{"n": 1.0}\n'),
    preview(
        "UpdateMonitor",
        PATH,
        b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n\x00\r\n--X--',
        content_type="multipart/form-data; boundary=X",
    ),
    preview(None, "/x", b"\x00", content_type=None),
    replace(
        preview("DeleteMonitor", PATH, b"", Seen(MONITOR)), fields_of_rules={"fields": {"a": [10**30, 1.0]}}
    ),
]


@pytest.mark.parametrize("made", PREVIEWS, ids=lambda made: made.request.body.kind)
def test_a_preview_is_kept_as_json(made: Preview) -> None:
    text = json.dumps(made.to_json())
    assert Preview.from_json(json.loads(text)) == made


def test_of_every_kind_of_body_one_was_kept() -> None:
    kinds = {made.request.body.kind for made in PREVIEWS}
    assert kinds == set(BodyKind) - {BodyKind.TEXT}


@pytest.mark.parametrize(
    "spoilt", [{"changes": [{"path": 1}]}, {"summary": None}, {"request": {"body": "secret-value"}}]
)
def test_what_is_no_preview_is_not_read(spoilt: dict[str, Json]) -> None:
    document = PREVIEWS[0].to_json()
    assert isinstance(document, dict)
    with pytest.raises(BadPreview) as refused:
        Preview.from_json(document | spoilt)
    assert "secret-value" not in str(refused.value)


@pytest.mark.parametrize("document", [None, [], {}, "text"])
def test_what_is_no_object_of_it_is_not_read_either(document: Json) -> None:
    with pytest.raises(BadPreview):
        Preview.from_json(document)


def held(**changed: Json) -> dict[str, Json]:
    return MONITOR | changed


def basis_of(resource: Seen | Unreadable | None, body: Json = NEW, fields: Json = None) -> str:
    return basis(preview("UpdateMonitor", PATH, body, resource), fields)


def test_where_nothing_was_read_there_is_no_basis() -> None:
    assert basis_of(None) == basis_of(Unreadable("Datadog answered 404")) == ""
    assert basis_of(Unreadable("x"), fields={}) == ""


def test_the_basis_is_a_digest() -> None:
    assert len(basis_of(Seen(MONITOR))) == 64
    assert basis_of(None, fields={"fields": {"tags": None}}) != ""


SAME = [
    held(),
    held(query="another"),
    held(message="x"),
    held(creator=None),
    held(options=MONITOR["options"]),
]
OTHERS = [
    held(options={"thresholds": {"critical": 501}}),
    held(options={"thresholds": {"critical": 900}}),  # done by somebody else
    held(options={"thresholds": {}}),
    held(name="another"),  # it would have stayed, and now it is overwritten
    {key: value for key, value in MONITOR.items() if key != "name"},
]


@pytest.mark.parametrize("resource", SAME)
def test_what_is_not_overwritten_may_change(resource: Json) -> None:
    assert basis_of(Seen(resource)) == basis_of(Seen(MONITOR))


@pytest.mark.parametrize("resource", OTHERS)
def test_what_would_be_overwritten_may_not(resource: Json) -> None:
    assert basis_of(Seen(resource)) != basis_of(Seen(MONITOR))


def test_the_order_of_keys_and_the_spelling_of_numbers_say_nothing() -> None:
    body: Json = {"name": "prod latency", "options": "none"}
    one: dict[str, Json] = {"a": 1, "b": [{"c": 2, "d": 500}]}
    other: dict[str, Json] = {"b": [{"d": 500.0, "c": 2}], "a": 1}
    bases = {basis_of(Seen(held(options=options)), body) for options in (one, other)}
    assert len(bases) == 1
    assert bases != {basis_of(Seen(held(options={**other, "a": 2})), body)}


def test_what_rules_looked_at_may_not_change() -> None:
    assert basis_of(Seen(MONITOR), fields={"a": 1}) != basis_of(Seen(MONITOR), fields={"a": 2})
    assert basis_of(Seen(MONITOR), fields={"a": 1, "b": 2}) == basis_of(
        Seen(MONITOR), fields={"b": 2, "a": 1}
    )
    assert basis_of(None, fields={"a": 1}) != basis_of(None, fields={"a": 2})


def test_a_deletion_stands_on_its_name_on_what_rules_looked_at_and_on_its_being_there() -> None:
    def of(resource: Seen | Unreadable, fields: Json) -> str:
        return basis(preview("DeleteMonitor", PATH, b"", resource), fields)

    assert of(Seen(MONITOR), {"a": 1}) == of(Seen(held(priority=2)), {"a": 1}) != of(Seen(MONITOR), {"a": 2})
    assert of(Seen(MONITOR), {}) != of(Seen(held(name="x")), {})
    assert of(Seen(MONITOR), {}) != of(Unreadable("Datadog answered 404"), {})


def test_the_basis_outlives_the_store() -> None:
    made = PREVIEWS[0]
    assert basis(Preview.from_json(json.loads(json.dumps(made.to_json()))), {"a": 1}) == basis(made, {"a": 1})


FLAT = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2) | st.none(), max_size=4).map(dict)


@given(FLAT, FLAT, FLAT)
def test_the_basis_differs_iff_what_is_overwritten_does(
    body: dict[str, Json], one: dict[str, Json], other: dict[str, Json]
) -> None:
    def overwritten(resource: dict[str, Json]) -> dict[str, object]:
        if not body:
            return dict(resource)  # of an empty body nobody knows what it leaves
        missing = object
        there = {key: resource.get(key, missing) for key in body}
        return {key: value for key, value in there.items() if value is missing or value != body[key]}

    first, second = (basis_of(Seen(resource), body) for resource in (one, other))
    assert (first == second) == (overwritten(one) == overwritten(other))
