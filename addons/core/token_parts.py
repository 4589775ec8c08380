"""Taking a compact JWS apart (RFC 7515 section 3.1) before anything in it is believed.

Stricter than the RFC where leniency lets two readers see two tokens: one spelling per byte string (no
padding, no slack bits), no repeated member names, no NaN, bounded size and depth.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from addons.core.model import Json
from addons.core.token_checks import TokenCheck, TokenRejected

MAX_TOKEN_BYTES = 16 * 1024
MAX_JSON_DEPTH = 16

# The signature may be empty here: an unsigned token is to be refused aloud, not taken for something else.
_COMPACT_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", re.ASCII)
_JWE_SEPARATORS = 4  # RFC 7516 section 3.1: five parts

_STANDARD = bytes.maketrans(b"-_", b"+/")
_PADDING = (b"", b"", b"==", b"=")
_LAST = ("", "", "AQgw", "AEIMQUYcgkosw048")  # by how many characters stand in the last group


class StrictJsonError(ValueError):
    """The text is not JSON that every reader would read alike. Carries none of it."""


@dataclass(frozen=True, slots=True)
class UnverifiedJwt:
    """Header and claims as the sender wrote them, before any signature was looked at.

    `signed_part` is what the signature is over: the first two parts, as they came.
    """

    unverified_header: Mapping[str, Json] = field(repr=False)
    unverified_claims: Mapping[str, Json] = field(repr=False)
    signed_part: bytes = field(repr=False)
    unverified_signature: bytes = field(repr=False)


def looks_like_jwt(value: str) -> bool:
    """Whether a value is shaped like a signed token: three base64url parts, the first an object with `alg`.

    Says nothing about whether it is a good one; oversized values count as shaped.
    """
    if not _COMPACT_JWS.fullmatch(value):
        return False
    part = value.split(".", 1)[0]
    if len(part) > MAX_TOKEN_BYTES:
        return True
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header


def take_apart(unverified_token: str) -> UnverifiedJwt:
    """Split and decode one token.

    Raises `TokenRejected`: too_large, encrypted, or malformed.
    """
    if len(unverified_token) > MAX_TOKEN_BYTES:
        raise TokenRejected(TokenCheck.TOO_LARGE)
    if not _COMPACT_JWS.fullmatch(unverified_token):
        if unverified_token.count(".") == _JWE_SEPARATORS:
            raise TokenRejected(TokenCheck.ENCRYPTED)
        raise TokenRejected(TokenCheck.MALFORMED)
    header_part, claims_part, signature_part = unverified_token.split(".")
    try:
        header = strict_object(_decode(header_part))
        claims = strict_object(_decode(claims_part))
        signature = _decode(signature_part)
    except StrictJsonError:
        raise TokenRejected(TokenCheck.MALFORMED) from None
    return UnverifiedJwt(header, claims, f"{header_part}.{claims_part}".encode("ascii"), signature)


def strict_object(text: bytes) -> dict[str, Json]:
    """Parse one JSON object in UTF-8 (RFC 8259), refusing what readers disagree about.

    That is repeated member names, NaN and infinities, lone surrogates, more than `MAX_JSON_DEPTH` levels.
    Raises `StrictJsonError`.
    """
    try:
        value: Json = _DECODER.decode(text.decode("utf-8"))
    except (ValueError, RecursionError):
        raise StrictJsonError("not valid JSON") from None
    if not isinstance(value, dict):
        raise StrictJsonError("not a JSON object")
    # Most can't be too deep, nor hold half a character: to go through them costs as much as to parse them.
    if text.count(b"{") + text.count(b"[") >= MAX_JSON_DEPTH or b"\\" in text:
        _require_plain(value)
    return value


def _decode(part: str) -> bytes:
    """Read base64url without padding (RFC 7515 section 2), of which only the alphabet was looked at."""
    rest = len(part) % 4
    # The last character may hold bits that decode to nothing: another spelling of the same token.
    if rest and part[-1] not in _LAST[rest]:
        raise StrictJsonError("not the one base64url spelling")
    return binascii.a2b_base64(part.encode("ascii").translate(_STANDARD) + _PADDING[rest])


def _unique_members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise StrictJsonError("a member name is repeated")
    return members


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise StrictJsonError("a number is out of range")
    return value


def _no_number(_: str) -> float:
    raise StrictJsonError("a number is out of range")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_members, parse_float=_finite, parse_constant=_no_number)


def _require_plain(top: dict[str, Json]) -> None:
    level: list[Json] = [top]
    for _ in range(MAX_JSON_DEPTH):
        deeper: list[Json] = []
        for value in level:
            if isinstance(value, dict):
                deeper.extend(value)
                deeper.extend(value.values())
            elif isinstance(value, list):
                deeper.extend(value)
            elif isinstance(value, str):
                _require_encodable(value)
        if not deeper:
            return
        level = deeper
    raise StrictJsonError("nested too deep")


def _require_encodable(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise StrictJsonError("a lone surrogate") from None
