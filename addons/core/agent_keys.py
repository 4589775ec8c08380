"""Where an agent's own Datadog keys may stand in a request. They are stripped: never used, stored or sent."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

# Names are compared in lower case, with `_` read as `-`. A range would let an echoed key be fetched in parts,
# each too short to be recognised.
DROPPED_HEADERS = frozenset(
    {
        b"authorization",
        b"cookie",
        b"dd-api-key",
        b"dd-app-key",
        b"dd-application-key",
        b"if-range",
        b"range",
        b"x-amz-firehose-access-key",
        b"x-datadog-api-key",
        b"x-datadog-application-key",
    }
)
_PARAMETERS = re.compile(r"(dd[-_])?(api|app|application)[-_]key", re.IGNORECASE)
_IN_PATH = re.compile(r"(/v1/input)/[^/]+/?", re.IGNORECASE)


def without_keys_in_query(query: str) -> str:
    """The query without parameters that are named as a key is."""
    return "&".join(
        part
        for part in query.split("&")
        if not _PARAMETERS.fullmatch(unquote_plus(part.partition("=")[0]).strip())
    )


def without_key_in_path(path: str) -> str:
    """The path, in normal form, without a key: `/v1/input/KEY` takes it in a header as well."""
    found = _IN_PATH.fullmatch(path)
    return found[1] if found else path
