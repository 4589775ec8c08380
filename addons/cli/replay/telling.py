"""What `ddgate replay` says, to a person and to a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.text import Text

from addons.cli.policy.recordings import shown
from addons.cli.replay.choice import line_of
from addons.cli.replay.run import Became, Result, counted
from addons.core.model import Json
from addons.replaying.comparing import Comparison
from addons.replaying.differences import Difference

_STYLES = {Became.SAME: "green", Became.DIFFERS: "yellow", Became.LEFT_OUT: "dim", Became.FAILED: "red"}
_MOST_DIFFERENCES = 40
_LONGEST = 160


@dataclass(frozen=True, slots=True)
class Used:
    """What a replay is made with, said before it begins. `to` is what answers."""

    calls: int
    source: str
    to: str
    gateway: str
    policy: str
    replay: str | None

    def as_json(self) -> Json:
        used: dict[str, Json] = {
            "calls": self.calls,
            "source": self.source,
            "answered_by": self.to,
            "gateway": self.gateway,
            "policy": self.policy,
            "replay": self.replay,
        }
        return {"used": {name: value for name, value in used.items() if value}}


class Teller:
    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._out = Console(soft_wrap=True, highlight=False, emoji=False, markup=False)
        self._errors = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False, markup=False)

    def used(self, used: Used) -> None:
        if self._as_json:
            typer.echo(json.dumps(used.as_json()))
            return
        rows = [
            ("calls", f"{used.calls}, recorded in {used.source}"),
            ("gateway", used.gateway),
            ("policy", used.policy),
            ("answered by", used.to),
            ("on record as", used.replay or "nothing here: there is no audit log on this machine"),
        ]
        for name, value in rows:
            if value:
                self._out.print(f"{name:<12}  {shown(value)}", style="dim")

    def result(self, result: Result) -> None:
        if self._as_json:
            typer.echo(json.dumps(as_json(result)))
            return
        line = Text(f"{result.became:<8}  ", style=_STYLES[result.became])
        line.append(line_of(result.exchange), style="bold")
        for each in (_status(result), _decided(result), _ids(result)):
            if each:
                line.append(f"  {shown(each)}")
        self._out.print(line)
        for told in lines(result):
            self._out.print(f"    {shown(told)}")

    def summary(self, results: list[Result]) -> None:
        counts = dict(counted(results))
        if self._as_json:
            typer.echo(json.dumps({"summary": {str(became): count for became, count in counts.items()}}))
            return
        self._out.print(", ".join(f"{count} {became}" for became, count in counts.items()) or "nothing")

    def beside(self, sentences: Sequence[str]) -> None:
        for each in sentences:
            self._errors.print(shown(each), style="yellow")


def as_json(result: Result) -> dict[str, Json]:
    exchange, comparison, new = result.exchange, result.comparison, result.new or {}
    told: dict[str, Json] = {
        "recorded": exchange.call,
        "replayed_as": new.get("call"),
        "method": exchange.method,
        "host": exchange.host,
        "path": exchange.target,
        "result": str(result.became),
        "why": result.why or None,
        "decision": new.get("decision"),
        "ddgate": dict(result.told) if result.told else None,
    }
    if comparison is not None:
        told["status"] = list(comparison.status)
        told["headers"] = [_json(each) for each in comparison.headers]
        told["body"] = [_json(each) for each in comparison.body]
        told["body_text"] = comparison.body_text or None
        told["not_compared"] = comparison.note or None
    return {name: value for name, value in told.items() if value not in (None, [])}


def _json(difference: Difference) -> Json:
    return {"path": difference.path, "recorded": difference.recorded, "now": difference.now}


def lines(result: Result) -> list[str]:
    """What differs, a line each."""
    told = [result.why] if result.why else []
    if result.needs_approval:
        told.append("it needs a person's approval")
    elif result.told and isinstance(text := result.told.get("text"), str):
        told.append(text)
    if result.comparison is not None:
        told += _differences(result.comparison)
    return told


def _differences(comparison: Comparison) -> list[str]:
    listed = [f"header {each.path}: {_change(each)}" for each in comparison.headers]
    listed += [f"{each.path}: {_change(each)}" for each in comparison.body]
    more = len(listed) - _MOST_DIFFERENCES
    listed = listed[:_MOST_DIFFERENCES] + ([f"and {more} more; --json shows all"] if more > 0 else [])
    if comparison.body_text:
        listed.append(f"the body: {comparison.body_text}")
    if comparison.note:
        listed.append(f"not compared: {comparison.note}")
    return listed


def _change(each: Difference) -> str:
    if each.recorded is None:
        return f"new: {_cut(each.now or '')}"
    if each.now is None:
        return f"gone; it was {_cut(each.recorded)}"
    return f"{_cut(each.recorded)} -> {_cut(each.now)}"


def _status(result: Result) -> str:
    if result.comparison is None:
        return ""
    recorded, now = result.comparison.status
    return str(now) if recorded == now else f"{recorded} -> {now}"


def _decided(result: Result) -> str:
    decision = (result.new or {}).get("decision")
    if not isinstance(decision, dict):
        return ""
    return " ".join(str(decision[name]) for name in ("effect", "reason", "rule") if decision.get(name))


def _ids(result: Result) -> str:
    new = (result.new or {}).get("call")
    return f"{result.exchange.call} -> {new}" if isinstance(new, str) else result.exchange.call


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else f"{flat[:_LONGEST]}…"
