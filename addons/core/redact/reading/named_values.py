"""Forms in which markup, serializers and forms have a name and the value beside it."""

from __future__ import annotations

import re2

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1


def _compile(pattern: str) -> re2._Regexp:
    return re2.compile(pattern.encode("latin-1"), options=_LATIN1)


_ELEMENT = _compile(
    r"<([A-Za-z_][A-Za-z0-9_.:\-]{0,60})(?:\s[^<>]{0,200})?>\s*(?:<!\[CDATA\[)?([^<>\s][^<>]*?)(?:\]\]>\s*)?</"
)
# Of a property list, or of a map as XML.
_ENTRY = _compile(
    r"<(?:key|name|string)>\s*([A-Za-z0-9_.\-]{1,60})\s*</(?:key|name|string)>\s*<(?:value|string|data)>"
    r"\s*([^<>\s][^<>]*)</"
)
# Of Windows' answer files: the value in an element of its own.
_INNER = _compile(r"<([A-Za-z_][A-Za-z0-9_.:\-]{0,60})>\s*<(?i:value)>\s*([^<>\s][^<>]*?)\s*</")
# As Python and others show a pair: `('password', b'…')`.
_TUPLE = _compile(r"[(\[]\s?b?[\"']([A-Za-z0-9_.\-]{1,60})[\"'],\s?b?[\"']([^\"'\\\r\n]+)[\"'][)\]]")
_ATTRIBUTE = _compile(
    r"(?i:\b(?:name|key|id)=)\\*[\"']([A-Za-z0-9_.\-]{1,60})\\*[\"']"
    r"(?:\s+[A-Za-z\-]{1,20}=\\*[\"'][^\"'<>\r\n]{0,60}[\"']){0,4}[^<>\r\n\"']{0,60}(?i:\b(?:value|content)=)"
    r"\\*[\"']([^\"'\\]+)",
)
# Of a properties file as XML.
_ENTITLED = _compile(
    r"(?i:\b(?:name|key)=)\\*[\"']([A-Za-z0-9_.\-]{1,60})\\*[\"'](?:\s[^<>]{0,120})?>\s*(?:<value>\s*)?([^<>\s][^<>]*?)\s*</"
)
# As PHP writes down what it has in memory.
_SERIALIZED = _compile(r"s:[0-9]{1,3}:\"([A-Za-z0-9_.\-]{1,60})\";s:[0-9]{1,6}:\"([^\"]+)\"")
# As YAML and JSON in text have it: a name, and the value beside it.
_NEIGHBOURS = _compile(
    r"(?i:\b(?:name|key))\\*[\"']?\s{0,4}[:=]\s{0,4}\\*[\"']?([A-Za-z0-9_.\-]{1,60})\\*[\"']?\s{0,40},?\s{0,40}"
    r"(?:\\*[\"'])?(?i:value|content)\\*[\"']?\s{0,4}[:=]\s{0,4}\\*[\"']?([^\s\"'\\,}]+)"
)
_MULTIPART = _compile(
    r"(?i:name=)\"([^\"\r\n]{1,60})\"[^\r\n]{0,200}\r?\n(?:[A-Za-z\-]+:[^\r\n]*\r?\n)*\r?\n([^\r\n]+)\r?\n"
)
NAMED_VALUES = (
    ((b"<",), _ELEMENT),
    ((b"<Value>", b"<value>"), _INNER),
    ((b"</key>", b"</name>", b"</string>"), _ENTRY),
    ((b"',", b'",'), _TUPLE),
    ((b"<",), _ATTRIBUTE),
    ((b"</",), _ENTITLED),
    ((b'";s:',), _SERIALIZED),
    ((b"alue", b"ontent"), _NEIGHBOURS),
    ((b'name="',), _MULTIPART),
)
"""Pieces of which a text with a match has one, and the pattern: a name and its value, the two groups."""
