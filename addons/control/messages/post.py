"""One message over HTTP: bounded in time, verified, never redirected; what the receiver says is not read."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from addons.control.messages.receivers import Letter

_LONGEST_RETRY_AFTER = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Posted:
    """How it went. `error` is None where the receiver took it, and never holds the address; `is_final` where
    the receiver wants no more; `retry_after` in seconds, where the receiver gave it.
    """

    error: str | None
    is_final: bool = False
    retry_after: float = 0.0


async def post(client: httpx.AsyncClient, letter: Letter, seconds: float) -> Posted:
    """Send it, and wait for the head of the answer, at most `seconds` in all."""
    try:
        async with asyncio.timeout(seconds):
            request = client.build_request("POST", letter.url, headers=letter.headers, content=letter.body)
            answer = await client.send(request, stream=True)
            await answer.aclose()
    except TimeoutError:
        return Posted(f"no answer within {seconds:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        return Posted(_cause(error))
    return _of_status(answer)


def _of_status(answer: httpx.Response) -> Posted:
    status = answer.status_code
    if answer.is_success:
        return Posted(None)
    if status == HTTPStatus.GONE:
        return Posted("answered 410: it wants no more messages", is_final=True)
    if answer.is_redirect:
        return Posted(f"answered {status}; redirects are not followed, name the new address")
    return Posted(f"answered {status}", retry_after=_retry_after(answer.headers.get("Retry-After", "")))


def _retry_after(value: str) -> float:
    """RFC 9110 section 10.2.3: seconds, or a date; 0 for anything else."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), _LONGEST_RETRY_AFTER)
    try:
        ahead = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(ahead, 0.0), _LONGEST_RETRY_AFTER)


def _cause(error: Exception) -> str:
    """Name the failure: nothing that came from outside, and not the address, which exceptions may hold."""
    root: BaseException = error
    while (inner := root.__cause__ or root.__context__) is not None:
        root = inner
        if isinstance(root, ssl.SSLCertVerificationError):
            return "its certificate is not trusted, or is another host's"
    return f"can't be reached ({type(root).__name__})"
