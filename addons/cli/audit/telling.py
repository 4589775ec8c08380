"""A story of the audit trail, told for a person in the order in which one asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text

from addons.cli.audit.lines import EFFECT_STYLES, joined, part, plain, when, who, word, words
from addons.cli.audit.request import request_lines
from addons.cli.sealed_recordings import keys_for
from addons.core.model import Json
from addons.core.yaml_source import ProblemsError
from addons.store.audit.record import RecordKind, SegmentRef
from addons.store.credentials import CredentialProblem
from addons.store.recordings.segment_reader import SegmentDamaged, read_flow
from addons.store.trail.story import Story, Told

_WIDTH = 16
_OF_CALLS = frozenset({RecordKind.ATTEMPTED, RecordKind.OUTCOME, RecordKind.REFUSED})
# What the parts below tell in their own words; the rest of the attributes is told as it stands.
_TOLD = frozenset(
    {
        *("request", "outcome", "seconds", "response_digest", "shadow", "withheld", "limits", "target"),
        *("credential", "on_behalf_of", "for", "operation", "summary", "who"),
    }
)


def tell_story(story: Story, recordings: Path, *, full: bool) -> Iterator[Text]:
    """`recordings` is the directory of the segments. A long request body is cut unless `full`."""
    begin = _first(story.own) or _first(story.steps)
    if begin is None:
        return
    end = _last(story.own) or begin
    yield from _heading(story, begin, end)
    yield from _who(begin)
    yield from _decision(story, begin, end)
    yield from _approvals(story.steps)
    yield from request_lines(story.own, full=full)
    yield from _answer(end)
    yield from _other_facts(story.own)
    yield from _findings(end)
    yield from _lookups(story.lookups)
    yield from _recording(end, recordings)
    yield from _looks(story)
    yield from _section("records")
    for told in story.every():
        yield _line(
            f"#{told.idx}",
            joined(when(told.body.get("time")), word(told.body, "kind"), word(told.body, "id")),
        )


def _heading(story: Story, begin: Told, end: Told) -> Iterator[Text]:
    body = begin.body
    request = part(body, "http_request")
    what = word(part(body, "api"), "operation") or word(part(body, "attributes"), "operation")
    where = word(request, "host") + word(request, "path")
    title = joined(what or word(body, "kind"), word(request, "method"), where)
    yield Text(title, style="bold cyan")
    if story.call is not None:
        yield _line("call", plain(story.call))
    for approval in story.approvals:
        yield _line("approval", plain(approval))
    yield _line("time", joined(when(body.get("time")), _took(end)))
    if story.call is None and (message := word(body, "message")):
        yield _line("what", message)


def _took(end: Told) -> str:
    seconds = word(part(end.body, "attributes"), "seconds")
    return f"for {seconds} s" if seconds else ""


def _who(told: Told) -> Iterator[Text]:
    body = told.body
    actor, source = part(body, "actor"), part(body, "src_endpoint")
    yield from _section("who")
    issuer = word(actor, "issuer")
    nobody = "nobody: no identity was proved" if part(body, "http_request") else "ddgate itself"
    user = who({**body, "on_behalf_of": None}) or nobody
    yield _line("principal", joined(user, f"({issuer})" if issuer else ""), "bold")
    yield from _facts(
        ("on behalf of", word(body, "on_behalf_of")),
        ("chain", _chain(actor.get("chain"))),
        ("groups", ", ".join(words(actor.get("groups")))),
        ("session", word(body, "session")),
        ("token", word(actor, "token_id")),
        ("from", joined(word(source, "ip"), "port", word(source, "port")) if source else ""),
        ("login", word(part(body, "attributes"), "login_user")),
    )


def _chain(value: Json) -> str:
    """Who acts through whom, RFC 8693 section 4.1: the outermost actor first."""
    links = value if isinstance(value, list) else []
    return " <- ".join(
        joined(word(link, "subject"), f"({word(link, 'issuer')})") for link in links if isinstance(link, dict)
    )


def _decision(story: Story, begin: Told, end: Told) -> Iterator[Text]:
    decision = part(begin.body, "decision") or part(end.body, "decision")
    if not decision:
        return
    yield from _section("decision")
    effect, reason = (
        word(decision, "effect"),
        word(part(end.body, "decision"), "reason") or word(decision, "reason"),
    )
    verdict = joined(effect, "" if reason == "allowed" else reason)
    if verdict:
        yield _line("verdict", verdict, EFFECT_STYLES.get(effect, "bold red"))
    attributes = part(begin.body, "attributes")
    revision = word(decision, "policy_revision")
    if revision and story.policy is not None:
        revision += f", in force since {when(story.policy.body.get('time'))} (#{story.policy.idx})"
    yield from _facts(
        ("rule", word(decision, "rule")),
        ("policy", revision),
        ("withheld", _withheld(part(attributes, "withheld"))),
        ("limits", ", ".join(words(attributes.get("limits")))),
        ("credential", word(attributes, "credential")),
        ("target", word(attributes, "target")),
    )
    for text in words(decision.get("reasons")):
        yield _line("because", text)
    for shadow in words(attributes.get("shadow")):
        yield _line("shadow", shadow)
    if (message := word(begin.body, "message")) and story.call is not None:
        yield _line("told the agent", message)


def _withheld(said: dict[str, Json]) -> str:
    would_be = joined(word(said, "effect"), word(said, "reason"), word(said, "rule"))
    return f"only observed; would have been {would_be}" if would_be else ""


def _approvals(steps: Sequence[Told]) -> Iterator[Text]:
    if not steps:
        return
    yield from _section("approval")
    summary = next((text for told in steps if (text := word(part(told.body, "attributes"), "summary"))), "")
    if summary:
        yield _line("of", summary)
    for told in steps:
        body, attributes = told.body, part(told.body, "attributes")
        step = word(body, "kind").removeprefix("approval_").replace("_", " ")
        by = word(attributes, "who")
        subject = who(body) or "ddgate"
        by = f"{by} ({subject})" if by and by != subject else subject
        said = joined(word(body, "message"), _quoted(word(attributes, "reason")))
        yield _line(step, joined(when(body.get("time")), f"{by}:", said), _style_of(body))


def _quoted(text: str) -> str:
    return f"“{text}”" if text else ""


def _style_of(body: dict[str, Json]) -> str:
    match body.get("kind"):
        case (
            RecordKind.APPROVAL_GLASS_BROKEN | RecordKind.APPROVAL_UNKNOWN | RecordKind.APPROVAL_VOTE_REFUSED
        ):
            return "bold red"
        case RecordKind.APPROVAL_APPROVED | RecordKind.APPROVAL_EXECUTED:
            return "green"
        case RecordKind.APPROVAL_DENIED | RecordKind.APPROVAL_EXPIRED | RecordKind.APPROVAL_CANCELLED:
            return "red"
        case _:
            return ""


def _answer(end: Told) -> Iterator[Text]:
    body = end.body
    response, attributes = part(body, "http_response"), part(body, "attributes")
    kind = body.get("kind")
    if kind not in _OF_CALLS and not response:
        return
    yield from _section("answered")
    outcome = word(attributes, "outcome")
    if kind == RecordKind.ATTEMPTED:
        yield _line("outcome", "not on record: the call runs, or its gateway ended", "bold red")
        return
    status, length = word(response, "status"), word(response, "length")
    by = "by Datadog" if outcome == "answered" else "by ddgate" if kind != RecordKind.OUTCOME else ""
    yield from _facts(
        ("status", joined(status, by)),
        ("outcome", outcome),
        ("because", word(attributes, "because")),
        ("length", f"{length} bytes" if length else ""),
        ("digest", word(attributes, "response_digest")),
    )
    if outcome and outcome != "answered":
        yield _line("note", _NOTES.get(outcome, ""), "yellow")


_NOTES = {
    "unknown": "nobody can tell whether Datadog did it",
    "not sent": "nothing of it reached Datadog",
    "answered in part": "the agent got what is recorded, and then the answer broke off",
    "answer withheld": "Datadog answered, and the agent didn't get the answer",
}


def _other_facts(own: Sequence[Told]) -> Iterator[Text]:
    """Of what is no call: whatever else its record says."""
    if not own or own[0].body.get("kind") in _OF_CALLS:
        return
    facts = {name: value for name, value in part(own[0].body, "attributes").items() if name not in _TOLD}
    if not facts:
        return
    yield from _section("said")
    for name, value in facts.items():
        for text in words(value):
            yield _line(plain(name), text)


def _findings(end: Told) -> Iterator[Text]:
    findings = part(end.body, "findings")
    if findings:
        yield from _section("masked")
        for name in findings:
            yield _line(plain(name), word(findings, name))


def _lookups(lookups: Sequence[Told]) -> Iterator[Text]:
    """What the gateway read in order to decide."""
    outcomes = [told for told in lookups if told.body.get("kind") == RecordKind.OUTCOME]
    if outcomes:
        yield from _section("looked up in order to decide")
    for told in outcomes:
        request = part(told.body, "http_request")
        what = joined(word(request, "method"), word(request, "host") + word(request, "path"))
        status = word(part(told.body, "http_response"), "status")
        unread = word(part(told.body, "attributes"), "unread")
        yield _line(f"#{told.idx}", joined(what, status, unread))


def _recording(end: Told, recordings: Path) -> Iterator[Text]:
    said = part(end.body, "recording")
    if not said:
        return
    yield from _section("recording")
    yield _line("place", f"{word(said, 'segment')}, bytes {word(said, 'offset')}+{word(said, 'length')}")
    yield _line("sha256", word(said, "sha256"))
    segment, offset, length, sha256 = (said.get(name) for name in ("segment", "offset", "length", "sha256"))
    if (
        not (
            isinstance(segment, str)
            and isinstance(offset, int)
            and isinstance(length, int)
            and isinstance(sha256, str)
        )
        or min(offset, length) < 0
    ):
        yield _line("bytes", "the record doesn't say where they are", "bold red")
        return
    try:
        ref = SegmentRef(segment, offset, length, sha256)
        read_flow(recordings, ref, keys_for([recordings]))
    except (
        *(SegmentDamaged, CredentialProblem, ProblemsError),
        *(OSError, OverflowError, ValueError),
    ) as error:
        yield _line("bytes", f"can't be vouched for: {plain(str(error))}", "bold red")
    else:
        yield _line("bytes", "are what was recorded", "green")


def _looks(story: Story) -> Iterator[Text]:
    yield from _section("read or replayed since")
    if not story.looks:
        yield _line("nobody", "has looked at it by its id")
    for told in story.looks:
        attributes = part(told.body, "attributes")
        what = word(attributes, "command") or word(told.body, "message")
        yield _line(
            word(told.body, "kind"), joined(when(told.body.get("time")), who(told.body) or "somebody", what)
        )


def _first(records: Sequence[Told]) -> Told | None:
    return records[0] if records else None


def _last(records: Sequence[Told]) -> Told | None:
    return records[-1] if records else None


def _facts(*facts: tuple[str, str]) -> Iterator[Text]:
    for name, value in facts:
        if value:
            yield _line(name, value)


def _section(name: str) -> Iterator[Text]:
    yield Text()
    yield Text(name, style="bold")


def _line(name: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"  {name:<{_WIDTH}}", "dim"), (value, style))
