"""A small catalogue, and short ways to a policy and a request."""

from __future__ import annotations

import difflib
from typing import Any

from addons.core.model import Actor, Operation, Principal, Risk
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Decision, PolicyRequest


def _operation(
    name: str, tag: str, risk: Risk, method: str = "GET", version: str = "v1", **more: Any
) -> Operation:
    return Operation(name, version, method, f"/api/{version}/{tag}/{{id}}", (tag,), risk, **more)


OPERATIONS = (
    _operation("GetMonitor", "monitors", Risk.READ),
    _operation("CreateMonitor", "monitors", Risk.WRITE, "POST"),
    _operation("DeleteMonitor", "monitors", Risk.DESTRUCTIVE, "DELETE"),
    _operation("GetAPIKey", "key-management", Risk.SENSITIVE_READ),
    _operation("DeleteUser", "users", Risk.DESTRUCTIVE, "DELETE", also=frozenset({Risk.PRIVILEGED})),
    _operation("CreateDowntime", "downtimes", Risk.WRITE, "POST"),
    _operation("CreateDowntime", "downtimes", Risk.WRITE, "POST", "v2"),
    _operation("SubmitLog", "logs", Risk.INGEST, "POST", "v2"),
)


class SmallCatalogue:
    def by_name(self, name: str) -> tuple[Operation, ...]:
        return tuple(each for each in OPERATIONS if name in {each.name, f"{each.version}.{each.name}"})

    def names(self) -> tuple[str, ...]:
        return tuple(
            {each.name for each in OPERATIONS} | {f"{each.version}.{each.name}" for each in OPERATIONS}
        )

    def tags(self) -> tuple[str, ...]:
        return tuple({tag for each in OPERATIONS for tag in each.tags})

    def reader_of(self, operation: Operation) -> Operation | None:
        return None if operation.risk is Risk.INGEST else OPERATIONS[0]

    def nearest(self, name: str) -> str | None:
        return next(iter(difflib.get_close_matches(name, self.names(), 1)), None)


CATALOGUE = SmallCatalogue()


def policy(*texts: str) -> PolicySet:
    """Each text is the rules of one file, or a whole file where it says its version."""
    files = [
        (f"{number}.yaml", text if text.startswith("version:") else f"version: 1\nrules:\n{text}")
        for number, text in enumerate(texts)
    ]
    return PolicySet.from_files(files, CATALOGUE)


def principal(*groups: str, **more: Any) -> Principal:
    actors = tuple(Actor("https://issuer", subject) for subject in more.pop("actors", ()))
    fields: dict[str, Any] = {"issuer": "https://issuer", "subject": "alice", "expires": 1e12} | more
    return Principal(groups=frozenset(groups), actors=actors, **fields)


def request(name: str | None = "GetMonitor", who: Principal | None = None, **more: Any) -> PolicyRequest:
    """`name` None is an unknown operation; without `who`, alice of the group `agents`."""
    found = CATALOGUE.by_name(name)[0] if name else None
    fields: dict[str, Any] = {
        "host": "api.datadoghq.com",
        "method": found.method if found else "GET",
        "path": f"/api/v1/{found.tags[0]}/1" if found else "/nowhere",
    }
    return PolicyRequest(who or principal("agents"), found, **(fields | more))


def decide(rules: str, asked: PolicyRequest | None = None) -> Decision:
    return policy(rules).decide(asked or request())
