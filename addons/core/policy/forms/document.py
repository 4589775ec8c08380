"""The form of a policy file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from addons.core.policy.forms.matchers import Identifier, PolicySection, Text, Texts
from addons.core.policy.forms.rule_document import Rule
from addons.core.policy.forms.trial_document import TestCase
from addons.core.yaml_source import complaint


class Limit(PolicySection):
    """How many calls are let through in any window of time; each key counts on its own."""

    key: Annotated[Texts, Field(validate_default=True)] = ("identity.subject",)
    """Whose count: identity.subject, identity.issuer, identity.on_behalf_of, identity.session,
    identity.claims.NAME, op.name, op.risk, host."""
    rate: Text | None = None
    """At most so many calls in any such time, for bursts: `30/1m`."""
    quota: Text | None = None
    """The same, for the long run: `500/1d`."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.rate is None and self.quota is None:
            raise complaint("limits nothing", "rate: 30/1m, or quota: 500/1d")
        return self


class Defaults(PolicySection):
    """What happens where no rule speaks."""

    effect: Literal["deny"] = "deny"
    """What no rule allows is denied; there is no other default."""


class PolicyDocument(PolicySection):
    """One policy file."""

    version: Literal[1]
    """Of the form of policy files."""
    defaults: Defaults = Defaults()
    lists: Mapping[Identifier, Annotated[tuple[Text, ...], Field(min_length=1)]] = {}
    """Named lists of texts, for `lists.NAME` in rules."""
    limits: Mapping[Identifier, Limit] = {}
    """Named limits, for `limit: NAME` in rules."""
    profile: Literal["enforce", "observe"] = "enforce"
    """`observe`: every call of a known agent passes, and what the rules would have said is put on record."""
    observe_until: Text | None = None
    """The date on which `profile: observe` ends and the rules are enforced."""
    rules: tuple[Rule, ...] = ()
    """In any order: it never matters."""
    tests: tuple[TestCase, ...] = ()
    """Run by `ddgate policy test` and before the policy is live, against the rules of all files."""

    @model_validator(mode="after")
    def _observes_for_a_while(self) -> Self:
        if self.profile == "observe" and self.observe_until is None:
            raise complaint(
                "observe has no end", "observe_until: 2026-12-31, when the rules are to be enforced"
            )
        if self.profile == "enforce" and self.observe_until is not None:
            raise complaint("observe_until has no effect here", "set profile: observe, or remove it")
        return self
