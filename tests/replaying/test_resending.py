"""What of a recorded call is sent again: never its credentials, never a mask, never what isn't there."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest

from addons.core.catalogue import Catalogue
from addons.core.model import Risk
from addons.core.redact.masking.mask import Masker
from addons.replaying.resending import NotSendable, resent
from addons.store.policy.files import read_catalogue
from tests.replaying.making import JSON, exchange

MASK = Masker(b"k" * 32).mask("stripe-key", "the secret")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return read_catalogue()


def test_recorded_credentials_and_identity_are_never_sent(catalogue: Catalogue) -> None:
    secret = b"of-the-recorded-caller"
    names = (
        *(b"Authorization", b"Proxy-Authorization", b"Cookie", b"DD-API-KEY", b"dd-application-key"),
        *(b"DD_API_KEY", b"X-DDGate-Identity", b"X-Datadog-Api-Key", b"x-own-identity", b"Range"),
    )
    recorded = exchange(
        target="/api/v1/monitor?api_key=of-the-recorded-caller&a=1&dd-application-key=of-the-recorded-caller",
        headers=(*JSON, *((name, secret) for name in names)),
    )
    made = resent(recorded, catalogue, ["X-Own-Identity"])
    assert made.headers == JSON
    assert made.target == "/api/v1/monitor?a=1"


def test_somebody_elses_token_is_not_sent_under_any_name(catalogue: Catalogue) -> None:
    token = b"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmVk"
    fields = [(b"X-Agent-Token", token), (b"X-Other", b"Bearer " + token), (b"X-Team", b"eyJ.is.none")]
    made = resent(exchange(headers=(*JSON, *fields)), catalogue)
    assert made.headers == (*JSON, (b"X-Team", b"eyJ.is.none"))


def test_a_mask_in_utf16_is_refused_too(catalogue: Catalogue) -> None:
    with pytest.raises(NotSendable, match="body holds a mask"):
        resent(exchange(method="POST", body=f'{{"a": "{MASK}"}}'.encode("utf-16")), catalogue)


def test_a_key_in_the_path_is_not_sent(catalogue: Catalogue) -> None:
    recorded = exchange("POST", "/v1/input/0123456789abcdef0123456789abcdef", b"log")
    assert resent(recorded, catalogue).target == "/v1/input"


@pytest.mark.parametrize(
    "change",
    [
        {"target": f"/api/v1/monitor?q={MASK}"},
        {"target": f"/api/v1/monitor?q={MASK}".replace("[", "%5B")},
        {"target": f"/api/v1/monitor/{MASK}"},
        {"body": f'{{"message": "page {MASK}"}}'.encode()},
        {"body": gzip.compress(MASK.encode()), "headers": (*JSON, (b"Content-Encoding", b"gzip"))},
        {"headers": (*JSON, (b"X-Own", MASK.encode()))},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_holds_a_mask_is_refused_a_read_too(
    change: dict[str, object], method: str, catalogue: Catalogue
) -> None:
    with pytest.raises(NotSendable, match="holds a mask in place of a secret"):
        resent(replace(exchange(method), **change), catalogue)  # type: ignore[arg-type]


def test_a_mask_in_a_field_that_isnt_sent_does_no_harm(catalogue: Catalogue) -> None:
    assert resent(exchange(headers=((b"Authorization", MASK.encode()),)), catalogue).headers == ()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"body": None, "unstored": "[ddgate: 9 bytes, hmac-sha256:00; not stored]"}, "9 bytes"),
        ({"body": None}, "doesn't hold its body"),
        ({"scheme": "http"}, "plain HTTP"),
        ({"target": "/a b"}, "characters"),
        ({"target": "/a\r\nX: y"}, "characters"),
        ({"target": "/ä"}, "characters"),
    ],
)
def test_what_isnt_whole_or_no_call_is_refused(
    change: dict[str, object], why: str, catalogue: Catalogue
) -> None:
    with pytest.raises(NotSendable, match=why):
        resent(replace(exchange(), **change), catalogue)  # type: ignore[arg-type]


def test_whether_it_reads_is_the_catalogues_word_and_not_the_recordings(catalogue: Catalogue) -> None:
    claimed = replace(exchange("DELETE", "/api/v1/monitor/1"), operation="ListMonitors")
    made = resent(claimed, catalogue)
    assert made.operation is not None
    assert made.operation.risk is Risk.DESTRUCTIVE
    assert not made.is_read
    assert resent(exchange(), catalogue).is_read
    assert not resent(exchange(target="/api/v9/unheard/of"), catalogue).is_read
    assert not resent(exchange(host="api.evil.example"), catalogue).is_read


def test_another_host_field_goes_as_it_was_recorded_for_the_gateway_to_judge(catalogue: Catalogue) -> None:
    made = resent(exchange(headers=((b"Host", b"api.evil.example"),)), catalogue)
    assert (made.host, made.authority) == ("api.datadoghq.com", "api.evil.example")
