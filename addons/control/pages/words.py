"""How the pages write texts, times and JSON. Everything that an agent may have written comes through `shown`,
or `plain` where only text may stand (a title, an attribute), and leaves as escaped text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from markupsafe import Markup, escape

from addons.core.approvals.visible_text import Kind, Run, visible, visible_plain
from addons.core.redact.masking.mask import MASK

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_UNITS = ((90, 1, "second"), (90 * _MINUTE, _MINUTE, "minute"), (36 * _HOUR, _HOUR, "hour"))
_NOW_SECONDS = 5
_KIB = 1024
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|[^"]+|"', re.DOTALL)
_PLAIN = re.compile(r"[\t\n -~]*")
_NOT_CSS = re.compile(r"[^a-z-]")
_MASK = MASK.pattern.decode("ascii")
_WORD = re.compile(rf"{_MASK}|\s+|[!-/:-@\[-`{{-~]|[^\s!-/:-@\[-`{{-~]+")  # ASCII's punctuation ends one


def shown(text: str) -> Markup:
    """`text` on its own: no direction of its letters reaches what stands around it (`bdi`), and what would
    not be seen, or be taken for something else, is spelled out.
    """
    return Markup(f"<bdi>{spelled(text)}</bdi>")  # noqa: S704 - escaped


def plain(text: str) -> str:
    return visible_plain(text)


def spelled(text: str) -> Markup:
    """As `shown`, for a part of what stands on its own."""
    if _PLAIN.fullmatch(text) and "[REDACTED:" not in text:
        return escape(text)  # nearly all there is
    return Markup("".join(map(_run, visible(text))))  # noqa: S704 - each escaped


def _run(run: Run) -> str:
    if run.kind is Kind.PLAIN:
        return escape(run.text)
    return f'<span class="odd {run.kind}" title="{_TITLES[run.kind]}">{escape(run.text)}</span>'


_TITLES = {
    Kind.CONTROL: "a control character",
    Kind.BIDI: "a character that turns the direction of the text",
    Kind.INVISIBLE: "a character that can't be seen",
    Kind.LOOKALIKE: "a letter that looks like another",
    Kind.MASK: "masked by ddgate: the agent's call holds something here that nobody is to see",
}


def json_shown(text: str) -> Markup:
    """JSON text with each string on its own that has more than ASCII in it, so that letters that run from
    right to left can't change places with their neighbours.
    """
    if _PLAIN.fullmatch(text) and "[REDACTED:" not in text:
        return escape(text)
    pieces = (found.group() for found in _STRING.finditer(text))
    return Markup("".join(shown(piece) if piece[0] == '"' else spelled(piece) for piece in pieces))  # noqa: S704 - each escaped


def compared(before: str, after: str) -> tuple[Markup, Markup]:
    """Two texts, with what differs between their common beginning and end marked, by whole words."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    shorter = min(len(old), len(new))
    start = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    rest = shorter - start
    end = next((at for at in range(rest) if old[-1 - at] != new[-1 - at]), rest)
    return _marked(old, start, end), _marked(new, start, end)


def _marked(words: list[str], start: int, end: int) -> Markup:
    stop = len(words) - end
    head, middle, tail = (spelled("".join(part)) for part in (words[:start], words[start:stop], words[stop:]))
    between = f"<mark>{middle}</mark>" if middle else ""
    return Markup(f"<bdi>{head}{between}{tail}</bdi>")  # noqa: S704 - escaped


def css_word(text: str) -> str:
    """A word that is safe as a class."""
    return _NOT_CSS.sub("", text.lower())


def iso(at: float) -> str:
    """RFC 3339, for machines."""
    return _moment(at).strftime("%Y-%m-%dT%H:%M:%SZ")


def exact(at: float) -> str:
    return _moment(at).strftime("%Y-%m-%d %H:%M:%S UTC")


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def relative(at: float, now: float) -> str:
    """`3 minutes ago`, `in 2 hours`; the pages' script counts in the same way."""
    seconds = at - now
    if abs(seconds) < _NOW_SECONDS:
        return "in a moment" if seconds > 0 else "just now"
    words = duration(abs(seconds))
    return f"in {words}" if seconds > 0 else f"{words} ago"


def duration(seconds: float) -> str:
    size, unit = next(((size, unit) for limit, size, unit in _UNITS if seconds < limit), (_DAY, "day"))
    count = round(seconds / size)
    return f"{count} {unit}{'' if count == 1 else 's'}"


def byte_count(size: int) -> str:
    if size < _KIB:
        return f"{size} {'byte' if size == 1 else 'bytes'}"
    return f"{size / _KIB:.1f} KiB" if size < _KIB**2 else f"{size / _KIB**2:.1f} MiB"
