"""What control says of approvals, read into its own models; and which approval a person means by an id."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ValidationError

from addons.cli.approvals.client import ControlClient, Misused, Unreachable
from addons.control.api.models import ApprovalPage, ApprovalSaid, ApprovalWhole
from addons.core.approvals.approval import Approval, CallAsked, Requester
from addons.core.approvals.needs import Needs
from addons.core.approvals.preview_text import lines
from addons.core.approvals.states import State
from addons.core.model import Json

_WHOLE = re.compile(r"[0-9a-f]{32}")
_ENDING = re.compile(r"[0-9a-f]{6,31}")
_PAGE = 200
_PAGES = 5
_LAST_ID = (1 << 128) - 1


def read[T: BaseModel](model: type[T], answer: Json) -> T:
    """Raises Unreachable: what answers is no control, or one of another version."""
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        where = ".".join(str(step) for step in error.errors()[0]["loc"])
        raise Unreachable(
            f"control's answer isn't what this version of ddgate reads (at {where!r}); "
            "use the same version on both sides"
        ) from None


def page(client: ControlClient, states: Sequence[State], limit: int, before: str | None) -> ApprovalPage:
    query: dict[str, str | int | list[str]] = {"limit": limit}
    if states:
        query["state"] = [state.value for state in states]
    if before is not None:
        query["before"] = before
    return read(ApprovalPage, client.get("approvals", **query))


def newest(client: ControlClient, states: Sequence[State], pages: int = _PAGES) -> Iterator[ApprovalSaid]:
    before = None
    for _ in range(pages):
        found = page(client, states, _PAGE, before)
        yield from found.approvals
        before = found.before
        if before is None:
            return


def one_line(client: ControlClient, approval: str) -> ApprovalSaid | None:
    """What a list says of it: unlike opening it in full, that doesn't count as having seen it. None where it
    is gone.
    """
    after_it = f"{min(int(approval, 16) + 1, _LAST_ID):032x}"
    found = page(client, (), 1, after_it).approvals
    return found[0] if found and found[0].id == approval else None


def whole_id(client: ControlClient, given: str) -> str:
    """The id that `given` is, or is the end of, among the newest thousand. Raises Misused."""
    given = given.strip().lower()
    if _WHOLE.fullmatch(given):
        return given
    if not _ENDING.fullmatch(given):
        raise Misused("an approval's id has 32 digits and letters a to f; its last six or more are enough")
    found = [one for one in newest(client, ()) if one.id.endswith(given)]
    if not found:
        raise Misused(f"none of the newest approvals has an id that ends in {given}")
    if len(found) > 1:
        raise Misused(f"{len(found)} approvals end in {given}: " + ", ".join(one.id for one in found))
    return found[0].id


def whole(client: ControlClient, approval: str) -> ApprovalWhole:
    """Control puts on record that this person has seen it."""
    return read(ApprovalWhole, client.get("approvals", approval))


def what_would_run(said: ApprovalWhole) -> list[str]:
    """What a person decides on, in lines of plain text."""
    requester = said.requester
    asked = CallAsked(
        call="",
        operation=said.operation,
        version=said.version,
        risk=said.risk,
        method=said.method,
        host=said.host,
        target=said.target,
        credential=said.credential,
        rule=said.rule,
        rules=tuple(said.rules),
        why=tuple(said.why),
        policy_revision=said.policy_revision,
        summary=said.summary,
        intent=said.intent,
    )
    needs = said.needs
    approval = Approval(
        id=said.id,
        state=said.state,
        digest=said.digest,
        thread="",
        basis="",  # control keeps these two, and the names, to itself
        requester=Requester(
            requester.issuer, requester.subject, requester.on_behalf_of, requester.session, frozenset()
        ),
        asked=asked,
        needs=Needs(
            tuple(needs.groups.items()), needs.reason_required, needs.pending, needs.grant, needs.hold
        ),
        preview=said.preview,
        requested_at=said.requested_at,
        pending_until=said.pending_until,
    )
    return lines(approval)
