"""The other requests of the same agent run on the same target, and how one differs from the one before."""

from __future__ import annotations

from addons.control.deciding import Whole
from addons.core.approvals.approval import Approval
from addons.core.approvals.body_fields import BodyKind
from addons.core.approvals.changes import Differences, TooMuchToCompare, compare
from addons.core.approvals.preview import BadPreview, Preview
from addons.core.approvals.written import Written, parse_written
from addons.core.json_document import UnreadableDocument
from addons.store.approvals.reading import Approvals
from addons.store.approvals.rows import ApprovalUnreadable


def older_of(whole: Whole) -> Approval | None:
    """The one that this one came after."""
    return next((one for one in whole.thread if one.id < whole.approval.id), None)


def compared_with(approvals: Approvals, older: Approval, preview: Preview) -> Differences | None:
    """None where it can't be told. Blocks. Raises AuditLogUnusable."""
    try:
        found = approvals.get(older.id)
        if found is None:
            return None
        return compare(_document(Preview.from_json(found.preview)), _document(preview))
    except (ApprovalUnreadable, BadPreview, UnreadableDocument, TooMuchToCompare):
        return None


def _document(preview: Preview) -> Written:
    """A request as one document, so that two of them can be compared field by field."""
    request = preview.request
    return {"method": request.method, "target": request.target, "body": _body(preview)}


def _body(preview: Preview) -> Written:
    body = preview.request.body
    match body.kind:
        case BodyKind.JSON:
            return parse_written(body.text.encode(), "application/json")
        case BodyKind.JSON_LINES:
            return [parse_written(text.encode(), "application/json") for text in body.documents]
        case BodyKind.FORM:
            return [[name, value] for name, value in body.fields]
        case BodyKind.MULTIPART:
            return [[part.name, part.filename, part.text or part.sha256] for part in body.parts]
        case _:
            return body.text
