"""How long a client waits for its answer, and so how long its call may be held.

It says so itself with `Prefer: wait=N` (RFC 7240), as `ddgate run` lets it; otherwise its User-Agent tells
which it is. The name decides nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

_SHARE = 0.8
"""Of a client's limit: the answer has to be there before it."""

LIMITS: Mapping[str, float] = MappingProxyType(
    {
        # The synchronous client waits for ever; the asynchronous one, under the same name, 30 s for a byte.
        "datadog-api-client-python": 30.0,
        "datadog-api-client-typescript": math.inf,
        # Its retries end after 60 s. The Terraform provider sends this name behind its own.
        "datadog-api-client-go": 60.0,
        # datadogpy waits 60 s; dogshell, under the same name, 10 s.
        "datadogpy": 10.0,
        # 300 s, but 15 s where it uploads git metadata.
        "datadog-ci": 15.0,
        # Behind `Python/3.12`, which names no client.
        "aiohttp": 300.0,
        "aiosonic": 30.0,
        "python-httpx": 5.0,
        # No limit unless the program that uses them sets one; when that passes, it asks again.
        "curl": math.inf,
        "python-requests": math.inf,
        "python-urllib": math.inf,
        "datadog-agent": 20.0,
        "otelcol": 15.0,
        "otelcol-contrib": 15.0,
        "vector": 60.0,
    }
)
"""How many seconds each waits, by the name of its product in lower case: the shortest of all clients that
share that name.
"""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word, not a password
_PRODUCT_OR_COMMENT = re.compile(rf"\([^()]*\)|({_TOKEN})(?:/{_TOKEN})?", re.ASCII)
_WORD = rf'(?:{_TOKEN}|"(?:[^"\\]|\\.)*")'
_PREFERENCE = re.compile(rf"[ \t]*({_TOKEN})[ \t]*(?:=[ \t]*({_WORD})[ \t]*)?", re.ASCII)
_PARAMETER = re.compile(rf";[ \t]*(?:{_TOKEN}[ \t]*(?:=[ \t]*{_WORD}[ \t]*)?)?", re.ASCII)
_SECONDS = re.compile(r"[0-9]+", re.ASCII)
_MOST_READ = 4096  # characters; a longer field says nothing


def wait_for(user_agent: str | None, prefer: Sequence[str], default: float, longest: float) -> float:
    """For how many seconds a call of this client may be held; `prefer` are all its Prefer fields.

    `default` is for a client that is not known, and never is it more than `longest`.
    """
    asked = next(_waits(prefer), None)
    if asked is not None:
        return min(asked, longest)
    products = _products(user_agent) if user_agent is not None and len(user_agent) <= _MOST_READ else ()
    limits = [LIMITS[name] for name in products if name in LIMITS]
    return min(min(limits) * _SHARE if limits else default, longest)


def _waits(prefer: Sequence[str]) -> Iterator[float]:
    """The seconds of every `wait` that is well formed, in order: of several the first counts."""
    for field in prefer:
        for name, value in _preferences(field) if len(field) <= _MOST_READ else ():
            if name == "wait" and _SECONDS.fullmatch(value):
                yield float(value)


def _preferences(field: str) -> Iterator[tuple[str, str]]:
    """Name in lower case, and value without quotes; from what is no preference, on to the next comma."""
    at = 0
    while at < len(field):
        found = _PREFERENCE.match(field, at)
        if found is not None:
            at = found.end()
            while parameter := _PARAMETER.match(field, at):
                at = parameter.end()
            if at == len(field) or field[at] == ",":
                yield found[1].lower(), _unquoted(found[2] or "")
        at = field.find(",", at) + 1 or len(field)


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


def _products(user_agent: str) -> Iterator[str]:
    """The products that a User-Agent names (RFC 9110 section 10.1.5), in lower case, without comments."""
    return (found[1].lower() for found in _PRODUCT_OR_COMMENT.finditer(user_agent) if found[1])
