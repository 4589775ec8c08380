"""A policy that lets agents do nearly everything, for tests in which policy is not the question."""

from __future__ import annotations

import json
from pathlib import Path


def write_open_policy(directory: Path, **extra: object) -> str:
    """The path of a policy of one rule; `extra` are more keys of that rule."""
    risks = ["read", "write", "ingest", "execute", "destructive", "unknown"]
    rule = {"id": "all-for-agents", "effect": "allow", "who": {"groups": ["agents"]}, "op": {"risk": risks}}
    path = directory / "open-policy.yaml"
    path.write_text(json.dumps({"version": 1, "rules": [{**rule, **extra}]}))
    return str(path)
