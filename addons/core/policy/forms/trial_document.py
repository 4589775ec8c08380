"""The form of the tests that stand beside rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from addons.core.model import Reason
from addons.core.policy.forms.matchers import Identifier, PolicySection, Text, one_as_list
from addons.core.policy.forms.rule_document import EffectName, Mask
from addons.core.policy.request import LogLevel, Recording
from addons.core.quantities import Size

AnyJson = Annotated[object, WithJsonSchema({"type": ["object", "array", "string", "number", "boolean"]})]
"""Anything but null, which would be a key without a value."""


class GivenWho(PolicySection):
    """A principal made up for a test."""

    groups: Annotated[tuple[str, ...], BeforeValidator(one_as_list)] = ()
    """Left out: none."""
    subject: Text = "tester"
    """Who calls."""
    issuer: Text = "https://issuer.test"
    """Who vouches for it."""
    on_behalf_of: Text | None = None
    """For whom it works; left out: for nobody."""
    actor: Annotated[tuple[Text, ...], BeforeValidator(one_as_list)] = ()
    """Subjects of the token's `act` chain."""
    claims: Mapping[str, object] = {}
    """What else the token says."""


class Given(PolicySection):
    """A call made up for a test; what is left out comes from the operation."""

    who: GivenWho = GivenWho()
    op: Text
    """`CreateMonitor`, `v2.CreateDowntime` where both versions have it, or `unknown`."""
    host: Text = "api.datadoghq.com"
    """Where it is sent."""
    method: Text | None = None
    """Left out: the operation's."""
    path: Text | None = None
    """Left out: the operation's, with 1 for each parameter."""
    query: Mapping[str, Annotated[tuple[str, ...], BeforeValidator(one_as_list)]] = {}
    """By name: one text, or several where it stands there several times."""
    headers: Mapping[str, Annotated[tuple[str, ...], BeforeValidator(one_as_list)]] = {}
    """As `query`."""
    body: AnyJson = None
    """The JSON body, as YAML."""
    target: AnyJson = None
    """The resource as Datadog would hold it, as YAML; left out, it can't be read."""
    at: Text | None = None
    """A date and time with its offset: `2026-03-02T10:00:00+01:00`."""
    size: Size | None = None
    """Of the body; left out, that of `body` as JSON."""


class Expect(PolicySection):
    """What must come out; what is left out may be anything."""

    effect: EffectName
    """Of the decision."""
    rule: Identifier | None = None
    """The rule that decides: of those with the winning effect, the first by id."""
    reason: Annotated[Reason, Field(strict=False)] | None = None
    """`denied_by_rule`, `no_rule`, …"""
    credential: Identifier | None = None
    """The Datadog key that the call would go out with."""
    mask: Mask | None = None
    """All that is masked, in the directions and ways that are named here."""
    limits: tuple[Identifier, ...] | None = None
    """All limits that the call counts against."""
    log: Annotated[LogLevel, Field(strict=False)] | None = None
    """How loudly it is told."""
    record: Annotated[Recording, Field(strict=False)] | None = None
    """Whether its bodies are stored."""
    shadow: tuple[Identifier, ...] | None = None
    """All rules in shadow mode that match."""


class TestCase(PolicySection):
    """A made-up call, and what must come of it."""

    __test__ = False  # no test of pytest's

    name: Text
    """What it holds, for people."""
    given: Given
    expect: Expect
