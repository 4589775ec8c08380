"""Abuse case 18 over the catalogue: on the wire, a URL of an operation is that operation on every site, and
its hostile spellings are that operation, too, or are refused."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from addons.core.catalogue import Catalogue
from addons.core.hosts import SITES, HostRole, registered
from addons.core.model import Operation
from addons.store.policy.files import read_catalogue
from tests.e2e import raw_client
from tests.e2e.conftest import MakeGateway
from tests.e2e.gateway_process import Curled, Gateway
from tests.e2e.hostile_paths import HOSTILE, SAME
from tests.sandbox_processes import Issuer, StandIn

CATALOGUE = read_catalogue()
SAMPLE = 200
SPELLINGS = 4  # of each sort, of each operation of the sample

# Nothing is allowed, so that 1,963 operations can be tried; the record says what was decided on.
POLICY = "version: 1\nrules: [{id: nobody, effect: allow, who: {groups: [nobody]}}]\n"


def sample(catalogue: Catalogue, count: int, seed: int) -> list[Operation]:
    """Operations of every version, method and risk, of each as many as there are in proportion, and at least
    one."""
    strata: dict[tuple[object, ...], list[Operation]] = {}
    for operation in catalogue.operations():
        role = catalogue.traits(operation).host
        key = (operation.version, operation.method, operation.risk, role)
        strata.setdefault(key, []).append(operation)
    whole = len(catalogue.operations())
    choose = random.Random(seed)  # noqa: S311 - a sample
    return [
        operation
        for stratum in strata.values()
        for operation in choose.sample(stratum, max(1, round(len(stratum) * count / whole)))
    ]


def hosts_of(operation: Operation) -> list[str]:
    role = CATALOGUE.traits(operation).host or HostRole.API
    return [host.name for host in registered() if host.role is role]


def concrete(operation: Operation) -> str:
    return re.sub(r"\{[^}]*\}", "abc-123", operation.template)


def decided_as(operation: Operation) -> str:
    if operation.name == "SubmitLogWithKey":  # the key is taken out of the path, before anything is decided
        return "v1.SubmitLog"
    return f"{operation.version}.{operation.name}"


@dataclass
class Caller:
    """Calls that are all refused, and which operation each was decided on as."""

    gateway: Gateway
    token: str
    tunnels: dict[str, raw_client.Tunnel] = field(default_factory=dict)
    asked: list[tuple[Operation, str, str | None, str]] = field(default_factory=list)

    def ask(self, operation: Operation, host: str, target: str) -> None:
        answer = self._answer(operation.method, host, target)
        if answer is None:  # closed without an answer: refused
            return
        told = answer.json()["ddgate"]
        assert answer.status in {400, 403}, answer
        self.asked.append((operation, f"{host}{target!r}", told.get("call"), told["reason"]))

    def _answer(self, method: str, host: str, target: str) -> Curled | None:
        for _ in range(2):  # the tunnel may have ended with the call before
            tunnel = self.tunnels.get(host)
            if tunnel is None:
                login = [raw_client.basic(self.token)]
                tunnel = self.tunnels[host] = raw_client.tunnel(
                    self.gateway.port, self.gateway.ca, host, login, timeout=30
                )
            try:
                answer = tunnel.request(method, target, [("Host", host)])
            except OSError:
                answer = None
            if answer is not None and answer.status:
                return answer
            del self.tunnels[host]
        return None

    def close(self) -> None:
        for tunnel in self.tunnels.values():
            tunnel.close()

    def decided(self) -> Iterator[tuple[Operation, str, str | None, str]]:
        """Operation and URL asked for, the operation that the record names, and why it was refused."""
        records = {record["call"]: record for record in self.gateway.records_of("refused")}
        for operation, url, call, reason in self.asked:
            api = records[call].get("api") if call is not None else None  # None: it was no request at all
            yield operation, url, f"{api['version']}.{api['operation']}" if api else None, reason


@pytest.fixture
def caller(make_gateway: MakeGateway, issuer: Issuer, fresh: StandIn) -> Iterator[Caller]:
    gateway = make_gateway()
    policy = gateway.directory / "nothing.yaml"
    policy.write_text(POLICY)
    gateway.config = {"policy": [str(policy)], "sites": list(SITES)}
    gateway.__post_init__()
    caller = Caller(gateway.start(), issuer.mint(sub="agent", groups=["agents"], ttl=3000))
    yield caller
    caller.close()
    assert fresh.requests() == []
    gateway.stop()


def ask_on_every_site(caller: Caller, operations: Iterable[Operation]) -> None:
    for operation in operations:
        for host in hosts_of(operation):
            caller.ask(operation, host, concrete(operation))
    for operation, url, decided, reason in caller.decided():
        assert (decided, reason) == (decided_as(operation), "no_rule"), url


def ask_in_hostile_spellings(caller: Caller, operations: Sequence[Operation], spellings: int) -> None:
    choose = random.Random(18)  # noqa: S311 - a sample
    operations = [each for each in operations if each.template != "/"]  # which has nothing to spell otherwise
    for operation in operations:
        path, host = concrete(operation), choose.choice(hosts_of(operation))
        for name in choose.sample(list(SAME), min(spellings, len(SAME))):
            caller.ask(operation, host, SAME[name](path))
    as_it_is = len(caller.asked)
    for operation in operations:
        path, host = concrete(operation), choose.choice(hosts_of(operation))
        for name in choose.sample(list(HOSTILE), min(spellings, len(HOSTILE))):
            caller.ask(operation, host, HOSTILE[name](path))
    for number, (operation, url, decided, reason) in enumerate(caller.decided()):
        itself = (decided_as(operation), "no_rule")
        refused = {(None, "malformed_request"), (None, "destination_mismatch")}
        assert (decided, reason) in ({itself} if number < as_it_is else {itself, *refused}), url


def test_abuse_18_an_operation_is_itself_on_every_site(caller: Caller) -> None:
    ask_on_every_site(caller, sample(CATALOGUE, SAMPLE, 1))


def test_abuse_18_an_operation_in_a_hostile_spelling_is_itself_or_refused(caller: Caller) -> None:
    ask_in_hostile_spellings(caller, sample(CATALOGUE, SAMPLE, 2), SPELLINGS)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_abuse_18_every_operation_is_itself_on_every_site(caller: Caller) -> None:
    ask_on_every_site(caller, CATALOGUE.operations())


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_abuse_18_every_operation_in_a_hostile_spelling_is_itself_or_refused(caller: Caller) -> None:
    ask_in_hostile_spellings(caller, CATALOGUE.operations(), 4 * SPELLINGS)
