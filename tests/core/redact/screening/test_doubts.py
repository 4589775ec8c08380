from __future__ import annotations

import base64
import json

import pytest

from addons.core.redact.detectors.table import DETECTORS
from addons.core.redact.detectors.vendors import fill, hex_
from addons.core.redact.reading.scan import Scanner
from addons.core.redact.screening.doubts import Doubts
from addons.core.redact.screening.gate import RUN, Gate

AKIA = "AKIA" + fill(16, "QZ2XW7VN4C3MS5LF")
CARD = "4242424242424242"


@pytest.fixture(scope="module")
def gate() -> Gate:
    made = Scanner(DETECTORS, by_name=True).gate
    made._database = made.compile()
    return made


@pytest.mark.parametrize(
    "text",
    [
        f'{{"picture":"iVBORw0KGgo/{AKIA}{fill(30)}+{fill(40)}"}}',
        f'{{"picture":"{fill(90)}eyJhbGciOi{fill(90)}"}}',
        f'{{"url":"https://shop.example.net/{hex_(8)}/twilio/SK{hex_(40)}"}}',
        f'{{"commit":"{hex_(20)}3a4b5c6d7e2f3a4b5c6d7e2f{hex_(20)}"}}',
        f'{{"id":{CARD},"x":1}}',
        f'{{"span_id": "{CARD}"}}',
        '{"order":4242424242424241,"x":1}',
        '{"text":"from GB29 NWBK 6016 1331 9268 18 on"}',
        f'{{"text":"{{{{/is_alert}}}}\\nSee https://wiki.example.net/4b1d{hex_(20)}) \\"now\\""}}',
    ],
)
def test_chance_opens_no_gate(gate: Gate, text: str) -> None:
    assert not gate.hits(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        f'{{"key id":"{AKIA}"}}',
        f'{{"list":["ghp_{fill(10)}","{fill(26)}"]}}',
        f"ghp_{fill(10)}",  # a piece of a stream
        f'{{"text":"SG.{fill(22)}\\u002e{fill(43)}"}}',
        f'{{"text":"see\\n4b1d{fill(38)}\\nthere"}}',
        f'{{"text":"see\\\\n4b1d{fill(20)}"}}',
        f'{{"number":"{CARD}"}}',
        '{"text":"4242%204242%204242%204242"}',
        '{"text":"from GB29 NWBK 6016 1331 9268\\u002019 on"}',
        json.dumps({"text": base64.b64encode(f"the key {AKIA} is".encode()).decode()}),
        json.dumps({"text": base64.b64encode(base64.b64encode(f"key {AKIA} is".encode())).decode()}),
        json.dumps({"text": base64.encodebytes(b"nothing to see here, " * 6 + AKIA.encode()).decode()}),
        json.dumps({"text": f"key is {AKIA}".encode().hex()}),
        '{"mail":"p-okafor%40example.org"}',
        '{"text":"-----BEGIN%20RSA%20PRIVATE%20KEY-----%0AMII"}',
        '{"text":"http:\\\\/\\\\/ci:Ny8fVq@code.example.net"}',
    ],
)
def test_what_may_be_more_does(gate: Gate, text: str) -> None:
    assert gate.hits(text.encode())


def test_places_may_come_in_any_order(gate: Gate) -> None:
    run = base64.b64encode(f"key is {AKIA}".encode()).decode()
    text = f"{run} {hex_(20)}3A4B5C6D7E2F3A4B5C6D7E2F".encode()
    places = [(RUN, len(text)), (RUN, 20)]
    assert Doubts(DETECTORS).remaining(text, places, gate.hits) == [(RUN, 20)]


def test_as_much_is_doubted_as_a_part_of_the_text(gate: Gate) -> None:
    assert gate.hits(b"/eyJhbGciOi" * 4000)
