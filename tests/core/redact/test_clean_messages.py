import pytest

from addons.core.redact.detector_set import BUILT_IN, PII, SECRETS
from addons.core.redact.mask import Masker
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
