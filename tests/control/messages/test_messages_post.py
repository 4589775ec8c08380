"""What receivers may answer, and what becomes of it."""

from __future__ import annotations

import time
from email.utils import formatdate

import httpx
import pytest

from addons.control.messages.post import Posted, post
from addons.control.messages.receivers import Letter
from addons.store.identity.issuer_http import FetchLimits, issuer_client
from tests.control.messages.webhook_receiver import (
    PATH,
    Answer,
    WebhookReceiver,
    endless,
    endless_head,
    garbage,
    hang_up,
    status,
)
from tests.e2e.gateway_process import free_port


async def posted(url: str, seconds: float = 5) -> Posted:
    async with issuer_client(None, FetchLimits(seconds=seconds)) as client:
        return await post(client, Letter(url, {"Content-Type": "application/json"}, b"{}"), seconds)


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
async def test_any_2xx_is_a_success(code: int) -> None:
    with WebhookReceiver(status(code)) as hook:
        assert await posted(hook.url) == Posted(None)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (status(400), "answered 400"),
        (status(404), "answered 404"),
        (status(500), "answered 500"),
        (status(503), "answered 503"),
        (garbage, "can't be reached (RemoteProtocolError)"),
        (hang_up, "can't be reached (RemoteProtocolError)"),
        (endless_head, "can't be reached (RemoteProtocolError)"),
    ],
)
async def test_anything_else_is_a_failure_that_says_nothing_of_the_receivers_words(
    answer: Answer, error: str
) -> None:
    with WebhookReceiver(answer) as hook:
        assert await posted(hook.url) == Posted(error)


async def test_an_answer_without_end_is_not_read() -> None:
    with WebhookReceiver(endless) as hook:
        assert await posted(hook.url) == Posted(None)


async def test_a_receiver_that_says_nothing_is_waited_for_so_long_and_no_longer() -> None:
    with WebhookReceiver() as hook:
        hook.answers = [hook.hold]
        assert await posted(hook.url, 0.2) == Posted("no answer within 0.2 s")


async def test_a_redirect_is_not_followed() -> None:
    with WebhookReceiver() as other, WebhookReceiver(status(307, Location=other.url)) as hook:
        answer = await posted(hook.url)
        assert other.got == []
    assert answer.error == "answered 307; redirects are not followed, name the new address"


async def test_gone_is_final() -> None:
    with WebhookReceiver(status(410, Retry_After="5")) as hook:
        assert (await posted(hook.url)).is_final


async def test_nobody_there() -> None:
    answer = await posted(f"http://127.0.0.1:{free_port()}{PATH}")
    assert answer == Posted("can't be reached (ConnectionRefusedError)")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("999999999999999999", 86400),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("", 0),
        ("\u0661\u0662".encode().decode("latin-1"), 0),
        (formatdate(0, usegmt=True), 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
        ("Fri, 99 Dec 2026 23:59:59 GMT", 0),
    ],
)
async def test_retry_after_is_a_number_or_a_date_and_has_its_bounds(value: str, seconds: float) -> None:
    with WebhookReceiver(status(429, Retry_After=value)) as hook:
        assert await posted(hook.url) == Posted("answered 429", retry_after=seconds)


async def test_retry_after_a_date() -> None:
    with WebhookReceiver(status(503, Retry_After=formatdate(time.time() + 600, usegmt=True))) as hook:
        assert 590 < (await posted(hook.url)).retry_after <= 600


@pytest.mark.parametrize("url", ["https://hooks.example.com:99999/x", "https://\u0661\u0662.\ud800/x"])
async def test_an_address_that_cannot_be_called_is_a_failure(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await post(client, Letter(url, {}, b"{}"), 5)
    assert answer.error is not None
    assert "/x" not in answer.error
