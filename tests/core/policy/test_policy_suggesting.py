"""Which habits become rules, for whom, and what is never made into one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.catalogue import Catalogue
from addons.core.model import Effect, Json
from addons.core.policy.suggesting.sightings import Sighting, Sightings, why_left_out
from addons.core.policy.suggesting.suggest import Kind, kind_of
from addons.core.policy.suggesting.suggested_review import Review
from addons.core.policy.suggesting.suggested_text import Writer
from tests.core.policy.suggestion_making import (
    CATALOGUE,
    daily,
    granted,
    operation,
    policy,
    proposals,
    sighting,
)

BODY: Json = {"name": "x", "options": {"a": 1}, "message": "see @slack-ops, @ana@example.com"}

# What a habit is


def test_three_days_are_a_habit_and_a_burst_is_none() -> None:
    burst = [sighting("UpdateMonitor", "a", 0.001 * number) for number in range(100)]
    assert proposals(burst) == []
    assert proposals(daily("UpdateMonitor", days=2)) == []
    assert granted(proposals(daily("UpdateMonitor"))) == {"UpdateMonitor": ("agents", ())}


def test_days_of_several_identities_add_up_but_one_day_is_not_enough() -> None:
    three_at_once = [sighting("UpdateMonitor", subject, 0) for subject in "abc"]
    assert proposals(three_at_once) == []
    assert proposals(three_at_once[:2], [sighting("UpdateMonitor", "c", 1)]) != []


def test_with_one_day_asked_for_everything_that_was_done_is_taken() -> None:
    assert granted(proposals([sighting("UpdateMonitor")], enough=1)) == {"UpdateMonitor": ("agents", ())}


# For whom


def others(*names: str) -> list[Sighting]:
    """Members of `agents` alone."""
    return [one for name in names for one in daily("ListMonitors", name, groups=["agents"])]


def test_what_one_team_does_is_not_given_to_all() -> None:
    made = proposals(daily("UpdateMonitor", "a"), daily("UpdateMonitor", "b"), others("x", "y"))
    assert granted(made)["UpdateMonitor"] == ("sre", ())


def test_what_somebody_of_another_team_did_once_gives_that_team_nothing() -> None:
    once = [sighting("UpdateMonitor", "x", 1, ["agents", "ci"])]
    decide = policy(
        proposals(daily("UpdateMonitor", "a"), once, daily("ListMonitors", "x", groups=["ci"]))
    ).decide
    assert decide(sighting("UpdateMonitor", "a").request).permitted
    assert not decide(once[0].request).permitted


def test_a_write_of_half_of_a_team_is_for_those_who_do_it() -> None:
    made = proposals(daily("UpdateMonitor", "a", groups=["sre"]), daily("ListMonitors", "b", groups=["sre"]))
    assert granted(made) == {"UpdateMonitor": ("sre", ("a",)), "ListMonitors": ("sre", ())}


def test_a_read_of_less_than_half_of_a_team_is_for_those_who_do_it_often_enough() -> None:
    team = [one for name in "bcde" for one in daily("ListDashboards", name, groups=["sre"])]
    seldom = [sighting("ListMonitors", "b", 1, ["sre"])]
    made = proposals(team, daily("ListMonitors", "a", groups=["sre"]), seldom)
    assert granted(made)["ListMonitors"] == ("sre", ("a",))
    assert granted(made)["ListDashboards"] == ("sre", ())


def test_what_five_of_a_large_team_do_is_for_the_team() -> None:
    team = [one for number in range(40) for one in daily("ListDashboards", f"m{number}", groups=["ci"])]
    some = [sighting("ListMonitors", f"m{number}", number, ["ci"]) for number in range(5)]
    assert granted(proposals(team, some))["ListMonitors"] == ("ci", ())


def test_who_has_no_group_is_named() -> None:
    made = proposals(daily("ListMonitors", "loner", groups=[]))
    assert granted(made) == {"ListMonitors": (None, ("loner",))}
    assert policy(made).decide(sighting("ListMonitors", "loner", groups=[]).request).permitted
    assert not policy(made).decide(sighting("ListMonitors", "other", groups=[]).request).permitted


def test_where_there_are_several_issuers_a_rule_names_its_own() -> None:
    made = proposals(daily("ListMonitors", "a"), daily("ListDashboards", "a", issuer="https://j"))
    decide = policy(made).decide
    assert decide(sighting("ListMonitors", "a").request).permitted
    assert not decide(sighting("ListMonitors", "a", issuer="https://j").request).permitted


# What becomes of it


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ListMonitors", Kind.READ),
        ("v2.ListLogs", Kind.READ),
        ("v2.SubmitLog", Kind.SEND),
        ("UpdateMonitor", Kind.WRITE),
        ("DeleteMonitor", Kind.ASK),
        ("TriggerCITests", Kind.ASK),
        ("CreateDataDeletionRequest", Kind.ASK),
        ("CreatePublicDashboard", Kind.ASK),
        ("CreateLogsArchive", Kind.ASK),
        ("CreateWebhooksIntegration", Kind.ASK),
        ("v2.CreateAPIKey", Kind.NEVER),
        ("v2.GetAPIKey", Kind.NEVER),
        ("SendInvitations", Kind.NEVER),
        ("v2.DisableUser", Kind.NEVER),
    ],
)
def test_what_becomes_of_an_operation(name: str, kind: Kind) -> None:
    assert kind_of(operation(name)) is kind


def test_nothing_that_reads_keys_destroys_or_changes_who_may_do_what_is_ever_let_through() -> None:
    for each in CATALOGUE.operations():
        if {risk.value for risk in each.risks} - {"read", "write", "ingest"}:
            assert kind_of(each) in {Kind.ASK, Kind.NEVER}, each


def test_what_destroys_is_asked_about_and_keys_are_in_no_rule() -> None:
    made = proposals(daily("DeleteMonitor"), daily("v2.CreateAPIKey"), daily("v2.ListAPIKeys"))
    (only,) = made
    assert (only.kind, only.operations) == (Kind.ASK, (operation("DeleteMonitor"),))
    assert policy(made).decide(sighting("DeleteMonitor").request).effect is Effect.REQUIRE_APPROVAL


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"refused": "denied_by_rule"}, "refused then: denied_by_rule"),
        ({"counts": False}, "refused by Datadog, or failed there"),
        ({"held_secrets": True}, "a secret was in the request"),
        ({"groups": ["lists.sre"]}, "the identity has a name that no policy can hold"),
        ({"subject": "a\nb"}, "the identity has a name that no policy can hold"),
    ],
)
def test_what_shows_no_need_makes_no_rule(more: dict[str, object], why: str) -> None:
    seen = [sighting("UpdateMonitor", day=day, **{"subject": "a", **more}) for day in range(5)]  # type: ignore[arg-type]
    assert proposals(seen) == []
    assert why_left_out(seen[0]) == why


def test_unknown_operations_make_no_rule_and_secrets_in_telemetry_do() -> None:
    assert proposals([sighting(None, day=day) for day in range(5)]) == []
    assert proposals(daily("v2.SubmitLog", held_secrets=True)) != []


def test_masks_are_those_that_fit_what_is_done() -> None:
    policy_set = policy(proposals(daily("ListMonitors"), daily("v2.SubmitLog"), daily("UpdateMonitor")))
    for name, forward, response in (
        ("ListMonitors", [], ["secrets"]),
        ("v2.SubmitLog", ["secrets"], []),
        ("UpdateMonitor", [], ["secrets"]),
    ):
        decision = policy_set.decide(sighting(name).request)
        assert (sorted(decision.mask_forward.detect), sorted(decision.mask_response.detect)) == (
            forward,
            response,
        )


def family(catalogue: Catalogue, tag: str) -> list[str]:
    return [
        f"{each.version}.{each.name}"
        for each in catalogue.operations()
        if tag in each.tags and {risk.value for risk in each.risks} == {"read"}
    ]


def test_a_family_of_reads_of_which_most_are_in_use_is_given_whole() -> None:
    names = family(CATALOGUE, "monitors")
    half = len(names) // 2
    few = proposals(*(daily(name) for name in names[:half]))
    assert [proposal.tags for proposal in few] == [()]
    most = proposals(*(daily(name) for name in names[: half + 1]))
    assert ("monitors",) in [proposal.tags for proposal in most]
    decide = policy(most).decide
    assert decide(sighting(names[-1]).request).permitted
    assert not decide(sighting("UpdateMonitor").request).permitted


# The file

NAMES = st.text(min_size=1, max_size=12) | st.sampled_from(
    [
        "true",
        "null",
        "1",
        "lists.x",
        "a*b",
        "a: b",
        "# c",
        "'",
        '"',
        "\\",
        "-",
        "a,b",
        "[",
        "é",
        "\u2028",
        "😀",
    ]
)


@settings(max_examples=150, deadline=None)
@given(NAMES, NAMES, st.lists(NAMES, max_size=3), st.dictionaries(NAMES, st.just("x"), max_size=3), NAMES)
def test_whatever_the_names_the_file_is_a_policy_that_passes_its_tests(
    subject: str, issuer: str, groups: list[str], body: dict[str, Json], key: str
) -> None:
    seen = [
        one
        for name in ("ListMonitors", "DeleteMonitor", "v2.SubmitLog", "UpdateMonitor")
        for one in daily(name, subject, groups=groups, issuer=issuer, body=body, query=((key, "1"),))
    ]
    more = daily("ListMonitors", "other", issuer="https://j")
    made = proposals(seen, more)
    policy_set = policy(made)
    if not why_left_out(seen[0]):
        assert policy_set.decide(seen[0].request).permitted


def test_the_same_calls_in_another_order_make_the_same_rules() -> None:
    seen = [*daily("UpdateMonitor", body=BODY), *daily("ListMonitors", "b"), *daily("DeleteMonitor", "c")]
    assert policy(proposals(seen)).digest == policy(proposals(reversed(seen))).digest


def test_what_is_left_out_is_told_with_the_reason() -> None:
    seen = [
        *daily("UpdateMonitor", body={"name": "x"}),
        sighting("UpdateMonitor", day=1, body={"name": "x", "locked": True}),
        sighting("UpdateMonitor", "b", groups=["ci"]),
        sighting("v2.CreateAPIKey"),
        sighting("DeleteMonitor"),
        sighting(None),
        sighting("ListMonitors", refused="no_rule"),
        *daily("v2.CancelDowntime"),
    ]
    made = proposals(seen)
    policy_set, review = policy(made), Review(made)
    for each in seen:
        review.add(each, policy_set.decide(each.request))
    assert (review.calls, review.permitted, review.asking) == (12, 3, 3)
    reasons = {(why.partition(",")[0], name): tally.calls for (why, name), tally in review.left_out.items()}
    assert reasons == {
        (
            "its parameters or its body are not like those of the calls that the rule was made of",
            "v1.UpdateMonitor",
        ): 1,
        ("not done on enough days to be a habit", "v1.UpdateMonitor"): 1,
        ("reads keys", "v2.CreateAPIKey"): 1,
        ("destroys", "v1.DeleteMonitor"): 1,
        ("none of Datadog's operations that the gateway knows", "/nowhere"): 1,
        ("refused then: no_rule", "v1.ListMonitors"): 1,
        ("the rule agents-asks asks for approval", "v2.CancelDowntime"): 3,
    }
    text = Writer(CATALOGUE, "approvers", str).text([], made, [], review.left_out)
    assert "# none of Datadog's operations that the gateway knows:\n#   /nowhere: 1 call by a (1)" in text


def test_a_rule_that_turns_its_own_calls_away_is_told() -> None:
    seen = daily("UpdateMonitor", body={"name": "x"})
    made = proposals(seen)
    review = Review(made)
    for each in seen:
        review.add(each, policy([]).decide(each.request))
    assert review.too_strict() == [
        "The rule agents-update-monitor turns away 3 of the 3 calls it was made of."
    ]


def test_who_was_refused_everything_is_a_member_all_the_same() -> None:
    """Else a group that many are in looks like the one agent that was let through."""
    refused = [sighting("UpdateMonitor", "x", 0, ["agents"], refused="no_rule")]
    assert granted(proposals(daily("UpdateMonitor", "a"), refused)) == {"UpdateMonitor": ("sre", ())}


def test_of_groups_with_the_same_members_it_is_told() -> None:
    gathered = Sightings()
    for each in [*daily("ListMonitors", "a"), *daily("ListMonitors", "x", groups=["ci"])]:
        gathered.add(each)
    assert gathered.twins() == [("agents", "sre")]


@pytest.mark.parametrize("name", ["a*", "a?", "true", "null", "1"])
def test_a_name_stands_for_itself_and_for_nobody_else(name: str) -> None:
    decide = policy(proposals(daily("UpdateMonitor", "a", groups=[name]))).decide
    assert decide(sighting("UpdateMonitor", "a", groups=[name]).request).permitted
    assert not decide(sighting("UpdateMonitor", "a", groups=["ab"]).request).permitted
