"""What a suggested rule lets a write look like: as those did that were seen, and notifying nobody new."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.model import Json
from addons.core.policy.request import Evidence, Seen, Unreadable
from addons.core.policy.suggesting.sightings import mentions
from tests.core.policy.suggestion_making import daily, policy, proposals, sighting

BODY: Json = {"name": "x", "options": {"a": 1}, "message": "see @slack-ops, @ana@example.com"}


def test_a_write_is_let_through_with_the_fields_that_it_had() -> None:
    decide = policy(proposals(daily("UpdateMonitor", body=BODY, query=(("x", "1"),)))).decide

    def permits(body: Json, query: tuple[tuple[str, str], ...] = ()) -> bool:
        return decide(sighting("UpdateMonitor", body=body, query=query).request).permitted

    assert permits(BODY)
    assert permits(BODY, (("x", "2"), ("api_key", "k")))
    assert permits({})
    assert not permits(BODY, (("force", "true"),))
    assert not permits({"name": "x", "restricted_roles": []})
    assert not permits({"options": {"silenced": {"*": None}}})
    assert permits({"message": "all well, bo@example.com and @slack-ops"})
    assert not permits({"message": "see @webhook-collector"})
    assert not permits({"message": "see @slack-ops-elsewhere"})
    assert not permits({"message": "see @slack-ops@attacker.example"})
    assert not permits({"message": ["@webhook-collector"]})
    assert not permits({"Message": "@webhook-collector"})


def test_what_was_in_a_request_once_is_not_let_through() -> None:
    usual = [
        one
        for subject in "ab"
        for one in daily("UpdateMonitor", subject, 5, body={"name": "x", "message": "hi"})
    ]
    once = [sighting("UpdateMonitor", "a", 2, body={"name": "x", "message": "@webhook-c", "locked": True})]
    decide = policy(proposals(usual, once)).decide
    assert decide(usual[0].request).permitted
    assert not decide(once[0].request).permitted
    assert not decide(sighting("UpdateMonitor", body={"message": "@webhook-c"}).request).permitted


def test_of_json_api_the_resource_itself_is_looked_at() -> None:
    body: Json = {"data": {"type": "downtime", "attributes": {"scope": "x", "schedule": {"end": 1}}}}
    decide = policy(proposals(daily("v2.CreateDowntime", body=body))).decide

    def permits(attributes: Json) -> bool:
        whole: Json = {"data": {"type": "downtime", "attributes": attributes}}
        return decide(sighting("v2.CreateDowntime", body=whole).request).permitted

    assert permits({"scope": "y", "schedule": {"end": 2}})
    assert not permits({"scope": "y", "mute_first_recovery_notification": True})
    assert not permits({"schedule": {"end": 2, "start": 1}})


def test_a_body_that_never_was_stays_out() -> None:
    decide = policy(proposals(daily("UpdateMonitor"))).decide
    assert decide(sighting("UpdateMonitor").request).permitted
    assert not decide(sighting("UpdateMonitor", body={"name": "x"}).request).permitted


def test_maps_with_names_of_their_own_are_not_asked_about() -> None:
    seen = [
        sighting("UpdateMonitor", "a", number, body={"name": "x", "options": {f"k{number}": 1}})
        for number in range(60)
    ]
    twice = [
        sighting("UpdateMonitor", "a", 99, body=each.body.value)
        for each in seen
        if isinstance(each.body, Seen)
    ]
    (made,) = proposals(seen, twice)
    assert any("options" in note for note in made.notes)
    decide = policy([made]).decide
    assert decide(sighting("UpdateMonitor", body={"options": {"new": 1}}).request).permitted
    assert not decide(sighting("UpdateMonitor", body={"new": 1}).request).permitted


@pytest.mark.parametrize("evidence", [Unreadable("no JSON"), Seen([1, 2])])
def test_bodies_of_other_forms_are_not_asked_about_where_they_are_many(evidence: Evidence) -> None:
    (made,) = proposals(daily("UpdateMonitor", evidence=evidence))
    assert "Its body is not asked about" in made.notes[0]
    assert not any("body" in each for each in made.when)
    some = [one for subject in "bc" for one in daily("UpdateMonitor", subject, body={"name": "x"})]
    (closed,) = proposals(daily("UpdateMonitor", days=2, evidence=evidence), some)
    assert any("body.all" in each for each in closed.when)


def test_many_channels_become_their_kind() -> None:
    seen = [
        sighting(
            "UpdateMonitor", subject, day, body={"message": " ".join(f"@slack-team{n}" for n in range(30))}
        )
        for subject in "ab"
        for day in range(3)
    ]
    decide = policy(proposals(seen)).decide
    assert decide(sighting("UpdateMonitor", body={"message": "@slack-team77"}).request).permitted
    assert not decide(sighting("UpdateMonitor", body={"message": "@webhook-x"}).request).permitted


TEXTS = st.lists(
    st.sampled_from(
        ["@slack-a", "@slack-a.", "@b", "@", "@@", "ana@x.org", "@ana@x.org", "@webhook-c", " ", ",", ".",
         "-", "é", "\n", "{{#x}}", "a", "X.ORG", "@X.org", "/", "@slack-a/b", "+"]
    )
).map("".join)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS)
def test_a_text_passes_if_and_only_if_it_notifies_nobody_new(known: str, text: str) -> None:
    seen = [one for name in "ab" for one in daily("UpdateMonitor", name, body={"message": known})]
    decide = policy(proposals(seen)).decide
    assert decide(seen[0].request).permitted
    permitted = decide(sighting("UpdateMonitor", body={"message": text}).request).permitted
    # by name: an address at a place that is named like a channel notifies at worst that channel, an @ nobody
    known_names, names = ({name for _, name in mentions(each)} - {""} for each in (known, text))
    if permitted:  # the names of domains have no case
        assert {name.lower() for name in names} <= {name.lower() for name in known_names}
    else:
        assert not set(mentions(text)) <= set(mentions(known))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see @slack-a, @team.b.", [("handle", "slack-a"), ("handle", "team.b")]),
        ("@ana@Example.com and bo@example.org", [("domain", "example.com"), ("domain", "example.org")]),
        ("@a@b@c", [("domain", "c")]),
        ("{{#is_alert}}@webhook-x{{/is_alert}}@b", [("handle", "webhook-x"), ("handle", "b")]),
        ("@slack-{{team.name}}", [("handle", "slack-")]),
        ("a @ b", [("handle", "")]),
        ("", []),
    ],
)
def test_whom_a_text_notifies(text: str, found: list[tuple[str, str]]) -> None:
    assert list(mentions(text)) == found


def test_what_is_not_let_through_is_not_asked_about_further() -> None:
    usual = [one for name in "ab" for one in daily("UpdateMonitor", name, body={"options": {"a": 1}})]
    once: Json = {"options": {"escalation_message": "@webhook-c"}, "message": "@webhook-c"}
    (made,) = proposals(usual, [sighting("UpdateMonitor", "a", 1, body=once)])
    assert not any("message" in each or "webhook" in each for each in made.when)
