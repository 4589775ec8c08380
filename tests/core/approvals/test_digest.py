"""Change one byte, and it is another call; write the same call another way, and it is the same."""

from __future__ import annotations

import hmac
from dataclasses import fields, replace
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from addons.core.approvals.approval import Requester
from addons.core.approvals.digest import DigestedCall, call_digest, thread_key
from addons.core.model import Operation, Risk

KEY = b"k" * 32
JSON = "application/json"
CALL = DigestedCall(
    issuer="https://issuer.example",
    subject="agent",
    on_behalf_of=None,
    credential="default",
    method="PUT",
    host="api.datadoghq.com",
    path="/api/v1/monitor/17",
    query="force=true",
    content_type=JSON,
    body=b'{"query": "avg(last_5m):avg:a{*} > 1"}',
    idempotency_key=None,
)
REQUESTER = Requester("https://issuer.example", "agent", None, "session-1", frozenset({"agent"}))
DELETION = Operation("DeleteMonitor", "v1", "DELETE", "/api/v1/monitor/{id}", ("Monitors",), Risk.DESTRUCTIVE)
OPTIONAL = {"on_behalf_of", "content_type", "idempotency_key"}

# Half a surrogate pair, too: mitmproxy makes them of bytes that are no UTF-8.
texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
media_types = st.sampled_from([JSON, "text/plain", "application/x; a=b", "not a media type", ""]) | texts
bound_fields = st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=3).map(tuple)
calls = st.builds(
    DigestedCall,
    issuer=texts,
    subject=texts,
    on_behalf_of=texts | st.none(),
    credential=texts,
    method=texts,
    host=texts,
    path=texts,
    query=texts,
    content_type=media_types | st.none(),
    body=st.binary(max_size=40),
    idempotency_key=texts | st.none(),
    bound=bound_fields,
)


def digest(**changes: object) -> str:
    return call_digest(KEY, replace(CALL, **changes))  # type: ignore[arg-type]  # fields by name


def form(*parts: tuple[str, bytes], boundary: str = "X1", end: str = "--\r\n") -> bytes:
    pieces = [f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts]
    return b"".join(pieces) + f"--{boundary}{end}".encode()


NAMED = 'Content-Disposition: form-data; name="a"'
FILE = 'Content-Disposition: form-data; name="f"; filename="x.json"\r\nContent-Type: application/json'
PARTS = ((NAMED, b"1"), (FILE, b'{"b":\r\n2}'))


def form_digest(body: bytes, content_type: str = "multipart/form-data; boundary=X1") -> str:
    return digest(body=body, content_type=content_type)


@given(calls)
def test_the_same_call_has_the_same_digest_in_hex(call: DigestedCall) -> None:
    assert call_digest(KEY, call) == call_digest(KEY, replace(call))
    assert len(bytes.fromhex(call_digest(KEY, call))) == 32


@given(call=calls, data=st.data())
def test_a_change_of_any_one_field_changes_the_digest(call: DigestedCall, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([field.name for field in fields(call)]))
    if name == "content_type":
        # Two ways of writing one media type are the same: see below.
        value: object = data.draw(st.sampled_from(["text/css", "text/html; a=B", "no media type", "", None]))
        assume(str(value).lower() != str(call.content_type).lower())
        assume(value != call.content_type)
    else:
        drawn = {"body": st.binary(max_size=40), "bound": bound_fields}.get(name, texts)
        value = data.draw(drawn)
        assume(value != getattr(call, name))
    changed = replace(call, **{name: value})  # type: ignore[arg-type]  # fields by name
    assert call_digest(KEY, changed) != call_digest(KEY, call)


@given(one=calls, other=calls)
def test_two_calls_collide_only_where_their_media_type_is_the_same(
    one: DigestedCall, other: DigestedCall
) -> None:
    assume(one != other)
    if call_digest(KEY, one) == call_digest(KEY, other):
        assert replace(one, content_type=None) == replace(other, content_type=None)
        assert one.content_type is not None
        assert other.content_type is not None
        assert one.content_type.lower() == other.content_type.lower()


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_absent_is_not_empty(name: str) -> None:
    assert digest(**{name: None}) != digest(**{name: ""})


def test_bytes_that_are_no_text_are_told_apart() -> None:
    """mitmproxy hands them on as halves of surrogate pairs."""
    assert len({digest(query=query) for query in ("\udcff", "\udcfe", "?", "\ufffd")}) == 4


names = [field.name for field in fields(CALL) if field.name not in {"body", "content_type", "bound"}]


@given(text=st.text(min_size=1, max_size=12), cut=st.integers(0, 12), other_cut=st.integers(0, 12))
def test_a_character_that_moves_from_one_field_to_the_next_makes_another_call(
    text: str, cut: int, other_cut: int
) -> None:
    assume(text[:cut] != text[:other_cut])
    for first, second in pairwise(names):
        one = digest(**{first: text[:cut], second: text[cut:]})
        assert one != digest(**{first: text[:other_cut], second: text[other_cut:]})


def test_the_digest_says_nothing_without_the_key() -> None:
    assert call_digest(b"other" * 8, CALL) != call_digest(KEY, CALL)
    with pytest.raises(ValueError, match="key"):
        call_digest(b"", CALL)


def test_the_form_of_version_1_is_what_it_was() -> None:
    """Grants live through an upgrade: a changed form needs another version tag, and another test."""

    def field(value: bytes | None) -> bytes:
        return b"\x00" if value is None else b"\x01" + len(value).to_bytes(8) + value

    media = (2).to_bytes(8) + field(b"application") + field(b"json")
    whole = [
        *(b"ddgate call v1", b"https://issuer.example", b"agent", None, b"default", b"PUT"),
        *(b"api.datadoghq.com", b"/api/v1/monitor/17", b"force=true", None),
        (0).to_bytes(8),
        *(b"body", media, sha256(CALL.body).digest()),
    ]
    packed = len(whole).to_bytes(8) + b"".join(field(one) for one in whole)
    assert digest() == hmac.digest(KEY, packed, "sha256").hex()


@pytest.mark.parametrize(
    "content_type", ["Application/JSON", " application/json\t", "application/json"], ids=repr
)
def test_the_case_of_a_media_type_makes_no_difference(content_type: str) -> None:
    assert digest(content_type=content_type) == digest()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("text/plain; charset=utf-8", "text/plain;Charset=UTF-8"),
        ("multipart/form-data; boundary=X1", "Multipart/Form-Data ;Boundary=X1"),
        ("multipart/form-data; boundary=X1", 'multipart/form-data; boundary="X1"'),
    ],
)
def test_spellings_of_one_media_type_are_the_same(one: str, other: str) -> None:
    body = form(*PARTS)
    assert form_digest(body, one) == form_digest(body, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (JSON, "application/json; charset=utf-8"),
        ("a/b; c=d", "a/b; c=D"),
        ("a/b; c=d", 'a/b; c="d"'),
        ("a/b; c=d; e=f", "a/b; e=f; c=d"),
        ("a/b; c=d; c=e", "a/b; c=e"),
        ("a/b, a/b", "a/b"),
        ("a/b;", "a/b"),
        ("a b", "A B"),
        ("multipart/mixed; boundary=X1", "multipart/mixed; boundary=X2"),
    ],
)
def test_what_may_mean_something_else_is_something_else(one: str, other: str) -> None:
    assert form_digest(form(*PARTS), one) != form_digest(form(*PARTS), other)


def test_a_form_is_the_same_under_another_boundary() -> None:
    """Clients make a new one for every try."""
    other = "-" * 28 + "dc37304b36ffdd9a4df6998d"
    again = form_digest(form(*PARTS, boundary=other), f"multipart/form-data; boundary={other}")
    assert again == form_digest(form(*PARTS))
    assert form_digest(form(*PARTS, end="--")) == form_digest(form(*PARTS))


@pytest.mark.parametrize(
    "parts",
    [
        ((NAMED, b"2"), PARTS[1]),
        (PARTS[1], PARTS[0]),
        (PARTS[0],),
        (*PARTS, PARTS[0]),
        ((NAMED, b""), PARTS[1]),
        ((NAMED, b"1\r\n"), PARTS[1]),
        ((NAMED.replace('"a"', '"A"'), b"1"), PARTS[1]),
        ((NAMED + "\r\nContent-Transfer-Encoding: base64", b"1"), PARTS[1]),
        ((FILE, b"1"), (NAMED, b'{"b":\r\n2}')),
    ],
    ids=["content", "order", "fewer", "more", "empty", "line end", "name", "header", "headers swapped"],
)
def test_a_change_in_a_part_changes_the_digest(parts: tuple[tuple[str, bytes], ...]) -> None:
    assert form_digest(form(*parts)) != form_digest(form(*PARTS))


def test_header_names_of_parts_have_no_case_and_values_no_blanks_around_them() -> None:
    again = ((NAMED.replace("Content-Disposition: ", "content-disposition:\t") + " ", b"1"), PARTS[1])
    assert form_digest(form(*again)) == form_digest(form(*PARTS))


def test_a_part_is_not_the_body_that_holds_it() -> None:
    body = form(*PARTS)
    assert form_digest(body) != form_digest(body, "multipart/form-data")
    assert form_digest(body) != form_digest(body, "application/octet-stream")


UNEXACT = {
    "preamble": b"hello\r\n" + form(*PARTS),
    "epilogue": form(*PARTS) + b"more",
    "no end": form(*PARTS, end=""),
    "other end": form(*PARTS, end="-- \r\n"),
    "no parts": b"--X1--\r\n",
    "an empty part": b"--X1\r\n--X1--\r\n",
    "folded field": form((NAMED + '\r\n ; filename="y"', b"1")),
    "field without a colon": form((NAMED + "\r\nhello", b"1")),
    "bare line feed": form((NAMED + "\nContent-Type: text/plain", b"1")),
    "no name": form(("Content-Type: text/plain", b"1")),
    "two names": form((f"{NAMED}\r\n{NAMED}", b"1")),
    "no head": b"--X1\r\n\r\n1\r\n--X1--\r\n",
    "boundary in the middle of a line": form((NAMED, b"a --X1\r\n b")),
    "boundary after a bare line feed": form((NAMED, b"a\n--X1\n b")),
    "longer boundary": form((NAMED, b"a\r\n--X12\r\n b")),
    "boundary in small letters": form((NAMED, b"a\r\n--x1\r\n b")),
    "1,001 parts": form(*([(NAMED, b"")] * 1001)),
    "many headers": form((NAMED + "\r\nA: b" * 20, b"1")),
}


@pytest.mark.parametrize("name", UNEXACT)
def test_a_form_that_readers_may_differ_over_counts_as_it_was_sent(name: str) -> None:
    """So another boundary makes it another call."""
    body = UNEXACT[name]
    other = body.replace(b"X1", b"X2")
    assert form_digest(body) != form_digest(other, "multipart/form-data; boundary=X2")


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "; boundary=",
        "; boundary=X1; boundary*=X1",
        "; boundary*0=X1",
        '; boundary="X 1"',
        "; boundary=" + "X" * 71,
    ],
)
def test_a_form_without_one_plain_boundary_counts_as_it_was_sent(parameters: str) -> None:
    body = form(*PARTS)
    one = form_digest(body, f"multipart/form-data{parameters}")
    assert one != form_digest(body, f"Multipart/form-data{parameters}")


def test_a_form_of_a_thousand_parts_is_still_read() -> None:
    many = [(NAMED, b"")] * 1000
    other = form(*many, boundary="X2")
    assert form_digest(form(*many)) == form_digest(other, "multipart/form-data; boundary=X2")


contents = st.binary(max_size=20).filter(lambda content: b"--x" not in content.lower())
forms = st.lists(st.tuples(st.sampled_from([NAMED, FILE]), contents), min_size=1, max_size=4)


@given(one=forms, other=forms)
def test_two_forms_are_the_same_only_part_by_part(
    one: list[tuple[str, bytes]], other: list[tuple[str, bytes]]
) -> None:
    same = form_digest(form(*one)) == form_digest(
        form(*other, boundary="X2"), "multipart/form-data; boundary=X2"
    )
    assert same == (one == other)


@given(st.binary(max_size=200))
def test_no_body_is_too_odd(body: bytes) -> None:
    assert form_digest(body) != form_digest(body + b"x")


def thread(requester: Requester = REQUESTER, operation: Operation | None = DELETION, **changes: str) -> str:
    target = {"method": "DELETE", "host": "api.datadoghq.com", "path": "/api/v1/monitor/17"} | changes
    return thread_key(KEY, requester, operation, **target)


def test_a_thread_is_one_agent_runs_calls_to_one_target() -> None:
    assert thread() == thread(replace(REQUESTER, names=frozenset()))
    others = [
        thread(replace(REQUESTER, issuer="https://other.example")),
        thread(replace(REQUESTER, subject="other")),
        thread(replace(REQUESTER, on_behalf_of="alice")),
        thread(replace(REQUESTER, on_behalf_of="")),
        thread(replace(REQUESTER, session="session-2")),
        thread(replace(REQUESTER, session=None)),
        thread(operation=None),
        thread(operation=replace(DELETION, version="v2")),
        thread(method="PUT"),
        thread(host="api.datadoghq.eu"),
        thread(path="/api/v1/monitor/18"),
        thread_key(b"other" * 8, REQUESTER, DELETION, "DELETE", "api.datadoghq.com", "/api/v1/monitor/17"),
    ]
    assert len({thread(), *others}) == len(others) + 1
