r"""Patterns that find a known text however a transport escaped it.

Each character of the text may stand raw, percent-encoded (once or several times), as a JSON `\uXXXX` or
`\xXX` escape (under any number of backslashes), or as an HTML character reference, in any mixture.
"""

from __future__ import annotations

import base64

_HTML_NAMES = {'"': "quot", "&": "amp", "'": "apos", "<": "lt", ">": "gt"}


def any_case(text: str) -> str:
    """Make a pattern for `text` in which letters may have either case."""
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else literal(c) for c in text)


def literal(char: str) -> str:
    return char if char.isalnum() and char.isascii() else f"\\x{ord(char):02x}"


def flex_char(char: str, *, fold: bool = False) -> str:
    """Make a pattern for one ASCII character in any of the escapes. `fold` takes both cases of a letter."""
    forms = sorted({char.lower(), char.upper()}) if fold else [char]
    options: list[str] = []
    for form in forms:
        code = any_case(f"{ord(form):02x}")
        options += [
            literal(form),
            f"%(?:25)*{code}",
            rf"\\+(?:[uU]00|[xX]){code}",
            rf"&#(?:0*{ord(form)}|[xX]0*{code});?",
        ]
        if form in _HTML_NAMES:
            options.append(f"&{_HTML_NAMES[form]};")
        if form in "/\"'":
            options.append(rf"\\+{literal(form)}")
    return f"(?:{'|'.join(options)})"


def flex(text: str, *, fold: bool = False) -> str:
    return "".join(flex_char(char, fold=fold) for char in text)


def base64_forms(secret: bytes) -> list[str]:
    """Patterns for `secret` inside base64 (RFC 4648, both alphabets), one for each of the three ways it can
    lie across the groups of three bytes. A neighbouring character that carries some of the secret's bits
    is taken along.
    """
    forms = []
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + secret + b"\0" * 2).decode()
        first_bit, last_bit = lead * 8, (lead + len(secret)) * 8
        start, end = -(-first_bit // 6), last_bit // 6
        inner = "".join(_base64_char(char) for char in encoded[start:end])
        before = "[A-Za-z0-9+/_-]" if first_bit % 6 else ""
        after = "[A-Za-z0-9+/_-]" if last_bit % 6 else ""
        forms.append(before + inner + after)
    return forms


def _base64_char(char: str) -> str:
    if char == "+":
        return r"(?:[+\-]|%(?:25)*2[bB]|\\+u002[bB])"
    if char == "/":
        return r"(?:\\*[/_]|%(?:25)*2[fF]|\\+u002[fF])"
    return char
