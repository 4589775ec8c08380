"""The recorded answer of a call beside the one that a replay got."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from addons.core.approvals.changes import TooMuchToCompare
from addons.core.body import BodyTooLarge, UndecodableBody, decode_body
from addons.core.model import Json
from addons.core.policy.request import Masks
from addons.core.redact.formats.json_paths import parse_json_path
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.message_masks import MessageMasks
from addons.replaying.asked import Body, BodyKind, parsed
from addons.replaying.differences import Difference, differences, without
from addons.replaying.exchange import Fields, RecordedAnswer, values_of
from addons.replaying.ignored import NOTHING, Ignored
from addons.replaying.masked_values import Fit, MaskedValues

COMPARED = ("content-type", "location", "link", "deprecation", "sunset")
"""Header fields that say what an answer is; others are of the moment."""

_LIMIT = 64 * 1024 * 1024
_LONGEST = 300
# ddgate's own answers name the call, whose it is and what decided: others each time.
_OF_THE_MOMENT = tuple(
    parse_json_path(path)
    for path in ("$.errors", "$.ddgate.call", "$.ddgate.identity", "$.ddgate.on_behalf_of", "$.ddgate.policy")
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came; `body` is under its Content-Encoding."""

    status: int
    headers: Fields = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`headers` and `body` are what differs; `body_text` says how bodies differ that are no JSON. `note` is
    why they could not be compared.
    """

    status: tuple[int, int]
    headers: tuple[Difference, ...] = ()
    body: tuple[Difference, ...] = ()
    body_text: str = ""
    note: str = ""

    @property
    def is_same(self) -> bool:
        differs = self.headers or self.body or self.body_text or self.note
        return self.status[0] == self.status[1] and not differs


@dataclass(frozen=True, slots=True)
class Comparing:
    """Masks an answer of now as recordings are, and compares it with a recorded one. `has_key`: the masks
    are made with the recording's own key, so that another secret shows as another mask.
    """

    masks: MessageMasks
    values: MaskedValues
    ignored: Ignored = NOTHING
    also: tuple[str, ...] = ()

    def compare(self, recorded: RecordedAnswer, now: Answer) -> Comparison:
        status = (recorded.status, now.status)
        headers = tuple(self._headers(recorded.headers, now.headers))
        if recorded.body is None:
            note = "the recording doesn't hold the answer's body, which was too large or too deep"
            return Comparison(status, headers, note=note)
        try:
            ours = parsed(_decoded(recorded.body, recorded.headers), _type(recorded.headers))
            theirs = self._masked(now)
            return self._bodies(Comparison(status, headers), ours, theirs)
        except (UndecodableBody, BodyTooLarge) as error:
            return Comparison(status, headers, note=f"a body can't be decoded: {error}")
        except TooComplex:
            return Comparison(status, headers, note="the new body is too deep or too large to be masked")
        except (TooMuchToCompare, RecursionError):
            return Comparison(status, headers, body_text="the bodies differ in more than can be shown")

    def _masked(self, now: Answer) -> Body:
        decoded = _decoded(now.body, now.headers)
        masked = self.masks.apply(Masks(detect=self.masks.stored), decoded, _type(now.headers)).data
        return parsed(masked, _type(now.headers))

    def _headers(self, recorded: Fields, now: Fields) -> list[Difference]:
        found = []
        for name in dict.fromkeys((*COMPARED, *self.also)):
            if name in self.ignored.headers:
                continue
            ours = ", ".join(values_of(recorded, name.encode()))
            masked, _ = self.masks.secrets.scrub_headers(
                [each for each in now if each[0].lower() == name.encode()]
            )
            theirs = ", ".join(value.decode("latin-1") for _, value in masked)
            if self.values.texts(ours, theirs) is not Fit.SAME:
                found.append(Difference(name, ours or None, theirs or None))
        return found

    def _bodies(self, so_far: Comparison, ours: Body, theirs: Body) -> Comparison:
        status, headers = so_far.status, so_far.headers
        if ours.kind is BodyKind.JSON and theirs.kind is BodyKind.JSON:
            left_out = self.ignored.paths
            if _is_ddgates(ours.value) and _is_ddgates(theirs.value):
                left_out += _OF_THE_MOMENT
            found = differences(without(ours.value, left_out), without(theirs.value, left_out), self.values)
            return Comparison(status, headers, tuple(found))
        if ours.kind is not theirs.kind:
            text = f"it was {_size(ours)}, and is {_size(theirs)} now"
            return Comparison(status, headers, body_text=text)
        if self.values.values(ours.value, theirs.value) is Fit.SAME:
            return Comparison(status, headers)
        return Comparison(status, headers, body_text=_first_line(str(ours.value), str(theirs.value)))


def told_by_ddgate(answer: Answer) -> dict[str, Json]:
    """Give what ddgate says where it answered itself; empty where Datadog did."""
    try:
        body: Json = json.loads(_decoded(answer.body, answer.headers))
    except (ValueError, RecursionError):
        return {}
    found = body.get("ddgate") if isinstance(body, dict) and _is_ddgates(body) else None
    if not isinstance(found, dict) or not isinstance(body, dict):
        return {}
    errors = body.get("errors")
    text = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], str) else ""
    return {**found, "text": text}


def _is_ddgates(document: Json) -> bool:
    found = document.get("ddgate") if isinstance(document, dict) else None
    return isinstance(found, dict) and isinstance(found.get("reason"), str)


def _decoded(body: bytes, headers: Fields) -> bytes:
    if not body:  # the answer to a HEAD tells an encoding too
        return body
    return decode_body(body, ", ".join(values_of(headers, b"content-encoding")), limit=_LIMIT)


def _type(headers: Fields) -> str:
    return next(iter(values_of(headers, b"content-type")), "")


def _size(body: Body) -> str:
    if body.kind is BodyKind.EMPTY:
        return "empty"
    return "JSON" if body.kind is BodyKind.JSON else f"text of {len(str(body.value))} bytes"


def _first_line(recorded: str, now: str) -> str:
    ours, theirs = recorded.split("\n"), now.split("\n")
    place = next(
        (place for place, (left, right) in enumerate(zip(ours, theirs, strict=False)) if left != right),
        min(len(ours), len(theirs)),
    )
    left = ours[place] if place < len(ours) else "nothing"
    right = theirs[place] if place < len(theirs) else "nothing"
    return f"line {place + 1} was {left[:_LONGEST]!r}, and is {right[:_LONGEST]!r} now"
