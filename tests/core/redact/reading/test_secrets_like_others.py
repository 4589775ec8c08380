"""Secrets that look like what is left alone: references in source, paths, ids, other masks."""

from __future__ import annotations

import base64
import json

import pytest

from addons.core.redact.detectors.vendors import fill
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber

SCRUBBER = Scrubber(Masker(b"k" * 16))
GOOGLE = "AIza" + fill(35)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("password=Hunter2.Winter24", "Hunter2.Winter24"),
        ("token=Kx9Qz2Lm.Ms8Lf5Jd3Hg6Tr0Py", "Ms8Lf5Jd3Hg6Tr0Py"),
        ("password: [Hunter-Pass]x9", "Hunter-Pass"),
        ('{"password": "/k7Qz2Xw9Bv4/Nc1Ms8Lf5Jd3Hg6"}', "k7Qz2Xw9Bv4"),
        ('{"daemon_key": "9xKqZ7vPw2LmT4rYs8Nd3Bf6"}', "9xKqZ7vPw2LmT4rYs8Nd3Bf6"),
        (f"https://maps.example.net/v1/a9/{GOOGLE}", GOOGLE),
    ],
)
def test_a_secret_that_looks_like_something_else_is_gone(text: str, secret: str) -> None:
    media = "application/json" if text[0] == "{" else "text/plain"
    assert secret.encode() not in SCRUBBER.scrub_body(text.encode(), media).data


@pytest.mark.parametrize(
    "text",
    ["password = settings.DB_PASSWORD", "token: get_token(", "password: [FILTERED]", "key=/srv/app/key.pem"],
)
def test_references_stay(text: str) -> None:
    assert SCRUBBER.scrub_body(text.encode(), "text/plain").data == text.encode()


def test_what_is_written_in_a_picture_may_be_in_any_language() -> None:
    text = b"\x00\x01\x02\x03" * 40 + "as agreed: password=äöü-Kq7vPw2xÄ".encode() + b"\x00\x01\x02\x03" * 40
    picture = base64.b64encode(text).decode()
    body = json.dumps({"image": picture}).encode()
    assert picture.encode() not in SCRUBBER.scrub_body(body, "application/json").data
