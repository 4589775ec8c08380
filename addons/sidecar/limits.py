"""What the listener bears from a slow or hostile child, and from a silent network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds. None limits how long an answer may take: a call can wait for its approval."""

    head_bytes: int = 65536
    connections: int = 1024
    head_time: float = 10.0
    dial_time: float = 30.0
    connect_answer_time: float = 60.0
    refusal_time: float = 10.0
    # After one side has said that it sends no more, how long the other may stay silent.
    half_closed_time: float = 300.0
    # The same where the far side can't be told (TLS): a child that left looks like one that stopped sending.
    half_closed_tls_time: float = 15.0
    # How long a tunnel must be silent after an answer to count as unused.
    quiet_time: float = 0.3
