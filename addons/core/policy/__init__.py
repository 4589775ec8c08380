"""Policy: files of YAML rules, compiled into one set that decides calls."""

from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Decision, PolicyRequest
from addons.core.policy.trials import TestOutcome

__all__ = ["Decision", "PolicyRequest", "PolicySet", "TestOutcome"]
