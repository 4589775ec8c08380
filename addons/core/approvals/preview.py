"""What a person judges a call by: what would run, all of it, and what it would change. Everything in it is
redacted before it comes here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache

from pydantic import TypeAdapter, ValidationError

from addons.core.approvals.body_fields import CannotPreview, ReadBody, ShownBody, read_body
from addons.core.approvals.changes import Change, Differences, TooMuchToCompare, compare
from addons.core.approvals.counterpart import in_form_of
from addons.core.approvals.operation_words import words_of
from addons.core.approvals.summary import Told, summarise
from addons.core.approvals.written import Written, print_of, values, written
from addons.core.catalogue import makes_something_new
from addons.core.model import Json, Operation, Risk
from addons.core.policy.request import Evidence, Seen, Unreadable
from addons.core.request_target import BadTarget, query_pairs

__all__ = ["CannotPreview", "Preview", "PreviewOf", "basis", "make_preview"]

_UPDATES = frozenset({"PUT", "PATCH"})
_CHANGING = _UPDATES | {"DELETE"}
_MAX_RESOURCE = 50_000
_NAMES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class PreviewOf:
    """A call, redacted but for `content_type`, by which the body is read. `target` is its path and query,
    `headers` those that will be forwarded; `body` is decoded, None where it could not be redacted.
    `resource` is the document that Datadog holds now, None where nothing is to be read, and
    `fields_of_rules` what rules looked at of it.
    """

    operation: Operation | None
    method: str
    host: str
    target: str
    headers: tuple[tuple[str, str], ...]
    content_type: str | None
    content_encoding: str | None
    body: bytes | None = field(repr=False)
    resource: Evidence | None = field(default=None, repr=False)
    fields_of_rules: Json = None


@dataclass(frozen=True, slots=True)
class ShownRequest:
    """All that will be sent. `query` are the decoded pairs of `target`."""

    method: str
    host: str
    target: str
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    content_type: str | None
    content_encoding: str | None
    body: ShownBody


class BadPreview(ValueError):  # noqa: N818 - named for what the caller is told
    """The JSON is not a preview's."""


@dataclass(frozen=True, slots=True)
class Preview:
    """`risks` are all classes of the operation, its own first. `unchanged` counts values of the body that are
    there already, `not_mentioned` the fields of the resource that are not in the body, of which the first few
    are named. `resource_note` says why there are no changes to see, or what else is to be known of them.
    `was_read` says that `changes` is against what Datadog held.
    """

    operation: str | None
    version: str | None
    risks: tuple[str, ...]
    summary: str
    changes: tuple[Change, ...]
    unchanged: int
    not_mentioned: int
    not_mentioned_names: tuple[str, ...]
    was_read: bool
    resource_note: str
    fields_of_rules: Json
    request: ShownRequest

    def to_json(self) -> Json:
        made: Json = _form().dump_python(self, mode="json")
        return made

    @staticmethod
    def from_json(document: Json) -> Preview:
        """Read what `to_json` made. Raises BadPreview."""
        try:
            return _form().validate_python(document)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise BadPreview(f"the preview can't be read: {where}: {first['msg']}") from None


@cache
def _form() -> TypeAdapter[Preview]:
    return TypeAdapter(Preview)


def make_preview(asked: PreviewOf) -> Preview:
    """Show what would run.

    Raises:
        CannotPreview: it can't be shown in full, so nobody can judge it.

    """
    if asked.body is None:
        raise CannotPreview(
            "the body is too large or too deep to be searched for secrets, so it can't be shown to anybody",
            "send it flatter or in parts",
        )
    path, _, query = asked.target.partition("?")
    try:
        pairs = query_pairs(query)
    except BadTarget:
        raise CannotPreview(
            "the query can't be shown: it can be read in more than one way", "escape its values"
        ) from None
    body = read_body(asked.body, asked.content_type)
    current, note = _current(asked)
    differences, more = _differences(asked, body, current)
    operation, found = asked.operation, differences or Differences()
    changes = found.changes if differences is not None else None
    told = Told(operation, asked.method, path, pairs, body.document, current, changes)
    return Preview(
        operation=operation.name if operation is not None else None,
        version=operation.version if operation is not None else None,
        risks=_risks(operation),
        summary=summarise(told),
        changes=tuple(found.changes),
        unchanged=found.unchanged,
        not_mentioned=len(found.not_mentioned),
        not_mentioned_names=tuple(found.not_mentioned[:_NAMES_SHOWN]),
        was_read=isinstance(asked.resource, Seen),
        resource_note=note or more,
        fields_of_rules=asked.fields_of_rules,
        request=ShownRequest(
            method=asked.method,
            host=asked.host,
            target=asked.target,
            query=pairs,
            headers=asked.headers,
            content_type=_shown_type(asked),
            content_encoding=asked.content_encoding,
            body=body.shown,
        ),
    )


def basis(preview: Preview, fields_of_rules: Json) -> str:
    """Digest what the preview and the rules saw of the resource, as SHA-256 in hex: another preview of the
    same call has the same one iff what would be overwritten, and what rules looked at, is still the same.
    Empty where nothing was read. `fields_of_rules` must have nothing in it that differs from read to read.
    """
    if not preview.was_read and not fields_of_rules:
        return ""
    before: list[Json] = [[one.path, one.before and print_of(one.before)] for one in preview.changes]
    # What is deleted has no fields that change: it stands by the name that it has.
    named = preview.summary if preview.was_read and not preview.changes else ""
    canonical = json.dumps([fields_of_rules, before, named], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _shown_type(asked: PreviewOf) -> str | None:
    """As the headers have it, which are redacted."""
    return next((value for name, value in asked.headers if name.lower() == "content-type"), None)


def _risks(operation: Operation | None) -> tuple[str, ...]:
    if operation is None:
        return (Risk.UNKNOWN.value,)
    return (operation.risk.value, *sorted(risk.value for risk in operation.risks - {operation.risk}))


def _current(asked: PreviewOf) -> tuple[Written, str]:
    """Give the document that is there now, None where there is none to look at, and what is to be said."""
    match asked.resource:
        case Unreadable(why):
            return None, f"What is there now could not be read: {why}."
        case Seen(value):
            if value is None:
                return None, "Datadog's answer says nothing of what is there now."
            if values(value) > _MAX_RESOURCE:
                return None, "What is there now is too large to be compared with."
            return written(value), ""
        case None if asked.operation is not None and _creates(asked.operation):
            return None, "Nothing is there yet: the call makes something new."
        case None if asked.method in _CHANGING:
            return None, "What is there now was not read."
        case None:
            return None, "The call replaces nothing that could be read and compared."


def _creates(operation: Operation) -> bool:
    return makes_something_new(operation) and words_of(operation).verb == "create"


def _differences(asked: PreviewOf, body: ReadBody, current: Written) -> tuple[Differences | None, str]:
    """Compare where an update and what it updates are both there; else None. The text is for people."""
    if current is None or asked.method not in _UPDATES:
        return None, ""
    if not body.is_document:
        return None, f"There is nothing to compare field by field: {body.why_none}."
    counterpart = in_form_of(body.document, current)
    try:
        found = compare(counterpart, body.document)
    except TooMuchToCompare:
        return None, "The differences from what is there now are too many, or too large, to be listed."
    if not found.unchanged and all(change.before is None for change in found.changes):
        return found, "Datadog's answer has none of these fields, so nobody can say here what they replace."
    if asked.method == "PUT" and found.not_mentioned:
        count = len(found.not_mentioned)
        what = f"{count} fields that are" if count != 1 else "1 field that is"
        return (
            found,
            f"A PUT can replace the whole: Datadog may reset the {what} there and not in the request.",
        )
    return found, ""
