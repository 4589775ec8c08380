import base64
import json
import random

import pytest

from addons.core.redact.detector_set import BUILT_IN, PII, SECRETS
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber
from tests.core.redact.clean_messages import clean_messages

_COUNT = 2200


@pytest.mark.parametrize("names", [(SECRETS,), (SECRETS, PII), (PII,)], ids="+".join)
def test_what_is_no_secret_stays_byte_for_byte(names: tuple[str, ...]) -> None:
    scrubber = Scrubber(Masker(b"k" * 16), scanner=BUILT_IN.scanner(names))
    changed = [
        (dict(done.findings), done.data[max(0, done.data.find(b"[REDACTED") - 80) :][:160])
        for message in clean_messages(_COUNT)
        if (done := scrubber.scrub_body(message.body, message.content_type)).changed
    ]
    assert changed == []


@pytest.mark.parametrize("names", [(SECRETS,), (SECRETS, PII)], ids="+".join)
def test_a_picture_stays_whatever_is_written_in_it(names: tuple[str, ...]) -> None:
    """Its text is read; what looks encoded in the rest is chance, and not worth giving the message up."""
    pixels = random.Random(5)  # noqa: S311 - the same picture each time, and no secret
    picture = base64.b64encode(
        pixels.randbytes(150_000) + b"made with a drawing program 3.2" + pixels.randbytes(600_001)
    )
    body = json.dumps({"image": "data:image/png;base64," + picture.decode()}).encode()
    scrubber = Scrubber(Masker(b"k" * 16), scanner=BUILT_IN.scanner(names))
    assert scrubber.scrub_body(body, "application/json").data == body


def test_what_is_written_in_a_picture_is_read() -> None:
    pixels = random.Random(5)  # noqa: S311 - the same picture each time, and no secret
    secret = b"password=" + b"hunter2-" + b"Kq7v"
    picture = base64.b64encode(pixels.randbytes(3000) + secret + b"\0" + pixels.randbytes(3000))
    body = json.dumps({"image": "data:image/png;base64," + picture.decode()}).encode()
    done = Scrubber(Masker(b"k" * 16)).scrub_body(body, "application/json")
    assert picture not in done.data


def test_random_ids_hold_no_tokens_by_chance() -> None:
    """Three letters that begin some token are in each thousand long ids."""
    signs = random.Random(6)  # noqa: S311 - the same ids each time, and no secret
    ids = [base64.urlsafe_b64encode(signs.randbytes(48)).decode() for _ in range(2000)]
    ids += [each[:17] + prefix + each[20:] for each in ids[:20] for prefix in ("hf_", "r8_", "fnA")]
    ids += [each[:-2] + "pw" for each in ids[:20]]
    body = json.dumps({"data": [{"id": each, "type": "event", "value": "Kq7vPw2x"} for each in ids]}).encode()
    assert not Scrubber(Masker(b"k" * 16)).scrub_body(body, "application/json").findings
