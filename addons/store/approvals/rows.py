"""The form in which approvals are stored: columns for what is searched or compared, JSON for the rest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from addons.core.approvals.approval import (
    Approval,
    BrokenGlass,
    CallAsked,
    End,
    Person,
    Requester,
    Review,
    Vote,
)
from addons.core.approvals.needs import BreakGlass, Needs
from addons.core.approvals.states import State
from addons.core.model import Json
from addons.store.moment import Deadline

_JSON = json.JSONEncoder(separators=(",", ":"), sort_keys=True, allow_nan=False)

_MUTABLE = (
    "state, granted_at, grant_until, executing_call, process, status, ran_at, supersedes, superseded_by"
)
_COLUMNS = f"id, digest, thread, requested_at, pending_until, {_MUTABLE}, fixed, told"
_LIMITS = "pending_boot, pending_boot_id, grant_boot, grant_boot_id"
_SEEN = (
    "(SELECT json_group_array(display) FROM "
    "(SELECT display FROM approval_seen WHERE approval = approvals.id ORDER BY at)) AS seen"
)
SELECT = f"SELECT {_COLUMNS}, {_LIMITS}, version, {_SEEN}, NULL AS preview FROM approvals"  # noqa: S608 - constants
SELECT_WITH_PREVIEW = f"SELECT {_COLUMNS}, {_LIMITS}, version, {_SEEN}, preview FROM approvals"  # noqa: S608 - as above

type Row = Mapping[str, object]


class ApprovalUnreadable(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """What is stored under this id is no approval: `what` says where."""

    def __init__(self, approval: str, what: str) -> None:
        super().__init__(f"The approval {approval} is damaged in the audit log: {what}.")
        self.approval = approval
        self.what = what


@dataclass(frozen=True, slots=True)
class Stored:
    """An approval, and what its time limits are by both clocks."""

    approval: Approval
    version: int
    pending: Deadline
    grant: Deadline | None


class _Damaged(Exception):  # noqa: N818 - becomes ApprovalUnreadable
    pass


def stored(row: Row) -> Stored:
    """Read a row of `SELECT` or `SELECT_WITH_PREVIEW`. Raises `ApprovalUnreadable`."""
    fields = _Fields(row)
    try:
        approval = _approval(row)
        pending = Deadline(
            approval.requested_at,
            approval.pending_until,
            fields.number("pending_boot"),
            fields.text("pending_boot_id"),
        )
        grant = None
        if approval.granted_at is not None and approval.grant_until is not None:
            boot, boot_id = fields.number("grant_boot"), fields.text("grant_boot_id")
            grant = Deadline(approval.granted_at, approval.grant_until, boot, boot_id)
        return Stored(approval, fields.whole("version"), pending, grant)
    except _Damaged as damage:
        raise ApprovalUnreadable(str(row["id"])[:64], str(damage)) from None


def told_to_json(approval: Approval) -> str:
    """Give what people said about it."""
    glass = approval.broken_glass
    end = approval.end
    return _JSON.encode(
        {
            "votes": [
                {**_word(vote.person, vote.reason, vote.at), "approves": vote.approves}
                for vote in approval.votes
            ],
            "glass": None
            if glass is None
            else {
                **_word(glass.person, glass.reason, glass.at),
                "review_due": glass.review_due,
                "review": glass.review and _word(glass.review.person, glass.review.reason, glass.review.at),
            },
            "end": None if end is None else {"who": end.who, "reason": end.reason, "at": end.at},
        }
    )


def fixed_to_json(approval: Approval) -> str:
    """Give what is fixed when it is asked for, all but its preview."""
    requester, asked, needs = approval.requester, approval.asked, approval.needs
    way = needs.break_glass
    return _JSON.encode(
        {
            "basis": approval.basis,
            "requester": {
                "issuer": requester.issuer,
                "subject": requester.subject,
                "on_behalf_of": requester.on_behalf_of,
                "session": requester.session,
                "names": sorted(requester.names),
            },
            "asked": {name: getattr(asked, name) for name in CallAsked.__slots__},
            "needs": {
                "groups": needs.groups,
                "reason_required": needs.reason_required,
                "pending": needs.pending,
                "grant": needs.grant,
                "hold": needs.hold,
                "break_glass": way and {"groups": way.groups, "review_within": way.review_within},
            },
        }
    )


def preview_to_json(preview: Json) -> str:
    return _JSON.encode(preview)


def snapshot(approval: Approval) -> str:
    """Give all of it but its preview, as it is at this moment."""
    fields = {name: getattr(approval, name) for name in _SCALARS}
    texts = {"fixed": fixed_to_json(approval), "told": told_to_json(approval)}
    return _JSON.encode({**fields, **texts, "seen": _JSON.encode(approval.seen_by)})


def from_snapshot(approval_id: str, text: str, preview: str | None) -> Approval:
    """Raises `ApprovalUnreadable`."""
    try:
        return _approval({**_Fields.parsed(text).row, "preview": preview})
    except _Damaged as damage:
        raise ApprovalUnreadable(approval_id[:64], str(damage)) from None


_SCALARS = (
    *("id", "state", "digest", "thread", "requested_at", "pending_until", "granted_at", "grant_until"),
    *("executing_call", "process", "status", "ran_at", "supersedes", "superseded_by"),
)


def _approval(row: Row) -> Approval:
    columns = _Fields(row)
    fixed, told = _Fields.parsed(columns.text("fixed")), _Fields.parsed(columns.text("told"))
    try:
        state = State(columns.text("state"))
    except ValueError:
        raise _Damaged("its state is none") from None
    preview = columns.text_or_none("preview")
    return Approval(
        id=columns.text("id"),
        state=state,
        digest=columns.text("digest"),
        thread=columns.text("thread"),
        basis=fixed.text("basis"),
        requester=_requester(fixed.object("requester")),
        asked=_asked(fixed.object("asked")),
        needs=_needs(fixed.object("needs")),
        preview=None if preview is None else _json(preview),
        requested_at=columns.number("requested_at"),
        pending_until=columns.number("pending_until"),
        votes=tuple(_vote(each) for each in told.objects("votes")),
        granted_at=columns.number_or_none("granted_at"),
        grant_until=columns.number_or_none("grant_until"),
        broken_glass=_glass(told.object_or_none("glass")),
        end=_end(told.object_or_none("end")),
        executing_call=columns.text_or_none("executing_call"),
        process=columns.text_or_none("process"),
        status=columns.whole_or_none("status"),
        ran_at=columns.number_or_none("ran_at"),
        supersedes=columns.text_or_none("supersedes"),
        superseded_by=columns.text_or_none("superseded_by"),
        seen_by=_texts(_json(columns.text("seen"))),
    )


def _word(person: Person, reason: str, at: float) -> dict[str, Json]:
    return {
        "issuer": person.issuer,
        "subject": person.subject,
        "groups": list[Json](sorted(person.groups)),
        "names": list[Json](sorted(person.names)),
        "display": person.display,
        "reason": reason,
        "at": at,
    }


def _person(word: _Fields) -> Person:
    return Person(
        word.text("issuer"),
        word.text("subject"),
        frozenset(word.texts("groups")),
        frozenset(word.texts("names")),
        word.text("display"),
    )


def _requester(fields: _Fields) -> Requester:
    return Requester(
        fields.text("issuer"),
        fields.text("subject"),
        fields.text_or_none("on_behalf_of"),
        fields.text_or_none("session"),
        frozenset(fields.texts("names")),
    )


def _asked(fields: _Fields) -> CallAsked:
    return CallAsked(
        call=fields.text("call"),
        operation=fields.text_or_none("operation"),
        version=fields.text_or_none("version"),
        risk=fields.text("risk"),
        method=fields.text("method"),
        host=fields.text("host"),
        target=fields.text("target"),
        credential=fields.text("credential"),
        rule=fields.text("rule"),
        rules=fields.texts("rules"),
        why=fields.texts("why"),
        policy_revision=fields.text("policy_revision"),
        summary=fields.text("summary"),
        intent=fields.text_or_none("intent"),
    )


def _needs(fields: _Fields) -> Needs:
    way = fields.object_or_none("break_glass")
    groups: list[tuple[str, int]] = []
    for pair in fields.array("groups"):
        match pair:
            case [str(group), int(count)] if not isinstance(count, bool) and count > 0:
                groups.append((group, count))
            case _:
                raise _Damaged("it doesn't say who is needed")
    if not groups:
        raise _Damaged("it says that nobody is needed")
    return Needs(
        groups=tuple(groups),
        reason_required=fields.flag("reason_required"),
        pending=fields.number("pending"),
        grant=fields.number("grant"),
        hold=fields.number("hold"),
        break_glass=None if way is None else BreakGlass(way.texts("groups"), way.number("review_within")),
    )


def _vote(word: _Fields) -> Vote:
    return Vote(_person(word), word.flag("approves"), word.text("reason"), word.number("at"))


def _glass(word: _Fields | None) -> BrokenGlass | None:
    if word is None:
        return None
    look = word.object_or_none("review")
    review = None if look is None else Review(_person(look), look.text("reason"), look.number("at"))
    return BrokenGlass(
        _person(word), word.text("reason"), word.number("at"), word.number("review_due"), review
    )


def _end(fields: _Fields | None) -> End | None:
    return None if fields is None else End(fields.text("who"), fields.text("reason"), fields.number("at"))


def _json(text: str) -> Json:
    try:
        parsed: Json = json.loads(text)
    except (ValueError, RecursionError):
        raise _Damaged("a part of it is no JSON") from None
    return parsed


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _Damaged("a list in it holds what is no text")
    return tuple(value)


@dataclass(frozen=True, slots=True)
class _Fields:
    """A row or a JSON object out of the file, whose fields are what they should be or `_Damaged`."""

    row: Row

    @staticmethod
    def parsed(text: str) -> _Fields:
        return _Fields._of(_json(text))

    @staticmethod
    def _of(value: object) -> _Fields:
        if not isinstance(value, dict):
            raise _Damaged("a part of it is no JSON object")
        return _Fields(value)

    def _get[T](self, name: str, *types: type[T]) -> T:
        value = self.row.get(name)
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise _Damaged(f"{name} is none")
        return value

    def _is_none(self, name: str) -> bool:
        return self.row.get(name) is None

    def text(self, name: str) -> str:
        return self._get(name, str)

    def text_or_none(self, name: str) -> str | None:
        return None if self._is_none(name) else self.text(name)

    def number(self, name: str) -> float:
        value = self._get(name, int, float)
        if isinstance(value, float) and not math.isfinite(value):
            raise _Damaged(f"{name} is no number")
        try:
            return float(value)
        except OverflowError:
            raise _Damaged(f"{name} is no number") from None

    def number_or_none(self, name: str) -> float | None:
        return None if self._is_none(name) else self.number(name)

    def whole(self, name: str) -> int:
        return self._get(name, int)

    def whole_or_none(self, name: str) -> int | None:
        return None if self._is_none(name) else self.whole(name)

    def flag(self, name: str) -> bool:
        return self._get(name, bool)

    def array(self, name: str) -> Sequence[object]:
        return self._get(name, list)

    def texts(self, name: str) -> tuple[str, ...]:
        return _texts(self.array(name))

    def object(self, name: str) -> _Fields:
        return _Fields._of(self._get(name, dict))

    def object_or_none(self, name: str) -> _Fields | None:
        return None if self._is_none(name) else self.object(name)

    def objects(self, name: str) -> list[_Fields]:
        return [_Fields._of(each) for each in self.array(name)]
