"""Recorded exchanges, made by hand."""

from __future__ import annotations

import itertools
import json

from addons.core.model import Json
from addons.core.redact.masking.mask import Masker
from addons.core.redact.message_masks import MessageMasks
from addons.replaying.asked import Asking
from addons.replaying.exchange import Exchange, RecordedAnswer
from addons.replaying.masked_values import MaskedValues
from addons.replaying.stand_in import Given, StandIn
from addons.replaying.stand_in_calls import StandInCalls

API = "api.datadoghq.com"
MASKER = Masker(b"k" * 32)
MASKS = MessageMasks(MASKER)
VALUES = MaskedValues(MASKER)
ASKING = Asking(MASKS, b"d" * 32)
JSON = ((b"Content-Type", b"application/json"),)

_numbers = itertools.count()


def exchange(
    method: str = "GET",
    target: str = "/api/v1/monitor",
    body: bytes | None = b"",
    *,
    answer: Json = None,
    status: int = 200,
    host: str = API,
    headers: tuple[tuple[bytes, bytes], ...] = JSON,
    answer_headers: tuple[tuple[bytes, bytes], ...] = JSON,
    unstored: str = "",
    scheme: str = "https",
    refused: str = "",
    by_ddgate: bool = True,
) -> Exchange:
    number = next(_numbers)
    return Exchange(
        call=f"call-{number}",
        at=float(number),
        method=method,
        scheme=scheme,
        host=host,
        port=443,
        target=target,
        headers=headers,
        body=body,
        answer=RecordedAnswer(status, answer_headers, json.dumps(answer).encode()),
        unstored=unstored,
        by_ddgate=by_ddgate,
        refused=refused,
    )


def stand_in(*exchanges: Exchange, once: bool = False, values: MaskedValues = VALUES) -> StandIn:
    calls = StandInCalls(ASKING, values)
    calls.add(exchanges)
    return StandIn(calls, ASKING, once=once)


def ask(
    served: StandIn,
    method: str = "GET",
    target: str = "/api/v1/monitor",
    body: bytes = b"",
    *,
    host: str = API,
    content_type: str = "application/json",
    **headers: str,
) -> Given:
    fields = [("Host", host), ("Content-Type", content_type)]
    fields += [(name.replace("_", "-"), value) for name, value in headers.items()]
    return served.answer(method, target, fields, body)


def told(given: Given) -> Json:
    loaded: Json = json.loads(given.body)
    return loaded


def masked(value: Json) -> bytes:
    """As the recorder stores it."""
    return MASKS.secrets.scrub_body(json.dumps(value).encode(), "application/json").data
