"""The middle of `ddgate demo`: a call that waits in the agent's client until a person has decided on it."""

from __future__ import annotations

import time
from contextlib import closing

from addons.cli.approvals.client import ControlClient, Refused, parse_place
from addons.cli.approvals.reading import page, read, what_would_run, whole
from addons.cli.demo.calls import WHO, Story
from addons.cli.demo.stage import Agent, Said
from addons.cli.demo.teller import ClaimFailed
from addons.control.api.models import ApprovalSaid, ApprovalWhole
from addons.core.approvals.states import State
from addons.core.approvals.voting import VoteReason
from addons.core.model import Json
from addons.sandbox.issuer_login import CONTROL_AUDIENCE
from addons.sidecar.token_sources import EnvironmentSource

_APPROVER, _OUTSIDER = "alice", "bob"
_OK = 200
_SECONDS = 20.0
_PACE = 0.05
_REQUEST = "What is sent"  # where `what_would_run` goes on with the request in full
_STEPS = {
    "approval_requested": f"asked by {WHO}",
    "approval_seen": f"opened by {_APPROVER}",
    "approval_vote_refused": f"{_OUTSIDER} refused",
    "approval_approved": f"approved by {_APPROVER}",
    "attempted": "attempted",
    "approval_consumed": "the approval used up",
    "outcome": "answered",
    "approval_executed": "ran",
}


def change_production(story: Story, agent: Agent) -> None:
    teller, stage, evidence = story.teller, story.stage, story.evidence
    teller.step("It changes a monitor of production, and a person decides")
    place = f"/api/v1/monitor/{story.production}"
    approver, outsider = _person(story, _APPROVER), _person(story, _OUTSIDER)
    with closing(approver), closing(outsider):
        agent.begin("change monitor", id=story.production, threshold=900)
        with teller.waiting(f"the call waits; control ({stage.approvals_url}) is asked what for"):
            one = _the_one_that_waits(approver, agent)
            shown = whole(approver, one.id)
        _tell_what(story, shown)
        teller.claim(
            f"{WHO}'s client waits in its call, and nothing of it has reached Datadog",
            not agent.has_answered and not evidence.received("PUT"),
        )
        refused = _refused(outsider, shown)
        teller.show(_OUTSIDER, f"{refused} ({refused.reason})", "what control says to his yes")
        teller.claim(
            f"{_OUTSIDER}, who isn't of the rule's group, lets nothing pass",
            refused.reason == VoteReason.NOT_IN_GROUP and not evidence.received("PUT"),
            refused.reason,
        )
        said = _approved(story, approver, shown, agent)
        after = whole(approver, one.id)
    _claim_it_ran_once(story, said, place, after)


def _person(story: Story, name: str) -> ControlClient:
    """A person's own token, which agents' tokens are not: for control alone."""
    token = story.take_token(story.stage.token(name, audience=CONTROL_AUDIENCE))
    place = parse_place(story.stage.config.control.public_url, None)
    return ControlClient(place, EnvironmentSource(name, token))


def _the_one_that_waits(person: ControlClient, agent: Agent) -> ApprovalSaid:
    deadline = time.monotonic() + _SECONDS
    while True:
        found = page(person, [State.PENDING], 10, None).approvals
        if len(found) == 1:
            return found[0]
        if agent.has_answered:
            raise ClaimFailed("the call waits for a person; it was answered without one")
        if time.monotonic() > deadline:
            raise ClaimFailed(f"one call waits for a person; found: {len(found)}")
        time.sleep(_PACE)


def _tell_what(story: Story, shown: ApprovalWhole) -> None:
    story.teller.say(f"what {_APPROVER} sees, before the request in full:")
    for line in what_would_run(shown):
        if line == _REQUEST:
            break
        if line:
            story.teller.say(f"  {line}")
    changes = shown.preview.get("changes") if isinstance(shown.preview, dict) else None
    paths = {str(one.get("path")): one for one in changes or () if isinstance(one, dict)}  # type: ignore[union-attr]
    story.teller.claim(
        "the change is shown against what Datadog holds now, which the gateway has read",
        "query" in paths and "500" in str(paths["query"]["before"]) and "900" in str(paths["query"]["after"]),
        list(paths),
    )


def _refused(person: ControlClient, shown: ApprovalWhole) -> Refused:
    try:
        _post(person, shown, "")
    except Refused as refused:
        return refused
    raise ClaimFailed(f"control refuses {_OUTSIDER}'s yes; it was taken")


def _approved(story: Story, person: ControlClient, shown: ApprovalWhole, agent: Agent) -> Said:
    reason = "agreed with the team"
    story.teller.say(f"as by: ddgate approvals approve {shown.id[-8:]} --as {_APPROVER} --reason '{reason}'")
    approved = read(ApprovalWhole, _post(person, shown, reason))
    began = time.monotonic()
    said = agent.end()
    story.teller.show(
        "approved", f"by {_APPROVER}", f"{time.monotonic() - began:.1f} s later the client returns"
    )
    story.teller.claim(
        "the yes was for exactly this request, by its digest",
        (approved.id, approved.digest) == (shown.id, shown.digest),
    )
    return said


def _post(person: ControlClient, shown: ApprovalWhole, reason: str) -> Json:
    return person.post("approvals", shown.id, "approve", body={"reason": reason, "digest": shown.digest})


def _claim_it_ran_once(story: Story, said: Said, place: str, after: ApprovalWhole) -> None:
    teller, evidence = story.teller, story.evidence
    teller.claim(
        "the client, unmodified, got its Monitor in the one call that it made",
        (said.status, said.returned) == (_OK, "Monitor"),
        said.text or said.returned,
    )
    put = evidence.received("PUT", place)
    teller.claim(
        f"Datadog got PUT {place} once, with 900, and the gateway's key",
        len(put) == 1 and b"900" in put[0].body and put[0].values("dd-api-key") == [story.keys["api_key"]],
        len(put),
    )
    steps = [entry.kind for entry in evidence.steps_of(after.id)]
    teller.claim(
        "audit trail: " + ", ".join(_STEPS.get(kind, kind) for kind in steps),
        steps == list(_STEPS) and after.state is State.SUCCEEDED,
        steps,
    )
