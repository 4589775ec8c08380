"""How `ddgate recordings show` prints one call."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer
from mitmproxy import http
from rich.console import Console
from rich.text import Text

from addons.cli.policy.recordings import shown, when
from addons.cli.recordings.reading import (
    decided,
    entry_json,
    note,
    opened,
    the_one,
    until_nobody_reads,
    who_of,
)
from addons.core.json_layout import laid_out
from addons.core.model import Json
from addons.core.quantities import format_size
from addons.core.start_problems import GatewayProblem
from addons.store.recordings.bodies import RecordedBody, body_of
from addons.store.recordings.entry import Entry
from addons.store.recordings.flows import NOT_A_FLOW, StoredFlow
from addons.store.recordings.index import RecordingIndex
from addons.store.recordings.proof import Proof, Standing, compare_with_log
from addons.store.recordings.segment_reader import SegmentDamaged, read_place
from addons.store.state_dir import StateDir

_MOST_CHARACTERS = 64 * 1024
_MOST_LINES = 400
_LAID_OUT = 4 * 1024 * 1024  # what is longer is shown as it was sent


@dataclass(frozen=True, slots=True)
class _Shown:
    entry: Entry
    flow: http.HTTPFlow
    proof: Proof


def print_call(state: StateDir, identifier: str, *, full: bool, as_json: bool) -> bool:
    """Print it; whether nothing speaks against its being what was recorded. Raises GatewayProblem."""
    with opened(state) as index:
        call = _read(index, the_one(index, identifier))
    note(state, "show", {"id": call.entry.call}, 1)
    with until_nobody_reads():
        if as_json:
            typer.echo(json.dumps(_as_json(call), indent=2))
        else:
            console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)
            for line in _lines(call, full=full):
                with (
                    console.capture() as printed
                ):  # printing itself, rich would end the process on a closed pipe
                    console.print(line)
                typer.echo(printed.get(), nl=False)
    return call.proof.standing is not Standing.CHANGED


def _read(index: RecordingIndex, entry: Entry) -> _Shown:
    ref = entry.ref
    place = f"segment {ref.segment}, byte {ref.offset}"
    try:
        data = read_place(index.state.recordings, ref, index.keys)
        flow = StoredFlow(Path(ref.segment), ref.offset, data).whole()
    except (SegmentDamaged, OSError) as error:
        raise GatewayProblem(f"call {shown(entry.call)} can't be read: {shown(str(error))}") from None
    except NOT_A_FLOW:
        raise GatewayProblem(
            f"call {shown(entry.call)} can't be read: what lies at {place} is no flow any more"
        ) from None
    if flow is None:
        raise GatewayProblem(f"call {shown(entry.call)} can't be read: what lies at {place} is not HTTP")
    return _Shown(entry, flow, compare_with_log(index.state.audit_log, entry.call, data))


def _lines(call: _Shown, *, full: bool) -> Iterator[Text]:
    entry, flow = call.entry, call.flow
    for name, value in _facts(entry):
        yield Text.assemble((f"{name:<10}", "dim"), shown(value))
    ref = entry.ref
    yield Text.assemble(("recording ", "dim"), shown(f"{ref.segment}, byte {ref.offset}, {ref.length} bytes"))
    style = {Standing.AS_RECORDED: "green", Standing.CHANGED: "bold red"}.get(call.proof.standing, "yellow")
    yield Text.assemble(" " * 10, (shown(call.proof.text), style))
    yield Text()
    request, answer = flow.request, flow.response
    yield Text(shown(f"{request.method} {request.url}"), style="bold cyan")
    yield from _message(request, full=full)
    yield Text()
    if answer is None:
        yield Text("no answer is recorded", style="yellow")
        return
    reason = answer.reason or ""
    yield Text(shown(f"{answer.status_code} {reason}".rstrip()), style="bold cyan")
    yield from _message(answer, full=full)


def _facts(entry: Entry) -> Iterator[tuple[str, str]]:
    yield "call", entry.call
    took = "" if entry.duration is None else f", answered after {entry.duration:.3f} s"
    yield "when", f"{when(entry.time)}{took}"
    yield "who", f"{who_of(entry)} ({entry.issuer})" if entry.issuer else who_of(entry)
    for name, value in (
        ("session", entry.session),
        ("operation", entry.operation),
        ("decided", decided(entry)),
        ("approval", entry.approval),
        ("masked", f"{entry.findings} findings" if entry.findings else None),
    ):
        if value:
            yield name, value


def _message(message: http.Request | http.Response, *, full: bool) -> Iterator[Text]:
    for name, value in message.headers.fields:
        yield Text(
            shown(f"{name.decode('utf-8', 'replace')}: {value.decode('utf-8', 'replace')}"), style="dim"
        )
    body = body_of(message)
    if body.data == b"":
        return
    yield Text()
    if body.data is None or body.problem:
        yield Text(f"({body.size} bytes; {body.problem})", style="yellow")
    text = body.text
    if text is not None:
        yield from _body_lines(text, full=full)
    elif body.data is not None and not body.problem:
        yield Text(f"({len(body.data)} bytes that are no text; export the call to have them)", style="yellow")


def _body_lines(text: str, *, full: bool) -> Iterator[Text]:
    whole = text
    if len(text) <= _LAID_OUT and text.lstrip()[:1] in {"{", "["}:
        try:
            whole = laid_out(text)
        except ValueError:
            whole = text  # not JSON after all
    bounded = whole if full else whole[:_MOST_CHARACTERS]
    lines = bounded.split("\n")
    for line in lines if full else lines[:_MOST_LINES]:
        yield Text(shown(line.removesuffix("\r")))
    if not full and (len(bounded) < len(whole) or len(lines) > _MOST_LINES):
        size = format_size(len(text.encode("utf-8", "replace")))
        yield Text(f"(cut here: the body has {size} bytes; --full shows all)", style="yellow")


def _as_json(call: _Shown) -> Json:
    request, answer = call.flow.request, call.flow.response
    proof: dict[str, Json] = {"standing": str(call.proof.standing), "text": call.proof.text}
    if call.proof.index is not None:
        proof["audit_idx"] = call.proof.index
    return {
        **entry_json(call.entry),
        "proof": proof,
        "request": {"url": request.url, **_message_json(request)},
        "answer": None if answer is None else {"reason": answer.reason, **_message_json(answer)},
    }


def _message_json(message: http.Request | http.Response) -> dict[str, Json]:
    headers: list[Json] = [
        [name.decode("utf-8", "replace"), value.decode("utf-8", "replace")]
        for name, value in message.headers.fields
    ]
    return {"http_version": message.http_version, "headers": headers, **_body_json(body_of(message))}


def _body_json(body: RecordedBody) -> dict[str, Json]:
    told: dict[str, Json] = {"size": body.size}
    if body.problem:
        told["problem"] = body.problem
    if (text := body.text) is not None:
        told["body"] = text
    elif body.data is not None:
        told["body_base64"] = base64.b64encode(body.data).decode()
    return told
