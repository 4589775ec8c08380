"""Properties of what decodes and masks messages."""

# ruff: noqa: PT017 - an exception is one outcome here, not the one expected

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from urllib.parse import quote

from hypothesis import strategies as st

from addons.core.body import BodyTooLarge, UndecodableBody, decode_body, encode_body
from addons.core.model import Json
from addons.core.redact.detectors.vendors import fill
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.mask import MASK, Masker
from addons.core.redact.scrubber import Scrubbed, Scrubber
from tests.long.core_property import Property, linear

_LIMIT = 64 * 1024
_MASKER = Masker(b"k" * 16)
_SECRETS = Scrubber(_MASKER)
_PERSONAL = Scrubber(_MASKER, pii=True)
_SLOWEST = 25.0  # seconds of processor time for a MiB of the worst kind

_CODINGS = ["gzip", "deflate", "br", "zstd", "zstd1", "x-gzip", "identity", "", "GZip", " br "]
_encodings = st.one_of(
    st.lists(st.sampled_from(_CODINGS), min_size=1, max_size=3).map(", ".join),
    st.none(),
    st.text(max_size=10),
)
_known_encodings = st.lists(st.sampled_from(_CODINGS), min_size=1, max_size=3).map(", ".join)


def _damaged(given: tuple[bytes, str, int, int, bytes]) -> tuple[bytes, str]:
    data, encoding, place, length, put = given
    raw = encode_body(data, encoding)
    place %= len(raw) + 1
    return raw[:place] + put + raw[place + length :], encoding


_damaged_bodies = st.tuples(
    st.binary(max_size=200), _known_encodings, st.integers(0, 400), st.integers(0, 8), st.binary(max_size=4)
).map(_damaged)
_bombs = st.tuples(st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, gzip"]), st.integers(0, 8)).map(
    lambda given: (encode_body(b"\0" * (_LIMIT // 4) * given[1], given[0]), given[0])
)


def check_decoded(given: tuple[bytes, str | None]) -> None:
    raw, encoding = given
    with linear(len(raw) + _LIMIT, seconds_per_mib=10):
        try:
            data = decode_body(raw, encoding, limit=_LIMIT)
        except (UndecodableBody, BodyTooLarge) as error:
            assert len(raw) < 8 or raw.decode("latin-1") not in str(error)
            return
    assert len(data) <= _LIMIT
    assert decode_body(encode_body(data, encoding), encoding, limit=_LIMIT) == data


def check_round_trip(given: tuple[bytes, str]) -> None:
    data, encoding = given
    assert decode_body(encode_body(data, encoding), encoding, limit=_LIMIT) == data


_GITHUB = "ghp_" + fill(36)
_JWT = ".".join(
    base64.urlsafe_b64encode(part).rstrip(b"=").decode()
    for part in (b'{"alg":"ES256","typ":"JWT"}', b'{"sub":"someone","exp":1800000000}', b"s" * 64)
)
_TOKENS = [
    *(
        "password",
        "=",
        ":",
        '"',
        "'",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\\",
        "\\u0070",
        '\\"',
        "%22",
        "%25",
        "&",
        ";",
    ),
    *("<password>", "</password>", "&quot;", "Bearer ", "Authorization", "api_key", "token", "secret", "://"),
    *("postgres://app:", "@db", "data: ", "\n", "\r\n", " ", "\t", "null", "0", "1e5", "9" * 16, "é", "\x00"),
    *("Tr0ub4dor&Zebra", _GITHUB, _JWT, quote(quote(_GITHUB)), base64.b64encode(_GITHUB.encode()).decode()),
    *("[REDACTED:", "[REDACTED:password:0123abcd]", "]", "eyJ", "-----BEGIN PRIVATE KEY-----", "-----END "),
    *(
        "AKIA" + fill(16).upper(),
        fill(40),
        "alice@example.com",
        "4111111111111111",
        "sig=",
        "?",
        "/v1/input/",
    ),
]
_texts = st.lists(st.sampled_from(_TOKENS) | st.text(max_size=4), max_size=14).map("".join)
_json: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_media = st.sampled_from(
    [
        *("application/json", "text/plain", "application/x-www-form-urlencoded", "text/event-stream"),
        *("application/msgpack", "application/x-protobuf", "application/json; charset=utf-16", "", "\x00"),
        None,
    ]
)
bodies = st.one_of(
    _texts.map(lambda text: text.encode("utf-8", "surrogatepass")),
    _json.map(lambda value: json.dumps(value).encode()),
    st.lists(_json, max_size=3).map(lambda lines: b"\n".join(json.dumps(one).encode() for one in lines)),
    st.binary(max_size=100),
    _texts.map(lambda text: text.encode("utf-16", "surrogatepass")),
)


def _is_read_as_json(data: bytes, media: str | None) -> bool:
    """JSON, and not sent under the name of another form; a number alone is JSON only by that name."""
    named = media or ""
    if any(other in named for other in ("form", "msgpack", "protobuf")):
        return False
    if data.lstrip()[:1] not in {b"{", b"[", b'"'} and "json" not in named:
        return False
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _assert_settles(masked: bytes, mask: Callable[[bytes], bytes]) -> None:
    """Masking again loses no mask, and soon changes nothing.

    It may mask more: a mask can make something of its neighbour that was no secret beside the secret.
    """
    for _ in range(4):
        before, masked = masked, mask(masked)
        if before == masked:
            return
        left = iter(MASK.findall(masked))
        assert all(each in left for each in MASK.findall(before)), (before, masked)
    raise AssertionError(f"masking goes on and on: {masked!r}")


def check_body(given: tuple[bytes, str | None, bool]) -> None:
    data, media, personal = given
    scrubber = _PERSONAL if personal else _SECRETS
    with linear(len(data), seconds_per_mib=_SLOWEST):
        try:
            done = scrubber.scrub_body(data, media)
        except TooComplex:
            return
    assert done.changed == (done.data != data)
    assert bool(done.findings) == done.changed
    if not done.changed:
        assert done.data is data
    elif _is_read_as_json(data, media):
        json.loads(done.data)
    _assert_settles(done.data, lambda masked: scrubber.scrub_body(masked, media).data)


def check_idempotent(given: tuple[list[str], bool]) -> None:
    """What programs log and send is masked in one pass."""
    lines, as_json = given
    data = json.dumps({"message": lines}).encode() if as_json else "\n".join(lines).encode()
    once = _SECRETS.scrub_body(data, None)
    assert _SECRETS.scrub_body(once.data, None) == Scrubbed(once.data, {}, changed=False)


_names = st.sampled_from(
    ["password", "token", "message", "api_key", "user", "secret", "Authorization", "key"]
)
_values = st.sampled_from(
    [_GITHUB, _JWT, "Tr0ub4dor&Zebra", fill(40), "alice", "[REDACTED:password:0123abcd]", "12345"]
)
_said = st.tuples(
    st.sampled_from(
        [
            *("{0}={1}", "{0}: {1}", "the {0} is {1}.", "{0}={1}&{2}={3}", "login {0}='{1}' then {3}", "{1}"),
            *('{{"{0}": "{1}"}}', "Bearer {1}", "<{0}>{1}</{0}>", "postgres://app:{1}@db:5432/x"),
        ]
    ),
    *(_names, _values, _names, _values),
).map(lambda parts: parts[0].format(*parts[1:]))


def check_repeated(given: tuple[bytes, bytes, int, str | None]) -> None:
    """The same piece over and over: what makes a backtracking or rescanning reader quadratic."""
    start, unit, size, media = given
    data = (start + unit * (size // max(len(unit), 1)))[:size]
    with linear(len(data), seconds_per_mib=_SLOWEST), contextlib.suppress(TooComplex):
        _PERSONAL.scrub_body(data, media)


_units = st.lists(st.sampled_from(_TOKENS), min_size=1, max_size=3).map(lambda parts: "".join(parts).encode())
_repeated = st.tuples(
    st.sampled_from([b"", b"[", b'{"a":"', b"password=", b'"', b"data: "]),
    _units,
    st.sampled_from([1024, 8 * 1024, 48 * 1024]),
    _media,
)


def check_url(url: str) -> None:
    with linear(len(url), seconds_per_mib=_SLOWEST):
        try:
            done = _SECRETS.scrub_url(url)
        except TooComplex:
            return
    assert done.changed == (done.text != url)
    _assert_settles(
        done.text.encode("utf-8", "surrogatepass"),
        lambda masked: _SECRETS.scrub_url(masked.decode("utf-8", "surrogatepass")).text.encode(
            "utf-8", "surrogatepass"
        ),
    )
    if "Bearer" not in url and f"password={_GITHUB}&" in url:
        assert _GITHUB not in done.text


_urls = st.one_of(
    _texts.map(lambda text: f"/api/v1/x?{text}"),
    st.dictionaries(st.sampled_from(["q", "password", "api_key", "token", "sig", "next"]), _texts).map(
        lambda query: (
            "/x?" + "&".join(f"{name}={quote(value, errors='replace')}" for name, value in query.items())
        )
    ),
    st.text(max_size=60),
)


def check_headers(pairs: list[tuple[bytes, bytes]]) -> None:
    size = sum(len(name) + len(value) for name, value in pairs)
    with linear(size, seconds_per_mib=_SLOWEST):
        try:
            masked, findings = _SECRETS.scrub_headers(pairs, sensitive=["X-Ours"])
        except TooComplex:
            return
    assert [name for name, _ in masked] == [name for name, _ in pairs]
    assert bool(findings) == (masked != pairs)
    for name, value in masked:
        if name.strip().lower() in {b"authorization", b"dd-api-key", b"x-ours"} and value.strip():
            assert MASK.fullmatch(value), (name, value)
    for name, value in masked:
        _assert_settles(value, lambda one, name=name: _SECRETS.scrub_headers([(name, one)])[0][0][1])  # type: ignore[misc]


_header_names = st.sampled_from(
    [b"Authorization", b"DD-API-KEY", b"dd_api_key", b"x-ours", b"Cookie", b"User-Agent", b"X-Token", b""]
) | st.binary(max_size=8)
_headers = st.lists(
    st.tuples(
        _header_names, st.binary(max_size=30) | _texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
    ),
    max_size=4,
)

PROPERTIES = {
    "decode_body": Property(
        st.one_of(st.tuples(st.binary(max_size=100), _encodings), _damaged_bodies, _bombs), check_decoded
    ),
    "encode_body": Property(st.tuples(st.binary(max_size=300), _known_encodings), check_round_trip),
    "scrub_body": Property(st.tuples(bodies, _media, st.booleans()), check_body),
    "scrub_said": Property(
        st.tuples(st.lists(_said, min_size=1, max_size=4), st.booleans()), check_idempotent
    ),
    "scrub_repeated": Property(_repeated, check_repeated),
    "scrub_url": Property(_urls, check_url),
    "scrub_headers": Property(_headers, check_headers),
}
