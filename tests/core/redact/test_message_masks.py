import json

import msgpack
import pytest

from addons.core.policy.request import Masks
from addons.core.redact.masking.json_masks import NotMaskable
from addons.core.redact.masking.mask import Masker
from addons.core.redact.message_masks import MessageMasks

MASKER = Masker(b"k" * 16)
EMAIL = "ines.roth@mail.example.net"
PASSWORD = "Tr0ub4dor&Zebra"
BODY = json.dumps({"name": "Ines", "password": PASSWORD, "note": f"mail {EMAIL}"}).encode()
JSON = "application/json"


@pytest.fixture
def masks() -> MessageMasks:
    return MessageMasks(MASKER)


def asked(*, detect: tuple[str, ...] = (), json: tuple[str, ...] = ()) -> Masks:
    return Masks(frozenset(detect), frozenset(json))


def test_paths_come_first_and_then_detectors(masks: MessageMasks) -> None:
    done = masks.apply(asked(detect=("secrets",), json=("$.name", "$.password")), BODY, JSON)
    after = json.loads(done.data)
    assert after["name"] == MASKER.mask("policy", "Ines")
    assert after["password"] == MASKER.mask("policy", PASSWORD)
    assert after["note"] == f"mail {EMAIL}"
    assert dict(done.findings) == {"policy": 2}
    assert done.changed


def test_what_is_asked_for_is_done_and_no_more(masks: MessageMasks) -> None:
    assert dict(masks.apply(asked(detect=("pii",)), BODY, JSON).findings) == {"email": 1}
    assert dict(masks.apply(asked(detect=("secrets",)), BODY, JSON).findings) == {"key-password": 1}
    assert dict(masks.apply(asked(json=("$.note",)), BODY, JSON).findings) == {"policy": 1}
    for nothing in (asked(), asked(json=("$.nobody",)), asked(detect=("github-token",))):
        done = masks.apply(nothing, BODY, JSON)
        assert done.data is BODY
        assert not done.changed
        assert not done.findings


def test_masking_twice_is_masking_once(masks: MessageMasks) -> None:
    wanted = asked(detect=("secrets", "pii"), json=("$.name",))
    once = masks.apply(wanted, BODY, JSON)
    assert masks.apply(wanted, once.data, JSON).data is once.data


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"name=Ines", "application/x-www-form-urlencoded"),
        (b"Ines", "text/plain"),
        (msgpack.packb({"name": "Ines"}), "application/msgpack"),
        (BODY, "application/json; charset=utf-16"),
        (BODY, 'application/json; Charset = "UTF-7"'),
    ],
)
def test_what_a_path_must_mask_has_to_be_json(masks: MessageMasks, body: bytes, content_type: str) -> None:
    with pytest.raises(NotMaskable):
        masks.apply(asked(json=("$.name",)), body, content_type)
    masks.apply(asked(detect=("secrets",)), body, content_type)


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", JSON, 'a/b; charset="utf-8"', "x; charset=ASCII"]
)
def test_json_under_another_name_is_json(masks: MessageMasks, content_type: str | None) -> None:
    assert masks.apply(asked(json=("$.name",)), BODY, content_type).findings == {"policy": 1}


@pytest.mark.parametrize("content_type", [None, "text/html", "text/html; charset=utf-16"])
def test_an_empty_body_passes(masks: MessageMasks, content_type: str | None) -> None:
    assert masks.apply(asked(detect=("pii",), json=("$.a",)), b"", content_type).data == b""


def test_scrubbers_are_made_once_and_ahead(masks: MessageMasks) -> None:
    pii = asked(detect=("pii",))
    assert masks.is_prepared(asked(json=("$.a",)))
    assert masks.is_prepared(asked(detect=("secrets",)))
    assert not masks.is_prepared(pii)
    masks.prepare([pii.detect, frozenset()])
    assert masks.is_prepared(pii)
    with pytest.raises(ValueError, match="no detector"):
        masks.prepare([frozenset({"emails"})])
