"""Properties of masking: what is planted goes, what is clean stays, and every form keeps its shape."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgpack
from hypothesis import strategies as st

from addons.core.model import Json
from addons.core.redact.binary.protobuf_reader import fields_of
from addons.core.redact.masking.mask import MASK, Masker
from addons.core.redact.scrubber import Scrubber
from tests.core.redact.planted import LAYERS, SECRETS, field, form_data, sought
from tests.long.core_property import Property

_SCRUBBER = Scrubber(Masker(b"k" * 16))
_POINT = b"\x09" + struct.pack("<d", 1.5) + b"\x10\x96\x01"
_PARTS = "multipart/form-data; boundary=BB"
type _Form = Callable[[str], tuple[bytes, str | None]]

_FORMS: dict[str, _Form] = {
    "json": lambda text: (json.dumps({"a": 1, "data": text}).encode(), "application/json"),
    "json list": lambda text: (json.dumps([1, [text, "x"]], ensure_ascii=False).encode(), None),
    "ndjson": lambda text: (f'{{"a": 1}}\n{json.dumps({"m": text})}\n'.encode(), "application/x-ndjson"),
    "event": lambda text: (f"event: m\ndata: {json.dumps({'m': text})}\n\n".encode(), "text/event-stream"),
    "text": lambda text: (f"got {text} here".encode(), "text/plain"),
    "form": lambda text: (f"a=1&note={quote(text, safe='')}".encode(), "application/x-www-form-urlencoded"),
    "part": lambda text: (form_data(('name="a"', text), ('name="b"', "x")), _PARTS),
    "msgpack": lambda text: (msgpack.packb([[{"meta": {"note": text}, "n": 7}]]), "application/msgpack"),
    "msgpack table": lambda text: (
        msgpack.packb([["", "note", text], [[[1, 1, 1, 1, 2, 3, 4, 5, 0, {1: 2}, {}, 1]]]]),
        "application/msgpack",
    ),
    "protobuf": lambda text: (field(1, field(2, text) + field(3, _POINT)), "application/x-protobuf"),
    "utf-16": lambda text: (json.dumps({"m": text}).encode("utf-16"), "application/json"),
    "utf-16 unmarked": lambda text: (f"got {text} here".encode("utf-16-le"), "text/plain"),
}  # fmt: skip


def _shown(data: bytes, form: str) -> bytes:
    return data.replace(b"\0", b"") if form.startswith("utf-16") else data


def check_planted(given: tuple[str, list[str], str]) -> None:
    secret, names, form = given
    text = secret
    for name in names:
        text = LAYERS[name](text)
    body, media = _FORMS[form](text)
    done = _SCRUBBER.scrub_body(body, media)
    shown = _shown(done.data, form)
    assert MASK.search(shown), body
    assert sought(secret).encode() not in shown
    innermost = sought(secret)
    for name in names:  # the part of the outermost text that holds the secret, where the encoding is exact
        if name not in {"percent", "percent all", "hex", "HEX", "unicode"}:
            break
        innermost = LAYERS[name](innermost)
        assert innermost.encode() not in shown
    assert _SCRUBBER.scrub_body(done.data, media).data is done.data


_planted = st.tuples(
    st.sampled_from(SECRETS),
    st.lists(st.sampled_from(sorted(LAYERS)), max_size=3),
    st.sampled_from(sorted(_FORMS)),
)

_words = st.sampled_from(
    [
        *("checkout", "GET /cart", "env:prod", "avg:shop.orders{*} by {host}", "took 31 ms", "north-2", ""),
        *("password reset by mail", "the key", "no token was sent", "Ørsted", "a/b", "secret: unavailable"),
        *("next_token", "user", "5c1e0b7a-42d9-4f63-8b1e-7d20c9a6f314", "abc-def-ghi", "1700000000"),
    ]
)
_names = st.sampled_from(
    ["message", "service", "ddtags", "metric", "n", "foreign_key", "next_token", "points"]
)
_clean_json: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | _words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)


def _as_protobuf(value: Json) -> bytes:
    if isinstance(value, dict):
        return b"".join(field(1, field(1, key) + field(3, _as_protobuf(each))) for key, each in value.items())
    if isinstance(value, list):
        return b"".join(field(2, _as_protobuf(each)) for each in value)
    return value.encode() if isinstance(value, str) else _POINT


def _bodies_of(value: Json) -> list[tuple[bytes, str | None]]:
    text = json.dumps(value)
    return [
        (text.encode(), "application/json"),
        (json.dumps(value, indent=1, ensure_ascii=False).encode(), None),
        (f"{text}\n{text}\n".encode(), "application/x-ndjson"),
        (f"data: {text}\n\ndata: {text}\n\n".encode(), "text/event-stream"),
        (text.encode("utf-16"), "application/json"),
        (f"a=1&b={quote(text)}".encode(), "application/x-www-form-urlencoded"),
        (form_data(('name="event"', text)), _PARTS),
        (msgpack.packb(json.loads(text, parse_int=lambda digits: int(digits) % 2**63)), "x-msgpack"),
        (field(1, _as_protobuf(value)), "application/x-protobuf"),
    ]  # fmt: skip


def check_clean(value: Json) -> None:
    for body, media in _bodies_of(value):
        done = _SCRUBBER.scrub_body(body, media)
        assert done.data is body, (media, body, done.data)


def assert_same_shape(before: Any, after: Any) -> None:
    """The same but for strings, which may have become masks, and numbers that have."""
    if isinstance(before, dict):
        assert isinstance(after, dict)
        assert len(after) <= len(before)
        if len(after) == len(before):
            for (key, value), (masked_key, masked) in zip(before.items(), after.items(), strict=True):
                assert key == masked_key or "[REDACTED:" in str(masked_key)
                assert_same_shape(value, masked)
    elif isinstance(before, list):
        assert isinstance(after, list)
        assert len(after) == len(before)
        for value, masked in zip(before, after, strict=True):
            assert_same_shape(value, masked)
    elif before != after:
        assert "[REDACTED:" in str(after), (before, after)
        assert isinstance(after, type(before)) or not isinstance(before, str | bytes | bool)


_dirty = st.sampled_from([*SECRETS, *(LAYERS["base64"](secret) for secret in SECRETS)])
_any_names = (
    _names
    | st.sampled_from(["password", "token", "api_key", "name", "value", "secrets"])
    | st.text(max_size=6)
)
_dirty_json: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**53) | _words | _dirty | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_any_names | _dirty, inner, max_size=4),
    max_leaves=12,
)


def check_json_shape(value: Json) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        done = _SCRUBBER.scrub_body(text.encode("utf-8", "surrogatepass"), "application/json")
        assert_same_shape(value, json.loads(done.data))


def check_msgpack_shape(value: Json) -> None:
    body = msgpack.packb(value, unicode_errors="surrogatepass")
    done = _SCRUBBER.scrub_body(body, "application/msgpack")
    assert_same_shape(value, msgpack.unpackb(done.data, unicode_errors="surrogatepass"))


def check_protobuf_shape(given: tuple[list[tuple[int, str]], int]) -> None:
    """However deep a string is, each length around its mask is right and all else is what it was."""
    strings, depth = given
    body = b"".join(field(number, f"note: {text}") + _POINT for number, text in strings)
    for level in range(depth):
        body = field(level + 1, body) + b"\x38\x07"
    done = _SCRUBBER.scrub_body(body, "application/x-protobuf")
    inner, masked = body, done.data
    for _ in range(depth):
        (first, second), (masked_first, masked_second) = (
            fields_of(each, 0, len(each)) or [] for each in (inner, masked)
        )
        assert masked[masked_second.head :] == inner[second.head :]
        inner, masked = inner[first.start : first.end], masked[masked_first.start : masked_first.end]
    before, after = fields_of(inner, 0, len(inner)) or [], fields_of(masked, 0, len(masked)) or []
    assert [each[:2] for each in before] == [each[:2] for each in after]
    for old, new in zip(before, after, strict=True):
        text, shown = inner[old.start : old.end], masked[new.start : new.end]
        assert text == shown or MASK.search(shown)
        assert not any(sought(secret).encode() in shown for secret in SECRETS)


_strings = st.lists(st.tuples(st.integers(1, 200), _dirty | _words), max_size=4)

PROPERTIES = {
    "planted": Property(_planted, check_planted),
    "clean": Property(_clean_json, check_clean),
    "json shape": Property(_dirty_json, check_json_shape),
    "msgpack shape": Property(_dirty_json, check_msgpack_shape),
    "protobuf shape": Property(st.tuples(_strings, st.integers(0, 6)), check_protobuf_shape),
}
