"""What receivers are told of."""

from __future__ import annotations

from enum import StrEnum


class MessageEvent(StrEnum):
    """One message each. The names stand in `ddgate.yaml` (`events`) and, after `approval.`, in messages."""

    REQUESTED = "requested"
    UPDATED = "updated"
    """The same agent run asks for something else on the same target, and people were told of the first."""
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    GLASS_BROKEN = "glass_broken"
    """One person let the call pass alone. Every receiver is told, whatever it asked for."""
    EXECUTED = "executed"
    UNKNOWN = "unknown"
    """Nobody can tell whether the call ran: a person has to look."""
    RESOLVED = "resolved"
    REVIEWED = "reviewed"

    @property
    def type(self) -> str:
        """The `type` of its message, full-stop delimited after Standard Webhooks."""
        return f"approval.{self.value}"
