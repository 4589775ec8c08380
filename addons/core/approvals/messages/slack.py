"""The form that Slack's incoming webhooks take: Block Kit.

Whatever an agent wrote stands in `plain_text` objects without emoji, in which Slack knows no mentions, links
or markup; there and in the notification's text `&`, `<` and `>` are escaped ("Escaping text" in Slack's
guide), so that no `<!channel>` and no masked link can come out of it. Deceptive characters are made visible.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from addons.core.approvals.messages.events import MessageEvent
from addons.core.approvals.messages.moments import rfc3339
from addons.core.approvals.messages.told import Told, ToldChange, shortened
from addons.core.approvals.visible_text import visible_plain
from addons.core.model import Json

# Slack's limits, in UTF-16 units after escaping, which is never less than what Slack may count.
HEADER, SECTION, FIELD, BUTTON, FALLBACK = 150, 3000, 2000, 75, 4000
MOST_FIELDS = 10

_TITLES = {
    MessageEvent.REQUESTED: "A call waits for approval",
    MessageEvent.UPDATED: "A call that waits for approval was changed",
    MessageEvent.APPROVED: "Approved",
    MessageEvent.DENIED: "Denied",
    MessageEvent.EXPIRED: "Expired: nobody decided in time",
    MessageEvent.CANCELLED: "Cancelled",
    MessageEvent.GLASS_BROKEN: "Break-glass: one person let a call pass alone",
    MessageEvent.EXECUTED: "The approved call ran",
    MessageEvent.UNKNOWN: "An approved call was lost: nobody can tell whether it ran",
    MessageEvent.RESOLVED: "The lost call is settled",
    MessageEvent.REVIEWED: "The break-glass was reviewed",
}
# Receivers that take Slack's form and aren't Slack look for these names in plain text.
_MENTION = re.compile(r"@(?=\w)")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SHOWN = 500


def slack_message(told: Told, link: str) -> dict[str, Json]:
    """`link` leads to the request on the approvals page. Raises ValueError for times that are none."""
    return {
        "text": _fallback(told, link),
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": list(_blocks(told, link)),
    }


def _blocks(told: Told, link: str) -> Iterator[Json]:
    yield {"type": "header", "text": _plain(_TITLES[told.event], HEADER)}
    yield {"type": "section", "text": _plain(_line(told.summary), SECTION)}
    yield {"type": "section", "fields": list[Json](_fields(told))[:MOST_FIELDS]}
    if told.act is not None:
        yield _section([f"By {_line(told.act.who)}", *_quoted("Reason", told.act.reason)])
    if told.event in {MessageEvent.REQUESTED, MessageEvent.UPDATED, MessageEvent.GLASS_BROKEN}:
        if told.changes:
            yield _section(_diff(told))
        if told.intent:
            yield _section(_quoted("The agent's own words, which nobody has checked", told.intent))
    button: Json = {"type": "button", "text": _plain(_invitation(told.event), BUTTON), "url": link}
    yield {"type": "actions", "elements": [button]}
    hint = f"ddgate approval {told.approval}. The whole request is on its page."
    yield {"type": "context", "elements": [_plain(hint, FIELD)]}


def _fields(told: Told) -> Iterator[Json]:
    yield _field("Asked by", told.requester)
    if told.on_behalf_of is not None:
        yield _field("On behalf of", told.on_behalf_of)
    yield _field("Operation", told.operation or "unknown to ddgate")
    yield _field("Request", f"{told.method} {told.host}{told.target}")
    yield _field("Rule", told.rule)
    if told.why:
        yield _field("Why", "; ".join(told.why))
    if told.places:
        yield _field("Needed", ", ".join(f"{count} of {group}" for group, count in told.places))
    if told.state == "pending":
        yield _time("Expires", told.pending_until)
    elif told.state == "approved" and told.grant_until is not None:
        yield _time("May run until", told.grant_until)
    if told.review_due is not None:
        yield _time("Review due", told.review_due)
    if told.status is not None:
        yield _field("Datadog's answer", f"HTTP {told.status}")


def _diff(told: Told) -> list[str]:
    lines = [_change(change) for change in told.changes]
    if told.more_changes:
        lines.append(f"and {told.more_changes} more: see the page")
    return lines


def _change(change: ToldChange) -> str:
    before = "nothing" if change.before is None else _line(change.before)
    after = "nothing" if change.after is None else _line(change.after)
    return f"{_line(change.path)}: {before} → {after}"


def _quoted(label: str, text: str) -> list[str]:
    return [f"{label}: “{_line(text)}”"] if text.strip() else []


def _invitation(event: MessageEvent) -> str:
    match event:
        case MessageEvent.REQUESTED | MessageEvent.UPDATED:
            return "Read and decide"
        case MessageEvent.GLASS_BROKEN:
            return "Read and review"
        case MessageEvent.UNKNOWN:
            return "Say what became of it"
        case _:
            return "Open"


def _fallback(told: Told, link: str) -> str:
    """What notifications show, and receivers that know no blocks."""
    whom = f" for {_line(told.on_behalf_of)}" if told.on_behalf_of is not None else ""
    by = f" By {_line(told.act.who)}." if told.act is not None else ""
    said = f"{_TITLES[told.event]}: {_line(told.summary)} (asked by {_line(told.requester)}{whom}).{by}"
    said = _MENTION.sub("\N{FULLWIDTH COMMERCIAL AT}", said)
    return f"{_bounded(said, FALLBACK - len(link) - 1)} {link}"


def _section(lines: Iterable[str]) -> Json:
    return {"type": "section", "text": _plain("\n".join(lines), SECTION)}


def _field(label: str, value: str) -> Json:
    return _plain(f"{label}\n{_line(value)}", FIELD)


def _time(label: str, at: float) -> Json:
    """In the reader's own zone; holds nothing but numbers and words of ours."""
    text = f"{label}\n<!date^{int(at)}^{{date_short_pretty}} {{time}}|{rfc3339(at)}>"
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _plain(text: str, most: int) -> dict[str, Json]:
    return {"type": "plain_text", "text": _bounded(text, most), "emoji": False}


def _line(text: str) -> str:
    """One line that shows what is there; a new one would pass for one of ours."""
    line = visible_plain(text).replace("\n", " ⏎ ").replace("\t", " ")
    return shortened(line, _SHOWN).strip() or "(empty)"


def _bounded(text: str, most: int) -> str:
    """`text` escaped, in at most `most` UTF-16 units, with `…` where it was cut."""
    escaped = [_ESCAPES.get(char, char) for char in text]
    if sum(map(_units, escaped)) <= most:
        return "".join(escaped)
    kept, left = [], most - 1
    for each in escaped:
        left -= _units(each)
        if left < 0:
            break
        kept.append(each)
    return "".join(kept) + "…"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
