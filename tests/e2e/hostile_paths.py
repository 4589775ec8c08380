"""Spellings of one path that some server reads as that path, or as another."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

type Spelling = Callable[[str], str]


def _escaped(character: str) -> str:
    return f"%{ord(character):02x}"


def _escape_letter(path: str) -> str:
    """The last letter or digit, escaped."""
    return re.sub(r"([a-z0-9])(?=[^a-z0-9]*$)", lambda found: _escaped(found[1]), path)


def _escape_all(path: str) -> str:
    return re.sub(r"[a-z0-9]", lambda found: _escaped(found[0]), path)


def _twice_escaped(path: str) -> str:
    return _escape_letter(path).replace("%", "%25")


def _last(path: str, separator: str) -> str:
    head, _, tail = path.rpartition("/")
    return f"{head}{separator}{tail}"


def _wide(path: str) -> str:
    """The last letter or digit in its full-width form, in UTF-8."""
    wide = re.sub(r"([a-z0-9])(?=[^a-z0-9]*$)", lambda found: chr(ord(found[1]) + 0xFEE0), path)
    return "".join(
        char if char.isascii() else "".join(f"%{byte:02X}" for byte in char.encode()) for char in wide
    )


# What every server takes for the same path: decided as it.
SAME: Mapping[str, Spelling] = {
    "as it is": str,
    "one escaped": _escape_letter,
    "one escaped in upper case": lambda path: _escape_letter(path).replace("%6d", "%6D"),
    "all escaped": _escape_all,
    "slash at the end": lambda path: f"{path}/",
    "a query": lambda path: f"{path}?a=b",
    "an empty query": lambda path: f"{path}?",
}

# What servers read differently: refused, or decided as the path is.
HOSTILE: Mapping[str, Spelling] = {
    "dot": lambda path: _last(path, "/./"),
    "dot at the end": lambda path: f"{path}/.",
    "dot dot": lambda path: _last(path, "/x/../"),
    "dot dot at the end": lambda path: f"{path}/x/..",
    "dot dot from the root": lambda path: f"/x/..{path}",
    "escaped dot": lambda path: _last(path, "/%2e/"),
    "escaped dots": lambda path: _last(path, "/x/%2e%2e/"),
    "escaped dots in upper case": lambda path: _last(path, "/x/%2E%2E/"),
    "half-escaped dots": lambda path: _last(path, "/x/.%2e/"),
    "twice escaped dots": lambda path: _last(path, "/x/%252e%252e/"),
    "dots with a parameter": lambda path: _last(path, "/x/..;/"),
    "dots with an escaped slash": lambda path: _last(path, "/x%2f..%2f"),
    "escaped slash": lambda path: _last(path, "%2f"),
    "escaped slash in upper case": lambda path: _last(path, "%2F"),
    "twice escaped slash": lambda path: _last(path, "%252f"),
    "escaped slash at the end": lambda path: f"{path}%2f",
    "two slashes": lambda path: _last(path, "//"),
    "two slashes at the front": lambda path: f"/{path}",
    "two slashes at the end": lambda path: f"{path}//",
    "parameter": lambda path: f"{path};a=b",
    "empty parameter": lambda path: f"{path};",
    "escaped parameter": lambda path: f"{path}%3ba=b",
    "parameter inside": lambda path: _last(path, ";a=b/"),
    "backslash": lambda path: _last(path, "\\"),
    "escaped backslash": lambda path: _last(path, "%5c"),
    "backslash dots": lambda path: _last(path, "/x\\..\\"),
    "NUL": lambda path: f"{path}\x00",
    "escaped NUL": lambda path: f"{path}%00",
    "escaped NUL and a suffix": lambda path: f"{path}%00.json",
    "overlong slash": lambda path: _last(path, "%c0%af"),
    "overlong dots": lambda path: _last(path, "/x/%c0%ae%c0%ae/"),
    "overlong slash of three bytes": lambda path: _last(path, "%e0%80%af"),
    "full-width slash": lambda path: _last(path, "%EF%BC%8F"),
    "full-width letter": _wide,
    "raw full-width slash": lambda path: _last(path, "\uff0f"),
    "escaped as Microsoft does": lambda path: _last(path, "%u002f"),
    "one twice escaped": _twice_escaped,
    "broken escape": lambda path: f"{path}%",
    "escape of no hex": lambda path: f"{path}%zz",
    "escaped line break": lambda path: f"{path}%0d%0aX-A:%20b",
    "escaped tab": lambda path: f"{path}%09",
    "escaped space at the end": lambda path: f"{path}%20",
    "escaped space at the front": lambda path: _last(path, "/%20"),
    "fragment": lambda path: f"{path}#x",
    "escaped fragment": lambda path: f"{path}%23x",
    "escaped question mark": lambda path: f"{path}%3fa=b",
    "surrogate": lambda path: f"{path}%ed%a0%80",
    "no slash at the front": lambda path: path[1:],
    "absolute": lambda path: f"https://api.datadoghq.com{path}",
    "another host's": lambda path: f"//api.datadoghq.com{path}",
}
