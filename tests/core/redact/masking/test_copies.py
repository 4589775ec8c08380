"""Copies of what was found: each way of looking finds the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redact.masking import copies
from addons.core.redact.masking.findings import Finding

WAYS = {"one by one": (1 << 40, 0), "at each place": (0, 1 << 40), "all at once": (0, 0)}


def overlaps_itself(secret: bytes) -> bool:
    """Of `aaaaaaaa` in ten of them what is left over beside the first is no copy, and may stay."""
    forms = copies._forms(secret)
    return any(form.startswith(form[cut:]) for form in forms for cut in range(1, len(form)))


SECRETS = st.lists(
    st.one_of(
        st.text("ab1", min_size=8, max_size=10).map(str.encode),
        st.text('Ä"\\/ x1', min_size=8, max_size=10).map(str.encode),
        st.binary(min_size=8, max_size=12),
    ).filter(lambda secret: not overlaps_itself(secret)),
    min_size=1,
    max_size=6,
)


def covered(data: bytes, found: list[Finding], limits: tuple[int, int]) -> set[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "_SEARCHED_ONE_BY_ONE", limits[0])
        patch.setattr(copies, "_AT_EACH_PLACE", limits[1])
        return {place for copy in copies.find(data, found, None) for place in range(copy.start, copy.end)}


@given(SECRETS, st.lists(st.one_of(st.integers(0, 5), st.binary(max_size=9)), max_size=12))
def test_every_way_of_looking_finds_the_same(secrets: list[bytes], parts: list[int | bytes]) -> None:
    data = b"".join(secrets[part % len(secrets)] if isinstance(part, int) else part for part in parts)
    found = [Finding(0, 1, "planted", "planted", secret) for secret in secrets]
    first, *others = (covered(data, found, limits) for limits in WAYS.values())
    assert all(other == first for other in others)


def test_a_copy_of_a_plain_value_has_one_form_and_of_others_every_escape() -> None:
    data = b'{"a": "Tr0ub4dor-Zebra", "b": "x\\"y/z w1 9", "c": "x%22y%2Fz%20w1%209"}'
    found = [Finding(0, 1, "planted", "planted", value) for value in (b"Tr0ub4dor-Zebra", b'x"y/z w1 9')]
    spans = sorted((copy.start, copy.end) for copy in copies.find(data, found, None))
    assert [data[start:end] for start, end in spans] == [
        b"Tr0ub4dor-Zebra",
        b'x\\"y/z w1 9',
        b"x%22y%2Fz%20w1%209",
    ]
