"""What the API says and takes: these models are its OpenAPI document. Times are seconds since the epoch."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from addons.control.standing import Action
from addons.core.approvals.states import State
from addons.core.approvals.voting import VoteReason

MAX_REASON = 4000

ApprovalId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", examples=["0193a1b2c3d400112233445566778899"])]
Reason = Annotated[str, Field(max_length=MAX_REASON, description="Why; some rules insist on one.")]
Digest = Annotated[
    str | None,
    Field(
        pattern=r"^[0-9a-f]{64}$",
        description="The `digest` that was shown: the word counts for exactly that request, or not at all.",
    ),
]


class Said(BaseModel):
    """What the API answers with."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Given(BaseModel):
    """What the API is sent. More than this is an error: nobody decides in another's name by naming them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ProblemSaid(Said):
    """RFC 9457. `reason` is one word out of a closed list."""

    type: str
    title: str
    status: int
    detail: str
    reason: str


class Word(Given):
    """A yes or a no to exactly one request."""

    reason: Reason = ""
    digest: Digest = None


class Nothing(Given):
    """`{}`: the path says it all."""


Explained = Annotated[
    str, Field(min_length=1, max_length=MAX_REASON, pattern=r"\S", description="Why: not without one.")
]


class Alone(Given):
    """What lets a call pass alone."""

    reason: Explained
    digest: Digest = None


class Explanation(Given):
    reason: Reason = ""


class Review(Given):
    """What a look at a broken glass has found."""

    reason: Explained


class Finding(Given):
    """What became of a call that nobody can tell of."""

    ran: bool
    reason: Explained


class PersonSaid(Said):
    issuer: str
    subject: str
    display: str


class Me(PersonSaid):
    """Who asks, and until when that is known. `csrf_token` is for scripts of our own pages."""

    groups: list[str]
    until: float
    csrf_token: str | None


class RequesterSaid(Said):
    issuer: str
    subject: str
    on_behalf_of: str | None
    session: str | None


class MaySaid(Said):
    """Whether the one who asks may do something; else why not."""

    allowed: bool
    reason: VoteReason | None = None
    text: str | None = None


class ApprovalSaid(Said):
    """One line of a list. `may_approve` and `why_not` are about the one who asks."""

    id: str
    state: State
    summary: str
    operation: str | None
    risk: str
    method: str
    host: str
    target: str
    rule: str
    requester: RequesterSaid
    requested_at: float
    pending_until: float
    grant_until: float | None
    places_left: dict[str, int]
    glass_broken: bool
    review_due: float | None
    may_approve: bool
    why_not: str | None


class ApprovalPage(Said):
    """Newest first. `before` gets the next page, None when this is the last. `version` is for `/events`."""

    approvals: list[ApprovalSaid]
    before: str | None
    version: int


class VoteSaid(Said):
    person: PersonSaid
    approves: bool
    reason: str
    at: float


class BreakGlassSaid(Said):
    groups: list[str]
    review_within: float


class NeedsSaid(Said):
    """`groups` says how many people of each have to say yes. The rest are seconds."""

    groups: dict[str, int]
    reason_required: bool
    pending: float
    grant: float
    hold: float
    break_glass: BreakGlassSaid | None


class BrokenGlassSaid(Said):
    person: PersonSaid
    reason: str
    at: float
    review_due: float
    reviewed_by: PersonSaid | None
    review: str | None
    reviewed_at: float | None


class EndSaid(Said):
    who: str
    reason: str
    at: float


class HistorySaid(Said):
    """One step, out of the audit trail."""

    what: str
    who: str
    at: float
    text: str
    reason: str


class ApprovalWhole(ApprovalSaid):
    """Everything. `preview` is what would run, redacted, and what it changes; `intent` are the agent's own
    words, which nobody has verified. `may` is about the one who asks. `thread` are the other requests of the
    same agent run for the same target.
    """

    digest: str
    version: str | None
    why: list[str]
    rules: list[str]
    policy_revision: str
    credential: str
    intent: str | None
    needs: NeedsSaid
    votes: list[VoteSaid]
    granted_at: float | None
    broken_glass: BrokenGlassSaid | None
    end: EndSaid | None
    executing_call: str | None
    status: int | None
    ran_at: float | None
    supersedes: str | None
    superseded_by: str | None
    seen_by: list[str]
    preview: JsonValue
    history: list[HistorySaid]
    thread: list[ApprovalSaid]
    may: dict[Action, MaySaid]
