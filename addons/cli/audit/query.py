"""`ddgate audit query`: which records fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import typer

from addons.cli import call_options
from addons.cli.audit import options
from addons.cli.audit.lines import console, print_json, print_lines, render
from addons.cli.audit.looking import Look, complain, looking, refuse
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.cli.time_option import read_time
from addons.core.redact.masking.mask import MASK_KEY, UNREAD, Masker
from addons.store.audit.question import HAS_TEXT, Question
from addons.store.state_dir import StateDir, StateDirUnusable
from addons.store.trail.query import NEWEST_FIRST, OLDEST_FIRST
from addons.store.trail.story import NotFound, approval_named, read_or_tell
from addons.store.trail.text import TextSearch

type _Asked = Mapping[str, str | None]


def query(  # noqa: PLR0913 - an option each
    *,
    state: StateDirOption = DEFAULT_STATE_DIR,
    who: call_options.WhoOption = None,
    on_behalf_of: call_options.OnBehalfOfOption = None,
    operation: call_options.OperationOption = None,
    rule: call_options.RuleOption = None,
    effect: call_options.EffectOption = None,
    reason: options.ReasonOption = None,
    kind: options.KindOption = None,
    since: call_options.SinceOption = None,
    until: call_options.UntilOption = None,
    status: call_options.StatusOption = None,
    approval: options.ApprovalOption = None,
    session: call_options.SessionOption = None,
    call: options.CallOption = None,
    host: options.HostOption = None,
    path: options.PathOption = None,
    text: options.TextOption = None,
    limit: options.LimitOption = options.DEFAULT_LIMIT,
    oldest_first: options.OldestFirstOption = False,
    as_json: options.JsonOption = False,
    count: options.CountOption = False,
) -> None:
    """Show the records that fit all of what is given, newest first.

    In globs, * is any text, slashes too, ? one character and [ab] one of these.

    What an agent was denied today: ddgate audit query --who ci-agent --effect deny --since 24h

    Who deleted anything: ddgate audit query --operation 'Delete*' --kind outcome
    """
    asked: _Asked = {
        "who": who, "on_behalf_of": on_behalf_of, "operation": operation, "rule": rule, "effect": effect,
        "reason": reason, "kind": kind, "since": since, "until": until, "status": status,
        "approval": approval, "session": session, "call": call, "host": host, "path": path, "text": text,
    }  # fmt: skip
    question = _question(asked)
    shown = options.given({**asked, "limit": limit, "count": count})
    with looking(state, "audit query", shown) as look, _searching(look, text):
        question = _with_approval(look, question)
        if count:
            look.found = look.trail.count(question)
            typer.echo(look.found)
        else:
            _show(look, question, limit, oldest_first=oldest_first, as_json=as_json)


def _question(asked: _Asked) -> Question:
    """Raises typer.BadParameter."""
    effect, reason, kind, status = asked["effect"], asked["reason"], asked["kind"], asked["status"]
    since, until = asked["since"], asked["until"]
    return Question(
        who=asked["who"],
        on_behalf_of=asked["on_behalf_of"],
        operation=asked["operation"],
        rule=asked["rule"],
        effect=None if effect is None else call_options.read_effect(effect),
        reason=None if reason is None else options.read_reason(reason),
        kind=None if kind is None else options.read_kind(kind),
        since=None if since is None else read_time(since),
        until=None if until is None else read_time(until),
        status=None if status is None else call_options.read_status(status),
        approval=asked["approval"],
        session=asked["session"],
        call=asked["call"],
        host=asked["host"],
        path=asked["path"],
        has_text=bool(asked["text"]),
    )


def _with_approval(look: Look, question: Question) -> Question:
    if question.approval is None:
        return question
    try:
        return replace(question, approval=approval_named(look.trail, question.approval))
    except NotFound as problem:
        refuse(str(problem), " ".join(problem.candidates) or "`ddgate approvals list` shows their ids.")


def _show(look: Look, question: Question, limit: int, *, oldest_first: bool, as_json: bool) -> None:
    terminal = console()
    order = OLDEST_FIRST if oldest_first else NEWEST_FIRST
    for stored in look.trail.find(question, order):
        if limit and look.found >= limit:
            # Beside what other programs read.
            complain(f"There are more than these {limit}; --limit 0 shows all.")
            break
        body = read_or_tell(look.trail, stored)
        if body is None:
            continue
        look.found += 1
        if as_json:
            print_json({"idx": stored.idx, **body})
        else:
            print_lines(terminal, [render(body)])


@contextmanager
def _searching(look: Look, text: str | None) -> Iterator[None]:
    """Make the trail find `text`, which goes on record only if it stands in the records that were found.

    Else it may be a secret that somebody wants to know about, and its mask says enough.
    """
    if not text:
        yield
        return
    key = _mask_key(look.state)
    search = TextSearch(text, key)
    look.trail.add_function(HAS_TEXT, search)
    look.asked["text"] = UNREAD if key is None else Masker(key).mask("searched", text)
    try:
        yield
    finally:
        if search.in_plain:
            look.asked["text"] = text


def _mask_key(state: StateDir) -> bytes | None:
    """The key of the masks, where this state directory has one that can be read."""
    if not state.has_installation_key(MASK_KEY):
        return None
    try:
        return state.installation_key(MASK_KEY)
    except StateDirUnusable:
        return None
