"""What is stored of an approval is read back as it was; what was damaged is never read as something else."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.approval import (
    Approval,
    BrokenGlass,
    CallAsked,
    End,
    Person,
    Requester,
    Review,
    Vote,
)
from addons.core.approvals.needs import BreakGlass, Needs
from addons.core.approvals.states import State
from addons.core.model import Json
from addons.store.approvals.rows import (
    ApprovalUnreadable,
    fixed_to_json,
    from_snapshot,
    preview_to_json,
    snapshot,
    stored,
    told_to_json,
)
from tests.store.approval_samples import approval

TEXT = st.text(st.characters(), max_size=8)  # lone surrogates, NUL and all
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.frozensets(TEXT, max_size=3)
PERSON = st.builds(Person, TEXT, TEXT, NAMES, NAMES, TEXT)
OPTIONAL = st.none() | TEXT
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
NEEDS = st.builds(
    Needs,
    groups=st.lists(st.tuples(TEXT, st.integers(1, 9)), min_size=1, max_size=3).map(tuple),
    reason_required=st.booleans(),
    pending=NUMBER,
    grant=NUMBER,
    hold=NUMBER,
    break_glass=st.none() | st.builds(BreakGlass, TEXTS, NUMBER),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
APPROVALS = st.builds(
    Approval,
    id=TEXT,
    state=st.sampled_from(State),
    digest=TEXT,
    thread=TEXT,
    basis=TEXT,
    requester=st.builds(Requester, TEXT, TEXT, OPTIONAL, OPTIONAL, NAMES),
    asked=st.builds(
        CallAsked,
        *(TEXT, OPTIONAL, OPTIONAL, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXTS, TEXTS, TEXT, TEXT, OPTIONAL),
    ),
    needs=NEEDS,
    preview=JSON,
    requested_at=NUMBER,
    pending_until=NUMBER,
    votes=st.lists(st.builds(Vote, PERSON, st.booleans(), TEXT, NUMBER), max_size=3).map(tuple),
    granted_at=st.none() | NUMBER,
    grant_until=st.none() | NUMBER,
    broken_glass=st.none()
    | st.builds(
        BrokenGlass,
        PERSON,
        TEXT,
        NUMBER,
        NUMBER,
        st.none() | st.builds(Review, PERSON, TEXT, NUMBER),
    ),
    end=st.none() | st.builds(End, TEXT, TEXT, NUMBER),
    executing_call=OPTIONAL,
    process=OPTIONAL,
    status=st.none() | st.integers(100, 599),
    ran_at=st.none() | NUMBER,
    supersedes=OPTIONAL,
    superseded_by=OPTIONAL,
    seen_by=TEXTS,
)


@given(APPROVALS)
def test_a_snapshot_is_read_back_as_it_was(one: Approval) -> None:
    assert from_snapshot(one.id, snapshot(one), preview_to_json(one.preview)) == one
    without = from_snapshot(one.id, snapshot(one), None)
    assert without.preview is None
    assert snapshot(without) == snapshot(one)


@given(APPROVALS, st.sampled_from(("id", "fixed", "told", "state", "requested_at", "seen", "status")), JSON)
def test_a_damaged_snapshot_is_unreadable_or_read_as_what_it_says(
    one: Approval, name: str, value: Json
) -> None:
    whole = json.loads(snapshot(one))
    try:
        found = from_snapshot("x", json.dumps({**whole, name: value}), None)
    except ApprovalUnreadable:
        return
    assert from_snapshot("x", snapshot(found), None) == found


@given(st.text(string.printable, max_size=40) | JSON.map(json.dumps))
def test_what_is_no_snapshot_is_unreadable(text: str) -> None:
    with pytest.raises(ApprovalUnreadable, match="The approval x is damaged"):
        from_snapshot("x", text, None)


@given(st.data())
def test_any_part_that_is_missing_or_of_another_type_is_unreadable(data: st.DataObject) -> None:
    one = approval()
    fixed = json.loads(fixed_to_json(one))
    path = data.draw(st.sampled_from([*fixed, *(f"{part}.{name}" for part in PARTS for name in fixed[part])]))
    part, _, name = path.partition(".")
    holder = fixed[part] if name else fixed
    if (name or part) in NULLABLE:
        holder[name or part] = []
    elif data.draw(st.booleans()):
        del holder[name or part]
    else:
        holder[name or part] = None
    row: dict[str, object] = {
        **json.loads(snapshot(one)),
        "fixed": json.dumps(fixed),
        "told": told_to_json(one),
        "preview": None,
        "version": 1,
        "pending_boot": 1.0,
        "pending_boot_id": "",
        "grant_boot": None,
        "grant_boot_id": None,
    }
    with pytest.raises(ApprovalUnreadable):
        stored(row)
    assert stored({**row, "fixed": fixed_to_json(one)}).approval.needs == one.needs


PARTS = ("requester", "asked", "needs")
NULLABLE = {"on_behalf_of", "session", "operation", "version", "intent", "break_glass"}
