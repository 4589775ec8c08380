"""Secrets in the parameters of a query or a form, by their names and by what stands in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import re2

from addons.core.redact.decoding import layers
from addons.core.redact.detectors.names import (
    NameClass,
    can_be_opaque,
    can_be_password,
    can_be_secret,
    classify,
    is_card_code,
    looks_random,
)
from addons.core.redact.masking.findings import Finding, Work

if TYPE_CHECKING:
    from addons.core.redact.reading.scan import Scanner

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_PARAMETER = re2.compile(rb"(?:^|[?&;#])([^=&;?#\s]{1,200})=([^&;#\s]*)", options=_LATIN1)
_URL_NAMES = frozenset(
    ("sig", "signature", "x-amz-signature", "x-goog-signature", "x-amz-security-token", "jwt", "api_key"),
)
_SHORT_NAMES = frozenset(
    ("key", "code", "ticket", "sas", "sid", "session", "sessionid", "jsessionid", "phpsessid")
)
"""They mean a secret where what they name looks like nothing else."""
_MIN_SIGNATURE = 16  # `sig=1` is none


def is_telling(name: str) -> bool:
    """Whether a value under that name can be a secret."""
    return bool(name) and classify(name) is not NameClass.NONE


def named(name: str, value: bytes) -> str | None:
    """Give the kind of secret that a parameter's or field's name makes of its value."""
    kind = classify(name) if name else NameClass.NONE
    if kind is NameClass.SECRET and is_card_code(name, value):
        return NameClass.SECRET.value
    fits = (
        (kind is NameClass.PASSWORD and can_be_password(value))
        or (kind is NameClass.SECRET and can_be_secret(value))
        or can_be_opaque(kind, value)
    )
    return kind.value if fits else None


def find_named(data: bytes) -> Iterator[Finding]:
    """Find values under a sensitive name."""
    for match in _PARAMETER.finditer(data):
        name = _decoded(match.group(1)).decode("latin-1")
        folded = name.lower()
        if not (is_telling(name) or folded in _URL_NAMES or folded in _SHORT_NAMES):
            continue
        value = _decoded(match.group(2))
        kind = named(name, value)
        if kind is None and folded in _URL_NAMES and len(value) >= _MIN_SIGNATURE:
            kind = "signature"
        if kind is None and folded in _SHORT_NAMES and looks_random(value) and not value.islower():
            kind = "parameter"
        if kind is not None:
            start, end = match.span(2)
            yield Finding(start, end, "parameter", kind, value)


def find_inside(scanner: Scanner, form: bytes, work: Work, depth: int) -> Iterator[Finding]:
    """Find what stands in the encoded values of a form, each read for itself."""
    start = 0
    while start <= len(form):
        end = form.find(b"&", start)
        end = len(form) if end < 0 else end
        place = max(start, form.find(b"=", start, end) + 1)
        value = form[place:end]
        layer = layers.unpercent(value, plus=True)
        if layer is None and b"+" in value:
            layer = layers.pieces_of(value.replace(b"+", b" "), [(0, len(value))])
        for finding in scanner.through(layer, work, depth) if layer is not None else ():
            yield finding.moved(finding.start + place, finding.end + place).unquoted()
        start = end + 1


def _decoded(text: bytes) -> bytes:
    layer = layers.unpercent(text, plus=True)
    return text.replace(b"+", b" ") if layer is None else layer.text
