"""Names of header fields, in lower case, whose values are credentials by themselves."""

from __future__ import annotations

CREDENTIALS = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "dd-api-key",
        "dd-application-key",
        "x-amz-firehose-access-key",
        "x-amz-security-token",
        "x-datadog-api-key",
        "x-api-key",
        "www-authenticate-token",
    ),
)
COOKIES = frozenset(("cookie", "set-cookie"))
"""Their values are lists, each with a name."""
