from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.control.login.attempt import DEFAULT_NEXT, NoAttempt, begin, own_path, resume

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
NOW = 1_800_000_000.0


def test_what_comes_back_is_what_was_begun() -> None:
    begun = begin(KEY, "/approvals/0123", NOW)
    assert resume(KEY, begun.cookie, begun.state, NOW + 599) == begun
    digest = hashlib.sha256(begun.verifier.encode()).digest()
    assert begun.challenge == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert len({begun.state, begun.nonce, begun.verifier, begun.cookie}) == 4
    assert begun.verifier not in repr(begun)


@pytest.mark.parametrize("seconds", [601, -400, 10**9])
def test_an_old_one_or_one_of_the_future_is_none(seconds: float) -> None:
    begun = begin(KEY, "/", NOW)
    with pytest.raises(NoAttempt):
        resume(KEY, begun.cookie, begun.state, NOW + seconds)


def test_one_of_another_installation_is_none() -> None:
    begun = begin(OTHER_KEY, "/", NOW)
    with pytest.raises(NoAttempt):
        resume(KEY, begun.cookie, begun.state, NOW)


@given(st.data())
def test_a_changed_cookie_is_none(data: st.DataObject) -> None:
    begun = begin(KEY, "/approvals", NOW)
    at = data.draw(st.integers(0, len(begun.cookie) - 1))
    put = data.draw(st.characters(codec="utf-8").filter(lambda one: one != begun.cookie[at]))
    changed = begun.cookie[:at] + put + begun.cookie[at + 1 :]
    with pytest.raises(NoAttempt):
        resume(KEY, changed, begun.state, NOW)


@given(st.text(), st.text())
def test_nothing_made_up_is_one(cookie: str, state: str) -> None:
    with pytest.raises(NoAttempt):
        resume(KEY, cookie, state, NOW)


@given(st.one_of(st.text(), st.from_regex(r"/{1,3}(approvals)?[/\\@:.?#%a-z]{0,20}", fullmatch=True)))
def test_every_path_is_one_of_our_own_pages(target: str) -> None:
    path = own_path(target)
    assert path == "/" or path.startswith(("/?", "/approvals"))
    assert path in {DEFAULT_NEXT, target}
    assert not path.startswith("//")
    assert not set(path) & set("\\\r\n\t@:#")
    bare = path.partition("?")[0]
    assert ".." not in bare
