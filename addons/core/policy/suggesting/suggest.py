"""Rules that permit what agents were seen to do as a habit, and nothing else.

What reads, sends telemetry or writes is allowed to the group that does it. What destroys, sets something off
or hands data to the outside is left to a person, by a rule that asks for approval. What reads keys, or
changes who may do what, is in no rule at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from addons.core.model import Operation, Risk
from addons.core.policy.compiling.operation_fits import OperationCatalogue
from addons.core.policy.suggesting.sightings import OperationKey, Sightings, Use, Who
from addons.core.policy.suggesting.suggested_conditions import Enough, conditions

MIN_FAMILY = 3
MANY_MEMBERS = 5
_ID_LENGTH = 64

# Writes whose purpose is that somebody or something outside Datadog gets what is in it.
EXPOSING_TAGS = frozenset(
    {"webhooks-integration", "logs-archives", "logs-custom-destinations", "dashboard-secure-embed",
     "action-connection", "web-integrations", "report-schedules", "reporting-and-sharing",
     "observability-pipelines"}
)  # fmt: skip
_EXPOSING_NAME = re.compile(
    r"Public|Shared?(?=[A-Z]|$)|Webhook|CustomDestination|Archive(?!d)|Integration|Account"
)


class Kind(StrEnum):
    """What becomes of an operation."""

    READ = "read"
    SEND = "send"
    WRITE = "write"
    ASK = "ask"
    NEVER = "never"


def kind_of(operation: Operation) -> Kind:
    risks = operation.risks
    if risks & {Risk.PRIVILEGED, Risk.SENSITIVE_READ, Risk.UNKNOWN}:
        return Kind.NEVER
    if risks & {Risk.DESTRUCTIVE, Risk.EXECUTE} or (Risk.WRITE in risks and is_exposing(operation)):
        return Kind.ASK
    if risks == {Risk.READ}:
        return Kind.READ
    return Kind.SEND if risks == {Risk.INGEST} else Kind.WRITE


def is_exposing(operation: Operation) -> bool:
    return not EXPOSING_TAGS.isdisjoint(operation.tags) or _EXPOSING_NAME.search(operation.name) is not None


@dataclass(frozen=True, slots=True, order=True)
class Grantee:
    """Who is meant: a group, or `subjects` of it. `issuer` is None where there is but one."""

    issuer: str | None
    group: str | None
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """One rule. It names `operations`, or what reads among `tags`. `uses` are what it rests on, by operation
    and identity; `notes` tell what it doesn't ask.
    """

    id: str
    kind: Kind
    grantee: Grantee
    operations: tuple[Operation, ...]
    tags: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    uses: Mapping[OperationKey, Mapping[Who, Use]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Grant:
    grantee: Grantee
    operation: Operation
    uses: Mapping[Who, Use]


def propose(sightings: Sightings, catalogue: OperationCatalogue, enough: Enough) -> list[Proposal]:
    """Make the rules, in the order in which a person may want to read them."""
    grants: dict[tuple[Grantee, Kind], list[_Grant]] = {}
    for key in sorted(sightings.uses):
        operation = sightings.operations[key]
        kind = kind_of(operation)
        if kind is Kind.NEVER:
            continue
        for grant in _grants(sightings, key, enough, generous=kind in {Kind.READ, Kind.SEND}):
            grants.setdefault((grant.grantee, kind), []).append(grant)
    taken: set[str] = set()
    order, families = list(Kind), _families(catalogue)
    proposals: list[Proposal] = []
    for (grantee, kind), granted in sorted(
        grants.items(), key=lambda each: (_name(each[0][0]), order.index(each[0][1]))
    ):
        if kind is Kind.READ:
            proposals += _reads(grantee, granted, families, taken)
        elif kind is Kind.WRITE:
            proposals += _writes(grantee, granted, enough, taken)
        else:
            suffix = "asks" if kind is Kind.ASK else "sends"
            proposals.append(_proposal(_id(grantee, suffix, taken), kind, grantee, granted))
    return proposals


def _grants(sightings: Sightings, key: OperationKey, enough: Enough, *, generous: bool) -> Iterator[_Grant]:
    """Find who has the habit.

    The smallest group goes first, so that what one team does isn't given to all; of two with the same members
    the one with the longer name, which tends to say more. A group gets what at least half of its members do
    (more than half, unless `generous`), or five of them; else those members get it who do it often enough by
    themselves.
    """
    operation, remaining = sightings.operations[key], dict(sightings.uses[key])
    several = len(sightings.issuers) > 1
    for (issuer, group), members in sorted(
        sightings.members.items(), key=lambda each: (len(each[1]), -len(each[0][1]), each[0])
    ):
        users = {who: use for who, use in remaining.items() if who in members}
        if not enough.is_met(use.occasions for use in users.values()):
            continue
        subjects: tuple[str, ...] = ()
        is_common = 2 * len(users) >= len(members) + (not generous)
        if not is_common and len(users) < MANY_MEMBERS:
            users = {who: use for who, use in users.items() if enough.is_met([use.occasions])}
            subjects = tuple(sorted(who.subject for who in users))
        if users:
            yield _Grant(Grantee(issuer if several else None, group, subjects), operation, users)
        remaining = {who: use for who, use in remaining.items() if who not in users}
    for who, use in sorted(remaining.items(), key=lambda each: each[0]):
        if not who.groups and enough.is_met([use.occasions]):
            yield _Grant(
                Grantee(who.issuer if several else None, None, (who.subject,)), operation, {who: use}
            )


def _reads(
    grantee: Grantee, granted: list[_Grant], families: Mapping[str, set[OperationKey]], taken: set[str]
) -> Iterator[Proposal]:
    """One rule for the operations by name, and one for the families of which more than half are in use, and
    three at least.
    """
    used = {(grant.operation.version, grant.operation.name) for grant in granted}
    most = [
        tag
        for tag, family in sorted(families.items())
        if len(used & family) >= MIN_FAMILY and 2 * len(used & family) > len(family)
    ]
    in_family = [grant for grant in granted if set(most) & set(grant.operation.tags)]
    others = [grant for grant in granted if not set(most) & set(grant.operation.tags)]
    if others:
        yield _proposal(_id(grantee, "reads", taken), Kind.READ, grantee, others)
    if in_family:
        identifier = _id(grantee, "reads-families", taken)
        yield _proposal(identifier, Kind.READ, grantee, in_family, tags=tuple(most))


def _families(catalogue: OperationCatalogue) -> dict[str, set[OperationKey]]:
    """What reads, and does nothing else, by tag."""
    families: dict[str, set[OperationKey]] = {}
    for operation in (each for name in catalogue.names() for each in catalogue.by_name(name)):
        if operation.risks == {Risk.READ}:
            for tag in operation.tags:
                families.setdefault(tag, set()).add((operation.version, operation.name))
    return families


def _writes(grantee: Grantee, granted: list[_Grant], enough: Enough, taken: set[str]) -> Iterator[Proposal]:
    """One rule an operation, each with what its requests look like."""
    for grant in granted:
        identifier = _id(grantee, _kebab(grant.operation.name), taken)
        asked = conditions(list(grant.uses.values()), enough)
        plain = _proposal(identifier, Kind.WRITE, grantee, [grant])
        yield replace(plain, when=tuple(asked.expressions), notes=tuple(asked.notes))


def _proposal(
    identifier: str,
    kind: Kind,
    grantee: Grantee,
    granted: Iterable[_Grant],
    tags: tuple[str, ...] = (),
) -> Proposal:
    granted = list(granted)
    return Proposal(
        id=identifier,
        kind=kind,
        grantee=grantee,
        operations=tuple(grant.operation for grant in granted),
        tags=tags,
        uses={(grant.operation.version, grant.operation.name): grant.uses for grant in granted},
    )


def _name(grantee: Grantee) -> str:
    if grantee.group is not None:
        return grantee.group if not grantee.subjects else f"{grantee.group}-{'-'.join(grantee.subjects)}"
    return "-".join(grantee.subjects)


def _id(grantee: Grantee, suffix: str, taken: set[str]) -> str:
    """Make an identifier that no other rule has."""
    subjects = grantee.subjects
    name = subjects[0] if len(subjects) == 1 else f"{grantee.group}-some" if subjects else grantee.group or ""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "agents"
    number = 1
    while True:
        end = f"-{suffix}" if number == 1 else f"-{suffix}-{number}"
        identifier = slug[: max(1, _ID_LENGTH - len(end))] + end
        if len(identifier) > _ID_LENGTH:
            identifier = identifier[: _ID_LENGTH - 4] + f"-{number}"
        if identifier not in taken:
            taken.add(identifier)
            return identifier
        number += 1


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()
