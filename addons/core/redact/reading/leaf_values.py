"""Values in JSON: their text, and whether what names them fits."""

from __future__ import annotations

from functools import lru_cache

import re2

from addons.core.redact.decoding import layers
from addons.core.redact.detectors.names import (
    NameClass,
    can_be_opaque,
    can_be_password,
    can_be_secret,
    classify,
    count_digits,
    is_card_code,
    is_dense,
)
from addons.core.redact.formats.jsonish import Leaf

SCHEME = re2.compile(
    rb"(?i)^(?:bearer|basic|token|digest|negotiate|apikey|ssws|splunk|bot|delegated|aws4-hmac-sha256)\s+"
)
MAX_KEY = 720  # bytes: each character of the longest name that is judged, as an escape
_MIN_NUMBER = 4


def text_of(data: bytes, leaf: Leaf) -> bytes:
    """Give a leaf's value, unescaped."""
    raw = data[leaf.start : leaf.end]
    layer = layers.unbackslash(raw)
    return raw if layer is None else layer.text


def name_of(raw: bytes) -> str:
    """Give a key, unescaped."""
    layer = layers.unbackslash(raw) if b"\\" in raw else None
    return (raw if layer is None else layer.text).decode("latin-1")


@lru_cache(maxsize=8192)
def kind_of(key: bytes) -> NameClass:
    """Of a key as it stands in the text."""
    return classify(name_of(key)) if key else NameClass.NONE


def fits(kind: NameClass, value: bytes, leaf: Leaf) -> bool:
    """Whether the string `value` of `leaf` may be what `kind` announces; for no kind, what a store holds."""
    if kind is NameClass.PASSWORD:
        return can_be_password(value) and (not leaf.element or is_dense(value))
    if kind is NameClass.SECRET:
        if is_card_code(leaf.name.decode("latin-1"), value):
            return True
        return can_be_secret(SCHEME.sub(b"", value)) and (not leaf.element or is_dense(value))
    if kind is not NameClass.NONE:
        return can_be_opaque(kind, value)
    return is_dense(value)


def number_fits(kind: NameClass, value: bytes, leaf: Leaf) -> bool:
    """A password or code as a number. `tokens` are counted, and have numbers."""
    if kind is NameClass.SECRET:
        if len(value) < _MIN_NUMBER:
            return is_card_code(leaf.name.decode("latin-1"), value)
        return value.isdigit() and not leaf.name.lower().endswith(b"tokens")
    return kind is NameClass.PASSWORD and count_digits(value) >= _MIN_NUMBER
