"""Limits: how many calls, in how much time, and whose count a call belongs to.

Here is only what a policy says about them; what was counted is kept by `addons.store.policy.limit_counters`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from addons.core.model import Json
from addons.core.policy.request import Allowance, LimitUse, PolicyRequest
from addons.core.quantities import format_duration, parse_duration
from addons.core.yaml_source import did_you_mean

MAX_COUNT = 1_000_000_000
MIN_SECONDS = 1.0
MAX_SECONDS = 366 * 86400.0

_ALLOWANCE = re.compile(r"([0-9]{1,12}) ?/ ?(.+)", re.ASCII)
_UNITS = ("s", "m", "h", "d")
_CLAIM = "identity.claims."
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)

type Field = tuple[str | int, ...]


class BadLimit(ValueError):  # noqa: N818 - named after what is wrong, as the other refusals are
    """A limit can't be read: what is wrong, what to do, and in which `field` of the limit."""

    def __init__(self, message: str, remedy: str, field: Field = ()) -> None:
        super().__init__(message)
        self.message, self.remedy, self.field = message, remedy, field


class UnusableKey(Exception):  # noqa: N818 - as above
    """It can't be told whose count a call belongs to, so it can't be let through. Names no value of it."""


@dataclass(frozen=True, slots=True)
class KeyPart:
    """One thing that tells counts apart: `text` as in the policy, and how to read it off a call."""

    text: str
    value_in: Callable[[PolicyRequest], Json] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Limit:
    """Without `parts` there is one count for all calls; with them, one for each combination of values."""

    name: str
    parts: tuple[KeyPart, ...]
    rate: Allowance | None
    quota: Allowance | None

    def use(self, request: PolicyRequest) -> LimitUse:
        """Tell which count the call belongs to.

        The key is a JSON list of the parts' values, so no two combinations share one. What the call lacks is
        null: all calls that lack it share a count.

        Raises:
            UnusableKey: a claim is neither text, number, true nor false.

        """
        values = [part.value_in(request) for part in self.parts]
        try:
            key = _ENCODER.encode(values)
        except ValueError:
            raise UnusableKey(f"the limit {self.name!r}: a claim is no number that JSON can hold") from None
        return LimitUse(self.name, key, self.rate, self.quota)


def compile_limit(name: str, key: Sequence[str], rate: str | None, quota: str | None) -> Limit:
    """Make a limit of what the policy says.

    Raises:
        BadLimit: the first thing that is wrong, with its `field`: `key` and an index, `rate` or `quota`.

    """
    parts: list[KeyPart] = []
    for index, text in enumerate(key):
        try:
            part = parse_key(text)
        except BadLimit as bad:
            raise BadLimit(bad.message, bad.remedy, ("key", index)) from None
        if part in parts:
            raise BadLimit(f"{text!r} stands twice", "remove one", ("key", index))
        parts.append(part)
    return Limit(name, tuple(parts), _allowance("rate", rate), _allowance("quota", quota))


def _allowance(name: str, text: str | None) -> Allowance | None:
    try:
        return None if text is None else parse_allowance(text)
    except BadLimit as bad:
        raise BadLimit(bad.message, bad.remedy, (name,)) from None


def parse_allowance(text: str) -> Allowance:
    """Read `30/1m` or `500/1d`: how many calls, in any window of how long.

    Raises:
        BadLimit: not of that form, no call at all, or a window under a second or over 366 days.

    """
    found = _ALLOWANCE.fullmatch(text.strip())
    if found is None:
        raise BadLimit("must be calls per time", "a number, '/', and a time: 30/1m, 500/1d")
    count, time = int(found[1]), found[2]
    seconds = parse_duration(time)
    if seconds is None:
        remedy = f"write {count}/1{time}" if time in _UNITS else "a number and its unit: 30s, 1m, 1h, 1d"
        raise BadLimit("what follows '/' must be a time", remedy)
    if not 1 <= count <= MAX_COUNT:
        remedy = "to refuse every call, write a deny rule" if count == 0 else f"at most {MAX_COUNT}"
        raise BadLimit(f"can't be {count} calls", remedy)
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        bounds = f"from {format_duration(MIN_SECONDS)} to {format_duration(MAX_SECONDS)}"
        raise BadLimit(f"the time must be {bounds}", "30/1m, 500/1d")
    return Allowance(count, seconds)


def parse_key(text: str) -> KeyPart:
    """Read the name of something that tells counts apart.

    `identity.subject` is the subject together with its issuer, since it is unique under that alone.
    `op.name` counts an operation's versions as one, and an unknown operation as `unknown`.

    Raises:
        BadLimit: nothing is called so, with the nearest name.

    """
    if text.startswith(_CLAIM) and text != _CLAIM:
        return KeyPart(text, _claim(text.removeprefix(_CLAIM)))
    value_in = COUNTED_BY.get(text)
    if value_in is not None:
        return KeyPart(text, value_in)
    if text == "identity.groups":
        raise BadLimit(
            "nobody has one group, so groups tell no counts apart", "identity.subject, identity.claims.NAME"
        )
    if text.startswith("lists."):
        raise BadLimit("a list tells no counts apart", "identity.subject, op.name, host")
    known = [*COUNTED_BY, f"{_CLAIM}NAME"]
    raise BadLimit(f"{text!r} tells no counts apart", did_you_mean(text, known) or "identity.subject")


def _claim(name: str) -> Callable[[PolicyRequest], Json]:
    def value_in(request: PolicyRequest) -> Json:
        value = request.principal.claims.get(name)
        if value is not None and not isinstance(value, (str, int, float)):
            raise UnusableKey(f"the claim {name!r} is not a single value")
        return value

    return value_in


COUNTED_BY: Mapping[str, Callable[[PolicyRequest], Json]] = {
    "identity.subject": lambda request: [request.principal.issuer, request.principal.subject],
    "identity.issuer": lambda request: request.principal.issuer,
    "identity.on_behalf_of": lambda request: request.principal.on_behalf_of,
    "identity.session": lambda request: request.principal.session,
    "op.name": lambda request: request.operation.name if request.operation else "unknown",
    "op.risk": lambda request: request.operation.risk.value if request.operation else "unknown",
    "host": lambda request: request.host,
}
