"""Abuse cases 20 to 22 against rules that read bodies: however a document is spelt, coded and called, it
meets the rule that names what it says, or is refused; nothing of it reaches Datadog."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import brotli
import pytest
import zstandard

from tests.e2e import raw_client
from tests.e2e.gateway_process import Gateway
from tests.e2e.strict_policy import (
    DASHBOARDS,
    DEV,
    HOST,
    JSON,
    KIB,
    MONITOR,
    PROD,
    Headers,
    assert_denied_by,
    assert_refused_or_denied_by,
    open_tunnel,
    strict_gateway,
)
from tests.sandbox_processes import Issuer, StandIn


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    with strict_gateway(tmp_path_factory.mktemp("strict"), issuer, datadog) as gateway:
        yield gateway


@pytest.fixture
def tunnel(strict: Gateway, issuer: Issuer, fresh: StandIn) -> Iterator[raw_client.Tunnel]:
    opened = open_tunnel(strict, issuer)
    yield opened
    opened.close()


SAME_DOCUMENTS = [
    rb'{"t\u0061gs": ["env:prod"]}',
    rb'{"tags": ["\u0065nv:prod"]}',
    b'\n\t {"tags"\r\n:\n["env:dev","env:prod"\n]}\n ',
    b'{"a": {"tags": []}, "tags": ["env:prod"]}',
]


@pytest.mark.parametrize("body", SAME_DOCUMENTS)
def test_abuse_20_another_spelling_of_the_same_document_meets_the_same_rule(
    tunnel: raw_client.Tunnel, fresh: StandIn, body: bytes
) -> None:
    assert_denied_by("no-prod", tunnel.request("PUT", MONITOR, [HOST, JSON], body), fresh)


AMBIGUOUS_DOCUMENTS = [
    # keys twice
    b'{"tags": [], "tags": ["env:prod"]}',
    b'{"tags": ["env:prod"], "tags": []}',
    rb'{"tags": [], "t\u0061gs": ["env:prod"]}',
    b'{"options": {"a": 1, "a": 2}}',
    # keys in another case, or in another form of Unicode
    b'{"Tags": ["env:prod"]}',
    b'{"tags": [], "TAGS": ["env:prod"]}',
    b'{"TAGS": ["env:prod"], "tags": []}',
    '{"tag\u017f": ["env:prod"]}'.encode(),
    '{"\uff54ags": ["env:prod"]}'.encode(),
    rb'{"tag\u017f": ["env:prod"]}',
    # tags of another kind, which a lenient reader takes for a list of texts
    b'{"tags": "env:prod"}',
    b'{"tags": {"0": "env:prod"}}',
    b'{"tags": [["env:prod"]]}',
    b'{"tags": [{"name": "env:prod"}]}',
    b'[{"tags": ["env:prod"]}]',
    b'"{\\"tags\\": [\\"env:prod\\"]}"',
    # text that is not text
    rb'{"tags": ["env:prod"], "name": "\ud800"}',
    rb'{"\udfff": 1, "tags": ["env:prod"]}',
    rb'{"tags": ["env:prod\u0000"]}',
    rb'{"tags\u0000": ["env:prod"]}',
    b'{"tags": ["env:prod"], "name": "\xff\xfe"}',
    b'{"tags": ["env:prod"], "name": "\xed\xa0\x80"}',
    b'{"tags": ["env:prod"], "name": "\xc0\xae"}',
    # not one document
    b'{"tags": []}\n{"tags": ["env:prod"]}',
    b'{"tags": []}{"tags": ["env:prod"]}',
    b'{"tags": []} //',
    b'/**/{"tags": ["env:prod"]}',
    b'{"tags": ["env:prod"],}',
    b"{'tags': ['env:prod']}",
    b'{tags: ["env:prod"]}',
    b')]}\'\n{"tags": ["env:prod"]}',
    b'\x00{"tags": ["env:prod"]}',
    b'{"tags": ["env:prod"]}\x00',
    b'\x1f{"tags": ["env:prod"]}',
    # another encoding
    b'\xef\xbb\xbf{"tags": ["env:prod"]}',
    '{"tags": ["env:prod"]}'.encode("utf-16"),
    '{"tags": ["env:prod"]}'.encode("utf-16-le"),
    '{"tags": ["env:prod"]}'.encode("utf-32"),
    '{"tags": ["env:prod"]}'.encode("utf-7") + b"+AGE-",
    # too much
    b'{"tags": ["env:prod"], "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"deep": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    b"[" * 100_000,
    b'{"tags": ["env:prod"], "n": ' + b"9" * 1_000_000 + b"}",
    b'{"tags": ["env:prod"], "n": 0.' + b"1" * 1_000_000 + b"}",
    b'{"tags": ["env:prod"], "n": 1e999999999}',
    b'{"tags": ["env:prod"], "n": NaN}',
    b'{"tags": ["env:prod"], "n": -Infinity}',
]


@pytest.mark.parametrize("body", AMBIGUOUS_DOCUMENTS, ids=lambda body: repr(body[:40]))
def test_abuse_20_and_22_a_document_of_two_readings_meets_the_rule_or_is_refused(
    tunnel: raw_client.Tunnel, fresh: StandIn, body: bytes
) -> None:
    answer = tunnel.request("PUT", MONITOR, [HOST, JSON], body)
    assert_refused_or_denied_by("no-prod", answer, fresh)


@pytest.mark.parametrize(
    "body",
    [
        b'{"DATA": [1, 2]}',
        b'{"data": [1], "Data": [1, 2]}',
        b'{"data": {"0": 1, "1": 2}}',
        b'{"data": "ab"}',
        b'{"data": 7}',
        b'{"data": [1, 2], "data": []}',
        b"[1, 2]",
        rb'{"d\u0061ta": [1, 2]}',
    ],
)
def test_abuse_20_an_expression_is_not_evaded_by_the_spelling_of_a_key(
    tunnel: raw_client.Tunnel, fresh: StandIn, body: bytes
) -> None:
    answer = tunnel.request("DELETE", DASHBOARDS, [HOST, JSON], body)
    assert_refused_or_denied_by("no-bulk", answer, fresh)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def _bare_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


READABLE_CODINGS = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", _bare_deflate),
    ("br", brotli.compress),
    ("zstd", _zstd),
    ("zstd1", _zstd),
    ("identity", bytes),
    ("gzip, zstd", lambda data: _zstd(gzip.compress(data))),
    ("gzip, identity, gzip", lambda data: gzip.compress(gzip.compress(data))),
    ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
]


@pytest.mark.parametrize(("coding", "encode"), READABLE_CODINGS)
@pytest.mark.parametrize("in_chunks", [False, True])
def test_abuse_21_a_coded_body_meets_the_rule(
    tunnel: raw_client.Tunnel, fresh: StandIn, coding: str, encode: object, in_chunks: bool
) -> None:
    assert callable(encode)
    body = encode(PROD)
    fields = [HOST, JSON, ("Content-Encoding", coding)]
    if in_chunks:
        head = raw_client.head(f"PUT {MONITOR} HTTP/1.1", [*fields, ("Transfer-Encoding", "chunked")])
        answer = tunnel.send(head + chunked(body))
    else:
        answer = tunnel.request("PUT", MONITOR, fields, body)
    assert_denied_by("no-prod", answer, fresh)


def chunked(body: bytes) -> bytes:
    """In chunks of three bytes, with extensions."""
    pieces = [body[start : start + 3] for start in range(0, len(body), 3)]
    return b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


UNREADABLE_CODINGS = [
    ([("Content-Encoding", "gzip")], PROD),
    ([("Content-Encoding", "zstd1")], gzip.compress(PROD)),
    ([("Content-Encoding", "br")], gzip.compress(PROD)),
    ([("Content-Encoding", "gzip")], gzip.compress(DEV) + PROD),
    ([("Content-Encoding", "gzip")], gzip.compress(DEV)[:-4]),
    ([("Content-Encoding", "gzip"), ("Content-Encoding", "br")], gzip.compress(PROD)),
    ([("Content-Encoding", "gzip"), ("content-encoding", "identity")], gzip.compress(DEV) + PROD),
    ([("Content-Encoding", "gzip, gzip, gzip, gzip")], PROD),
    ([("Content-Encoding", "compress")], PROD),
    ([("Content-Encoding", "gzip;q=0")], PROD),
    ([("Content-Encoding", "chunked")], PROD),
    ([("Content-Encoding", "")], gzip.compress(PROD)),
    ([], gzip.compress(PROD)),
    ([("Content_Encoding", "gzip")], gzip.compress(PROD)),
    ([("Content-Encoding", "gzip")], gzip.compress(b" " * (100 * KIB * KIB) + PROD)),
    ([("Content-Encoding", "br")], brotli.compress(b" " * (100 * KIB * KIB) + PROD, quality=1)),
    ([("Content-Encoding", "zstd")], _zstd(b" " * (100 * KIB * KIB) + PROD)),
    ([("Content-Encoding", "gzip, zstd")], _zstd(gzip.compress(b" " * (100 * KIB * KIB)))),
]


@pytest.mark.parametrize(
    ("fields", "body"),
    UNREADABLE_CODINGS,
    ids=lambda value: str(value)[:50] if isinstance(value, list) else None,
)
def test_abuse_21_and_22_a_body_that_is_not_as_its_coding_says_meets_the_rule_or_is_refused(
    tunnel: raw_client.Tunnel, fresh: StandIn, fields: Headers, body: bytes
) -> None:
    answer = tunnel.request("PUT", MONITOR, [HOST, JSON, *fields], body)
    assert_refused_or_denied_by("no-prod", answer, fresh)


MULTIPART = b'--b\r\nContent-Disposition: form-data; name="tags"\r\n\r\nenv:prod\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (None, PROD),
        ("", PROD),
        ("text/plain", PROD),
        ("text/json", PROD),
        ("application/vnd.api+json", PROD),
        ("application/json; charset=utf-8", PROD),
        ("application/x-www-form-urlencoded", PROD),
        ("application/octet-stream", PROD),
        ("nonsense", PROD),
        ("application/json; charset=utf-16", PROD),
        ("application/json; charset=utf-16", PROD.decode().encode("utf-16")),
        ("application/json; charset=utf-7", PROD),
        ("application/x-www-form-urlencoded", b"tags=env%3Aprod"),
        ("application/x-www-form-urlencoded", b'{"tags": []}&tags=env:prod'),
        ("application/x-www-form-urlencoded", b'{"a": "&tags=env:prod&"}'),
        ("multipart/form-data; boundary=b", MULTIPART),
        ("multipart/form-data; boundary=b", PROD),
        ("application/x-protobuf", PROD),
        ("application/msgpack", b"\x81\xa4tags\x91\xa8env:prod"),
        ("application/x-ndjson", DEV + b"\n" + PROD + b"\n"),
        ("application/yaml", b"tags: [env:prod]"),
        ("application/xml", b"<tags><tag>env:prod</tag></tags>"),
    ],
)
def test_abuse_21_a_body_of_any_type_meets_the_rule_or_is_refused(
    tunnel: raw_client.Tunnel, fresh: StandIn, content_type: str | None, body: bytes
) -> None:
    fields = [HOST] if content_type is None else [HOST, ("Content-Type", content_type)]
    answer = tunnel.request("PUT", MONITOR, fields, body)
    assert_refused_or_denied_by("no-prod", answer, fresh)


def test_abuse_21_two_content_types_are_refused_or_meet_the_rule(
    tunnel: raw_client.Tunnel, fresh: StandIn
) -> None:
    for other in ("multipart/form-data; boundary=b", "application/x-protobuf"):
        fields = [HOST, JSON, ("Content-Type", other)]
        answer = tunnel.request("PUT", MONITOR, fields, PROD)
        assert_refused_or_denied_by("no-prod", answer, fresh)


def test_a_large_body_meets_the_same_rules(tunnel: raw_client.Tunnel, fresh: StandIn) -> None:
    filler = b'{"name": "' + b"x" * (256 * KIB) + b'", "tags": ["env:%s"]%s}'
    for body in (
        filler % (b"prod", b""),
        filler % (b"dev", b', "Tags": []'),
        filler % (b"dev", b', "name": 1'),
    ):
        answer = tunnel.request("PUT", MONITOR, [HOST, JSON], body)
        assert_refused_or_denied_by("no-prod", answer, fresh)
    tunnel.request("PUT", MONITOR, [HOST, JSON], filler % (b"dev", b""))
    assert len(fresh.requests()) == 1
