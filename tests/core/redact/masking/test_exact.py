import base64
import html
import json
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redact.masking.exact import ExactScrubber

API_KEY = "9e1b4c0d7a3f52e8b6d1409c7f3a8e25"
APP_KEY = "ddapp_x7Kq+Zp/3Lw\"Vb<9Tn&5Rd'8M"
SCRUBBER = ExactScrubber([("dd-api-key", API_KEY.encode()), ("dd-app-key", APP_KEY.encode())])

ENCODINGS: list[Callable[[str], str]] = [
    lambda s: s,
    lambda s: quote(s, safe=""),
    lambda s: "".join(f"%{ord(c):02x}" for c in s),
    lambda s: quote(quote(s, safe=""), safe=""),
    json.dumps,
    lambda s: json.dumps(json.dumps(s)),
    lambda s: "".join(f"\\u{ord(c):04X}" for c in s),
    lambda s: "".join(f"&#{ord(c)};" if i % 2 else f"&#x{ord(c):x};" for i, c in enumerate(s)),
    html.escape,
    lambda s: s.encode().hex(),
    lambda s: s.encode().hex().upper(),
    lambda s: s.encode().hex(":"),
    lambda s: base64.b64encode(s.encode()).decode(),
    lambda s: base64.b64encode(b"a" + s.encode() + b"zz").decode(),
    lambda s: base64.urlsafe_b64encode(b"ab" + s.encode() + b"z").decode(),
    lambda s: base64.b64encode(s.encode()).decode().replace("/", "\\/"),
    lambda s: quote(base64.b64encode(s.encode()).decode(), safe=""),
]


@pytest.mark.parametrize("secret", [API_KEY, APP_KEY, API_KEY.upper()])
@pytest.mark.parametrize("encode", range(len(ENCODINGS)))
def test_a_credential_is_removed_in_every_encoding(secret: str, encode: int) -> None:
    shown = ENCODINGS[encode](secret)
    body = f"before {shown} after".encode()
    assert SCRUBBER.found(body)
    scrubbed, count = SCRUBBER.scrub(body)
    assert count == 1
    assert scrubbed.startswith(b"before ")
    assert scrubbed.endswith(b" after")
    assert b"[REDACTED:dd-" in scrubbed
    assert shown[4:20].encode() not in scrubbed
    assert not SCRUBBER.found(scrubbed)


@given(st.lists(st.sampled_from(["raw", "percent", "json", "html"]), min_size=32, max_size=32))
def test_any_mixture_of_escapes_is_removed(how: list[str]) -> None:
    forms: dict[str, Callable[[str], str]] = {
        "raw": lambda c: c,
        "percent": lambda c: f"%{ord(c):02X}",
        "json": lambda c: f"\\u{ord(c):04x}",
        "html": lambda c: f"&#{ord(c)};",
    }
    shown = "".join(forms[form](char) for form, char in zip(how, API_KEY, strict=True))
    scrubbed, count = SCRUBBER.scrub(shown.encode())
    assert count == 1
    assert scrubbed.startswith(b"[REDACTED:dd-api-key:")


def test_json_around_a_credential_keeps_parsing() -> None:
    body = json.dumps({"errors": [f"bad key {API_KEY}"], "b64": base64.b64encode(API_KEY.encode()).decode()})
    scrubbed, count = SCRUBBER.scrub(body.encode())
    assert count == 2
    assert json.loads(scrubbed)["errors"][0].startswith("bad key [REDACTED:dd-api-key:")


def test_a_body_without_a_trace_is_the_same_object() -> None:
    body = b'{"api_key":"' + API_KEY[:-1].encode() + b'f"}'
    assert not SCRUBBER.found(body)
    assert SCRUBBER.scrub(body)[0] is body


def test_the_search_of_a_clean_body_is_fast() -> None:
    body = bytes(range(256)).hex().encode() * 8
    SCRUBBER.found(body)
    best = min(_timed(body) for _ in range(50))
    assert best < 100e-6  # 20 microseconds on a free core; the machine of a test is shared


def _timed(body: bytes) -> float:
    start = time.perf_counter()
    SCRUBBER.found(body)
    return time.perf_counter() - start


@pytest.mark.parametrize(
    ("label", "secret"), [("k", b"short"), ("k", "schlüssel-x".encode()), ("No Label", b"a" * 20)]
)
def test_a_credential_that_can_not_be_matched_is_refused(label: str, secret: bytes) -> None:
    with pytest.raises(ValueError, match="credential"):
        ExactScrubber([(label, secret)])


def test_nothing_of_the_secret_is_in_its_repr() -> None:
    assert API_KEY not in repr(SCRUBBER)
