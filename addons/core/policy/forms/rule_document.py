"""The form of one rule. What its names mean (operations, tags, lists) is checked when it is compiled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from addons.core.model import Effect
from addons.core.policy.forms.matchers import (
    DocumentMatcher,
    Identifier,
    Matcher,
    PolicySection,
    Text,
    Texts,
    one_as_list,
)
from addons.core.policy.request import LogLevel, Recording
from addons.core.quantities import Duration
from addons.core.yaml_source import complaint


class Who(PolicySection):
    """Whose calls. All given fields must fit; a field with several values fits by any of them."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    groups: Matcher | None = None
    """Of the token's groups, any: `[agents, team-*]`."""
    subject: Matcher | None = None
    """Who calls: the token's subject, or with an `act` claim the outermost actor."""
    issuer: Matcher | None = None
    """Who vouches for the caller."""
    on_behalf_of: Matcher | None = None
    """For whom the caller works: `*@example.com`."""
    actor: Matcher | None = None
    """Subjects of the token's `act` chain."""
    claims: Mapping[str, Matcher] = Field(default={}, json_schema_extra={"minProperties": 1})
    """By the claim's name."""


class Op(PolicySection):
    """Which of Datadog's operations. `unknown`, as name or as risk, is what the catalogue doesn't know."""

    name: Texts | None = None
    """Operation ids: `CreateMonitor`, `v2.CreateDowntime` for one version, `Get*`."""
    tags: Texts | None = None
    """What the operations are about, as Datadog's API reference groups them: `monitors`, `org-*`."""
    risk: Texts | None = None
    """What they can do: read, sensitive-read, write, execute, destructive, privileged, ingest. To be allowed,
    an operation of several classes needs all of them named; to be denied, one.
    """
    version: Texts | None = None
    """Of the API: `v1`, `v2`; `ddgate` for what Datadog's own agents and tracers call."""
    absent: Literal[False] | None = None
    """`false`: this deny or require_approval rule leaves unknown operations to others."""

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.name or self.tags or self.risk or self.version):
            raise complaint("names no operation", "name, tags, risk or version; leave op out for every one")
        return self


_SIZE_TEST = re.compile(r"\s*(<=|>=|<|>)\s*(\S+)\s*")


class Http(PolicySection):
    """What the request looks like, where the operation does not say it all."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    host: Texts | None = None
    """`api.datadoghq.eu`, `*.datadoghq.eu`."""
    method: Texts | None = None
    """`GET`, `[PUT, PATCH]`."""
    path: Texts | None = None
    """Globs on the path's one normal form; `*` stays in a segment, `**` is any number of them."""
    query: Mapping[str, Matcher] = Field(default={}, json_schema_extra={"minProperties": 1})
    """By the parameter's name."""
    headers: Mapping[str, Matcher] = Field(default={}, json_schema_extra={"minProperties": 1})
    """By the header's name."""
    size: str | None = None
    """Of the decoded body: `<=64KiB`, `>1MiB`."""

    @property
    def size_test(self) -> tuple[str, str] | None:
        """Operator and size as written, None where that is no test."""
        found = _SIZE_TEST.fullmatch(self.size or "")
        return (found[1], found[2]) if found else None


class Masking(PolicySection):
    """What is masked in one direction."""

    detect: Texts | None = None
    """What is found and masked: `secrets`, `pii`, or single detectors by name."""
    json_: Texts | None = Field(default=None, alias="json")
    """What is masked by its place: `$.data[*].attributes.email`."""

    @model_validator(mode="after")
    def _masks_something(self) -> Self:
        if self.detect is None and self.json_ is None:
            raise complaint("masks nothing", "detect: [secrets], or json: ['$.data[*].attributes.email']")
        return self


class Mask(PolicySection):
    """What is masked on the way to Datadog (`forward`) and on the way back (`response`)."""

    forward: Masking | None = None
    """In the request, before it leaves."""
    response: Masking | None = None
    """In the answer, before the agent has it."""


class Need(PolicySection):
    """People of one group who have to say yes."""

    group: Text
    """Of the approver's own token."""
    count: Annotated[int, Field(ge=1, le=20)] = 1
    """How many people of that group; nobody fills two places."""


class TimeToLive(PolicySection):
    """How long an approval stays open, and how long it holds."""

    pending: Annotated[Duration, Field(gt=0)] = 1800.0
    """How long a request waits for an answer."""
    grant: Annotated[Duration, Field(gt=0)] = 600.0
    """How long a yes may be used."""


class BreakGlass(PolicySection):
    """Who may say yes alone in an emergency, and answers for it."""

    group: Text
    """Of the approver's own token."""
    review_within: Annotated[Duration, Field(gt=0)]
    """How soon somebody else looks at it: `24h`."""


class Approval(PolicySection):
    """Who must say yes, and for how long that counts."""

    need: Annotated[tuple[Need, ...], Field(min_length=1)]
    """All of these; what several matching rules need adds up."""
    reason: Literal["required", "optional"] = "optional"
    """Whether an approver has to say why."""
    ttl: TimeToLive = TimeToLive()
    hold: Annotated[Duration, Field(ge=0)] = 300.0
    """How long a call is held at most."""
    break_glass: BreakGlass | None = None


class Time(PolicySection):
    """When the rule holds, by the clock on the wall of `zone`."""

    zone: Text = "UTC"
    """`Europe/Paris`; a name of the IANA time zone database."""
    days: Texts | None = None
    """`mon-fri`, `[sat, sun]`."""
    hours: Texts | None = None
    """`08:00-18:00`, the end not included; `22:00-06:00` belongs to the day on which it begins."""
    from_: Text | None = Field(default=None, alias="from")
    """A date, or a date and time: not before."""
    until: Text | None = None
    """A date, or a date and time: not from then on."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.days or self.hours or self.from_ or self.until):
            raise complaint("says nothing", "days: mon-fri, hours: '08:00-18:00', from: or until: a date")
        return self


EffectName = Annotated[Effect, Field(strict=False)]


def _says_something(value: object) -> bool:
    return bool(value.model_fields_set if isinstance(value, PolicySection) else value)


class Rule(PolicySection):
    """What it matches is ANDed; what is left out matches anything."""

    id: Identifier
    """The rule's name in decisions, records and tests; no two rules have the same."""
    effect: EffectName
    """deny beats require_approval, that beats allow; what no rule allows is denied."""
    who: Who = Who()
    op: Op | None = None
    http: Http = Http()
    body: Mapping[str, DocumentMatcher] = Field(default={}, json_schema_extra={"minProperties": 1})
    """What the request's JSON body says, by dotted path: `options.notify_no_data`."""
    target: Mapping[str, DocumentMatcher] = Field(default={}, json_schema_extra={"minProperties": 1})
    """What the resource says as Datadog holds it now, by dotted path. It is read when the rule is decided."""
    when: Text | None = None
    """A CEL expression over body, target, request, op, identity, lists and now."""
    time: Time | None = None
    mode: Literal["enforce", "shadow"] = "enforce"
    """`shadow`: decided, logged and counted, not enforced."""
    credential: Identifier | None = None
    """The Datadog key that the call goes out with; `default` where no rule names one."""
    mask: Mask | None = None
    limit: Annotated[tuple[Identifier, ...], Field(min_length=1), BeforeValidator(one_as_list)] | None = None
    """Names under `limits:` that the call counts against."""
    log: Annotated[LogLevel, Field(strict=False)] | None = None
    """How loudly a call that fits is told in the gateway's log."""
    record: Annotated[Recording, Field(strict=False)] | None = None
    """`hash`: of a call that passes, no body is stored, only the size and a keyed digest of each; `full`, the
    default, goes before every `hash` where it is written.
    """
    reason: Text | None = None
    """Told to the agent with a refusal."""
    approval: Approval | None = None

    def _check_nothing_is_empty(self) -> None:
        """What is there and says nothing would fit every call, and can't have been meant."""
        for name in ("who", "http", "body", "target"):
            if name in self.model_fields_set and not _says_something(getattr(self, name)):
                raise complaint(f"{name} asks nothing, so it would fit every call", f"leave {name} out")
        for name, within in (("who", self.who), ("http", self.http)):
            for key in within.model_fields_set:
                if not _says_something(getattr(within, key)):
                    raise complaint(f"{name}.{key} asks nothing, so it would fit every call", "leave it out")

    @model_validator(mode="after")
    def _fits_its_effect(self) -> Self:
        self._check_nothing_is_empty()
        if self.effect is Effect.DENY:
            idle = [key for key in ("credential", "mask", "limit") if getattr(self, key) is not None]
            if idle:
                raise complaint(f"{', '.join(idle)} has no effect in a deny rule", "remove it")
        if self.effect is not Effect.ALLOW and self.record is not None:
            remedy = "remove it; what is denied, or people are asked about, is recorded in full"
            raise complaint("record has an effect in allow rules alone", remedy)
        if self.effect is Effect.REQUIRE_APPROVAL and self.approval is None:
            raise complaint("nobody is named who may approve", "approval: {need: [{group: G, count: 1}]}")
        if self.effect is not Effect.REQUIRE_APPROVAL and self.approval is not None:
            raise complaint("approval has no effect here", "set effect: require_approval, or remove it")
        if self.effect is Effect.ALLOW and self.op is not None and self.op.absent is not None:
            raise complaint("op.absent has no effect in an allow rule", "an unknown operation never fits it")
        return self
