"""A target reader before an upstream of the test's own, with a real journal and real policy."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from addons.core.catalogue import Catalogue
from addons.core.hosts import lookup
from addons.core.model import Principal
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import PolicyRequest
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber
from addons.store.audit.record import AuditRecord
from addons.store.credentials import Credentials, CredentialSettings, SecretSource
from addons.store.dialling import Dialling, Route
from addons.store.policy.files import read_catalogue
from addons.store.state_dir import StateDir
from addons.store.targets.cache import CacheLimits
from addons.store.targets.call import CallLimits, TargetCall
from addons.store.targets.datadog_get import DatadogGet, GetLimits
from addons.store.targets.reader import Subject, TargetReader
from addons.store.targets.seen import TargetSeen, TargetShown
from addons.store.writing.journal import Journal
from tests.e2e.raw_upstream import KEYS, RawUpstream

API = "api.datadoghq.com"
RULES = """
version: 1
lists: {prod: ["env:prod"]}
rules:
  - id: not-in-production
    effect: deny
    op: {tags: [monitors]}
    target: {tags: {any: lists.prod}}
  - id: all
    effect: allow
    op: {risk: [read, write, destructive]}
"""
ALICE = Principal("https://issuer.example", "alice", frozenset({"sre"}), 1e12, session="run-1")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def credentials(**secrets: str) -> Credentials:
    """`default` and `readonly`; the second for one site alone. `secrets` replace those of KEYS."""
    keys = {**KEYS, **secrets}

    def settings(name: str, prefix: str, sites: set[str]) -> CredentialSettings:
        api, application = (SecretSource(variable=prefix + each) for each in ("api_key", "application_key"))
        return CredentialSettings(name, api, application, frozenset(sites))

    both = [
        settings("default", "", {"datadoghq.com", "datadoghq.eu"}),
        settings("readonly", "readonly_", {"datadoghq.eu"}),
    ]
    made = Credentials(both, keys)
    made.load_all()
    return made


@dataclass
class Reading:
    """One reader and what it is made of; `catalogue` is the real one."""

    upstream: RawUpstream
    state: StateDir
    journal: Journal
    get_limits: GetLimits = field(default_factory=lambda: GetLimits(seconds=10))
    call_limits: CallLimits = field(default_factory=CallLimits)
    cache_limits: CacheLimits = field(default_factory=CacheLimits)
    credentials: Credentials = field(default_factory=credentials)
    ca: Path | None = None
    rules: str = RULES
    clock: Clock = field(default_factory=Clock)
    kept: list[AuditRecord] = field(default_factory=list)
    catalogue: Catalogue = field(default_factory=read_catalogue)

    def __post_init__(self) -> None:
        ids = itertools.count()
        routes = {"*": Route("127.0.0.1", self.upstream.port, str(self.ca or self.upstream.ca))}
        self.policy = PolicySet.from_files([("rules.yaml", self.rules)], self.catalogue)
        self.reader = TargetReader(
            self.catalogue,
            TargetCall(
                get=DatadogGet(Dialling(routes), self.get_limits),
                credentials=self.credentials,
                journal=self.journal,
                scrubber=Scrubber(Masker(b"a key to mask with")),
                digest_key=b"a key to digest with",
                new_call_id=lambda: f"READ{next(ids)}",
                keep=self.kept.append,
                limits=self.call_limits,
                clock=self.clock,
            ),
            self.cache_limits,
            self.clock,
        )

    def asked(
        self, operation: str | None = "DeleteMonitor", path: str = "/api/v1/monitor/7", host: str = API
    ) -> PolicyRequest:
        (found,) = self.catalogue.by_name(operation) if operation else (None,)
        return PolicyRequest(ALICE, found, host, found.method if found else "DELETE", path)

    async def read(
        self,
        operation: str | None = "DeleteMonitor",
        path: str = "/api/v1/monitor/7",
        host: str = API,
        *,
        call: str = "CALL",
        fresh: bool = False,
    ) -> TargetSeen:
        asked = self.asked(operation, path, host)
        return await self.reader.read(self.policy, asked, subject(call, host), fresh=fresh)

    async def show(
        self, operation: str | None = "DeleteMonitor", path: str = "/api/v1/monitor/7", *, fresh: bool = True
    ) -> TargetShown:
        asked = self.asked(operation, path)
        return await self.reader.show(self.policy, asked, subject("CALL", API), fresh=fresh)

    def records(self) -> list[dict[str, Any]]:
        with sqlite3.connect(self.state.audit_log) as connection:
            rows = connection.execute("SELECT body FROM records ORDER BY idx").fetchall()
        return [json.loads(body) for (body,) in rows]

    def ends(self) -> list[tuple[str, str | None]]:
        return [(each["kind"], each["attributes"].get("outcome")) for each in self.records()]


def subject(call: str, host: str) -> Subject:
    registered = lookup(host)
    assert registered is not None
    return Subject(call, registered, b"", None)


def record_of(seen: TargetSeen) -> Mapping[str, Any]:
    assert isinstance(seen.record, dict)
    return seen.record


def files_of(state: StateDir) -> list[tuple[Path, bytes]]:
    return [(path, path.read_bytes()) for path in state.path.rglob("*") if path.is_file()]
