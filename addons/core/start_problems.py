"""What may be wrong at a start, or with a command, and is told to a person without a traceback."""

from __future__ import annotations


class StartProblem(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """What an operator can mend; the text says what is wrong, where, and what to do, and holds no secret."""


class GatewayProblem(StartProblem):
    """A process or a command can't go on, for a reason that has no class of its own."""
