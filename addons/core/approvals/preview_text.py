"""An approval in lines of plain text, for a terminal and for messages: what would happen, who asks, what
changes, and the request in full. Nothing is left out. Below the first line, which is the summary, what came
from outside never stands at the beginning of one.
"""

from __future__ import annotations

from collections.abc import Iterator

from addons.core.approvals.approval import Approval
from addons.core.approvals.body_fields import BodyKind, ShownBody
from addons.core.approvals.body_parts import ShownPart
from addons.core.approvals.changes import Change, ChangeKind, line_changes
from addons.core.approvals.preview import BadPreview, Preview, ShownRequest
from addons.core.approvals.visible_text import visible_plain

_SIGNS = {ChangeKind.ADDED: "+", ChangeKind.CHANGED: "~", ChangeKind.REMOVED: "-"}
_WIDTH = 12
_MARGIN = "  "
_ONE_LINE = 100


def lines(approval: Approval) -> list[str]:
    """What a person decides on. A preview that can't be read gives the rest, and says so."""
    try:
        preview = Preview.from_json(approval.preview)
    except BadPreview as error:
        return [*_head(approval), "", visible_plain(f"Don't decide on this: {error}.")]
    return [*_head(approval), "", *_changes(preview), "", *_request(preview.request)]


def _head(approval: Approval) -> Iterator[str]:
    asked, requester = approval.asked, approval.requester
    yield _visible(asked.summary)
    name = f"{asked.version}.{asked.operation}" if asked.operation else "not in the catalogue"
    yield from _field("operation", f"{name} ({asked.risk})")
    yield from _field("asked by", requester.subject)
    if requester.on_behalf_of is not None:
        yield from _field("on behalf of", requester.on_behalf_of)
    if requester.session is not None:
        yield from _field("session", requester.session)
    if asked.intent is not None:
        yield from _field("the agent says", asked.intent)
    yield from _field("rules", ", ".join(asked.rules))
    for why in asked.why:
        yield from _field("because", why)
    yield from _field("credential", asked.credential)


def _changes(preview: Preview) -> Iterator[str]:
    yield "What changes"
    for change in preview.changes:
        yield from _change(change)
    if preview.unchanged:
        yield f"{_MARGIN}{_count(preview.unchanged, 'value')} of the request are there already"
    if preview.not_mentioned:
        names = ", ".join(preview.not_mentioned_names)
        more = preview.not_mentioned - len(preview.not_mentioned_names)
        rest = f" and {more} more" if more else ""
        yield from _text(
            f"{_count(preview.not_mentioned, 'field')} that the request doesn't mention: {names}{rest}"
        )
    if preview.resource_note:
        yield from _text(preview.resource_note)
    elif not preview.changes and not preview.unchanged:
        yield f"{_MARGIN}nothing to compare"


def _change(change: Change) -> Iterator[str]:
    head = f"{_MARGIN}{_SIGNS[change.kind]} {_visible(change.path) or 'all of it'}"
    by_line = line_changes(change)
    if by_line is not None:
        yield f"{head}:"
        for sign, line in by_line:
            yield f"{_MARGIN * 2}{sign} {_visible(line)}"
        return
    before, after = change.before or "", change.after or ""
    text = f"{before} -> {after}" if change.kind is ChangeKind.CHANGED else before + after
    if "\n" not in text and len(text) <= _ONE_LINE:
        yield f"{head}: {_visible(text)}"
        return
    yield f"{head}:"
    for sign, side in (("-", change.before), ("+", change.after)):
        if side is not None:
            yield from (f"{_MARGIN * 2}{sign} {_visible(line)}" for line in side.split("\n"))


def _request(request: ShownRequest) -> Iterator[str]:
    yield "What is sent"
    yield f"{_MARGIN}{_visible(request.method)} https://{_visible(request.host)}{_visible(request.target)}"
    for key, value in request.query:
        yield from _text(f"?{key} = {value}")
    for name, value in request.headers:
        yield from _text(f"{name}: {value}")
    yield ""
    yield from _body(request.body, request.content_encoding)


def _body(body: ShownBody, content_encoding: str | None) -> Iterator[str]:
    if body.kind is BodyKind.EMPTY:
        yield "No body"
        return
    decoded = f", decoded from {content_encoding}" if content_encoding else ""
    yield _visible(f"Body: {body.kind}, {_count(body.size, 'byte')}{decoded}")
    for warning in (body.unreadable, body.unclear):
        if warning:
            yield f"! {_visible(warning)}"
    yield from _block(body.text)
    for number, document in enumerate(body.documents, 1):
        yield f"{_MARGIN}document {number}"
        yield from _block(document)
    for key, value in body.fields:
        yield from _text(f"{key} = {value}")
    for number, part in enumerate(body.parts, 1):
        yield from _part(number, part)


def _part(number: int, part: ShownPart) -> Iterator[str]:
    yield f"{_MARGIN}part {number}, {_count(part.size, 'byte')}"
    for name, value in part.headers:
        yield f"{_MARGIN * 2}{_visible(name)}: {_visible(value)}"
    if part.text is None:
        yield f"{_MARGIN * 2}no text; SHA-256 {part.sha256}"
    else:
        yield from _block(part.text)


def _block(text: str) -> Iterator[str]:
    if text:
        yield from (f"{_MARGIN}| {_visible(line)}" for line in text.split("\n"))


def _field(name: str, value: str) -> Iterator[str]:
    first, *rest = value.split("\n")
    yield f"{_MARGIN}{name:<{_WIDTH + 2}} {_visible(first)}"
    yield from (f"{_MARGIN}{'':<{_WIDTH + 2}} {_visible(line)}" for line in rest)


def _text(text: str) -> Iterator[str]:
    first, *rest = text.split("\n")
    yield f"{_MARGIN}{_visible(first)}"
    yield from (f"{_MARGIN * 2}{_visible(line)}" for line in rest)


def _visible(text: str) -> str:
    """One line of it, without what could move the cursor or hide."""
    return visible_plain(text).replace("\r", "\\r").replace("\n", "\\n")


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
