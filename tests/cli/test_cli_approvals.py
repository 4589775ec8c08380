"""`ddgate approvals list` and `show`, against a real control process."""

from __future__ import annotations

import re

import pytest

from tests.cli.approvals_desk import NEEDS, Desk

SUMMARY = 'set monitor 1234 "prod latency": options.thresholds.critical 500 -> 900'


def test_a_line_of_the_list_says_what_and_who_and_whom_it_waits_for(desk: Desk) -> None:
    one = desk.ask()
    ran = desk.run("list", "--limit", "1")
    assert (ran.status, ran.err.startswith("There are older ones") or ran.err == "") == (0, True)
    *cells, timing = ran.lines[0].split("\t")
    assert cells == [one.id, "pending", SUMMARY, "write", "sre-agent", "1 of sre-leads"]
    assert re.fullmatch(r"asked \d+ s ago, expires in 10 min", timing)


def test_on_a_terminal_the_list_is_a_table_and_says_what_you_can_do(desk: Desk) -> None:
    one = desk.ask()
    ran = desk.on_terminal("list", answers={})
    assert ran.status == 0
    assert "waits for" in ran.out
    assert "(you can)" in ran.out
    assert one.id[-8:] in ran.out
    assert one.id not in ran.out


def test_only_all_and_mine_choose_what_is_listed(desk: Desk) -> None:
    waiting, decided = desk.ask(), desk.ask()
    assert desk.run("deny", decided.id, "--yes").status == 0

    def listed(*options: str, person: str = "alice") -> set[str]:
        ran = desk.run("list", *options, "--json", person=person)
        assert ran.status == 0, ran.err
        return {one["id"] for one in ran.json()["approvals"]} & {waiting.id, decided.id}

    assert listed() == {waiting.id}
    assert listed("--only", "denied") == {decided.id}
    assert listed("--only", "denied", "--only", "pending") == {waiting.id, decided.id}
    assert listed("--all") == {waiting.id, decided.id}
    assert listed("--mine") == {waiting.id}
    assert listed("--mine", person="bob") == set()


def test_the_list_can_be_gone_on_with(desk: Desk) -> None:
    older, newer = desk.ask(), desk.ask()
    first = desk.run("list", "--limit", "1")
    assert first.lines[0].startswith(newer.id)
    assert f"--before {newer.id}" in first.err
    second = desk.run("list", "--limit", "1", "--before", newer.id)
    assert second.lines[0].startswith(older.id)


def test_show_gives_the_preview_who_may_and_the_digest_and_is_on_record(desk: Desk) -> None:
    one = desk.ask(NEEDS)
    ran = desk.run("show", one.id)
    assert ran.status == 0
    for told in (
        SUMMARY,
        "asked by       sre-agent",
        "because        it is production",
        "~ options.thresholds.critical: 500 -> 900",
        "PUT https://api.datadoghq.com/api/v1/monitor/1234",
        '|       "critical": 900,',
        "State  pending",
        "waits for 1 of sre-leads",
        "you can: approve, deny",
        "alice: opened by a person",
        f"{one.id}  digest {one.digest}",
    ):
        assert told in ran.out, ran.out
    assert desk.kinds(one) == ["approval_requested", "approval_seen"]
    assert desk.run("show", one.id, "--json").json()["digest"] == one.digest
    assert "you can't approve it: only people of sre-leads" in desk.run("show", one.id, person="bob").out


def test_what_hides_in_an_agents_words_is_spelled_out_and_moves_no_cursor(desk: Desk) -> None:
    evil = "all is well\u202e\u200b \x1b[2J\x9b1mnew line:\nState  approved"
    one = desk.ask(intent=evil, rule="mönitors", summary=evil)
    for ran in (desk.run("list", "--limit", "1"), desk.run("show", one.id)):
        assert ran.status == 0
        for character in "\x1b\x9b\u202e\u200b":
            assert character not in ran.out
        assert "U+202E RIGHT-TO-LEFT OVERRIDE" in ran.out
        assert not re.search("^State  approved", ran.out, re.MULTILINE)
    assert len(desk.run("list", "--limit", "1").lines) == 1
    assert desk.run("show", one.id, "--json").json()["intent"] == evil


def test_the_end_of_an_id_is_enough_where_it_names_one(desk: Desk) -> None:
    one = desk.ask()
    assert desk.run("show", one.id[-8:].upper()).status == 0
    absent = "0" * 31 if not one.id.endswith("000000") else "1" * 31
    assert desk.run("show", absent).status == 2
    for odd in ("", "123", "../approvals", one.id + "0", "g" * 32, "\u0661" * 32):
        ran = desk.run("show", odd)
        assert (ran.status, ran.out) == (2, ""), odd


def test_an_ending_that_several_ids_have_names_none_of_them(desk: Desk) -> None:
    some = [desk.ask(ending="abcdef00") for _ in range(2)]
    ran = desk.run("approve", "abcdef00", "--yes")
    assert (ran.status, ran.out) == (2, "")
    assert all(one.id in ran.err for one in some)
    assert desk.run("show", some[0].id, "--json").json()["state"] == "pending"


def test_an_id_that_is_no_approvals_is_refused_by_control(desk: Desk) -> None:
    ran = desk.run("show", "0" * 32)
    assert (ran.status, ran.out) == (1, "")
    assert "no_such_approval" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("command", ["list", "show", "approve", "watch", "messages", "request"])
def test_help_teaches_with_an_example(desk: Desk, command: str) -> None:
    ran = desk.run(command, "--help", person=None)
    assert ran.status == 0
    assert "ddgate approvals" in ran.out
