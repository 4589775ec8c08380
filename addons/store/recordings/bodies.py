"""Bodies in recordings, with their Content-Encoding undone where that can be done."""

from __future__ import annotations

from dataclasses import dataclass

from mitmproxy import http

from addons.core.body import BodyTooLarge, UndecodableBody, decode_body
from addons.store.recordings.flows import NOT_STORED

_DECODED_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RecordedBody:
    """`data` is decoded unless `problem` says why it isn't; it is None where the body was not stored.

    `text` is None where the data is not UTF-8, or holds a NUL.
    """

    data: bytes | None
    size: int
    problem: str = ""

    @property
    def text(self) -> str | None:
        if self.data is None or b"\0" in self.data:
            return None
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            return None


def body_of(message: http.Request | http.Response) -> RecordedBody:
    """Raises one of `NOT_A_FLOW` where the content is no bytes."""
    raw = message.raw_content or b""
    if not isinstance(raw, bytes):
        raise TypeError("no bytes")
    if (cut := NOT_STORED.fullmatch(raw)) is not None:
        return RecordedBody(None, int(cut[1]), "only its size and its digest are stored")
    try:
        data = decode_body(raw, message.headers.get("content-encoding"), limit=_DECODED_LIMIT)
    except UndecodableBody as error:
        return RecordedBody(raw, len(raw), f"not decoded: {error.reason}")
    except BodyTooLarge:
        return RecordedBody(raw, len(raw), f"not decoded: over {_DECODED_LIMIT // 1024**2} MiB then")
    return RecordedBody(data, len(raw))
