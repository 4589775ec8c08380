"""What hostile cases are made of: tables only."""

from __future__ import annotations

API = "api.datadoghq.com"
STOLEN = b"deadbeefdeadbeefdeadbeefdeadbee0"

type Field = tuple[bytes, bytes]

# fmt: off
PATHS = [
    "/_sandbox/echo", "/_sandbox/echo", "/api/v1/monitor", "/api/v2/logs", "/api/v1/validate",
    "/api/v2/api_keys", "/api/v1/monitor/1", "/api/v2/logs/events/search", "/v1/input",
    "/v1/input/deadbeefdeadbeefdeadbeefdeadbee0", "/", "*",
]
PATH_PIECES = [
    "/", "//", "/.", "/..", "/%2e%2e", "%2f", "%252f", "%5c", ";a=b", "\\", "%00", "%c0%af", "%EF%BC%8F",
    "%", "%0d%0aX:%20y", "%20", "%7e", "#x", "@", ":", "[", "]", "{id}", "~", "%zz", "%C3%A9",
    "a" * 300,
    "?", "!",
]
QUERY_PIECES = [
    "&a=b", "&a=%00", "&_method=DELETE", ";c=d", "&form=header", "&form=body", "&form=base64",
    "&status=500", "&form=location", "&encoding=gzip", "&encoding=br", "&chunked=1",
    "&redirect=https://evil.example/", "&&", "&api_key=deadbeefdeadbeefdeadbeefdeadbee0",
    "&API%5FKEY=deadbeefdeadbeefdeadbeefdeadbee0", "&q=%7e%zz", "&q={[|]}", "#x", "?", "&=", "%",
]
METHODS = [
    "GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", "X-Y",
    "PRI",
]
FIELDS: list[Field] = [
    (b"DD-API-KEY", STOLEN),
    (b"dd_application_key", STOLEN),
    (b"Authorization", b"Bearer deadbeefdeadbeefdeadbeefdeadbee0"),
    (b"Cookie", b"dogweb=deadbeefdeadbeefdeadbeefdeadbee0"), (b"Connection", b"DD-API-KEY, close"),
    (b"Connection", b"keep-alive"), (b"Upgrade", b"websocket"), (b"Expect", b"100-continue"),
    (b"Accept-Encoding", b"gzip, zstd, foo;q=0.1"), (b"X-HTTP-Method-Override", b"DELETE"),
    (b"X-A", b"\xff\xfe\x80"), (b"X-A", b"a\tb"), (b"X-Empty", b""), (b"TE", b"trailers"),
    (b"Trailer", b"X-T"), (b"X-Forwarded-Host", b"evil.example"), (b"Range", b"bytes=0-"),
    (b"Content-Type", b"application/json"), (b"Content-Type", b"application/x-protobuf"),
    (b"X-A", b"%00" * 50),
    (b"Content-Type", b"application/x-www-form-urlencoded"), (b"Content-Type", b"\xff"),
    (b"Via", b"1.1 x"), (b"Host", b"evil.example"),
    (b"X-DDGate-Intent", b"\xc3\xa9" * 30),
    (b"X-DDGate-Allow", b"true"),
]
SNIPPETS = [
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b"%", b"\xff", b"\x80", b"\r\n ",
    b" HTTP/1.1", b"\r\nTransfer-Encoding: chunked", b"\r\nContent-Length: 5", b"\r\nContent-Length: 0",
    b"\r\nHost: evil.example", b"\r\nDD-API-KEY: deadbeefdeadbeefdeadbeefdeadbee0",
    b"\r\nExpect: 100-continue", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"-1", b"1e9",
    b"GET /_sandbox/echo HTTP/1.1\r\nHost: api.datadoghq.com\r\n\r\n", b"\r\nConnection: Host",
    b"\xe2\x84\xaa",
]
CODINGS = [
    "gzip", "deflate", "br", "zstd", "zstd1", "x-gzip", "identity", "gzip, br", "zstd, gzip",
]
FALSE_CODINGS = [
    "GZIP", "foo", "", "gzip, foo", "gzip,gzip,gzip,gzip", "chunked", "zstd2", "\xff",
]
HOSTS = [
    "api.datadoghq.com", "api.datadoghq.com", "API.DataDogHQ.com", "api.datadoghq.com.",
    "http-intake.logs.datadoghq.eu", "evil.example", "api.datadoghq.com.evil.example", "127.0.0.1",
    "localhost", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]", "169.254.169.254", "0x7f.1", "2130706433",
    "user:pass@api.datadoghq.com", "api.datadoghq.com@127.0.0.1", "xdatadoghq.com",
    "api.datadoghq.com\u3002evil", "", "*",
    "a" * 300,
    "127.0.0.1#.datadoghq.com", "api.datadoghq.com%00.evil.example", "7-67-0-app.agent.datadoghq.com",
    "[::1",
]
BODIES = [
    b"", b"{}", b'[{"message": "hello", "ddsource": "fuzz"}]', b'{"message": "password=Tr0ub4dor-Zebra-77"}',
    b'{"a": ' + b"[" * 2000 + b"]" * 2000 + b"}", b'{"a": 1, "a": 2}', b'{"n": ' + b"9" * 5000 + b"}",
    b"\xff\xfe{",
    b'{"s": "\\ud800"}', b"a=b&password=Tr0ub4dor-Zebra-77", b"data: {}\n\ndata: {}\n\n", b"\0" * 3000,
    b"{" * 500,
    b'{"name": "m", "type": "metric alert", "query": "a > 1", "message": "[REDACTED:password:0123abcd]"}',
]
# fmt: on
