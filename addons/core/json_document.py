"""One JSON document out of a body, read so that nobody can read it in another way.

RFC 8259 leaves to the reader what two equal keys mean, and readers differ: Go's takes `Type` for `type`,
C's ends a text at NUL, Java's keeps half a surrogate pair. A rule must not see another document than Datadog
does, so what could be read in two ways is refused.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable
from itertools import accumulate

from addons.core.model import Json

MAX_DEPTH = 64
MAX_DIGITS = 400
# Normalising costs the square of a run of combining marks. No key of Datadog's is as long, or not ASCII.
MAX_FOLDED_KEY = 256

_BOM = b"\xef\xbb\xbf"
_OTHER_FORMATS = (
    "multipart/",
    "protobuf",
    "msgpack",
    "messagepack",
    "grpc",
    "cbor",
    "thrift",
    "avro",
    "bson",
)
_FORM = "x-www-form-urlencoded"
_CHARSET = re.compile(r"""charset\*?\s*=\s*["']?([^\s;,"']*)""")
_UTF8 = {"utf-8", "utf8"}
_LIKE_ASCII = {"us-ascii", "ascii", "iso-8859-1", "iso-8859-15", "latin1", "windows-1252"}

_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"'))
_AS_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # one down, one up, as signed bytes
_NUMBERS = bytes(0x30 if byte in b"0123456789+-.eE" else 0x20 for byte in range(256))
_LONG_NUMBER = b"0" * (MAX_DIGITS + 1)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


class UnreadableDocument(ValueError):  # noqa: N818 - named for what the caller is told
    """The body is not one JSON document, or one that can be read in two ways; `why` names no content."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def parse_document(body: bytes, content_type: str | None) -> Json:
    """Read the decoded bytes of a body; an empty one is `{}`.

    JSON is taken for JSON whatever a client calls it (datadogpy and curl often name no type, or a form's),
    as Datadog takes it, unless the type names a format whose reader would see something else. It is UTF-8
    without a byte order mark. Integers keep all their digits.

    Raises:
        UnreadableDocument: not UTF-8 or not one document (NDJSON is several); a key twice in an object, or
            two that differ in case or in Unicode compatibility forms alone; half a surrogate pair; NUL; more
            than 64 levels; a number of more than 400 characters, or out of a double's range.

    """
    if not body:
        return {}
    if content_type is not None:
        _check_type(content_type.lower(), body)
    text = _decoded(body)
    _check_depth(body)
    _check_numbers(body)
    _check_escapes(body)
    keys: set[str] = set()
    decoder = json.JSONDecoder(
        object_pairs_hook=_object_maker(keys), parse_float=_finite, parse_constant=_refused_constant
    )
    try:
        document: Json = decoder.decode(text)
    except json.JSONDecodeError as error:
        several = error.msg == "Extra data"
        what = "more follows its first JSON document" if several else "it is not JSON"
        raise UnreadableDocument(f"{what}, at character {error.pos + 1}") from None
    except RecursionError:
        raise UnreadableDocument(_TOO_DEEP) from None
    _check_spellings(document, keys)
    return document


def fold_key(key: str) -> str:
    """Make one spelling of all that a lenient reader may take for the same key.

    This is the compatibility caseless match of the Unicode Standard (3.13, D146); besides, dotted and dotless
    i are the same as i: Java ignores case by upper case first. The cost can be the square of the length.
    """
    if key.isascii():
        return key.lower()
    folded = unicodedata.normalize("NFD", key).casefold()
    folded = unicodedata.normalize("NFKC", folded).casefold()
    folded = unicodedata.normalize("NFKC", folded)
    return folded.replace("i\u0307", "i").replace("\u0131", "i")


def _object_maker(keys: set[str]) -> Callable[[list[tuple[str, Json]]], dict[str, Json]]:
    """Make a hook for the parser that adds the keys of every object to `keys`."""

    def make(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise UnreadableDocument("an object has a key twice")
        keys.update(made)
        return made

    return make


def _check_type(content_type: str, body: bytes) -> None:
    if any(word in content_type for word in _OTHER_FORMATS):
        raise UnreadableDocument("its Content-Type says that it is not JSON")
    for charset in _CHARSET.findall(content_type):
        if charset not in _UTF8 and not (charset in _LIKE_ASCII and body.isascii()):
            raise UnreadableDocument("its Content-Type says that it is not UTF-8")
    # `curl -d` calls JSON a form. Read as one it is a single nonsensical field, unless a separator in one of
    # its texts begins another.
    if _FORM in content_type and (b"&" in body or b";" in body):
        raise UnreadableDocument(
            "its Content-Type says that it is a form, and it can be read as one; send application/json"
        )


def _decoded(body: bytes) -> str:
    if body.startswith(_BOM):
        raise UnreadableDocument("it begins with a byte order mark")
    if b"\0" in body:
        raise UnreadableDocument("it holds NUL")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise UnreadableDocument("it is not UTF-8") from None


_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"


def _check_depth(body: bytes) -> None:
    """Refuse before the parser recurses. A body with few brackets isn't looked at twice."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    # two quotes side by side change nothing about what is a text and what is not
    marks = _without_escapes(body).translate(None, _NO_MARKS).replace(b'""', b"")
    steps = memoryview(b"".join(marks.split(b'"')[::2]).translate(_AS_STEPS)).cast("b")
    if max(accumulate(steps), default=0) > MAX_DEPTH:
        raise UnreadableDocument(_TOO_DEEP)


def _without_escapes(body: bytes) -> bytes:
    """Leave the quotes that begin and end texts. After the first place that is no JSON they may be any."""
    return body.replace(b"\\\\", b"").replace(b'\\"', b"")


def _check_numbers(body: bytes) -> None:
    """Refuse before the parser converts: that costs the square of the digits."""
    if _LONG_NUMBER not in body.translate(_NUMBERS):
        return
    outside = b" ".join(_without_escapes(body).split(b'"')[::2])
    if _LONG_NUMBER in outside.translate(_NUMBERS):
        raise UnreadableDocument(f"a number has more than {MAX_DIGITS} characters")


def _check_escapes(body: bytes) -> None:
    if b"\\u" not in body:
        return
    escapes = body.replace(b"\\\\", b"__")
    if b"\\u0000" in escapes:
        raise UnreadableDocument("it holds NUL")
    if _HALF.search(escapes) and _HALF.search(_PAIR.sub(b"_", escapes)):
        raise UnreadableDocument("it holds half a surrogate pair")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise UnreadableDocument("a number is out of range")
    return value


def _refused_constant(_name: str) -> Json:
    raise UnreadableDocument("NaN and Infinity are not JSON")


def _check_spellings(document: Json, keys: Iterable[str]) -> None:
    spellings: dict[str, list[str]] = {}
    for key in keys:
        if len(key) > MAX_FOLDED_KEY and not key.isascii():
            raise UnreadableDocument(f"a key that is not ASCII has more than {MAX_FOLDED_KEY} characters")
        spellings.setdefault(fold_key(key), []).append(key)
    if len(spellings) == sum(map(len, spellings.values())):
        return
    folds = {key: fold for fold, same in spellings.items() if len(same) > 1 for key in same}
    pending: list[Json] = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            several = value.keys() & folds.keys()
            if len({folds[key] for key in several}) < len(several):
                raise UnreadableDocument("an object has two keys that differ only in case or in Unicode form")
            pending += value.values()
        elif isinstance(value, list):
            pending += value
