"""A request's body as a person reads it: all of it, in the form that it has."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from enum import StrEnum

from addons.core.approvals.body_parts import ShownPart, plain_text, read_parts
from addons.core.approvals.written import Written, indented, parse_written, values
from addons.core.json_document import UnreadableDocument
from addons.core.request_target import BadTarget, query_pairs

MAX_PREVIEW = 1024 * 1024
"""Of a body, decoded, in bytes. Nobody reads more, and no part of it is left out."""

MAX_VALUES = 20_000

_FORM = "application/x-www-form-urlencoded"
_BINARY = ("protobuf", "msgpack", "messagepack", "grpc", "cbor", "thrift", "avro", "bson")
_CHARSET = re.compile(r"""charset\*?\s*=\s*["']?([^\s;,"']*)""")
_UTF8 = frozenset({"utf-8", "utf8"})
_LIKE_ASCII = ("us-ascii", "ascii", "iso-8859-", "latin", "windows-125")
_NOT_UTF8 = "Its Content-Type says that it is not UTF-8; it is shown as if it were."
_HEX_SHOWN = 1024


class CannotPreview(Exception):  # noqa: N818 - an outcome that callers live with, not a fault
    """A person can't be shown all that would run. `text` says why, `remedy` what to do; without a value."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(f"{text}; {remedy}")
        self.text, self.remedy = text, remedy


class BodyKind(StrEnum):
    EMPTY = "empty"
    JSON = "json"
    JSON_LINES = "json-lines"
    FORM = "form"
    MULTIPART = "multipart"
    TEXT = "text"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class ShownBody:
    """`size` is in bytes, decoded. By `kind` all of it stands in `text` (JSON indented, text as it is),
    `documents` (JSON texts), `fields` or `parts`.

    `unreadable` is a sentence where a person can't read some of it: the text of a binary body is the hex of
    its beginning. `unclear` is one where its readers may differ on what it says; it is shown as it is then.
    """

    kind: BodyKind
    size: int
    text: str = ""
    documents: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    parts: tuple[ShownPart, ...] = ()
    unreadable: str = ""
    unclear: str = ""


@dataclass(frozen=True, slots=True)
class ReadBody:
    """`document` is the body's, where it is one JSON document and no empty body; `why_none` says why not."""

    shown: ShownBody
    document: Written = None
    why_none: str = ""
    is_document: bool = False


def read_body(body: bytes, content_type: str | None) -> ReadBody:
    """Read decoded bytes, redacted. Raises CannotPreview for more than a person can be shown."""
    size = len(body)
    if size > MAX_PREVIEW:
        raise CannotPreview(
            f"the body has {size} bytes, and a person who decides is shown all of one, up to {MAX_PREVIEW}",
            "send it in parts",
        )
    if not body:
        return ReadBody(ShownBody(BodyKind.EMPTY, 0), why_none="the request has no body")
    try:
        document = parse_written(body, content_type)
    except UnreadableDocument as error:
        shown = _without_json(body, content_type or "", error.why)
        if shown.kind is not BodyKind.BINARY and not shown.unclear and not _is_utf8(body, content_type or ""):
            shown = replace(
                shown, unclear="Its Content-Type says that it is not UTF-8; it is shown as if it were."
            )
        return ReadBody(shown, why_none=error.why)
    _check_values(values(document))
    return ReadBody(ShownBody(BodyKind.JSON, size, indented(document)), document, is_document=True)


def _without_json(body: bytes, content_type: str, why: str) -> ShownBody:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _multipart(body, content_type)
    if any(word in kind for word in _BINARY):
        return _binary(body, kind)
    text = plain_text(body)
    if text is None:
        return _binary(body, kind)
    if kind == _FORM:
        return _form(body, text)
    documents = _json_lines(body)
    if documents:
        return ShownBody(BodyKind.JSON_LINES, len(body), documents=documents)
    looks_like_json = "json" in kind or text.lstrip()[:1] in {"{", "["}
    unclear = f"It looks like JSON and can't be read as one JSON document: {why}." if looks_like_json else ""
    return ShownBody(BodyKind.TEXT, len(body), text, unclear=unclear)


def _is_utf8(body: bytes, content_type: str) -> bool:
    """Whether it is, by its Content-Type, or all the same to who takes it for what that says."""
    for charset in _CHARSET.findall(content_type.lower()):
        if charset not in _UTF8 and not (body.isascii() and charset.startswith(_LIKE_ASCII)):
            return False
    return True


def _form(body: bytes, text: str) -> ShownBody:
    """`;` parts fields for some readers, and JSON that holds `&` is a form for some: shown as it is, then."""
    if b";" in body or text.lstrip()[:1] in {"{", "["}:
        unclear = "It is called a form, and readers differ on where its fields begin and end."
        return ShownBody(BodyKind.TEXT, len(body), text, unclear=unclear)
    try:
        fields = query_pairs(text)
    except BadTarget:
        unclear = "It is called a form, and has characters or escapes that no form has."
        return ShownBody(BodyKind.TEXT, len(body), text, unclear=unclear)
    _check_values(len(fields))
    names = [name for name, _ in fields]
    unclear = "It has a field more than once." if len(set(names)) < len(names) else ""
    return ShownBody(BodyKind.FORM, len(body), fields=fields, unclear=unclear)


def _multipart(body: bytes, content_type: str) -> ShownBody:
    parts = read_parts(body, content_type)
    if parts is None:
        text = plain_text(body)
        shown = _binary(body, "") if text is None else ShownBody(BodyKind.TEXT, len(body), text)
        return replace(
            shown, unclear="It is called a form with files, and can't be cut into its parts for certain."
        )
    _check_values(sum(1 + len(part.headers) for part in parts))
    unread = sum(part.text is None for part in parts)
    what = f"{unread} of its {len(parts)} parts {'is' if unread == 1 else 'are'} no text"
    return ShownBody(
        BodyKind.MULTIPART,
        len(body),
        parts=parts,
        unreadable=f"{what}: of what is in there only the size and the hash can be shown." if unread else "",
        unclear="A part doesn't say clearly which field it is."
        if None in {one.name for one in parts}
        else "",
    )


def _json_lines(body: bytes) -> tuple[str, ...]:
    """Each line's JSON, for NDJSON of two lines or more; else nothing. Empty lines say nothing."""
    lines = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) < 2:  # noqa: PLR2004 - one is a document, and is read as such
        return ()
    documents: list[Written] = []
    count = 0
    for line in lines:
        try:
            documents.append(parse_written(line, None))
        except UnreadableDocument:
            return ()
        count += values(documents[-1])
        _check_values(count)
    return tuple(map(indented, documents))


def _binary(body: bytes, kind: str) -> ShownBody:
    named = next((word for word in _BINARY if word in kind), "no text")
    part = "" if len(body) <= _HEX_SHOWN else f" The first {_HEX_SHOWN} of its {len(body)} bytes are shown."
    digest = hashlib.sha256(body).hexdigest()
    unreadable = f"It is {named}, so nobody can read off here what would run.{part} Its SHA-256 is {digest}."
    return ShownBody(BodyKind.BINARY, len(body), body[:_HEX_SHOWN].hex(" "), unreadable=unreadable)


def _check_values(count: int) -> None:
    if count > MAX_VALUES:
        raise CannotPreview(
            f"the body holds more than {MAX_VALUES} values, and a person who decides is shown each",
            "send it in parts",
        )
