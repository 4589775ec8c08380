"""What stands in place of a secret: `[REDACTED:<kind>:<8 hex>]`."""

from __future__ import annotations

import hmac
import re
from functools import lru_cache
from typing import TYPE_CHECKING

import re2

from addons.core.redact.masking.flex import base64_forms, flex, flex_char

if TYPE_CHECKING:
    from addons.core.redact.masking.findings import Finding

MASK_KEY = "mask"
"""Name of the installation's key of the masks: every process masks the same secret the same way."""

# In the form of a mask, so that it can't travel back either.
UNREAD = "[REDACTED:unread:00000000]"
"""Stands for what could not be searched."""

CARD = "card"
"""The kind of a payment card's number."""

_PREFIX = b"[REDACTED:"
_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_KIND_CHAR = (
    r"(?:[a-z0-9\-]|%(?:25)*[2-7][0-9A-Fa-f]|\\+(?:u00|x)[2-7][0-9A-Fa-f]|&#(?:[0-9]+|[xX][0-9A-Fa-f]+);)"
)

MASK = re2.compile(rb"\[REDACTED:[a-z0-9\-]{1,40}:[0-9a-f]{8}\]", options=_LATIN1)
"""One mask, as written. ASCII without quotes, backslashes, angle brackets or ampersands, so that it can stand
in a JSON string, HTML, a header and a URL as it is."""

_ENCODED = re2.compile(
    "|".join(
        [
            flex("[REDACTED:") + _KIND_CHAR + "{1,40}" + flex_char(":") + _KIND_CHAR + "{8}" + flex_char("]"),
            *base64_forms(_PREFIX),
        ],
    ).encode("latin-1"),
    options=_LATIN1,
)


@lru_cache(maxsize=1024)
def fitting(kind: str) -> str:
    """A kind as `MASK` has it: one may be the name of a header, in which other characters are allowed (RFC
    9110, section 5.6.2), and whatever is in a recording.
    """
    return re.sub(r"[^a-z0-9-]", "-", kind.lower())[:40] or "unnamed"


class Masker:
    """Makes masks under the installation's own key, so that one secret has one mask in many places and
    nobody without the key can test a guess.
    """

    __slots__ = ("_card_last_four", "_key")

    def __init__(self, key: bytes, *, card_last_four: bool = False) -> None:
        """`card_last_four`: the mask of a card's number shows how it ends, as PCI DSS 3.4.1 allows."""
        if not key:
            raise ValueError("the masking key is empty: give at least 16 random bytes")
        self._key = key
        self._card_last_four = card_last_four

    def mask(self, kind: str, secret: bytes | str) -> str:
        """Make the mask of `secret`; text that is a mask already is given back as it is."""
        data = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
        if data.startswith(_PREFIX) and MASK.fullmatch(data):
            return data.decode("ascii")
        if kind == CARD and self._card_last_four:
            kind = f"{CARD}-{''.join(chr(code) for code in data if 48 <= code <= 57)[-4:]}"  # noqa: PLR2004 - digits
        return f"[REDACTED:{fitting(kind)}:{hmac.digest(self._key, data, 'sha256').hex()[:8]}]"

    def mask_of(self, finding: Finding) -> str:
        """Make the mask of what was found."""
        return self.mask(finding.kind, finding.secret)


def contains_mask(data: bytes) -> bool:
    """Whether a mask is in `data`: raw, percent-encoded, JSON- or HTML-escaped in any mixture, or inside
    base64. Any installation's mask counts.
    """
    return _ENCODED.search(data) is not None
