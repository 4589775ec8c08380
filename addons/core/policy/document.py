"""The form of a policy file. What its names mean (operations, tags, lists) is checked when it is compiled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    model_validator,
)

from addons.core.model import Effect, Reason
from addons.core.quantities import Duration, Size
from addons.core.yaml_source import Section, complaint

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)

type Scalar = str | int | float | bool


def _one_as_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _scalar(value: object) -> Scalar:
    if not isinstance(value, (str, int, float)):
        raise complaint(
            "must be one text, number, true or false", "to see if it is there, write absent: false"
        )
    return value


def _identifier(value: str) -> str:
    if not _ID.fullmatch(value):
        raise complaint("not an identifier", "lower-case letters, digits, '.', '_' and '-'; at most 64")
    return value


Text = Annotated[str, Field(min_length=1)]
Identifier = Annotated[str, AfterValidator(_identifier)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1), BeforeValidator(_one_as_list)]
"""One or more texts, any of which may fit; `lists.NAME` stands for a named list."""


class Comparison(Section):
    """What a value must be, and what its absence means.

    `absent: true` alone: it must not be there; `absent: false` alone: it must, whatever it is. Beside `is` or
    `in` it says whether a missing value fits; without it a missing value fits in deny and require_approval
    rules and not in allow rules.
    """

    absent: bool | None = None
    is_: Annotated[Scalar, PlainValidator(_scalar)] | None = Field(default=None, alias="is")
    """Exactly this; a number as a text is not that number."""
    in_: (
        Annotated[
            tuple[Annotated[Scalar, PlainValidator(_scalar)], ...],
            Field(min_length=1),
            BeforeValidator(_one_as_list),
        ]
        | None
    ) = Field(default=None, alias="in")
    """Exactly one of these."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.is_ is not None and self.in_ is not None:
            raise complaint("has both is and in", "put all values into in")
        if self.absent is None and self.is_ is None and self.in_ is None:
            raise complaint("says nothing", "absent: true, is: VALUE or in: [VALUES]")
        return self


def _form(value: object) -> str:
    return "[comparison]" if isinstance(value, (dict, Comparison)) else "[globs]"


Matcher = Annotated[
    Annotated[Texts, Tag("[globs]")] | Annotated[Comparison, Tag("[comparison]")], Discriminator(_form)
]
"""A glob, a list of globs, or a comparison."""


class Who(Section):
    """Whose calls. All given fields must fit; a field with several values fits by any of them."""

    groups: Matcher | None = None
    subject: Matcher | None = None
    issuer: Matcher | None = None
    on_behalf_of: Matcher | None = None
    actor: Matcher | None = None
    """Subjects of the token's `act` chain."""
    claims: Mapping[str, Matcher] = {}
    """By the claim's name."""


class Op(Section):
    """Which of Datadog's operations. `unknown`, as name or as risk, is what the catalogue doesn't know."""

    name: Texts | None = None
    tags: Texts | None = None
    risk: Texts | None = None
    version: Texts | None = None
    absent: Literal[False] | None = None
    """`false`: this deny or require_approval rule leaves unknown operations to others."""

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.name or self.tags or self.risk or self.version):
            raise complaint("names no operation", "name, tags, risk or version; leave op out for every one")
        return self


_SIZE_TEST = re.compile(r"\s*(<=|>=|<|>)\s*(\S+)\s*")


class Http(Section):
    """What the request looks like, where the operation does not say it all."""

    host: Texts | None = None
    method: Texts | None = None
    path: Texts | None = None
    """Globs on the path's one normal form; `*` stays in a segment, `**` is any number of them."""
    query: Mapping[str, Matcher] = {}
    headers: Mapping[str, Matcher] = {}
    size: str | None = None
    """Of the decoded body: `<=64KiB`, `>1MiB`."""

    @property
    def size_test(self) -> tuple[str, str] | None:
        """Operator and size as written, None where that is no test."""
        found = _SIZE_TEST.fullmatch(self.size or "")
        return (found[1], found[2]) if found else None


class Masking(Section):
    detect: Annotated[tuple[Literal["secrets", "pii"], ...], Field(min_length=1)]
    """Detectors whose findings are masked."""


class Mask(Section):
    """What is masked on the way to Datadog (`forward`) and on the way back (`response`)."""

    forward: Masking | None = None
    response: Masking | None = None


class Need(Section):
    group: Text
    count: Annotated[int, Field(ge=1, le=20)] = 1
    """How many people of that group; nobody fills two places."""


class TimeToLive(Section):
    pending: Annotated[Duration, Field(gt=0)] = 1800.0
    """How long a request waits for an answer."""
    grant: Annotated[Duration, Field(gt=0)] = 600.0
    """How long a yes may be used."""


class BreakGlass(Section):
    group: Text
    review_within: Annotated[Duration, Field(gt=0)]


class Approval(Section):
    """Who must say yes, and for how long that counts."""

    need: Annotated[tuple[Need, ...], Field(min_length=1)]
    reason: Literal["required", "optional"] = "optional"
    ttl: TimeToLive = TimeToLive()
    hold: Annotated[Duration, Field(ge=0)] = 300.0
    """How long a call is held at most."""
    break_glass: BreakGlass | None = None


EffectName = Annotated[Effect, Field(strict=False)]


class Rule(Section):
    """What it matches is ANDed; what is left out matches anything."""

    id: Identifier
    effect: EffectName
    who: Who = Who()
    op: Op | None = None
    http: Http = Http()
    credential: Identifier | None = None
    mask: Mask | None = None
    record: Literal["full"] | None = None
    reason: Text | None = None
    """Told to the agent with a refusal."""
    approval: Approval | None = None

    @model_validator(mode="after")
    def _fits_its_effect(self) -> Self:
        if self.effect is Effect.DENY:
            idle = [key for key in ("credential", "mask", "record") if getattr(self, key) is not None]
            if idle:
                raise complaint(f"{', '.join(idle)} has no effect in a deny rule", "remove it")
        if self.effect is Effect.REQUIRE_APPROVAL and self.approval is None:
            raise complaint("nobody is named who may approve", "approval: {need: [{group: G, count: 1}]}")
        if self.effect is not Effect.REQUIRE_APPROVAL and self.approval is not None:
            raise complaint("approval has no effect here", "set effect: require_approval, or remove it")
        if self.effect is Effect.ALLOW and self.op is not None and self.op.absent is not None:
            raise complaint("op.absent has no effect in an allow rule", "an unknown operation never fits it")
        return self


class GivenWho(Section):
    """A principal made up for a test."""

    groups: tuple[str, ...] = ()
    subject: Text = "tester"
    issuer: Text = "https://issuer.test"
    on_behalf_of: Text | None = None
    actor: Annotated[tuple[Text, ...], BeforeValidator(_one_as_list)] = ()
    claims: Mapping[str, object] = {}


class Given(Section):
    """A call made up for a test; what is left out comes from the operation."""

    who: GivenWho = GivenWho()
    op: Text
    """`CreateMonitor`, `v2.CreateDowntime` where both versions have it, or `unknown`."""
    host: Text = "api.datadoghq.com"
    method: Text | None = None
    path: Text | None = None
    query: Mapping[str, Annotated[tuple[str, ...], BeforeValidator(_one_as_list)]] = {}
    headers: Mapping[str, Annotated[tuple[str, ...], BeforeValidator(_one_as_list)]] = {}
    size: Size = 0


class Expect(Section):
    """What must come out; what is left out may be anything."""

    effect: EffectName
    rule: Identifier | None = None
    reason: Annotated[Reason, Field(strict=False)] | None = None
    credential: Identifier | None = None
    mask: Mask | None = None


class TestCase(Section):
    __test__ = False  # no test of pytest's

    name: Text
    given: Given
    expect: Expect


class Defaults(Section):
    effect: Literal["deny"] = "deny"
    """What no rule allows is denied; there is no other default."""


class PolicyDocument(Section):
    """One policy file."""

    version: Literal[1]
    defaults: Defaults = Defaults()
    lists: Mapping[Identifier, Annotated[tuple[Text, ...], Field(min_length=1)]] = {}
    """Named lists of texts, for `lists.NAME` in this file's rules."""
    rules: tuple[Rule, ...] = ()
    tests: tuple[TestCase, ...] = ()
