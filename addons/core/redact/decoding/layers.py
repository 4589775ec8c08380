"""Encodings undone with a map back, so that what is found in decoded text is masked where it stands.

A `Layer` is text decoded from other text. Character escapes (percent, backslash, HTML) map span by span;
base64 and hexadecimal runs are replaced whole.
"""

from __future__ import annotations

import binascii
import html
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import re2

from addons.core.redact.decoding import charsets, packed

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1

# Base64 of text shows: in each group of four characters the first three are bound by bytes of 0x20 to 0x7f.
# Random base64 of this length matches once in ten million places.
_BASE64_ASCII = r"(?:[I-Za-f][C-HS-Xi-nyz0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_\-]){5}"
# Text in UTF-16: every other byte is NUL.
_BASE64_UTF16 = r"(?:[A-Za-z0-9+/_\-][AQgw][AB][A-Za-z0-9+/_\-]A[C-H][AEIMQUYcgkosw048]A){3}"
# gzip, zlib, zstd
_BASE64_PACKED = r"(?:H4sI|\b(?:eJ[w-z]|eNo|eAE|KLUv))(?:[A-Za-z0-9+/_\-]|%2[bBfF]|\\+/){20}"
_HEX_ASCII = r"(?:[2-7][0-9a-fA-F]){12}"
_HEX_GZIP = r"\b1[fF]8[bB]08[0-9a-fA-F]{20}"
RUNS_OF_CLASSES = (_BASE64_ASCII, _HEX_ASCII)
"""Base64 and hexadecimal that have no fixed pieces, in RE2's syntax."""
RUNS_WITH_PIECES = (_BASE64_UTF16, _BASE64_PACKED, _HEX_GZIP)
"""Those that have."""

_HEX_GROUPS = r"(?:[2-7][0-9a-fA-F][:\- ]){11}[2-7][0-9a-fA-F]"
GROUPS_OF_CLASSES = (_HEX_GROUPS,)
"""Hexadecimal with a sign after each byte, as `RUNS_OF_CLASSES`."""
GROUPS_WITH_PIECES = (r"(?:0x[2-7][0-9a-fA-F], ?){11}0x",)
"""Bytes as a program's source has them."""

_PERCENT = re2.compile(rb"(?:%[0-9A-Fa-f]{2})+", options=_LATIN1)
_BACKSLASH = re2.compile(
    rb"(?:\\u00[0-7][0-9A-Fa-f])+|\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}"
    rb"|(?:\\x[0-7][0-9A-Fa-f])+|(?:\\[\"'\\/bfnrt])+",
    options=_LATIN1,
)
_ENTITY = re2.compile(rb"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|quot|amp|apos|lt|gt|nbsp);", options=_LATIN1)
_BASE64 = re2.compile(f"{_BASE64_ASCII}|{_BASE64_UTF16}|{_BASE64_PACKED}".encode(), options=_LATIN1)
_HEX = re2.compile(f"{_HEX_ASCII}|{_HEX_GZIP}".encode(), options=_LATIN1)
_BASE64_LEFT = re2.compile(rb"[A-Za-z0-9+/_\-]*\z", options=_LATIN1)
_BASE64_RUN = re2.compile(rb"(?:[A-Za-z0-9+/_\-]|\\/)+={0,2}", options=_LATIN1)
_HEX_RUN = re2.compile(rb"(?:[0-9A-Fa-f]{2})+", options=_LATIN1)
_SIMPLE = bytes.maketrans(b"bfnrt", b"\b\f\n\r\t")
_GROUPS = re2.compile(
    rb"\b(?:(?:[2-7][0-9a-fA-F][:\- ]){11,}|(?:0x[2-7][0-9a-fA-F], ?){11,}0x)[2-7][0-9a-fA-F]\b",
    options=_LATIN1,
)
# `"glpat-" + "…"`: strings that a program puts together, with the signs of most languages.
_PLUS = rb"\s{0,40}(?:\+\+?|\.\.?|&|\|\|)\s{0,40}"
_CONCATENATION = re2.compile(
    b"|".join(quote + _PLUS + quote for quote in (b'"', b"'", b"`")), options=_LATIN1
)
_STYLE = re2.compile(rb"\x1b\[[0-9;?]{0,20}[A-Za-z]", options=_LATIN1)
_WRAPPED = 60  # characters of base64 in a line, if it goes on in the next: 64 in PEM, 76 in MIME
_LINE_BREAK = re2.compile(rb"\r?\n[ \t]{0,8}", options=_LATIN1)
_BREAK_BEFORE = re2.compile(rb"([A-Za-z0-9+/]{60,76})\r?\n[ \t]{0,8}\z", options=_LATIN1)
_GUNZIP_LIMIT = 1 << 20
_MAX_PACKED = 2
_SHORT_STEP = 6
# Control characters but for white space and the escape that colours text: a tenth of what is packed.
_CONTROLS = bytes((*range(9), *range(14, 27), *range(28, 32), 127))
_BINARY = 64  # bytes: shorter data is read as it is
_LEGIBLE = re2.compile(  # UTF-8
    rb"(?:[\t\n\r\x1b-~]|[\xc3-\xdf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}){12,}", options=_LATIN1
)
_ASCII_HIGH = frozenset(b"%d" % digit for digit in range(8))


class _Segment(NamedTuple):
    """Where decoded bytes come from. `step` source bytes for each decoded byte; 0: only as a whole."""

    decoded: int
    source: int
    source_end: int
    step: int


@dataclass(frozen=True, slots=True)
class Layer:
    """`text` decoded out of a source, and the way back."""

    text: bytes = field(repr=False)
    segments: tuple[_Segment, ...] = field(repr=False)
    starts: tuple[int, ...] = field(repr=False)

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """Give the smallest source span that decodes to at least `text[start:end]`; `end` > `start`."""
        return self._at(start, last=False), self._at(end - 1, last=True)

    def _at(self, position: int, *, last: bool) -> int:
        segment = self.segments[bisect_right(self.starts, position) - 1]
        if not segment.step:
            return segment.source_end if last else segment.source
        return segment.source + (position - segment.decoded + last) * segment.step


class Blob(NamedTuple):
    """A run of base64 or hexadecimal in a source, and what it decodes to."""

    start: int
    end: int
    text: bytes


def pieces_of(text: bytes, spans: Iterable[tuple[int, int]]) -> Layer:
    """Read pieces of `text` that stand apart as one."""
    parts: list[bytes] = []
    segments: list[_Segment] = []
    decoded = 0
    for start, end in spans:
        segments.append(_Segment(decoded, start, end, 1))
        parts.append(text[start:end])
        decoded += end - start
    return Layer(b"".join(parts), tuple(segments), tuple(segment.decoded for segment in segments))


def unpercent(text: bytes, *, plus: bool = False) -> Layer | None:
    """Percent-decoding (RFC 3986), and `+` as a space for forms. None when nothing is encoded."""
    source = text.replace(b"+", b" ") if plus else text
    if b"%" not in source:
        return None
    return _layer(_PERCENT.finditer(source), source, _percent_bytes, lambda _: 3)


def unbackslash(text: bytes) -> Layer | None:
    """JSON and C-like escapes. Unknown escapes and lone halves of surrogate pairs are kept."""
    if b"\\" not in text:
        return None
    return _layer(_BACKSLASH.finditer(text), text, _backslash_bytes, _backslash_step)


def unentity(text: bytes) -> Layer | None:
    """HTML character references."""
    if b"&" not in text or b";" not in text:
        return None
    return _layer(_ENTITY.finditer(text), text, _entity_bytes, lambda _: 0)


def unstyle(text: bytes) -> Layer | None:
    """Without the escape sequences that colour it on a terminal (ECMA-48)."""
    if b"\x1b[" not in text:
        return None
    return _layer(_STYLE.finditer(text), text, lambda _: b"", lambda _: 0)


def ungroup(text: bytes) -> Layer | None:
    """Without the signs between bytes in hexadecimal, and those decoded."""
    return _layer(_GROUPS.finditer(text), text, _grouped_bytes, lambda _: 0)


def unconcatenate(text: bytes) -> Layer | None:
    """Without the quotes and the sign between two strings that a program puts together."""
    if b'"' not in text and b"'" not in text and b"`" not in text:
        return None
    return _layer(_CONCATENATION.finditer(text), text, lambda _: b"", lambda _: 0)


def _layer(
    matches: Iterator[re2._Match],
    source: bytes,
    decode: Callable[[bytes], bytes],
    step: Callable[[bytes], int],
) -> Layer | None:
    parts: list[bytes] = []
    segments: list[_Segment] = []
    decoded = end = 0
    for match in matches:
        begin, stop = match.span()
        if begin > end:
            segments.append(_Segment(decoded, end, begin, 1))
            parts.append(source[end:begin])
            decoded += begin - end
        token = source[begin:stop]
        data = decode(token)
        segments.append(_Segment(decoded, begin, stop, step(token)))
        parts.append(data)
        decoded += len(data)
        end = stop
    if not end:
        return None
    if end < len(source):
        segments.append(_Segment(decoded, end, len(source), 1))
        parts.append(source[end:])
    return Layer(b"".join(parts), tuple(segments), tuple(segment.decoded for segment in segments))


def _percent_bytes(token: bytes) -> bytes:
    return binascii.unhexlify(token.replace(b"%", b""))


def _grouped_bytes(token: bytes) -> bytes:
    return binascii.unhexlify(token.replace(b"0x", b"").translate(None, b":-, "))


def _backslash_bytes(token: bytes) -> bytes:
    kind = token[1:2]
    if kind == b"x":
        return binascii.unhexlify(token.replace(b"\\x", b""))
    if kind == b"u":
        units = binascii.unhexlify(token.replace(b"\\u", b""))
        return units.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")
    return token[1::2].translate(_SIMPLE)


def _backslash_step(token: bytes) -> int:
    if token[1:2] == b"x":
        return 4
    if token[1:2] == b"u":
        return _SHORT_STEP if token[1:4] == b"u00" and token[4:5] in _ASCII_HIGH else 0
    return 2


def _entity_bytes(token: bytes) -> bytes:
    return html.unescape(token.decode("latin-1")).encode("utf-8", "surrogatepass")


def blobs(text: bytes) -> Iterator[Blob]:
    """Find runs of base64 or hexadecimal that hold text, gzip (at most 1 MiB of it) undone."""
    position = 0
    while (match := _BASE64.search(text, position)) is not None:
        left = _BASE64_LEFT.search(text[position : match.start()])
        begin = match.start() - (len(left.group()) if left is not None else 0)
        run = _BASE64_RUN.match(text, begin)
        position = run.end() if run is not None else match.end()
        lines = _lines(text, begin, position)
        if lines is not None:
            begin, position = lines
            data = _unbase64(text[begin:position].translate(None, b"\r\n\t "))
            if data is not None:
                yield Blob(begin, position, data)
            continue
        # What stands left of the sure text may be a piece of the run or a path before it: both are tried.
        for start in {begin, begin + (match.start() - begin) % 4, match.start()}:
            data = _unbase64(text[start:position])
            if data is not None:
                yield Blob(start, position, data)
    position = 0
    while (match := _HEX.search(text, position)) is not None:
        run = _HEX_RUN.match(text, match.start())
        position = run.end() if run is not None else match.end()
        data = _opened(binascii.unhexlify(text[match.start() : position]))
        if data is not None:
            yield Blob(match.start(), position, data)


def _lines(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the whole of base64 in lines is, of which one stands at `start:end`; None for a single line."""
    begin, stop = start, end
    while (before := _BREAK_BEFORE.search(text[max(0, begin - 90) : begin])) is not None:
        begin -= len(before.group())
    first = stop - start
    length = first if first >= _WRAPPED else 0
    while length == first and text[stop - 1 : stop] != b"=":  # padding, or a shorter line, is the end
        gap = _LINE_BREAK.match(text, stop)
        run = _BASE64_RUN.match(text, gap.end()) if gap is not None else None
        if run is None or len(run.group()) > first:
            break
        stop, length = run.end(), len(run.group())
    return (begin, stop) if (begin, stop) != (start, end) else None


def _unbase64(run: bytes) -> bytes | None:
    clean = run.replace(b"\\/", b"/").rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    if len(clean) % 4 == 1:
        clean = clean[:-1]
    try:
        data = binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))
    except binascii.Error:  # padding in the midst of it
        return None
    return _opened(data)


def _opened(data: bytes) -> bytes | None:
    """What was decoded, compression undone, twice where that was done; as UTF-8."""
    for _ in range(_MAX_PACKED):
        if data[:2] != b"\x1f\x8b" and data[:1] != b"x":
            break
        try:
            data = zlib.decompressobj(47).decompress(data, _GUNZIP_LIMIT)
        except zlib.error:
            return _legible(data) if data[:1] == b"x" else None  # text may begin with an x
    if data.startswith(packed.ZSTD):
        inside = packed.unpack(data, _GUNZIP_LIMIT)
        return None if inside is None else inside.text
    codec = charsets.wide_codec(data, "")
    if codec is not None:
        with suppress(UnicodeDecodeError):  # units beyond Unicode: it only begins like such text
            return charsets.decoded(data, codec)[0]
    return _legible(data)


def _legible(data: bytes) -> bytes:
    """Data itself, or of a picture and the like its pieces of text: what looks encoded among the rest is
    chance, and undoing it would make as many layers as there are encodings.
    """
    controls = len(data) - len(data.translate(None, _CONTROLS))
    if len(data) < _BINARY or controls * 16 < len(data):
        return data
    return b"\n".join(match.group() for match in _LEGIBLE.finditer(data))
