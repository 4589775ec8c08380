"""One approval, as the store holds it and every process reads it. All times are seconds since the epoch.

Nothing here holds a secret: `summary`, `preview`, `path` and `intent` are redacted before they are made.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from addons.core.approvals.needs import Needs
from addons.core.approvals.states import State
from addons.core.model import Json


@dataclass(frozen=True, slots=True)
class Person:
    """Who decides, out of a verified token. `names` are all the names that person goes by (subject, e-mail,
    user name), folded: by them two accounts are known for one person, and the one who asks for the approver.
    """

    issuer: str
    subject: str
    groups: frozenset[str]
    names: frozenset[str]
    display: str


@dataclass(frozen=True, slots=True)
class Requester:
    """Whose call it is. `names` are all the names of the requester, its actors, and on whose behalf it runs,
    folded: nobody of these decides on it.
    """

    issuer: str
    subject: str
    on_behalf_of: str | None
    session: str | None
    names: frozenset[str]

    def is_same(self, other: Requester) -> bool:
        mine = (self.issuer, self.subject, self.on_behalf_of)
        return mine == (other.issuer, other.subject, other.on_behalf_of)


@dataclass(frozen=True, slots=True)
class CallAsked:
    """What would run, redacted; `target` is the path and query, `summary` one line for a person. `rules` are
    all that asked for approval, `why` their reasons; `call` is the id of the call that asked first.
    """

    call: str
    operation: str | None
    version: str | None
    risk: str
    method: str
    host: str
    target: str
    credential: str
    rule: str
    rules: tuple[str, ...]
    why: tuple[str, ...]
    policy_revision: str
    summary: str
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's word. `groups` are those that count for this approval."""

    person: Person
    approves: bool
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Review:
    """Somebody else's look at a broken glass."""

    person: Person
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class BrokenGlass:
    person: Person
    reason: str
    at: float
    review_due: float
    review: Review | None = None


@dataclass(frozen=True, slots=True)
class End:
    """How it ended, and by whom: `who` is a display name, or `the requester`, `the gateway`."""

    who: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Approval:
    """`digest` is that of the exact request, `thread` names what belongs together, `basis` is the digest of
    what the preview and the rules saw of the resource. `preview` is what `addons.core.approvals.preview`
    made. `executing_call` and `status` are those of the run, once there is one.
    """

    id: str
    state: State
    digest: str
    thread: str
    basis: str
    requester: Requester
    asked: CallAsked
    needs: Needs
    preview: Json
    requested_at: float
    pending_until: float
    votes: tuple[Vote, ...] = ()
    granted_at: float | None = None
    grant_until: float | None = None
    broken_glass: BrokenGlass | None = None
    end: End | None = None
    executing_call: str | None = None
    process: str | None = None
    status: int | None = None
    ran_at: float | None = None
    supersedes: str | None = None
    superseded_by: str | None = None
    seen_by: tuple[str, ...] = field(default=())

    @property
    def yes_votes(self) -> tuple[Vote, ...]:
        return tuple(vote for vote in self.votes if vote.approves)
