"""What was sent, as the audit trail has it: redacted, and less the credential."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from addons.cli.audit.lines import part, plain, word
from addons.core.json_layout import laid_out
from addons.core.model import Json
from addons.core.quantities import format_size
from addons.store.audit.record import RecordKind
from addons.store.trail.story import Told
from addons.store.trail.text import request_content

_MOST_CHARACTERS = 64 * 1024
_MOST_LINES = 400
_LAID_OUT = 4 * 1024 * 1024  # what is longer is shown as it was sent


def request_lines(own: Sequence[Told], *, full: bool) -> Iterator[Text]:
    attempted = next((told for told in own if told.body.get("kind") == RecordKind.ATTEMPTED), None)
    if attempted is None:
        return
    body = attempted.body
    head = part(body, "http_request")
    request = part(part(body, "attributes"), "request")
    yield Text()
    yield Text("sent (redacted, without the credential)", style="bold")
    yield Text(f"  {word(head, 'method')} {word(head, 'path')}", style="cyan")
    for name, value in _headers(request.get("headers")):
        yield Text(f"  {name}: {value}", style="dim")
    missing = part(request, "not_stored")
    if missing:
        size, digest = word(missing, "length"), word(missing, "digest")
        yield Text(f"  ({size} bytes, {digest}; not stored)", style="yellow")
    content = request_content(body)
    if content:
        yield Text()
        yield from _content(content, full=full)


def _headers(value: Json) -> Iterator[tuple[str, str]]:
    for pair in value if isinstance(value, list) else []:
        if isinstance(pair, list) and len(pair) == 2:  # noqa: PLR2004 - name and value
            name, said = (part_ if isinstance(part_, str) else "?" for part_ in pair)
            yield plain(name), plain(said)


def _content(content: bytes, *, full: bool) -> Iterator[Text]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        yield Text(f"  ({format_size(len(content))} that are no text)", style="yellow")
        return
    whole = text
    if len(text) <= _LAID_OUT and text.lstrip()[:1] in {"{", "["}:
        try:
            whole = laid_out(text)
        except ValueError:
            whole = text  # not JSON after all
    bounded = whole if full else whole[:_MOST_CHARACTERS]
    lines = bounded.split("\n")
    for line in lines if full else lines[:_MOST_LINES]:
        yield Text(f"  {plain(line.removesuffix('\r'))}")
    if not full and (len(bounded) < len(whole) or len(lines) > _MOST_LINES):
        yield Text(f"  (cut here: it has {format_size(len(content))}; --full shows all)", style="yellow")
