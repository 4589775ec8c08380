"""What a call asks for as it is written down, and whether it holds still when somebody has said yes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import pytest
from mitmproxy import http

from addons import flowstate
from addons.answers import NOT_PERMITTED, refuse
from addons.approval_draft import Drafts
from addons.core.approvals.approval import Approval
from addons.core.approvals.needs import Needs
from addons.core.approvals.preview import Preview
from addons.core.approvals.states import State
from addons.core.approvals.voting import requester_of
from addons.core.model import Effect, Json, Operation, Reason
from addons.core.policy.request import Decision, Evidence, Masks, Seen, Unreadable
from addons.core.request_target import normalise
from addons.flowstate import Call, MaskedRequest
from addons.store import moment
from addons.store.policy.files import read_catalogue
from addons.store.targets.seen import TargetSeen, TargetShown
from tests.calls import PRINCIPAL, make_flow

KEY = b"k" * 32
NEEDS = Needs((("leads", 1),), reason_required=False, pending=600, grant=600, hold=30)
ASK = Decision(
    *(Effect.REQUIRE_APPROVAL, Reason.APPROVAL_REQUIRED, False, "rule", ("rule", "other"), "ask", "sha256:1"),
    needs=NEEDS,
    asking=("rule",),
    why=("it pages people",),
)
BODY = b'{"name": "new", "message": "[REDACTED:x]"}'
HELD: dict[str, Json] = {"id": 7, "name": "old", "message": "m", "type": "metric alert"}
HEADERS = (
    *((b"Host", b"api.datadoghq.com"), (b"Content-Length", b"42"), (b"X-Dropped", b"x")),
    *((b"Content-Type", b"application/json"), (b"If-Match", b'"7"')),
)


@pytest.fixture(scope="module")
def update() -> Operation:
    return read_catalogue().by_name("UpdateMonitor")[0]


def shown(evidence: Evidence | None, record: Json = None) -> TargetShown:
    return TargetShown(TargetSeen(evidence or Seen({}), record), evidence)


@dataclass
class Played:
    """What surrounds it, and in which order it was asked. `refuses` names who refuses the call."""

    looked: TargetShown | None = field(default_factory=lambda: shown(Seen(HELD)))
    body: bytes | None = BODY
    refuses: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def drafts(self) -> Drafts:
        return Drafts(self.mask, self.look, self.count, KEY)

    def _says(self, flow: http.HTTPFlow, what: str) -> bool:
        self.asked.append(what)
        if what == self.refuses:
            refuse(flow, flowstate.call_of(flow), NOT_PERMITTED)
        return what != self.refuses

    async def mask(self, flow: http.HTTPFlow) -> MaskedRequest | None:
        if not self._says(flow, "mask"):
            return None
        return MaskedRequest("/api/v1/monitor/7?x=[REDACTED:y]", HEADERS, self.body, "bob asked")

    async def look(self, flow: http.HTTPFlow) -> TargetShown | None:
        self._says(flow, "look")
        return self.looked

    async def count(self, flow: http.HTTPFlow) -> bool:
        return self._says(flow, "count")


def asking(operation: Operation, decision: Decision = ASK) -> tuple[http.HTTPFlow, Call]:
    flow, call = make_flow(
        "PUT", "/api/v1/monitor/7?x=secret", content=b'{"name": "new", "message": "secret"}'
    )
    flow.request.headers["Content-Type"] = "application/json"
    call.target = normalise("/api/v1/monitor/7?x=secret")
    call.operation, call.decision = operation, decision
    call.unverified_intent = "a secret"
    return flow, call


async def drafted(played: Played, operation: Operation, decision: Decision = ASK) -> Approval:
    flow, call = asking(operation, decision)
    made = await played.drafts.draft(flow, "d" * 64)
    assert made is not None, call.refusal
    return made


async def test_a_draft_says_who_asks_for_what_and_until_when(update: Operation) -> None:
    before = moment.now().wall
    flow, call = asking(update)
    made = await Played().drafts.draft(flow, "d" * 64)
    assert made is not None
    assert (made.state, made.digest, made.needs) == (State.PENDING, "d" * 64, NEEDS)
    assert made.requester == requester_of(PRINCIPAL)
    assert before <= made.requested_at <= moment.now().wall
    assert made.pending_until == made.requested_at + NEEDS.pending
    asked = made.asked
    assert (asked.call, asked.operation, asked.version) == (call.id, "UpdateMonitor", update.version)
    assert (asked.method, asked.host, asked.risk) == ("PUT", "api.datadoghq.com", update.risk.value)
    assert (asked.rule, asked.rules, asked.why) == ("rule", ("rule",), ("it pages people",))
    assert (asked.credential, asked.policy_revision) == ("default", "sha256:1")
    assert "monitor" in asked.summary


async def test_a_draft_holds_what_is_masked_and_the_headers_that_leave(update: Operation) -> None:
    made = await drafted(Played(), update)
    assert (made.asked.target, made.asked.intent) == ("/api/v1/monitor/7?x=[REDACTED:y]", "bob asked")
    preview = Preview.from_json(made.preview)
    assert preview.request.headers == (("Content-Type", "application/json"), ("If-Match", '"7"'))
    assert "secret" not in json.dumps(made.preview)
    assert [change.path for change in preview.changes] == ["name", "message"]
    assert preview.was_read


async def test_a_large_body_is_shown_as_a_small_one(update: Operation) -> None:
    large = json.dumps({"name": "new", "message": "x" * 20_000}).encode()
    made = await drafted(Played(looked=None, body=large), update)
    assert Preview.from_json(made.preview).request.body is not None
    assert made.basis == ""


async def test_the_thread_is_the_targets_and_the_requesters(update: Operation) -> None:
    first, again = await drafted(Played(), update), await drafted(Played(body=b"{}"), update)
    assert first.thread == again.thread
    flow, call = asking(update)
    call.target = normalise("/api/v1/monitor/8")
    other = await Played().drafts.draft(flow, "d" * 64)
    assert other is not None
    assert other.thread != first.thread


@pytest.mark.parametrize(("who", "asked"), [("count", ["count"]), ("mask", ["count", "mask"])])
async def test_who_refuses_the_call_ends_it_before_any_more_work(
    update: Operation, who: str, asked: list[str]
) -> None:
    played = Played(refuses=who)
    flow, call = asking(update)
    assert await played.drafts.draft(flow, "d" * 64) is None
    assert call.refusal is NOT_PERMITTED
    assert played.asked == asked


async def test_what_nobody_could_judge_is_refused_with_its_rule(update: Operation) -> None:
    flow, call = asking(update)
    assert await Played(body=None).drafts.draft(flow, "d" * 64) is None
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (403, Reason.APPROVAL_IMPOSSIBLE)
    assert call.refusal.rule == "rule"


async def test_a_call_that_needs_nobody_is_no_draft(update: Operation) -> None:
    flow, _ = asking(update, replace(ASK, needs=None))
    with pytest.raises(ValueError, match="nobody"):
        await Played().drafts.draft(flow, "d" * 64)


async def test_what_a_person_saw_holds_while_it_is_there_and_counts_no_second_time(update: Operation) -> None:
    played = Played()
    made = await drafted(played, update)
    played.asked.clear()
    flow, call = asking(update)
    assert await played.drafts.still_holds(flow, made)
    assert call.refusal is None
    assert played.asked == ["mask", "look"]


NOT_NOW = shown(Unreadable("Datadog answered 500"), {"status": 500})
GONE = shown(Unreadable("Datadog answered 404"), {"status": 404})
CHANGED = shown(Seen({**HELD, "name": "by somebody else"}))
NOT_ASKED_FOR = shown(Seen({**HELD, "type": "query alert"}))


@pytest.mark.parametrize(
    ("then", "now", "holds", "reason"),
    [
        (shown(Seen(HELD)), CHANGED, False, None),
        (shown(Seen(HELD)), NOT_ASKED_FOR, True, None),  # nothing that the call would overwrite
        (shown(Seen(HELD)), GONE, False, None),
        (shown(Seen(HELD)), None, False, None),
        (shown(Seen(HELD)), NOT_NOW, False, Reason.TARGET_UNREADABLE),
        (NOT_NOW, NOT_NOW, True, None),  # nobody saw it then either
        (NOT_NOW, shown(Seen(HELD)), False, None),
        (None, None, True, None),
    ],
    ids=[
        *("changed", "changed elsewhere", "gone", "nothing to look at", "not now"),
        *("never seen", "seen first now", "nothing"),
    ],
)
async def test_what_was_seen_then_is_compared_with_what_is_there_now(
    update: Operation, then: TargetShown | None, now: TargetShown | None, holds: bool, reason: Reason | None
) -> None:
    made = await drafted(Played(looked=then), update)
    flow, call = asking(update)
    assert await Played(looked=now).drafts.still_holds(flow, made) is holds
    assert (call.refusal and call.refusal.reason) is reason
    if call.refusal is not None:
        assert (call.refusal.status, call.refusal.retry_after) == (429, 5.0)


async def test_other_fields_that_rules_look_at_are_another_thing(update: Operation) -> None:
    flow, call = asking(update)
    call.resource = {"fields": {"tags": ["env:dev"]}}
    made = await Played(looked=None).drafts.draft(flow, "d" * 64)
    assert made is not None
    for tags, holds in (("env:dev", True), ("env:prod", False)):
        flow, call = asking(update)
        call.resource = {"fields": {"tags": [tags]}}
        assert await Played(looked=None).drafts.still_holds(flow, made) is holds


@pytest.mark.parametrize("looked", [None, shown(Seen(HELD))], ids=["nothing", "a resource"])
async def test_other_masks_on_what_leaves_are_another_thing(
    update: Operation, looked: TargetShown | None
) -> None:
    """The body that leaves isn't the one that somebody said yes to."""
    masked = replace(ASK, mask_forward=Masks(frozenset({"pii"}), frozenset({"$.message"})))
    plain, under_masks = (
        await drafted(Played(looked=looked), update),
        await drafted(Played(looked=looked), update, masked),
    )
    for made, decision, holds in (
        *((plain, ASK, True), (plain, masked, False)),
        *((under_masks, masked, True), (under_masks, ASK, False)),
        (under_masks, replace(ASK, mask_forward=Masks(frozenset({"pii"}))), False),
    ):
        flow, _ = asking(update, decision)
        assert await Played(looked=looked).drafts.still_holds(flow, made) is holds


@pytest.mark.parametrize("played", [Played(refuses="mask"), Played(body=None)], ids=["masks", "preview"])
async def test_what_can_no_longer_be_shown_does_not_hold(update: Operation, played: Played) -> None:
    made = await drafted(Played(), update)
    flow, call = asking(update)
    assert not await played.drafts.still_holds(flow, made)
    assert call.refusal is not None
