"""Masks secrets in bodies, texts, URLs and headers."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from addons.core.redact.binary import forms, grpc
from addons.core.redact.binary.document import Document, Length, Piece
from addons.core.redact.decoding import charsets, packed
from addons.core.redact.detectors.names import NameClass, can_be_opaque, classify
from addons.core.redact.formats import cookies, header_names, multipart
from addons.core.redact.formats.jsonish import Tree
from addons.core.redact.masking import copies
from addons.core.redact.masking.findings import MAX_FINDINGS, Finding, TooComplex, Work, settle
from addons.core.redact.masking.mask import Masker
from addons.core.redact.plain_bodies import is_plain
from addons.core.redact.reading import parameters, structure, text_reading
from addons.core.redact.reading.scan import MAX_LAYERS, Scanner, default_scanner
from addons.core.redact.screening.gate import EVERYWHERE, Hits

_MAX_BODY = 64 * 1024 * 1024
_WORK_PER_BYTE = 24
_MIN_WORK = 4 * 1024 * 1024
_COST_OF_SEARCH = 200  # in bytes read: for one secret, once more
_MAX_PACKED = 3  # bodies inside one another: a compressed file in a part of a multipart body is the second
_MIN_SECRET_NAME = 16  # bytes: no shorter secret has a form of its own
_AS_NAME = bytes.maketrans(b":", b"-")


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
    was made for (see `detector_set`). Keeps no message.
    """

    __slots__ = ("_masker", "_scanner")

    def __init__(self, masker: Masker, *, pii: bool = False, scanner: Scanner | None = None) -> None:
        self._masker = masker
        self._scanner = scanner or default_scanner(pii=pii)

    def scrub_text(self, text: str) -> ScrubbedText:
        """Mask running text, or JSON as text. Lone surrogates stay. Raises `TooComplex`."""
        data = text.encode("utf-8", "surrogatepass")
        done = self._as_text(data, "", self._work(data))
        if not done.changed:
            return ScrubbedText(text, _NOTHING, changed=False)
        return ScrubbedText(done.data.decode("utf-8", "surrogatepass"), done.findings, changed=True)

    def is_clean(self, data: bytes, content_type: str | None) -> bool:
        """Tell at the gate's speed that `scrub_body` would change nothing; False where it has to look."""
        is_read = len(data) <= _MAX_BODY and is_plain(data, (content_type or "").lower())
        return is_read and not self._scanner.gate.hits(data)

    def scrub_body(self, data: bytes, content_type: str | None) -> Scrubbed:
        """Mask a body whose content coding is undone already.

        JSON, NDJSON and server-sent events are masked by structure first and keep parsing; forms by field;
        MessagePack and protobuf string by string with lengths rewritten; all else is scanned as text.
        Raises `TooComplex` for what is too large, too deep or has too many layers to be read.
        """
        content_type = content_type or ""
        media = content_type.lower()
        if len(data) > _MAX_BODY or not is_plain(data, media):
            return self._body(data, content_type, self._work(data), _MAX_PACKED)
        hits = self._scanner.gate.hits(data)
        return self._as_text(data, media, self._work(data), hits) if hits else _clean(data)

    @staticmethod
    def _work(data: bytes) -> Work:
        if len(data) > _MAX_BODY:
            raise TooComplex(f"body is over {_MAX_BODY} bytes")
        return Work(max(_MIN_WORK, len(data) * _WORK_PER_BYTE))

    def _body(self, data: bytes, content_type: str, work: Work, depth: int) -> Scrubbed:
        media = content_type.lower()
        if "multipart/" in media and depth:
            spans = {part.start: part for part in multipart.parts(data, content_type)}
            if spans:
                return self._multipart(data, list(spans.values()), work, depth - 1)
        if media.startswith(grpc.MEDIA):
            if not depth:
                raise TooComplex("the message holds others too deep")
            return self._framed(data, media, work, depth - 1)
        if (inside := packed.unpack(data, _MAX_BODY)) is not None:
            if not depth:
                raise TooComplex("the message is compressed too often")
            return self._packed(data, inside, media, work, depth - 1)
        return self._as_binary(data, media, work, depth) or self._as_text(data, media, work)

    def _as_binary(self, data: bytes, media: str, work: Work, depth: int) -> Scrubbed | None:
        """Wide characters, MessagePack, protobuf; None for what may be plain text."""
        form = forms.form_of(data, media)
        done = self._binary(data, work, depth, form) if form is not None else None
        codec = charsets.wide_codec(data, media)
        if codec is None or (done is not None and done.changed):
            return done
        wide = self._wide(data, codec, media, work)
        return wide if wide.changed else done

    def _as_text(self, data: bytes, media: str, work: Work, hits: Hits | None = None) -> Scrubbed:
        if "x-www-form-urlencoded" in media:
            fields = parameters.find_inside(self._scanner, data, work, MAX_LAYERS - 1)
            found = [*self._parameters(data), *fields, *self._scanner.scan(data, work)]
            return self._apply(data, settle(found, data), None, work)
        tree, found = text_reading.read(self._scanner, data, media, work, hits)
        return self._apply(data, found, tree, work)

    def scrub_url(self, path_and_query: str) -> ScrubbedText:
        """Mask a request target or whole URL: secrets in query values by name, in key paths, in userinfo, and
        under percent layers. Raises `TooComplex`.
        """
        data = path_and_query.encode("utf-8", "surrogatepass")
        work = self._work(data)
        inside = parameters.find_inside(self._scanner, data, work, MAX_LAYERS - 1)
        found = [*self._parameters(data), *inside, *self._scanner.scan(data, work)]
        done = self._apply(data, settle(found, data), None)
        if not done.changed:
            return ScrubbedText(path_and_query, _NOTHING, changed=False)
        return ScrubbedText(done.data.decode("utf-8", "surrogatepass"), done.findings, changed=True)

    def scrub_headers(
        self,
        fields: Sequence[tuple[bytes, bytes]],
        *,
        sensitive: Collection[str] = (),
    ) -> tuple[list[tuple[bytes, bytes]], Mapping[str, int]]:
        """Header fields in order. The value of a credential's field, and of those named in `sensitive` (any
        case), is masked whole, of cookies each value alone; the others are scanned. Raises `TooComplex`.
        """
        extra = {_plain(name) for name in sensitive}
        out: list[tuple[bytes, bytes]] = []
        findings: Counter[str] = Counter()
        for name, value in fields:
            shown = self._field_name(name)
            called = _plain(name.decode("latin-1"))
            done = self._header(called, value, extra, called if shown is name else "header")
            findings.update(done.findings)
            out.append((shown, done.data))
        return out, MappingProxyType({key: count for key, count in findings.items() if count})

    def _field_name(self, name: bytes) -> bytes:
        """A name may be a secret in the wrong place. Brackets and colons are in none (RFC 9110, 5.1)."""
        found = self._scanner.scan(name, self._work(name)) if len(name) >= _MIN_SECRET_NAME else []
        return self._written(name, found).translate(_AS_NAME, b"[]") if found else name

    def _header(self, name: str, value: bytes, sensitive: set[str], whole_kind: str) -> Scrubbed:
        """`whole_kind`: what the mask of a value that is masked whole says; no name that is a secret."""
        kind = classify(name)
        if name in header_names.COOKIES and name not in sensitive:
            places = cookies.values(value, is_set=name == "set-cookie")
            found = [Finding(start, end, "header", "cookie", value[start:end]) for start, end in places]
        elif (
            name in header_names.CREDENTIALS
            or name in sensitive
            or kind in (NameClass.PASSWORD, NameClass.SECRET)
        ):
            whole = Finding(0, len(value), "header", whole_kind[:40], value)
            masked = self._masker.mask_of(whole).encode() if value.strip() else value
            return Scrubbed(masked, {"header": 1} if masked != value else _NOTHING, changed=masked != value)
        else:
            found = [*self._scanner.scan(value, self._work(value)), *self._parameters(value)]
            if can_be_opaque(kind, value):
                found.append(Finding(0, len(value), "header", "key", value))
        return self._apply(value, settle(found, value), None)

    def _wide(self, data: bytes, codec: str, media: str, work: Work) -> Scrubbed:
        """Text in UTF-16 or UTF-32."""
        try:
            text, rest = charsets.decoded(data, codec)
        except UnicodeDecodeError:
            return _clean(data)
        tree, found = text_reading.read(self._scanner, text, media, work)
        done = self._apply(text, found, tree, work)
        if not done.changed:
            return _clean(data)
        return Scrubbed(charsets.encoded(done.data, codec) + rest, done.findings, changed=True)

    def _packed(self, data: bytes, inside: packed.Packed, media: str, work: Work, depth: int) -> Scrubbed:
        """A compressed file. What its head says beside (a file's name) goes where it holds a secret."""
        done = self._body(inside.text, media if "multipart/" not in media else "", work, depth)
        beside = self._scanner.scan(data, work)
        if not done.changed and not beside:
            return _clean(data)
        header = self._apply(inside.header, self._scanner.scan(inside.header, work), None, work).data
        findings = Counter(finding.detector for finding in beside) + Counter(done.findings)
        return Scrubbed(header + inside.packed(done.data), findings, changed=True)

    def _multipart(self, data: bytes, parts: list[multipart.Part], work: Work, depth: int) -> Scrubbed:
        """Part by part: by the name of its field, else by its own media type."""
        findings: Counter[str] = Counter()
        texts: list[bytes] = []
        position = 0
        for part in parts:
            head, body = data[position : part.start], data[part.start : part.end]
            position = part.end
            kind = parameters.named(part.name, body.strip()) if self._scanner.by_name else None
            if kind is not None:
                found = [Finding(0, len(body), "parameter", kind, body.strip())]
                done = self._apply(body, settle(found, body), None, work)
            else:
                done = self._body(body, part.media, work, depth)
            names = self._apply(head, self._scanner.scan(head, work), None, work)  # of files, most of all
            texts += (names.data, done.data)
            findings.update(names.findings)
            findings.update(done.findings)
        rest = self._apply(data[position:], self._scanner.scan(data[position:], work), None, work)
        findings.update(rest.findings)
        if not findings:
            return _clean(data)
        _bound(findings.total())
        texts.append(rest.data)
        if depth == _MAX_PACKED - 1:  # else whoever holds these parts looks
            texts = self._copies(texts, work, findings)
        return Scrubbed(b"".join(texts), MappingProxyType(dict(findings)), changed=True)

    def _framed(self, data: bytes, media: str, work: Work, depth: int) -> Scrubbed:
        """Messages of protobuf as one document: they are many, and small."""
        inner = grpc.media_of(media)
        frames = list(grpc.frames(data, _MAX_BODY))
        if inner != grpc.PROTOBUF:
            media_of = {False: inner, True: "text/plain"}
            done = [self._body(one.message, media_of[one.is_trailers], work, depth) for one in frames]
            findings = sum((Counter(each.findings) for each in done), Counter[str]())
            masked = (frame.written(each.data) for frame, each in zip(frames, done, strict=True))
            return Scrubbed(b"".join(masked), findings, changed=True) if findings else _clean(data)
        beside = self._scanner.scan(b"\n".join(one.message for one in frames if one.inside), work)
        if not beside and not self._may_hold(grpc.strings(frames)):
            return _clean(data)
        whole = self._document(grpc.document(frames), work, depth)
        if not beside and not whole.changed:
            return _clean(data)
        findings = Counter(finding.detector for finding in beside) + Counter(whole.findings)
        return Scrubbed(grpc.rebuilt(frames, whole.data, anew=bool(beside)), findings, changed=True)

    def _copies(self, texts: list[bytes], work: Work, findings: Counter[str]) -> list[bytes]:
        """Mask in each piece of a message what was found in another."""
        work.spend(len(work.secrets) * _COST_OF_SEARCH + sum(map(len, texts)))
        out: list[bytes] = []
        for text, inside in zip(texts, copies.by_text(texts, list(work.secrets.values())), strict=True):
            found = list(copies.find(text, inside, text_reading.tree_of(text))) if inside else []
            done = self._apply(text, settle(found, text), None, work)
            findings.update(done.findings)
            out.append(done.data)
        return out

    def _parameters(self, data: bytes) -> Iterator[Finding]:
        return parameters.find_named(data) if self._scanner.by_name else iter(())

    def _binary(self, data: bytes, work: Work, depth: int, form: forms.Form) -> Scrubbed:
        """What is broken, or goes on as something else, is read as far as that goes, and then as text."""
        texts = forms.strings(data, form)
        if texts is not None and not self._may_hold(texts):
            return _clean(data)
        document = forms.read(data, form)
        if document is not None:
            return self._document(document, work, depth)
        start = forms.read_start(data, form)
        end = len(start.data)
        done = self._document(start, work, depth)
        rest = self._apply(data[end:], self._scanner.scan(data[end:], work), None, work)
        if not (done.changed or rest.changed):
            return Scrubbed(data, _NOTHING, changed=False)
        findings = Counter(done.findings) + Counter(rest.findings)
        return Scrubbed(done.data + rest.data, MappingProxyType(dict(findings)), changed=True)

    def _document(self, document: Document, work: Work, depth: int) -> Scrubbed:
        """String by string, and by what names them."""
        data = document.text
        work.spend(len(data))
        findings: Counter[str] = Counter()
        texts: dict[int, bytes] = {}
        found = structure.find(self._scanner, data, document.tree, EVERYWHERE, work, MAX_LAYERS - 1)
        found += structure.find(self._scanner, data, document.by_index, EVERYWHERE, work, MAX_LAYERS - 1)
        named = {(finding.start, finding.end) for finding in found}
        clean: set[bytes] = set()  # most strings of traces are there many times
        for piece in document.pieces:
            text = data[piece.start : piece.end] if piece.is_text else b""
            if text in clean or (piece.start, piece.end) in named:
                continue
            done = self._inside(text, piece, work, depth)
            if done is not None:
                if done.changed:
                    findings.update(done.findings)
                    texts[piece.start] = done.data
            elif there := self._scanner.scan(text, work):
                found += [each.moved(each.start + piece.start, each.end + piece.start) for each in there]
            else:
                clean.add(text)
        if found:
            _bound(len(found) + findings.total())
            work.secrets.update((finding.secret, finding) for finding in found)
            work.spend(len(work.secrets) * _COST_OF_SEARCH)
            found = settle([*found, *copies.find(data, list(work.secrets.values()), document.tree)], data)
            findings.update(finding.detector for finding in found)
            texts = self._strings(data, document, found) | texts
        if not texts:
            return _clean(document.data)
        return Scrubbed(document.rebuilt(texts), MappingProxyType(dict(findings)), changed=True)

    def _inside(self, text: bytes, piece: Piece, work: Work, depth: int) -> Scrubbed | None:
        """A string that is compressed, or a document of its own; None for others."""
        inside = packed.unpack(text, _MAX_BODY)
        if inside is not None:
            if not depth:
                raise TooComplex("the message is compressed too often")
            return self._packed(text, inside, "", work, depth - 1)
        if not (depth and piece.form is Length.BIN and forms.form_of(text, "") is forms.Form.MSGPACK):
            return None
        return self._binary(text, work, depth - 1, forms.Form.MSGPACK)

    def _may_hold(self, texts: Sequence[bytes]) -> bool:
        """Whether a string needs to be looked at, for itself or as what the one before it names: asked of all
        of them at once.
        """
        gate, apart = self._scanner.gate, {*texts}
        return (
            bool(gate.hits(b"\n".join([b"", *apart, b""])))
            or bool(gate.hits(b'"%b": ' % b'": "'.join(texts)))
            or packed.any_may_be(apart)
        )

    def _strings(self, data: bytes, document: Document, found: list[Finding]) -> dict[int, bytes]:
        """The strings of `document` that hold something, masked, by where they start."""
        leaves = document.tree.leaves
        starts = [leaf.start for leaf in leaves]
        inside: dict[int, list[Finding]] = {}
        for finding in found:
            inside.setdefault(bisect_right(starts, finding.start) - 1, []).append(finding)
        texts: dict[int, bytes] = {}
        for index, there in inside.items():
            start, end = leaves[index].start, leaves[index].end
            moved = [each.moved(each.start - start, each.end - start) for each in there]
            texts[start] = self._written(data[start:end], moved)
        return texts

    def _apply(
        self, data: bytes, found: list[Finding], tree: Tree | None, work: Work | None = None
    ) -> Scrubbed:
        if not found:
            return _clean(data)
        _bound(len(found))
        if work is not None:
            work.secrets.update((finding.secret, finding) for finding in found)
        found = settle([*found, *copies.find(data, found, tree)], data)
        counts = Counter(finding.detector for finding in found)
        return Scrubbed(self._written(data, found), MappingProxyType(dict(counts)), changed=True)

    def _written(self, data: bytes, found: list[Finding]) -> bytes:
        out: list[bytes] = []
        end = 0
        for finding in found:
            mask = self._masker.mask_of(finding).encode()
            out += (data[end : finding.start], finding.masked(mask))
            end = finding.end
        return b"".join([*out, data[end:]])


def _clean(data: bytes) -> Scrubbed:
    return Scrubbed(data, _NOTHING, changed=False)


def _bound(findings: int) -> None:
    if findings > MAX_FINDINGS:
        raise TooComplex("the message has too many secrets to mask each")


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-")
