"""The values in a cookie header (RFC 6265), without names and attributes."""

from __future__ import annotations

from collections.abc import Iterator


def values(field: bytes, *, is_set: bool) -> Iterator[tuple[int, int]]:
    """Give where the value of each cookie stands in a `Cookie` field; with `is_set` that of the one in a
    `Set-Cookie` field, whose attributes are no secret. Quotes stay outside. A piece without a `=` is a value.
    """
    position = 0
    while position <= len(field):
        end = field.find(b";", position)
        end = len(field) if end < 0 else end
        equals = field.find(b"=", position, end)
        start = equals + 1 if equals >= 0 else position
        text = field[start:end]
        start += len(text) - len(text.lstrip(b' \t"'))
        stop = start + len(text.strip(b' \t"'))
        if stop > start:
            yield start, stop
        if is_set:
            return
        position = end + 1
