"""Masks secrets in bodies, texts, URLs and headers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import re2

from addons.core.redact import binary, copies, jsonish, layers, structure
from addons.core.redact.findings import Finding, TooComplex, Work, settle
from addons.core.redact.jsonish import Tree
from addons.core.redact.mask import Masker
from addons.core.redact.names import NameClass, can_be_password, can_be_secret, classify, looks_random
from addons.core.redact.scan import MAX_LAYERS, Scanner, default_scanner

_MAX_BODY = 64 * 1024 * 1024
_WORK_PER_BYTE = 24
_MIN_WORK = 4 * 1024 * 1024
_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_SSE_DATA = re2.compile(rb"data: ?", options=_LATIN1)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NUMBER_STARTS = frozenset((b"-", *(b"%d" % digit for digit in range(10))))
_JSON_STARTS = frozenset((b"{", b"[", b'"'))
_PARAMETER = re2.compile(rb"(?:^|[?&;#])([^=&;?#\s]{1,200})=([^&;#\s]*)", options=_LATIN1)
_DELTAS = frozenset((b"delta", b"text", b"content", b"partial_json", b"arguments", b"thinking", b"chunk"))
_URL_NAMES = frozenset(
    ("sig", "signature", "x-amz-signature", "x-goog-signature", "x-amz-security-token", "jwt", "api_key"),
)
_HEADERS = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "dd-api-key",
        "dd-application-key",
        "x-amz-firehose-access-key",
        "x-amz-security-token",
        "x-datadog-api-key",
        "x-api-key",
        "www-authenticate-token",
    ),
)


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A body after masking; `data` is the same object as went in when nothing was found. `findings`: how
    often each detector found something, by detector id.
    """

    data: bytes = field(repr=False)
    findings: Mapping[str, int]
    changed: bool


@dataclass(frozen=True, slots=True)
class ScrubbedText:
    """As `Scrubbed`, for text."""

    text: str = field(repr=False)
    findings: Mapping[str, int]
    changed: bool


_NOTHING: Mapping[str, int] = MappingProxyType({})


class Scrubber:
    """Masks with `masker` what the detectors find: secrets, with `pii` personal data too, or what `scanner`
    was made for (see `selection`). Keeps no message.
    """

    __slots__ = ("_masker", "_scanner")

    def __init__(self, masker: Masker, *, pii: bool = False, scanner: Scanner | None = None) -> None:
        self._masker = masker
        self._scanner = scanner or default_scanner(pii=pii)

    def scrub_text(self, text: str) -> ScrubbedText:
        """Mask running text, or JSON as text. Lone surrogates stay. Raises `TooComplex`."""
        data = text.encode("utf-8", "surrogatepass")
        done = self.scrub_body(data, None)
        if not done.changed:
            return ScrubbedText(text, _NOTHING, changed=False)
        return ScrubbedText(done.data.decode("utf-8", "surrogatepass"), done.findings, changed=True)

    def scrub_body(self, data: bytes, content_type: str | None) -> Scrubbed:
        """Mask a body whose content coding is undone already.

        JSON, NDJSON and server-sent events are masked by structure first and keep parsing; forms by field;
        MessagePack and protobuf string by string with lengths rewritten; all else is scanned as text.
        Raises `TooComplex` for what is too large, too deep or has too many layers to be read.
        """
        if len(data) > _MAX_BODY:
            raise TooComplex(f"body is over {_MAX_BODY} bytes")
        media = (content_type or "").lower()
        work = Work(max(_MIN_WORK, len(data) * _WORK_PER_BYTE))
        if "msgpack" in media or "protobuf" in media:
            done = self._binary(data, work, protobuf="protobuf" in media)
            if done.changed or data[:2] not in _UTF16:
                return done
            media = ""  # text under the wrong name: few binary bodies begin with a mark of UTF-16
        if data[:2] in _UTF16 or "utf-16" in media:
            return self._utf16(data, media)
        if self._scanner.gate.search(data) is None and "event-stream" not in media:
            return Scrubbed(data, _NOTHING, changed=False)
        if "x-www-form-urlencoded" in media:
            return self._apply(
                data, settle([*self._parameters(data), *self._scanner.scan(data, work)], data), None
            )
        tree, found = self._structured(data, media, work)
        return self._apply(data, found, tree)

    def scrub_url(self, path_and_query: str) -> ScrubbedText:
        """Mask a request target or whole URL: secrets in query values by name, in key paths, in userinfo, and
        under percent layers. Raises `TooComplex`.
        """
        data = path_and_query.encode("utf-8", "surrogatepass")
        work = Work(max(_MIN_WORK, len(data) * _WORK_PER_BYTE))
        done = self._apply(
            data, settle([*self._parameters(data), *self._scanner.scan(data, work)], data), None
        )
        if not done.changed:
            return ScrubbedText(path_and_query, _NOTHING, changed=False)
        return ScrubbedText(done.data.decode("utf-8", "surrogatepass"), done.findings, changed=True)

    def scrub_headers(
        self,
        pairs: Sequence[tuple[bytes, bytes]],
        *,
        sensitive: Collection[str] = (),
    ) -> tuple[list[tuple[bytes, bytes]], Mapping[str, int]]:
        """Header fields in order. The value of a credential's field, and of those named in `sensitive` (any
        case), is masked whole; the others are scanned. Raises `TooComplex`.
        """
        extra = {_plain(name) for name in sensitive}
        out: list[tuple[bytes, bytes]] = []
        findings: Counter[str] = Counter()
        for name, value in pairs:
            plain = _plain(name.decode("latin-1"))
            kind = classify(plain)
            if plain in _HEADERS or plain in extra or kind in (NameClass.PASSWORD, NameClass.SECRET):
                whole = Finding(0, len(value), "header", plain[:40], value)
                masked = self._masker.mask_of(whole).encode() if value.strip() else value
                findings["header"] += masked != value
                out.append((name, masked))
                continue
            work = Work(max(_MIN_WORK, len(value) * _WORK_PER_BYTE))
            found = [*self._scanner.scan(value, work), *self._parameters(value)]
            if kind is NameClass.WEAK and looks_random(value):
                found.append(Finding(0, len(value), "header", "key", value))
            done = self._apply(value, settle(found, value), None)
            findings.update(done.findings)
            out.append((name, done.data))
        return out, MappingProxyType({key: count for key, count in findings.items() if count})

    def _utf16(self, data: bytes, media: str) -> Scrubbed:
        codec = _UTF16.get(data[:2], "utf-16-be" if "utf-16be" in media else "utf-16-le")
        text = data.decode(codec, "surrogatepass" if len(data) % 2 == 0 else "replace")
        if text.encode(codec, "surrogatepass") != data:
            return self._apply(
                data, self._scanner.scan(data, Work(max(_MIN_WORK, len(data) * _WORK_PER_BYTE))), None
            )
        done = self.scrub_body(text.encode("utf-8", "surrogatepass"), media.replace("utf-16", ""))
        if not done.changed:
            return Scrubbed(data, _NOTHING, changed=False)
        return Scrubbed(
            done.data.decode("utf-8", "surrogatepass").encode(codec, "surrogatepass"),
            done.findings,
            changed=True,
        )

    def _structured(self, data: bytes, media: str, work: Work) -> tuple[Tree | None, list[Finding]]:
        """By structure where the body has one: as a whole, else line by line, else as text."""
        start = len(_BYTE_ORDER_MARK) if data.startswith(_BYTE_ORDER_MARK) else 0
        first = data[start:].lstrip()[:1]
        if first in _JSON_STARTS or ("json" in media and first in _NUMBER_STARTS):
            tree = jsonish.read(data, start)
            if tree is not None:
                work.spend(len(data))
                return tree, settle(structure.find(self._scanner, data, tree, work, MAX_LAYERS - 1), data)
        return None, settle(self._lines(data, work, deltas="event-stream" in media), data)

    def _lines(self, data: bytes, work: Work, *, deltas: bool) -> list[Finding]:
        """Lines of JSON, with `data:` in front or not (server-sent events), between lines of text.

        With `deltas` the pieces of one field in successive events are read as one text as well.
        """
        found: list[Finding] = []
        whole = Tree()
        text_start = position = 0
        while position < len(data):
            line_end = data.find(b"\n", position)
            end = len(data) if line_end < 0 else line_end
            prefix = _SSE_DATA.match(data[position : position + 6])
            start = position + (prefix.end() if prefix is not None else 0)
            tree = jsonish.read(data, start, end) if data[start : start + 1] in _JSON_STARTS else None
            if tree is not None:
                found += self._text(data, text_start, position, work)
                work.spend(end - start)
                found += structure.find(self._scanner, data, tree, work, MAX_LAYERS - 1)
                whole.leaves += tree.leaves
                text_start = end
            position = end + 1
        found += self._text(data, text_start, len(data), work)
        for name in _DELTAS if deltas else ():
            leaves = [leaf for leaf in whole.leaves if leaf.name == name and leaf.quoted and not leaf.is_key]
            if len(leaves) > 1:
                texts = [structure.text_of(data, leaf) for leaf in leaves]
                found += structure.joined(self._scanner, leaves, texts)
        return found

    def _text(self, data: bytes, start: int, end: int, work: Work) -> list[Finding]:
        found = self._scanner.scan_text(data[start:end], work) if end > start else []
        return [finding.moved(finding.start + start, finding.end + start) for finding in found]

    def _parameters(self, data: bytes) -> list[Finding]:
        """Values of a query or form under a sensitive name."""
        found: list[Finding] = []
        if not self._scanner.by_name:
            return found
        for match in _PARAMETER.finditer(data):
            name = _decoded(match.group(1)).decode("latin-1")
            value = _decoded(match.group(2))
            kind = classify(name)
            fits = (
                (kind is NameClass.PASSWORD and can_be_password(value))
                or (kind is NameClass.SECRET and can_be_secret(value))
                or (kind is NameClass.WEAK and looks_random(value))
            )
            if fits or (name.lower() in _URL_NAMES and len(value) >= 16):  # noqa: PLR2004 - `sig=1` is none
                start, end = match.span(2)
                found.append(Finding(start, end, "parameter", kind.value if fits else "signature", value))
        return found

    def _binary(self, data: bytes, work: Work, *, protobuf: bool) -> Scrubbed:
        findings: Counter[str] = Counter()
        values: dict[bytes, str] = {}

        def rewrite(name: bytes, text: bytes) -> bytes:
            found = self._scanner.scan(text, work)
            kind = classify(name.decode("latin-1")) if name and self._scanner.by_name else NameClass.NONE
            if kind in (NameClass.PASSWORD, NameClass.SECRET) and can_be_secret(text):
                found = settle([*found, Finding(0, len(text), f"key-{kind.value}", kind.value, text)], text)
            for finding in found:
                values[finding.secret] = finding.kind
            done = self._apply(text, found, None)
            findings.update(done.findings)
            return done.data

        out = (binary.rewrite_protobuf if protobuf else binary.rewrite_msgpack)(data, rewrite)
        if out is None:
            return self._apply(data, self._scanner.scan(data, work), None)
        if out == data:
            return Scrubbed(data, _NOTHING, changed=False)
        return Scrubbed(out, MappingProxyType(dict(findings)), changed=True)

    def _apply(self, data: bytes, found: list[Finding], tree: Tree | None) -> Scrubbed:
        if not found:
            return Scrubbed(data, _NOTHING, changed=False)
        found = settle([*found, *copies.find(data, found, tree)], data)
        out: list[bytes] = []
        end = 0
        for finding in found:
            mask = self._masker.mask_of(finding).encode()
            out += (data[end : finding.start], b'"' + mask + b'"' if finding.bare else mask)
            end = finding.end
        out.append(data[end:])
        counts = Counter(finding.detector for finding in found)
        return Scrubbed(b"".join(out), MappingProxyType(dict(counts)), changed=True)


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def _decoded(text: bytes) -> bytes:
    layer = layers.unpercent(text, plus=True)
    return text.replace(b"+", b" ") if layer is None else layer.text
