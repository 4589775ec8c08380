"""What a gateway process and its masking workers say to each other, over `worker_process`.

The first message is a pickled `Hello`. Then a question is a JSON head and a body; an answer is a JSON head
with its length before it, and the masked body: a worker reads hostile bodies, and its words are read as data
alone.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from addons.core.redact.masking.asked import Masks
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.json_masks import NotMaskable
from addons.core.redact.message_masks import MessageMasks
from addons.core.redact.scrubber import Scrubbed

_HEAD_LENGTH = struct.Struct("!I")
_HEAD = 1 << 20
_GROWTH = 40
"""How much longer a body may become: a mask stands for a digit, at worst, and comes with its quotes."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What the worker masks with. `memory` is what it may take beyond that, in bytes; `seconds` of
    processor time are what it may take over one body before it ends itself.
    """

    masks: MessageMasks = field(repr=False)
    memory: int
    seconds: float


class Outcome(StrEnum):
    READY = "ready"
    CLEAN = "clean"
    MASKED = "masked"
    TOO_COMPLEX = "too complex"
    NOT_MASKABLE = "not maskable"
    FAILED = "failed"


class MaskingFailed(Exception):  # noqa: N818 - named for what the caller is told
    """The worker could not answer for a reason of its own; the text names no value of the body."""


def question(masks: Masks, content_type: str | None) -> bytes:
    wanted = {"detect": sorted(masks.detect), "json": sorted(masks.json), "content_type": content_type}
    return json.dumps(wanted).encode()


def read_question(head: bytes) -> tuple[Masks, str | None]:
    wanted = json.loads(head)
    return Masks(frozenset(wanted["detect"]), frozenset(wanted["json"])), wanted["content_type"]


def answer(outcome: Outcome, why: str = "") -> tuple[bytes, bytes]:
    return _framed({"outcome": outcome, "why": why}), b""


def masked(done: Scrubbed) -> tuple[bytes, bytes]:
    outcome = Outcome.MASKED if done.changed else Outcome.CLEAN
    return _framed({"outcome": outcome, "findings": dict(done.findings)}), done.data if done.changed else b""


def longest_answer(body: bytes) -> int:
    return _HEAD + _GROWTH * len(body)


def is_ready(data: bytes) -> bool:
    """Raises ValueError where it is no answer."""
    return _head(data)[0] is Outcome.READY


def read_answer(data: bytes, body: bytes) -> Scrubbed:
    """Give what was made of `body`.

    Raises:
        TooComplex, NotMaskable: as masking here would.
        MaskingFailed: the worker ran into something else.
        ValueError: it is no answer.

    """
    outcome, told, rest = _head(data)
    why = str(told.get("why", ""))[:200]
    match outcome:
        case Outcome.TOO_COMPLEX:
            raise TooComplex(why)
        case Outcome.NOT_MASKABLE:
            raise NotMaskable(why)
        case Outcome.FAILED:
            raise MaskingFailed(why)
        case Outcome.READY:
            raise ValueError("not an answer")
        case Outcome.CLEAN | Outcome.MASKED:
            changed = outcome is Outcome.MASKED
            return Scrubbed(rest if changed else body, _findings(told.get("findings")), changed=changed)


def _framed(head: dict[str, object]) -> bytes:
    data = json.dumps(head).encode()
    return _HEAD_LENGTH.pack(len(data)) + data


def _head(data: bytes) -> tuple[Outcome, dict[str, object], bytes]:
    start = _HEAD_LENGTH.size
    if len(data) < start:
        raise ValueError("not an answer")
    end = start + _HEAD_LENGTH.unpack(data[:start])[0]
    if end > min(len(data), start + _HEAD):
        raise ValueError("not an answer")
    told = json.loads(data[start:end])
    if not isinstance(told, dict):
        raise ValueError("not an answer")  # noqa: TRY004 - what is wrong is the value that came
    return Outcome(str(told.get("outcome"))), told, data[end:]


def _findings(told: object) -> MappingProxyType[str, int]:
    if not isinstance(told, dict) or not all(type(count) is int for count in told.values()):
        raise ValueError("not an answer")
    return MappingProxyType(told)
