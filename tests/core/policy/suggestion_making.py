"""Short ways to sightings, and to the policy that is suggested from them."""

from __future__ import annotations

from collections.abc import Iterable

from addons.core.model import Json, Operation, Principal
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Evidence, PolicyRequest, Seen
from addons.core.policy.suggesting.sightings import Sighting, Sightings
from addons.core.policy.suggesting.suggest import Proposal, propose
from addons.core.policy.suggesting.suggested_conditions import Enough
from addons.core.policy.suggesting.suggested_text import Writer
from addons.store.policy.files import read_catalogue

DAY = 86_400.0
CATALOGUE = read_catalogue()
SRE = ("agents", "sre")


def operation(name: str) -> Operation:
    (found,) = CATALOGUE.by_name(name)
    return found


def sighting(
    name: str | None,
    subject: str = "a",
    day: float = 0,
    groups: Iterable[str] = SRE,
    *,
    issuer: str = "https://i",
    body: Json = None,
    evidence: Evidence | None = None,
    query: tuple[tuple[str, str], ...] = (),
    counts: bool = True,
    refused: str = "",
    held_secrets: bool = False,
) -> Sighting:
    found = operation(name) if name else None
    request = PolicyRequest(
        Principal(issuer, subject, frozenset(groups), float("inf")),
        found,
        "api.datadoghq.com",
        found.method if found else "GET",
        found.template if found else "/nowhere",
        query=query,
        at=day * DAY,
        body=evidence or Seen({} if body is None else body),
    )
    return Sighting(f"call-{subject}-{day}", request, counts, refused, held_secrets, request.body)


def daily(name: str, subject: str = "a", days: int = 3, **more: object) -> list[Sighting]:
    return [sighting(name, subject, day, **more) for day in range(days)]  # type: ignore[arg-type]


def proposals(*sightings: Iterable[Sighting], enough: int = 3) -> list[Proposal]:
    gathered = Sightings()
    for each in (one for several in sightings for one in several):
        gathered.add(each)
    return propose(gathered, CATALOGUE, Enough(enough))


def policy(made: list[Proposal]) -> PolicySet:
    """The rules as a file, its tests passing."""
    writer = Writer(CATALOGUE, "approvers", str)
    cases = [case for proposal in made for case in writer.cases(proposal)]
    draft = PolicySet.from_files(
        [("s.yaml", writer.text([], made, [(c, None) for c in cases], {}))], CATALOGUE
    )
    decisions = [draft.decide(trial.request) for trial in draft.trials()]
    text = writer.text(["head"], made, list(zip(cases, decisions, strict=True)), {})
    policy_set = PolicySet.from_files([("s.yaml", text)], CATALOGUE)
    assert all(outcome.passed for outcome in policy_set.run_tests()), text
    return policy_set


def granted(made: list[Proposal]) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    return {
        each.name: (proposal.grantee.group, proposal.grantee.subjects)
        for proposal in made
        for each in proposal.operations
    }
