"""Why the gateway can't start."""


class GatewayProblem(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """The text is for the operator: what is wrong, where, and what to do."""
