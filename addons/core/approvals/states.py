"""The life of an approval: every state, every event, and the one table of what leads where.

`executing -> approved` is the way back of a call whose head never left. `unknown` is a call of which nobody
can tell whether it ran: it is never tried again by itself, a person says what became of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    EXECUTING = "executing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What happens to an approval. Only these change its state."""

    APPROVED_IN_PART = "approved_in_part"
    """A yes, and more are needed."""
    APPROVED = "approved"
    """The last yes that was needed."""
    GLASS_BROKEN = "glass_broken"
    """One person of the break-glass group let it pass alone."""
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    """By the requester, or by the one on whose behalf it runs."""
    SUPERSEDED = "superseded"
    """The same agent run asks for something else on the same target."""
    CONSUMED = "consumed"
    """A process took the grant, and is about to forward the call."""
    NOT_SENT = "not_sent"
    """The call ended before its head left, so the grant is still there."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"
    """The process, or the answer, is gone: nobody can tell whether the call ran."""
    FOUND_RUN = "found_run"
    """A person has looked: the lost call ran."""
    FOUND_NOT_RUN = "found_not_run"
    """A person has looked: the lost call did not run."""


class NoSuchTransition(Exception):  # noqa: N818 - named after what is wrong
    """The event can't happen in this state."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event} can't happen to an approval that is {state}")
        self.state, self.event = state, event


TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.PENDING, Event.APPROVED_IN_PART): State.PENDING,
        (State.PENDING, Event.APPROVED): State.APPROVED,
        (State.PENDING, Event.GLASS_BROKEN): State.APPROVED,
        (State.PENDING, Event.DENIED): State.DENIED,
        (State.PENDING, Event.EXPIRED): State.EXPIRED,
        (State.PENDING, Event.CANCELLED): State.CANCELLED,
        (State.PENDING, Event.SUPERSEDED): State.CANCELLED,
        (State.APPROVED, Event.DENIED): State.DENIED,  # thought better of, while nothing ran
        (State.APPROVED, Event.EXPIRED): State.EXPIRED,
        (State.APPROVED, Event.CANCELLED): State.CANCELLED,
        (State.APPROVED, Event.CONSUMED): State.EXECUTING,
        (State.EXECUTING, Event.NOT_SENT): State.APPROVED,
        (State.EXECUTING, Event.SUCCEEDED): State.SUCCEEDED,
        (State.EXECUTING, Event.FAILED): State.FAILED,
        (State.EXECUTING, Event.LOST): State.UNKNOWN,
        (State.UNKNOWN, Event.FOUND_RUN): State.SUCCEEDED,
        (State.UNKNOWN, Event.FOUND_NOT_RUN): State.FAILED,
    }
)

LIVE = frozenset({State.PENDING, State.APPROVED, State.EXECUTING, State.UNKNOWN})
"""An identical call belongs to an approval in one of these, and gets no other."""

WAITING = frozenset({State.PENDING, State.APPROVED})
"""States in which time runs out."""


def after(state: State, event: Event) -> State:
    """Raises NoSuchTransition."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise NoSuchTransition(state, event) from None
