"""What of a request's page never changes: what would run, and how it differs from the request before it. The
largest takes seconds to write out, so it is done once, not whenever the page is brought up to date.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from markupsafe import Markup

from addons.control.deciding import Whole
from addons.control.pages.changes import change_shown
from addons.control.pages.rendering import Rendering
from addons.control.pages.thread import compared_with, older_of
from addons.core.approvals.preview import BadPreview, Preview
from addons.store.approvals.reading import Approvals

_MOST_KEPT = 64 * 1024**2
"""Characters, of all together."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Parts of the page. `is_readable` is whether a person can be shown what would run at all."""

    is_readable: bool
    preview: Markup
    request: Markup
    difference: Markup

    @property
    def size(self) -> int:
        return len(self.preview) + len(self.request) + len(self.difference)


class FixedParts:
    """Those of the approvals that were looked at last."""

    def __init__(self, rendering: Rendering, most: int = _MOST_KEPT) -> None:
        self._rendering = rendering
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Fixed] = OrderedDict()
        self._size = 0

    def of(self, approvals: Approvals, whole: Whole) -> Fixed:
        """Blocks. Raises AuditLogUnusable."""
        key = whole.approval.id
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = self._made(approvals, whole)
        with self._lock:
            if key not in self._kept and made.size <= self._most:
                self._kept[key] = made
                self._size += made.size
            while self._size > self._most:
                self._size -= self._kept.popitem(last=False)[1].size
        return made

    def _made(self, approvals: Approvals, whole: Whole) -> Fixed:
        part = self._rendering.part
        try:
            preview = Preview.from_json(whole.approval.preview)
        except BadPreview:
            return Fixed(False, part("one_unreadable.html"), Markup(), Markup())
        older = older_of(whole)
        difference = Markup()
        if older is not None:
            found = compared_with(approvals, older, preview)
            changes = [] if found is None else [change_shown(change) for change in found.changes]
            difference = part("one_difference.html", older=older, found=found, changes=changes)
        changes = [change_shown(change) for change in preview.changes]
        return Fixed(
            is_readable=True,
            preview=part("one_preview.html", preview=preview, changes=changes),
            request=part("one_request.html", request=preview.request),
            difference=difference,
        )
