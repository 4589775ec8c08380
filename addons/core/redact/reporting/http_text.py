"""Reads an HTTP/1 message (RFC 9112) as people keep it in a file, with or without CR, and searches it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from addons.core.body import BodyTooLarge, UndecodableBody, decode_body
from addons.core.redact.reporting.message_findings import Searched, Searcher

_MAX_DECODED = 64 * 1024 * 1024
_REQUEST = re.compile(rb"[A-Z]{1,20} (\S+) HTTP/[0-9](?:\.[0-9])?\r?(?:\n|\Z)")
_STATUS = re.compile(rb"HTTP/[0-9](?:\.[0-9])? [0-9]{3}(?: [^\r\n]*)?\r?(?:\n|\Z)")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Section:
    """One part of what was given, by its name; `problem` says why it could not be read as what it is."""

    name: str
    searched: Searched
    problem: str = ""


def is_http(data: bytes) -> bool:
    """Whether it begins with a request line or a status line."""
    return _REQUEST.match(data) is not None or _STATUS.match(data) is not None


def search_http(searcher: Searcher, data: bytes) -> Iterator[Section]:
    """Search the parts of a message. Lines count from the first one of the head. Raises `TooComplex`."""
    end = _END_OF_HEAD.search(data)
    head, body = (data, b"") if end is None else (data[: end.start()], data[end.end() :])
    lines = head.split(b"\n")
    request = _REQUEST.match(lines[0])
    if request is not None:
        start, stop = request.span(1)
        target = searcher.url(lines[0][start:stop].decode("utf-8", "surrogateescape"))
        yield Section("request target", target.within(lines[0][:start], lines[0][stop:].rstrip(b"\r"), 0))
    else:
        text = lines[0].decode("utf-8", "surrogateescape")
        yield Section("status", searcher.text(text))
    fields: dict[bytes, bytes] = {}
    for number, line in enumerate(lines[1:], 1):
        name, colon, value = line.removesuffix(b"\r").partition(b":")
        if not colon:
            yield Section("head", searcher.body(line, None).within(b"", b"", number))
            continue
        fields[name.lower()] = value.strip()
        before = name + colon + value[: len(value) - len(value.lstrip())]
        searched = searcher.header(name, value.strip()).within(before, b"", number)
        yield Section(f"header {searcher.name(name.decode('utf-8', 'replace'))}", searched)
    yield _body(searcher, body, fields, len(lines) + 1)


def _body(searcher: Searcher, raw: bytes, fields: dict[bytes, bytes], lines_before: int) -> Section:
    coding = fields.get(b"content-encoding", b"").decode("latin-1")
    body, problem = raw, ""
    try:
        body = decode_body(raw, coding, limit=_MAX_DECODED) if raw else raw
    except UndecodableBody as error:
        problem = f"the body is searched as it is, for it can't be decoded: {error.reason}"
    except BodyTooLarge as error:
        problem = f"the body is searched as it is: {error}"
    media = fields.get(b"content-type", b"").decode("latin-1") or None
    return Section("body", searcher.body(body, media).within(b"", b"", lines_before), problem)
