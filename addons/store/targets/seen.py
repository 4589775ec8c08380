"""What was seen of a resource: the document that rules read, and what of it goes on record."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass

from addons.core.json_document import UnreadableDocument, parse_document
from addons.core.model import Json
from addons.core.policy.conditions.field_paths import MisspeltKey, parse_field_path
from addons.core.policy.request import Evidence, Seen, Unreadable
from addons.core.redact.masking.exact import ExactScrubber, without_pauses
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.scrubber import Scrubber

_MAX_FIELDS = 32
_MAX_ITEMS = 32
_MAX_TEXT = 256
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class TargetSeen:
    """`evidence` is for rules; `record`, redacted, for the audit trail and the recording of the call."""

    evidence: Evidence
    record: Json


@dataclass(frozen=True, slots=True)
class TargetShown:
    """`seen` is as for rules. `shown` is the whole document, redacted, for a person who judges what the call
    would change: None where there is nothing to look at, `Unreadable` where it can't be had.
    """

    seen: TargetSeen
    shown: Evidence | None


@dataclass(frozen=True, slots=True)
class Resource:
    """A document as rules read it, and `shown`, the same with its secrets masked.

    `digest` is `hmac-sha256:` of the body under the installation's own key.
    """

    evidence: Evidence
    shown: Evidence
    digest: str


def resource_of(
    content: bytes, content_type: str | None, scrubber: Scrubber, keys: ExactScrubber, digest_key: bytes
) -> Resource:
    """Read a decoded body. One that shows a key of the gateway's own, in `keys`, is not read."""
    digest = f"hmac-sha256:{hmac.digest(digest_key, content, 'sha256').hex()}"
    if keys.found(content) or keys.found(without_pauses(content)):
        return _unreadable("the answer shows one of the gateway's own keys", digest)
    try:
        document = parse_document(content, content_type)
    except UnreadableDocument as error:
        return _unreadable(f"the answer can't be read as JSON: {error.why}", digest)
    shown: Evidence = Seen(document)
    try:
        scrubbed = scrubber.scrub_body(content, content_type)
        if scrubbed.changed:
            shown = Seen(parse_document(scrubbed.data, content_type))
    except (TooComplex, UnreadableDocument):
        shown = Unreadable("what the answer holds can't be masked")
    return Resource(Seen(document), shown, digest)


def _unreadable(why: str, digest: str) -> Resource:
    return Resource(Unreadable(why), Unreadable(why), digest)


def shown_fields(shown: Evidence, paths: Iterable[str]) -> dict[str, Json]:
    """What stands at these dotted paths, in brief: for a path with `[*]` a list, else a value, null where
    there is none.
    """
    if isinstance(shown, Unreadable):
        return {"not_shown": shown.why}
    fields: dict[str, Json] = {}
    misspelt: list[Json] = []
    for path in sorted(paths)[:_MAX_FIELDS]:
        try:
            values = parse_field_path(path).values(shown.value).values
        except MisspeltKey:
            misspelt.append(path)
            continue
        fields[path] = _brief(values) if "[*]" in path else _brief(values[0]) if values else None
    return {"fields": fields} | ({"misspelt": misspelt} if misspelt else {})


def _brief(value: Json) -> Json:
    if isinstance(value, list):
        items = [_brief_item(item) for item in value[:_MAX_ITEMS]]
        return [*items, "…"] if len(value) > _MAX_ITEMS else items
    return _brief_item(value)


def _brief_item(value: Json) -> Json:
    """The value itself, or the beginning of its text."""
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT else value[:_MAX_TEXT] + "…"
    text = ""
    for piece in _ENCODER.iterencode(value):  # by pieces: all of it can be megabytes
        text += piece
        if len(text) > _MAX_TEXT:
            return text[:_MAX_TEXT] + "…"
    return value
