"""Writes down what a call asks for: what a person will judge it by, and who they have to be."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from mitmproxy import http

from addons import flowstate
from addons.answers import refuse
from addons.core.approvals import preview as previews
from addons.core.approvals.approval import Approval, CallAsked
from addons.core.approvals.digest import thread_key
from addons.core.approvals.forwarded_headers import kept
from addons.core.approvals.preview import CannotPreview, Preview, PreviewOf
from addons.core.approvals.states import State
from addons.core.approvals.voting import requester_of
from addons.core.model import Json, Reason, Refusal
from addons.core.policy.request import Evidence, Masks, Seen, Unreadable
from addons.flowstate import Call, MaskedRequest
from addons.store import moment
from addons.store.audit.record import new_id
from addons.store.targets.seen import TargetShown

_DEFAULT_CREDENTIAL = "default"
_HIDDEN = frozenset({b"host", b"content-length", b"connection", b"transfer-encoding"})


_IN_THREAD = 16 * 1024  # larger bodies are shown in a thread, so that other calls go on meanwhile
_GONE = frozenset({404, 410})
_UNSEEN = Refusal(
    429,
    Reason.TARGET_UNREADABLE,
    "this call is approved, and what it would change can't be read now to see whether it is still the same",
    "repeat the same request: the approval stands",
    retry_after=5.0,
)


@dataclass(frozen=True, slots=True)
class _Sight:
    """What there is to see of a call now. `hidden` says that its resource could not be had."""

    preview: Preview
    fields: Json
    intent: str | None
    hidden: bool


class Drafts:
    """`mask` makes what a person may see of a request, or refuses the call; `look` looks at its resource;
    `count` counts it against the limits of its rules, or refuses it.
    """

    def __init__(
        self,
        mask: Callable[[http.HTTPFlow], Awaitable[MaskedRequest | None]],
        look: Callable[[http.HTTPFlow], Awaitable[TargetShown | None]],
        count: Callable[[http.HTTPFlow], Awaitable[bool]],
        digest_key: bytes,
    ) -> None:
        self._mask = mask
        self._look = look
        self._count = count
        self._digest_key = digest_key
        # One at a time is shown of each identity's calls: showing a large one takes a core for a while.
        self._showing = WeakValueDictionary[tuple[str, str], asyncio.Lock]()

    async def draft(self, flow: http.HTTPFlow, digest: str) -> Approval | None:
        """Make the approval that this call asks for; None where the call was refused."""
        call = flowstate.call_of(flow)
        if not await self._count(flow):
            return None
        sight = await self._sight(flow, call)
        if sight is None:
            return None
        decision, principal, host, target = call.decision, call.principal, call.host, call.target
        if decision is None or decision.needs is None or not principal or not host or not target:
            raise ValueError("a call that nobody has to approve")
        shown = sight.preview
        requester = requester_of(principal)
        now = moment.now().wall
        return Approval(
            id=new_id(),
            state=State.PENDING,
            digest=digest,
            thread=thread_key(
                self._digest_key, requester, call.operation, flow.request.method, host.name, target.path
            ),
            basis=_basis(sight, decision.mask_forward),
            requester=requester,
            asked=CallAsked(
                call=call.id,
                operation=call.operation.name if call.operation else None,
                version=call.operation.version if call.operation else None,
                risk=call.operation.risk.value if call.operation else "unknown",
                method=flow.request.method,
                host=host.name,
                target=shown.request.target,
                credential=decision.credential or _DEFAULT_CREDENTIAL,
                rule=decision.rule or "",
                rules=decision.asking,
                why=decision.why,
                policy_revision=decision.revision,
                summary=shown.summary,
                intent=sight.intent,
            ),
            needs=decision.needs,
            preview=shown.to_json(),
            requested_at=now,
            pending_until=now + decision.needs.pending,
        )

    async def still_holds(self, flow: http.HTTPFlow, approval: Approval) -> bool:
        """Whether what a person and the rules saw of the resource is there still. False, too, where the call
        was refused, because it can't be seen just now.
        """
        call = flowstate.call_of(flow)
        sight = await self._sight(flow, call)
        if sight is None:
            return False
        if sight.hidden and _was_read(approval):
            refuse(flow, call, _UNSEEN)
            return False
        masks = call.decision.mask_forward if call.decision is not None else Masks()
        return _basis(sight, masks) == approval.basis

    async def _sight(self, flow: http.HTTPFlow, call: Call) -> _Sight | None:
        masked = await self._mask(flow)
        if masked is None:
            return None
        looked = await self._look(flow)
        fields = _fields(call)
        shown = looked.shown if looked is not None else None
        asked = _preview_of(flow.request, call, masked, shown, fields)
        try:
            if len(masked.body or b"") > _IN_THREAD or isinstance(shown, Seen):
                async with self._turn(call):
                    preview = await asyncio.to_thread(previews.make_preview, asked)
            else:
                preview = previews.make_preview(asked)
        except CannotPreview as cannot:
            refuse(flow, call, _impossible(call, cannot))
            return None
        return _Sight(preview, fields, masked.intent, hidden=looked is not None and _is_hidden(looked))

    def _turn(self, call: Call) -> asyncio.Lock:
        whose = (call.principal.issuer, call.principal.subject) if call.principal is not None else ("", "")
        return self._showing.setdefault(whose, asyncio.Lock())


def _basis(sight: _Sight, masks: Masks) -> str:
    """What a yes stands on beside the request itself: what was seen of the resource, and which parts of the
    body are masked before it leaves. Empty where there is neither.
    """
    seen = previews.basis(sight.preview, sight.fields)
    if not masks:
        return seen
    canonical = json.dumps([seen, sorted(masks.detect), sorted(masks.json)])
    return hashlib.sha256(canonical.encode()).hexdigest()


def _is_hidden(looked: TargetShown) -> bool:
    """Whether there may be something that just could not be had; what is not found is gone."""
    if not isinstance(looked.shown, Unreadable):
        return False
    record = looked.seen.record
    status = record.get("status") if isinstance(record, dict) else None
    return status not in _GONE


def _was_read(approval: Approval) -> bool:
    return isinstance(approval.preview, dict) and approval.preview.get("was_read") is True


def _preview_of(
    request: http.Request, call: Call, masked: MaskedRequest, resource: Evidence | None, fields: Json
) -> PreviewOf:
    assert call.host is not None  # noqa: S101 - policy has decided on it
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in kept(masked.headers)
        if name.lower() not in _HIDDEN
    ]
    return PreviewOf(
        operation=call.operation,
        method=request.method,
        host=call.host.name,
        target=masked.target,
        headers=tuple(headers),
        content_type=request.headers.get("content-type"),
        content_encoding=request.headers.get("content-encoding"),
        body=masked.body,
        resource=resource,
        fields_of_rules=fields,
    )


def _fields(call: Call) -> Json:
    """What the rules looked at, as it stands on record."""
    resource = call.resource
    return resource.get("fields") if isinstance(resource, dict) else None


def _impossible(call: Call, cannot: CannotPreview) -> Refusal:
    return Refusal(
        403,
        Reason.APPROVAL_IMPOSSIBLE,
        f"a person has to approve this call, and can't judge it: {cannot.text}",
        cannot.remedy,
        call.decision.rule if call.decision is not None else None,
    )
