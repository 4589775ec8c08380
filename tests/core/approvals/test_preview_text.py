"""The preview on a terminal and in messages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.approval import Approval, CallAsked, Requester
from addons.core.approvals.needs import Needs
from addons.core.approvals.preview import Preview
from addons.core.approvals.preview_text import lines
from addons.core.approvals.states import State
from addons.core.model import Json
from addons.core.policy.request import Seen
from tests.core.approvals.previewing import MONITOR, preview

PATH = "/api/v1/monitor/1234"
NEW: dict[str, Json] = {
    "name": "prod latency",
    "message": "latency is high\nlook elsewhere\n@pagerduty",
    "tags": ["env:prod"],
    "options": {"thresholds": {"critical": 900}},
    "priority": 1,
}
FORM = "application/x-www-form-urlencoded"


def approval(made: Preview, **changed: str | None) -> Approval:
    asked = CallAsked(
        call="01CALL",
        operation=made.operation,
        version=made.version,
        risk=made.risks[0],
        method=made.request.method,
        host=made.request.host,
        target=made.request.target,
        credential="default",
        rule="prod",
        rules=("prod", "all"),
        why=("a change in production",),
        policy_revision="r1",
        summary=made.summary,
        intent=changed.get("intent"),
    )
    return Approval(
        id="01",
        state=State.PENDING,
        digest="d",
        thread="t",
        basis="b",
        requester=Requester(
            "https://issuer.example", "ci", changed.get("on_behalf_of"), "run-1", frozenset()
        ),
        asked=asked,
        needs=Needs((("sre", 1),), False, 60, 60, 60),
        preview=made.to_json(),
        requested_at=0,
        pending_until=60,
    )


def test_an_update_in_full() -> None:
    made = preview("UpdateMonitor", f"{PATH}?a=b", NEW, Seen(MONITOR))
    assert lines(approval(made, on_behalf_of="bob", intent="less noise\nat night")) == [
        made.summary,
        "  operation      v1.UpdateMonitor (write)",
        "  asked by       ci",
        "  on behalf of   bob",
        "  session        run-1",
        "  the agent says less noise",
        "                 at night",
        "  rules          prod, all",
        "  because        a change in production",
        "  credential     default",
        "",
        "What changes",
        "  ~ message:",
        "      latency is high",
        "    - look at the dashboard",
        "    + look elsewhere",
        "      @pagerduty",
        '  - tags[1]: "team:a"',
        "  ~ options.thresholds.critical: 500 -> 900",
        "  + priority: 1",
        "  2 values of the request are there already",
        f"  6 fields that the request doesn't mention: {', '.join(made.not_mentioned_names)}",
        f"  {made.resource_note}",
        "",
        "What is sent",
        "  PUT https://api.datadoghq.com/api/v1/monitor/1234?a=b",
        "  ?a = b",
        "  Content-Type: application/json",
        "",
        "Body: json, 165 bytes",
        *(f"  | {line}" for line in made.request.body.text.split("\n")),
    ]


def test_a_call_without_a_body() -> None:
    shown = lines(approval(preview("DeleteMonitor", PATH, b"", Seen(MONITOR))))
    assert shown[0] == 'delete monitor 1234 "prod latency"'
    assert shown[-1] == "No body"
    assert "  nothing to compare" in shown
    assert not any("on behalf of" in line or "agent says" in line for line in shown)


def test_a_call_that_the_catalogue_does_not_know() -> None:
    shown = lines(approval(preview(None, "/api/v2/new", {"a": 1})))
    assert "  operation      not in the catalogue (unknown)" in shown


def test_fields_parts_and_lines_of_json() -> None:
    form = lines(approval(preview("UpdateMonitor", PATH, b"a=b%0Ac&d", content_type=FORM)))
    assert form[-3:] == ["  a = b", "    c", "  d = "]
    several = lines(approval(preview("UpdateMonitor", PATH, b'{"a":1}\n[2]\n')))
    assert several[-8:] == [
        "  document 1", "  | {", '  |   "a": 1', "  | }", "  document 2", "  | [", "  |   2", "  | ]"
    ]  # fmt: skip
    parts = lines(
        approval(
            preview(
                "UpdateMonitor",
                PATH,
                b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--X\r\n'
                b'Content-Disposition: form-data; name="b"\r\n\r\n\x00\r\n--X--',
                content_type="multipart/form-data; boundary=X",
            )
        )
    )
    assert '    content-disposition: form-data; name="a"' in parts
    assert "  | x" in parts
    assert parts[-1].startswith("    no text; SHA-256 ")
    assert any(line.startswith("! 1 of its 2 parts is no text") for line in parts)


def test_what_nobody_can_read_is_said_loudly() -> None:
    shown = lines(approval(preview("UpdateMonitor", PATH, b"\x00", content_type="application/x-protobuf")))
    assert any(line.startswith("! It is protobuf") for line in shown)
    shown = lines(approval(preview("UpdateMonitor", PATH, b'{"a":1,"a":2}')))
    assert any(line.startswith("! It looks like JSON") for line in shown)
    assert shown[-1] == '  | {"a":1,"a":2}'


def test_a_long_value_stands_below_its_field() -> None:
    made = preview("UpdateMonitor", PATH, {"o": {"a": "x" * 200}, "p": 1}, Seen({"o": 1, "p": [0] * 99}))
    shown = lines(approval(made))
    place = shown.index("  ~ o:")
    assert shown[place + 1 : place + 4] == ["    - 1", "    + {", f'    +   "a": "{"x" * 200}"']


def test_a_damaged_preview_is_not_decided_on() -> None:
    broken = replace(approval(preview("DeleteMonitor", PATH)), preview={"summary": 1})
    shown = lines(broken)
    assert shown[0] == "delete monitor 1234"
    assert shown[-1].startswith("Don't decide on this: the preview can't be read")


HOSTILE = "x\r\nWhat is sent\r\x1b[2J\u2028y\u202ez\x0b\x85\u200b\n+ a"


@pytest.mark.parametrize(
    "made",
    [
        preview("UpdateMonitor", PATH, {HOSTILE: HOSTILE, "l": [HOSTILE]}, Seen({HOSTILE: "a\nb", "m": 1})),
        preview("UpdateMonitor", PATH, {"m": {HOSTILE: HOSTILE}}, Seen({HOSTILE: HOSTILE, "m": 1})),
        preview("UpdateMonitor", PATH, HOSTILE.replace("\x1b", "").replace("\x0b", "").encode()),
        preview("UpdateMonitor", PATH, b"a=%0D%0Ab%1B%C2%85", content_type=FORM),
        replace(
            preview("UpdateMonitor", PATH, b""),
            summary=HOSTILE,
            resource_note=HOSTILE,
            not_mentioned=1,
            not_mentioned_names=(HOSTILE,),
        ),
    ],
)
def test_nothing_from_outside_begins_a_line_or_moves_the_cursor(made: Preview) -> None:
    given = approval(made, on_behalf_of=HOSTILE, intent=HOSTILE)
    request = replace(
        made.request, headers=((HOSTILE, HOSTILE),), host=HOSTILE, method=HOSTILE, target=HOSTILE
    )
    shown = lines(replace(given, preview=replace(made, request=request).to_json()))
    for line in shown:
        assert line.splitlines() in ([line], [])
        assert not {"\r", "\x1b", "\x0b", "\x85", "\u2028", "\u202e", "\u200b"} & set(line)
    assert shown.count("What is sent") == 1
    assert not any(line.startswith(("x", "+", "What is sent\\")) for line in shown[1:])


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_makes_lines(key: str, value: str) -> None:
    try:
        made = preview("UpdateMonitor", PATH, {key: value, "v": [value]}, Seen({key: "x\ny", "v": [key]}))
    except ValueError:
        return
    for line in lines(approval(made, intent=value)):
        assert "\n" not in line
