"""Server-sent events whose data stands on several lines (WHATWG HTML, 9.2.5)."""

from __future__ import annotations

from collections.abc import Iterator

from addons.core.redact.decoding import layers

_FIELD = b"data:"


def long_ones(stream: bytes) -> Iterator[layers.Layer]:
    """Give the data of each event that has more than one line of it, as one text with a line break between
    them.
    """
    spans: list[tuple[int, int]] = []
    position = 0
    while position <= len(stream):
        end = stream.find(b"\n", position)
        end = len(stream) if end < 0 else end + 1
        if stream.startswith(_FIELD, position):
            start = position + len(_FIELD)
            start += stream[start : start + 1] == b" "
            if start < end:
                spans.append((start, end))
        elif not stream[position:end].strip():
            if len(spans) > 1:
                yield layers.pieces_of(stream, spans)
            spans = []
        position = max(end, position + 1)
    if len(spans) > 1:
        yield layers.pieces_of(stream, spans)
