"""Free text in records: also in the redacted request, and for a secret, where its mask stands."""

from __future__ import annotations

import base64
import binascii
import json

from addons.core.body import BodyTooLarge, UndecodableBody, decode_body
from addons.core.model import Json
from addons.core.redact.masking.mask import MASK, Masker
from addons.store.audit.record import StoredRecord
from addons.store.trail.body import BodyUnreadable, read_body

_LARGEST_BODY = 64 * 1024 * 1024


class TextSearch:
    """Says of the body of a record whether `text` is in it, in any case.

    With the installation's key of the masks it also finds the records in which `text` was masked. `in_plain`
    says whether any record had it unmasked.
    """

    def __init__(self, text: str, mask_key: bytes | None) -> None:
        self._text = text.casefold()
        # The stored text is ASCII: what isn't is escaped, and the escapes of é and É are different ones.
        forms = {text, text.lower(), text.upper(), text.casefold(), text.capitalize()}
        self._escaped = tuple({json.dumps(form)[1:-1].lower() for form in forms})
        self._mask_end = _mask_end(text, mask_key)
        self.in_plain = False

    def __call__(self, body: object) -> bool:
        if not isinstance(body, str):
            return False
        if self._is_plain(body):
            self.in_plain = True
            return True
        content = request_content(_parsed(body)) if '"body_base64":' in body else None
        request = "" if content is None else content.decode("utf-8", "replace")
        if self._is_plain(request) or self._text in request.casefold():
            self.in_plain = True
            return True
        return self._mask_end is not None and (self._mask_end in body or self._mask_end in request)

    def _is_plain(self, text: str) -> bool:
        lower = text.lower()
        return any(form in lower for form in self._escaped)


def request_content(body: dict[str, Json]) -> bytes | None:
    """Read the redacted request body of an `attempted` record, its content coding undone; None without one.

    What can't be decoded is given as it was sent.
    """
    attributes = body.get("attributes")
    request = attributes.get("request") if isinstance(attributes, dict) else None
    encoded = request.get("body_base64") if isinstance(request, dict) else None
    if not isinstance(request, dict) or not isinstance(encoded, str):
        return None
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    try:
        return decode_body(raw, _content_encoding(request.get("headers")), limit=_LARGEST_BODY)
    except (UndecodableBody, BodyTooLarge):
        return raw


def _content_encoding(headers: Json) -> str | None:
    found = [
        value
        for pair in (headers if isinstance(headers, list) else [])
        if isinstance(pair, list) and len(pair) == 2  # noqa: PLR2004 - name and value
        for name, value in [pair]
        if isinstance(name, str) and isinstance(value, str) and name.lower() == "content-encoding"
    ]
    return ", ".join(found) or None


def _parsed(body: str) -> dict[str, Json]:
    try:
        return read_body(StoredRecord(0, body))
    except BodyUnreadable:
        return {}


def _mask_end(text: str, key: bytes | None) -> str | None:
    """How every mask of `text` ends, whatever it was taken for."""
    if key is None or not text or MASK.fullmatch(text.encode("utf-8", "surrogatepass")):
        return None
    return Masker(key).mask("any", text).removeprefix("[REDACTED:any")
