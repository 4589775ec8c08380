"""Secrets announced by a name in running text: `password=…`, `TOKEN: …`, `--api-key …`, `<secret>…</secret>`,
`password is …`, multipart fields.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

import re2

from addons.core.redact.detectors.names import (
    NameClass,
    can_be_opaque,
    can_be_password,
    can_be_secret,
    classify,
    is_benign_token,
    is_card_code,
    is_dense,
    is_noisy_path,
    is_phrase_under_name,
    looks_random,
)
from addons.core.redact.detectors.placeholders import is_placeholder
from addons.core.redact.detectors.randomness import UUID, has_digit, is_beyond_doubt, is_jumbled, is_wordless
from addons.core.redact.detectors.services import NAMES as SERVICES
from addons.core.redact.masking.findings import Finding
from addons.core.redact.reading.named_values import NAMED_VALUES
from addons.core.redact.screening.announced import LABEL, STEM, spoken

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1

_CLOSE = r"(?:\\*[\"'`\])*]){0,4}"
_OPERATOR = r"\s{0,24}(?:=>|->|:=|===?|=|:|\xef\xbc\x9a)"


def _compile(pattern: str) -> re2._Regexp:
    return re2.compile(pattern.encode("latin-1"), options=_LATIN1)


_PAIR = _compile(f"({STEM})" + _CLOSE + _OPERATOR)
_OF_ARN = _compile(r"\barn:[^\s\"']*:\z")
_FLAG = _compile(
    r"(--?[A-Za-z][A-Za-z0-9\-_.]{0,60})[\"']?(?:[ \t]+(?:\\\r?\n[ \t]*)?|,\s*)\\?[\"']?([^\s\"',\]\\]{4,})"
)
# All but passwords need a verb or an operator: `cache key shop:1` is no secret, and opens no gate.
_PROSE = _compile(
    r"(?i:(?:password (?:(?:(?:has been|was|is) )?"
    r"(?:(?:set|changed|reset|updated) (?:to|from)|(?:generated )?(?:for|of) [^\s:]{1,64}(?: is| to|:))"
    r"|(?:is|was|to):?|=|:)?"
    r"|(?:passphrase|passwd|pwd|token|secret|key|passwort|kennwort|wachtwoord|contrase(?:n|\xc3\xb1|\xf1)a|senha|passe)"
    r" (?:is|was|ist|lautet|es|est|=|:))\s*[\"'`]?)([^\s\"'`,;]{6,256})"
)
_STATED = _compile(
    r"(?i:\b([A-Za-z0-9_.\-]{0,60}(?:token|secret|key|auth|credentials?|cred)) (?:is|was) [\"'`]?)"
    r"([A-Za-z0-9+/=_\-.~]{16,256})"
)
# A variable of an environment as Docker, shells and Windows set it.
_SPACED = _compile(
    r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_?(?:PASSWORD|PASSWD|TOKEN|SECRET|_KEY))[ \t]+(?:to )?"
    r"[\"']?([^\s\"'\\]{8,256})"
)
_SPACED_NAMES = (b"PASSWORD", b"PASSWD", b"TOKEN", b"SECRET", b"_KEY")
# `Yahoo Client Secret 5641…`; and the words in front, for `next page token` announces nothing.
_LABELLED = _compile(
    f"({LABEL})" + r"[\"'*`]{0,2}(?:[ \t]{1,4}|[ \t]*\r?\n[ \t]*)[\"'`]?([A-Za-z0-9_\-+/=.~]{20,256})"
)
_WORDS_BEFORE = _compile(r"(?:[A-Za-z0-9_.\-]+[ \t]){0,3}[A-Za-z0-9_.\-]*\z")
_MAX_WORDS = 80
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_NAME_BYTES = (string.ascii_letters + string.digits + "_.-").encode()
# What is tried at one place alone is the standard library's: nothing is given back, and it is quicker to ask.
_QUOTE = re.compile(rb"\\*+[\"'`]")
# What may stand between a name and the quotes of its value.
_WRAPPED = re.compile(rb"(?:Some\(|[ \t\n\f\r]{0,20}+string\([0-9]++\) |[bBuUrRfFN@$]{1,2})[\"']")
# A type in between, as Rust, Kotlin and TypeScript have it.
_TYPED = re.compile(
    rb"(?:&(?:'[a-z]++ )?)?[A-Za-z_][A-Za-z0-9_.:<>\[\]]{0,60}+(?: \| null)? ?= ?(?=\\*+[\"'`])"
)
_ENCODED = b": "  # base64, in LDIF (RFC 2849)
_LIST = re.compile(rb"\[[ \t\n\f\r]*+[\"']")
_LISTED = _compile(r"[\"']([^\"'\\\r\n]+)[\"']\s*(?:,\s*|\]|\z)")
# YAML (1.2.2, 6.9 and 8.1): properties of a value, and values that stand in the next lines.
_PROPERTIES = re.compile(rb"(?:[!&][^ \t\n\f\r]*+[ \t]++){1,2}")
_BLOCK = re.compile(rb"(?:[|>][+\-0-9]{0,2}+)?[ \t]*+\r?\n([ \t]*+)")
_BLOCK_LINE = _compile(r"(?:-[ \t]+|(?:secure|value|default|plaintext):[ \t]+)?[\"']?([^\s\"'\\]+)")
_MAX_LINES = 64
_TRIPLE = (b'"""', b"'''")
_TEMPLATE = b"{{"
_MASKED = re.compile(
    rb"\[[A-Za-z_ \-]{1,40}+\](?:[^A-Za-z0-9]|\Z)"
    rb"|(?:\{(?:[A-Za-z_][\w.]{0,40}+)?\}|\([a-z]{3,20}+(?: [a-z]{1,20}+){0,4}+\))(?:[\s\"'`,;.)\]&<|\\]|\Z)"
)
# What a program gets a value from, in its source.
_REFERENCE = _compile(
    r"^(?:[A-Za-z_]\w*\.)+[A-Za-z_]\w*$|^[A-Za-z_][\w.]*\((?:[?:@$*&]?(?:[A-Za-z_][\w.]*)?\)?)?$"
)
_PASSWORD_VALUE = re.compile(rb"[^ \t\n\f\r\"'`<>&;,\\]++")
_SECRET_VALUE = re.compile(rb"[^ \t\n\f\r\"'`<>&;,\\)\]}|]++")
_SCHEME = re.compile(
    rb"(?i:bearer|basic|token|digest|negotiate|apikey|api-key|ssws|splunk|bot|jwt|delegated|key|oauth)[ +]++"
)
# Of a digest (RFC 7616, 3.4) the response proves who asks; the rest is no secret.
_DIGEST = re.compile(rb"(?i:digest)[ +]++(?:[^\r\n]{0,600}?\bresponse=\\*+\"?)?")
_ANY_SCHEME = _compile(r"[A-Za-z][A-Za-z0-9\-]{1,30}[ \t]+([^\s\"'`<>&;,\\)\]}|]{12,})")
_PARTS = re.compile(rb"[:=,]")
_PHRASE = _compile(r"[a-z]{3,8}(?: [a-z]{3,8}){11,24}")
# As Google shows what it made for an app.
_FOURS = re.compile(rb"[\"'`]?([a-z]{4}(?: [a-z]{4}){3})(?:[^A-Za-z0-9 ]|\Z)")
_PHRASE_NAMES = (b"mnemonic", b"phrase", b"phrases", b"mnemonics")
_DIRECTORIES = frozenset((b"pwd", b"oldpwd"))
_MIN_NUMBER = 6
_MAX_NAME = 120
_MAX_VALUE = 4096
_MAX_BACKSLASHES = 64


def find_pairs(text: bytes) -> Iterator[Finding]:
    """Everything a name announces in `text`; offsets into it."""
    yield from _assignments(text)
    if b"-" in text:
        for match in _FLAG.finditer(text):
            start, end = match.span(2)
            yield from _judge(text, match.group(1), start, _before_template(text, start, end), near=False)
    yield from _in_prose(text)
    for signs, pattern in NAMED_VALUES:
        if any(map(text.__contains__, signs)):
            for match in pattern.finditer(text):
                yield from _judge(text, match.group(1), *match.span(2), near=True)


def _in_prose(text: bytes) -> Iterator[Finding]:
    """After a name and a verb, or a space alone."""
    folded = text.lower()
    for match in _PROSE.finditer(text):
        start = match.start(1)
        value = text[start : _before_template(text, start, match.end(1))].rstrip(b".!?)")
        if looks_like_prose_secret(value) and is_dense(value):
            yield Finding(start, start + len(value), "prose", "password", value)
    for match in _STATED.finditer(text) if b" is " in folded or b" was " in folded else ():
        if looks_random(match.group(2)):
            yield from _judge(text, match.group(1), *match.span(2), near=True)
    for match in _SPACED.finditer(text) if any(map(text.__contains__, _SPACED_NAMES)) else ():
        start, end = match.span(2)
        if has_digit(match.group(2)):
            yield from _judge(text, match.group(1), start, _before_template(text, start, end), near=False)
    for match in _LABELLED.finditer(text):
        yield from _labelled(text, match)


def _labelled(text: bytes, match: re2._Match) -> Iterator[Finding]:
    """After a label and a space only what is random, and a UUID after a service's name."""
    before = _WORDS_BEFORE.search(text[max(0, match.start() - _MAX_WORDS) : match.start()])
    label = ((before.group() if before is not None else b"") + match.group(1)).decode("latin-1")
    words = [word.lower() for word in _WORD.findall(label)]
    if is_benign_token(words) or classify(match.group(1).decode("latin-1")) is not NameClass.SECRET:
        return
    start = match.start(2)
    value = match.group(2).rstrip(b".")
    if is_placeholder(value):
        return
    is_of_service = UUID.match(value) is not None and not SERVICES.isdisjoint(words)
    if is_of_service or is_beyond_doubt(value):
        yield Finding(start, start + len(value), "labelled", "secret", value)


def looks_like_prose_secret(value: bytes) -> bool:
    """After `password is`: more than a number or a name with a colon or an `=` in it."""
    if b"(" in value:  # `password varchar(255)`
        return False
    return (
        b"=" not in value.rstrip(b"=")
        and not value.endswith(b":")
        and (has_digit(value) or is_wordless(value))
    )


def _assignments(text: bytes) -> Iterator[Finding]:
    done = 0
    for match in _PAIR.finditer(text):
        begin, stop = match.span()
        if begin < done:  # inside a value that is taken already
            continue
        # A slice: RE2's `\z` is the end of text, not of a range.
        before = text[max(0, begin - _MAX_NAME) : begin]
        name_start = begin - len(before) + len(before.rstrip(_NAME_BYTES))
        if text.endswith(b"[REDACTED:", 0, name_start):  # a mask: its kind announces nothing after it
            continue
        name = text[name_start : match.end(1)]
        before = text[max(0, name_start - _MAX_NAME) : name_start]
        name = spoken(before, name)
        if before[-1:] == b":" and _OF_ARN.search(before):
            continue
        for finding in _assigned(text, name, stop, text[stop - 1 : stop]):
            done = finding.end
            yield finding


def _assigned(text: bytes, name: bytes, position: int, operator: bytes) -> Iterator[Finding]:
    kind = classify(name.decode("latin-1"))
    if kind is NameClass.NONE:
        return
    while position < len(text) and text[position] in b" \t":
        position += 1
    position = _past_prefix(text, position, operator)
    if name.lower().endswith(_PHRASE_NAMES) and (phrase := _PHRASE.match(text, position)) is not None:
        if is_phrase_under_name(phrase.group()):
            yield Finding(position, phrase.end(), "pair-secret", "secret", phrase.group())
        return
    if (fours := _FOURS.match(text, position)) is not None and is_wordless(fours.group(1).replace(b" ", b"")):
        start, end = fours.span(1)
        yield Finding(start, end, f"pair-{kind.value}", kind.value, fours.group(1))
        return
    quote = _QUOTE.match(text, position)
    if quote is not None:
        mark = text[position : position + 3] if text.startswith(_TRIPLE, position) else quote.group()
        start = position + len(mark)
        yield from _judge(text, name, start, _closing(text, start, mark), near=True)
        return
    if _MASKED.match(text, position) is not None:
        return
    if operator == b":" and (block := _BLOCK.match(text, position)) is not None:
        yield from _below(text, name, block)
        return
    if _LIST.match(text, position) is not None:
        yield from _listed(text, name, position + 1)
        return
    yield from _plain(text, name, kind, position, operator)


def _plain(text: bytes, name: bytes, kind: NameClass, position: int, operator: bytes) -> Iterator[Finding]:
    """A value without quotes."""
    position = _past_scheme(text, name, position) if kind is not NameClass.PASSWORD else position
    limit = _before_template(text, position, min(position + _MAX_VALUE, len(text)))
    whole = _PASSWORD_VALUE.match(text, position, limit)
    value = whole if kind is NameClass.PASSWORD else _SECRET_VALUE.match(text, position, limit)
    if whole is None or value is None or _is_reference(value.group()):
        return
    end = position + len(value.group().rstrip(b".)]}"))
    if kind is NameClass.PASSWORD and text[position:end].count(b"(") > text[position:end].count(b")"):
        end = value.end()
    if end < whole.end() and whole.group()[:1] != b"[" and is_placeholder(whole.group()):
        return
    yield from _judge(text, name, position, end, near=operator == b"=")


def _past_scheme(text: bytes, name: bytes, position: int) -> int:
    """Where the credentials begin (RFC 9110, 11.4); after a scheme unknown here no words."""
    scheme = _DIGEST.match(text, position) or _SCHEME.match(text, position)
    if scheme is not None:
        return int(scheme.end())
    if not name.lower().endswith(b"authorization"):
        return position
    other = _ANY_SCHEME.match(text, position)
    if other is None or not any(map(is_beyond_doubt, _PARTS.split(other.group(1)))):
        return position
    return int(other.start(1))


def _is_reference(value: bytes) -> bool:
    """`config.db.password`, `get_token(`, and what follows `Token:` in `Token::Ident(`: words; what has
    digits in it may be the secret itself, and what is random is it.
    """
    if has_digit(value) or _REFERENCE.search(value.lstrip(b":")) is None:
        return False
    return not any(is_jumbled(part) for part in value.split(b"."))


def _before_template(text: bytes, start: int, end: int) -> int:
    """Where a value ends that a template's tag follows at once, as in messages of monitors."""
    tag = text.find(_TEMPLATE, start, end)
    return tag if tag > start and text[tag - 1 : tag] != b"$" else end


def _past_prefix(text: bytes, position: int, operator: bytes) -> int:
    if (wrapped := _WRAPPED.match(text, position)) is not None:
        return int(wrapped.end()) - 1
    if operator != b":":
        return position
    if text.startswith(_ENCODED, position):
        return position + len(_ENCODED)
    properties = _TYPED.match(text, position) or _PROPERTIES.match(text, position)
    if properties is not None and is_placeholder(properties.group()):
        return position
    return position if properties is None else int(properties.end())


def _below(text: bytes, name: bytes, block: re.Match[bytes]) -> Iterator[Finding]:
    """Values in the lines under a name, as far in as the first: one to a line, or of a list each."""
    is_block = block.group()[:1] in (b"|", b">")
    indent, position = block.group(1), block.end()
    if not indent:  # what somebody was asked for, or of another key
        line = None if is_block else _BLOCK_LINE.match(text, position)
        if line is not None and _ends_line(text, line.end(1)) and is_jumbled(line.group(1)):
            yield from _judge(text, name, *line.span(1), near=False)
        return
    for _ in range(_MAX_LINES):
        line = _BLOCK_LINE.match(text, position)
        if line is None:
            return
        start, end = line.span(1)
        if not _ends_line(text, end) or text[end - 1 : end] == b":":
            return
        value = text[start:end]
        if is_block or is_dense(value):
            yield from _judge(text, name, start, end, near=is_block)
        following = text.find(b"\n" + indent, end, end + _MAX_NAME)
        if following < 0 or text.find(b"\n", end, following) >= 0:
            return
        position = following + 1 + len(indent)


def _ends_line(text: bytes, position: int) -> bool:
    rest = text[position : position + 4].lstrip(b" \t\"'")
    return rest[:1] in (b"", b"\r", b"\n")


def _listed(text: bytes, name: bytes, position: int) -> Iterator[Finding]:
    """The strings of a list in brackets that don't read like words."""
    while position < len(text) and text[position] in b" \t\r\n":
        position += 1
    for _ in range(_MAX_LINES):
        item = _LISTED.match(text, position)
        if item is None:
            return
        if is_dense(item.group(1)):
            yield from _judge(text, name, *item.span(1), near=True)
        position = item.end()


def _closing(text: bytes, start: int, quote: bytes) -> int:
    """Where the quoted value that begins at `start` ends: at the same quote, under as many backslashes; of a
    value that is cut, at the end of its line.
    """
    limit = start + _MAX_VALUE  # a bound, or a text of opening quotes alone would cost its length for each
    closing = text.find(quote, start, limit)
    while len(quote) == 1 and closing > start and _is_escaped(text, start, closing):
        closing = text.find(quote, closing + 1, limit)
    if closing < 0:
        closing = text.find(b"\n", start, limit)
    return closing if closing >= 0 else min(limit, len(text))


def _is_escaped(text: bytes, start: int, position: int) -> bool:
    """Whether an odd number of backslashes stands before `position`."""
    before = text[max(start, position - _MAX_BACKSLASHES) : position]
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1


def _judge(text: bytes, name: bytes, start: int, end: int, *, near: bool) -> Iterator[Finding]:
    """Give a finding if name and value fit.

    `near`: bound by `=`, quotes or a tag, not by a colon or a space alone, which prose has too.
    """
    value = text[start:end]
    stripped = value.strip()
    kind = classify(name.decode("latin-1"))
    if name.endswith((b"s", b"S")) and not near and kind is NameClass.SECRET:
        kind = NameClass.WEAK
    if kind is NameClass.PASSWORD and stripped.isdigit() and len(stripped) < 3:  # noqa: PLR2004
        return  # `tests pass = 14`
    if stripped[:1] == b"/" and name.lower().lstrip(b"-") in _DIRECTORIES and not _is_no_directory(stripped):
        return
    if kind is NameClass.PASSWORD:
        is_number = stripped.isdigit() and len(stripped) >= _MIN_NUMBER and not name.endswith((b"s", b"S"))
        fits = can_be_password(stripped) and (
            near or is_number or is_dense(stripped) or _stands_out(stripped)
        )
    elif kind is NameClass.SECRET:
        fits = is_card_code(name.decode("latin-1"), stripped) or (
            can_be_secret(stripped) and (near or is_dense(stripped) or stripped.isdigit())
        )
    else:
        fits = can_be_opaque(kind, stripped)
    if fits:
        start += len(value) - len(value.lstrip())
        yield Finding(start, start + len(stripped), f"pair-{kind.value}", kind.value, stripped)


def _is_no_directory(value: bytes) -> bool:
    return value.count(b"/") == 1 and is_noisy_path(value)


def _stands_out(value: bytes) -> bool:
    """Not a word as prose has after a colon."""
    if len(value) < 6 or value.isalpha() or value.isdigit():  # noqa: PLR2004
        return False
    return b"/" not in value or _is_no_directory(value)
