"""How audit records look on a terminal. What is in them was written by agents, and perhaps by an enemy."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from addons.core.model import Json

EFFECT_STYLES = {"allow": "green", "deny": "bold red", "require_approval": "yellow"}


def plain(text: str) -> str:
    """One line of a foreign text: no control or direction character of it reaches a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def console() -> Console:
    return Console(soft_wrap=True, highlight=False, emoji=False, markup=False)


def print_lines(to: Console, lines: Iterable[Text]) -> None:
    """Raises BrokenPipeError; printing itself, rich would end the process on a closed pipe."""
    for line in lines:
        with to.capture() as printed:
            to.print(line)
        sys.stdout.write(printed.get())
    sys.stdout.flush()


def print_json(value: dict[str, Json]) -> None:
    """One JSON object as a line. Raises BrokenPipeError."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def render(body: dict[str, Json]) -> Text:
    """Make the line for a person out of a record in the form of `store.audit.record`.

    Never fails on a field that is missing or of another type: an auditor must see the odd record too.
    """
    request, decision = part(body, "http_request"), part(body, "decision")
    effect = word(decision, "effect")
    where = word(request, "host") + word(request, "path")
    line = Text(when(body.get("time")), style="dim")
    for text, style in (
        (who(body), "bold"),
        (word(part(body, "api"), "operation") or word(body, "kind"), "cyan"),
        (joined(word(request, "method"), where), ""),
        (
            joined(effect, _reason(decision), word(decision, "rule")) or word(body, "message"),
            EFFECT_STYLES.get(effect, ""),
        ),
        (_status(body), ""),
        (word(body, "call"), "dim"),
    ):
        line.append("  ")
        line.append(text or "-", style=style)
    return line


def joined(*words: str) -> str:
    return " ".join(word for word in words if word)


def who(body: dict[str, Json]) -> str:
    """`alice for bob`; of a look, the user of the operating system."""
    attributes = part(body, "attributes")
    name = word(part(body, "actor"), "subject") or word(attributes, "os_user")
    whom = word(body, "on_behalf_of")
    return f"{name} for {whom}" if whom else name


def when(seconds: Json) -> str:
    try:
        moment = dt.datetime.fromtimestamp(float(seconds), dt.UTC)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return "?"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def part(body: dict[str, Json], name: str) -> dict[str, Json]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def word(body: dict[str, Json], name: str) -> str:
    """A value as one line for a terminal; empty where there is none."""
    value = body.get(name)
    if value is None:
        return ""
    return plain(value if isinstance(value, str) else json.dumps(value))


def words(value: Json) -> list[str]:
    """The texts of a list, or of one text."""
    items = value if isinstance(value, list) else [] if value is None else [value]
    return [plain(item if isinstance(item, str) else json.dumps(item)) for item in items]


def _reason(decision: dict[str, Json]) -> str:
    reason = word(decision, "reason")
    return "" if reason == "allowed" else reason  # the effect says it


def _status(body: dict[str, Json]) -> str:
    # The same call shows twice: at `attempted` there is no status yet.
    return word(part(body, "http_response"), "status") or word(body, "kind")
