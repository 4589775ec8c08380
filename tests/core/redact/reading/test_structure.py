"""Secrets that show by where they stand: beside a name, under one, among arguments, in pieces."""

from __future__ import annotations

import json

import pytest

from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None

SCRUBBER = Scrubber(Masker(b"k" * 16))
OF_PEOPLE = Scrubber(Masker(b"k" * 16), pii=True)


def scrubbed(value: Json, scrubber: Scrubber = SCRUBBER) -> str:
    """Give `value` after masking, among clean messages, as JSON text with the usual spaces."""
    clean: Json = {"message": "GET /orders 200", "ddtags": "env:prod"}
    done = scrubber.scrub_body(json.dumps([clean, value, clean]).encode(), "application/json")
    return json.dumps(json.loads(done.data)[1])


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ({"payment": {"card_number": 4242424242424242}}, "4242424242424242"),
        ({"card": {"number": 4242424242424242}}, "4242424242424242"),
        ({"payment": {"card": "3056 930902 5904"}}, "3056 930902 5904"),
        ({"user": {"phone": "212-555-0147"}}, "212-555-0147"),
        ({"user": {"homePhone": 2125550147}}, "2125550147"),
        ({"message": "no answer, phone: 212 555 0147"}, "212 555 0147"),
        ({"message": "Numéro de sécurité sociale 269054958815780"}, "269054958815780"),
    ],
)
def test_personal_data_that_a_name_makes_sure_goes(body: Json, value: str) -> None:
    assert value not in scrubbed(body, OF_PEOPLE)


@pytest.mark.parametrize(
    "body",
    [
        {"order": {"number": 4242424242424242}},
        {"payment": {"id": 4242424242424242}},
        {"message": "call 212-555-0147 took 3 ms"},
        {"phone_id": 2125550147, "headphones": 2125550147},
        {"message": "action sociale 269054958815781"},
    ],
)
def test_a_number_that_nothing_makes_personal_stays(body: Json) -> None:
    assert scrubbed(body, OF_PEOPLE) == json.dumps(body)
