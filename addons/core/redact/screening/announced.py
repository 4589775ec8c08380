"""Names of secrets in a text, as the gate sees them: where one stands, and whether it announces anything.

`"sort_key":` ends like the name of a secret and is none. Such names fill whole answers, so the gate looks at
each before it lets a text through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from addons.core.redact.detectors.names import CONTAINERS, NameClass, classify
from addons.core.redact.detectors.randomness import is_noise
from addons.core.redact.detectors.services import NAMES as SERVICES

USUAL_IDLE = (
    "aggregation",
    "cache",
    "event",
    "foreign",
    "group",
    "partition",
    "primary",
    "routing",
    "sort",
    "tag",
)
"""What keys are of, as answers are full of them, that `classify` knows for no secret's name."""


def _not_after(words: Iterable[str]) -> str:
    """A pattern for what precedes a place that stands neither after a quote nor after one of `words` and `_`.
    Linear in the words; it takes one character at least, but for the beginning of the text.
    """
    ends: dict[str, list[str]] = {}
    for word in words:
        ends.setdefault(word[-1:], []).append(word[:-1])
    if "" in ends:  # a whole word: only as the end of a longer one
        return r"[^\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]"
    tails = "|".join(_not_after(heads) + last for last, heads in ends.items())
    return f"(?:[^{''.join(ends)}]|{tails})"


_COMMON = (
    r"pass(?:[_\-. ]?(?:word|wd|wrd|phrase|code|wort))?|pw|pwd|secret|tok(?:e)?n|key|credential|cred|auth"
    r"|authorization|cookie"
    r"|jwt|bearer|otp|cvv|cvc|pat|sig|conn(?:ection)?[_\-. ]?str(?:ing)?|mnemonic"
    r"|(?:mfa|recovery|backup)[_\-. ]?code|senha|contrasena|mot[_\-. ]?de[_\-. ]?passe"
    r"|seed[_\-. ]?phrase"
)
# Russian, with a capital too, Chinese, Japanese, Korean. Hyperscan folds no case beyond ASCII.
_FOREIGN = (
    r"\xd0[\xbf\x9f]\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c|\xe5\xaf\x86\xe7\xa0(?:\x81|\xbc)"
    r"|\xe3\x83\x91\xe3\x82\xb9\xe3\x83\xaf\xe3\x83\xbc\xe3\x83\x89|\xeb\xb9\x84\xeb\xb0\x80\xeb\xb2\x88\xed\x98\xb8"
)
_FOREIGN_ESCAPED = (
    r"\\u04[31][fF]\\u0430\\u0440\\u043[eE]\\u043[bB]\\u044[cC]|\\u5[bB][cC]6\\u78(?:01|[bB][cC])"
    r"|\\u30[dD]1\\u30[bB]9\\u30[eE][fF]\\u30[fF][cC]\\u30[cC]9"
    r"|\\u[bB][eE]44\\u[bB][cC]00\\u[bB][cC]88\\u[dD]638"
)
_RARE = (
    r"psk|shared[_\-]?access[_\-]?signature|password[_\-]?salt|crumb|recovery[_\-. ]?phrase"
    r"|(?:secret|test[_\-]reporter)[_\-. ]?id|[_\-.]api|sonar[_.]login|app[_\-]?certificate"
    r"|(?:device|auth|authorization|verification|one[_\-. ]?time|activation)[_\-. ]?code"
    r"|code[_\-]?verifier|saml[_\-]?response|assertion|contrase(?:[^A-Za-z0-9]{1,2}|\\u00f1)a"
    r"|kennwort|wachtwoord|lozinka|has(?:l|[^A-Za-z0-9]{2}|\\u0142)o|salasana|adgangskode|passord|heslo|parola"
    r"|jelsz(?:o|[^A-Za-z0-9]{1,2}|\\u00f3)|l(?:o|[^A-Za-z0-9]{1,2}|\\u00f6)senord"
)
_ENDING = (
    r"(?i:s?(?:[_.\-]?(?:value|base|data|hash|string|binary|text|plain|plaintext|raw|b64|base64|encoded|new|old"
    r"|current|confirm(?:ation)?|again|repeat|[0-9]{1,2})s?)?)"
)
# A form of their own, for there is a number of fixed pieces from which on Hyperscan takes twice the time.
_RAREST = (
    r"[sS]essionid|SESSIONID|(?i:phpsessid|connect\.sid|otp[_\-]?seed|community(?:[_\-]?string)?|honeycomb-team"
    r"|security[_\-]?answer|unlock[_\-]?code)"
)
STEM = f"(?:(?i:{_COMMON}|{_RARE})|{_RAREST}|{_FOREIGN}){_ENDING}"
"""How the names end that announce a secret, in all their spellings."""
_UNLESS_IDLE = rf"(?:^[A-Za-z_]{{0,12}}|[^\"_]|{_not_after(USUAL_IDLE)}_)key"
_BOUND = (
    r"(?:\\*[\"'`\])*]|&quot;|&#34;|&#39;|%22|%27|%5D|%5d|\\+u002[27]){0,4}"
    r"\s{0,24}(?:[:=]|->|%(?:25)*3[adAD]|\\+u003[adAD]|&gt;|>(?:[^<]|$))"
)
NAME = (
    f"(?i:{_COMMON.replace('|key|', f'|{_UNLESS_IDLE}|')}|{_RARE}){_ENDING}(?:{_BOUND}"
    r"|\\*\"[^:]| (?:is|was|ist|lautet|es|est) )"
)
"""A name before what it announces, or between quotes: most of the gate's work, to be judged by `is_idle`."""
_USUAL = f"(?i:{_COMMON}){_ENDING}"  # most of the cost of a form that begins with anything
LABEL = (
    r"(?i:token|secret|(?:api|access|secret|private|auth|app|application|client|consumer|account|admin|service|deploy"
    r"|license|encryption|signing|shared|master|storage)[_\- ]?key)"
)
"""What stands before a secret with no more than a space between."""
OTHERS = (
    r"--[A-Za-z0-9\-_.]{0,40}?" + _USUAL + r"[\"',]{0,2}\s",
    r"(?i:name=\\*[\"'][A-Za-z0-9_.\-]{0,40}?)" + _USUAL + r"\\*[\"']",
    r"(?i:password )[^\s]{6}|(?i:password (?:to|for|of|is|was|has|set):? )",
    _USUAL + r"(?:\x1b|\\u001[bB]|\\x1[bB])\[",  # a coloured line
    r"(?i:(?:\b|\\[nrt])(?:name|key)[\"']?\s{0,4}[:=]\s{0,4}'?[A-Za-z0-9_.\-]{0,40}?)"
    + _USUAL
    + r"'?(?:[\s,]|\\[nr])",  # YAML
    r"\"last_?4\"|\"delta\"|kty\\*\"",
    r"\"(?:is_secret|isSecret|secure|sensitive)\"\s{0,2}:\s{0,2}true",
    r"kind\\*[\"']?:\s{0,4}\\*[\"']?Secret(?:List)?\b",
    r"\)\s{0,3}(?i:values)\s{0,3}\(",  # SQL
    r"(?:PASSWORD|PASSWD|TOKEN|SECRET|_KEY) [^\s\[\]<>(){}=:]{8}",
    LABEL + r"\\*[\"'*`]{0,2}(?:[ \t]|\\[nrt]|[\r\n]){1,4}\\*[\"'`]?[A-Za-z0-9._~+/=\-]{20}",
    r"--key[ =][A-Za-z0-9+/=_\-.~]{16}",
    f"(?:{_RAREST}){_ENDING}{_BOUND}",
    rf"(?:{_FOREIGN}|{_FOREIGN_ESCAPED})\\*[\"'`]?\s{{0,4}}(?:[:=]|\xef\xbc\x9a|\\u[fF][fF]1[aA])",
    r"(?i:networkcredential|directoryentry|usernamepasswordtoken)\s?\(",
    _USUAL + r"(?:<\\?/|><!\[|'\s?,\s?b?')",  # a property list, XML's own quotes, a tuple
    r"[>nrt\s]<[vV]alue>|\";s:[0-9]",  # an element inside another; a serializer's, with the length in front
    _USUAL + r"(?:[ \t]{0,40}(?:\||\\u2502|[^\x00-\x7f]{3})|[,;][A-Za-z]|\t|\\t)",  # a cell of a table
)
"""What else tells of a secret by its name."""

_MAX_NAME = 100  # in bytes: longer names are taken to announce something
_MAX_BEFORE = 60  # in bytes: as far as the key before a label is looked for
_NAME_BYTES = bytes((*range(48, 58), *range(65, 91), *range(97, 123), *b"_.-"))
_SPOKEN = (b"api ", b"access ", b"secret ", b"private ", b"license ", b"encryption ", b"signing ", b"shared ")
"""Words in front of `key:` in running text."""
_BREAK = re.compile(rb"\\[nrt]|[^A-Za-z0-9]+")
_SAYING_LITTLE = (b"key", b"pat")
_ALONE = frozenset((b"key", b"sig", b"jwt"))  # `<x key="…" value="…">`, and parameters of URLs
_OF_MUCH = frozenset((b"type", b"path"))  # every other object has one: a label only beside a value
_OF = b" de "  # `mot de passe`
_ESCAPING = frozenset((b"%", b"\\", b"&", b"#"))  # what follows may be a quote: `%22`
_QUOTE = 0x22
_COLON = 0x3A
_IDLE = 16
_EQUALS = 0x3D
LABELS = frozenset(
    (
        b"name",
        b"key",
        b"field",
        b"header",
        b"parameter",
        b"variable",
        b"label",
        b"property",
        b"attribute",
        b"k",
        b"id",
        b"param",
        b"parameterkey",
        b"parametername",
        b"variablename",
        b"headername",
        b"optionname",
        b"envvar",
        b"envname",
        b"fieldname",
        b"propertyname",
        b"settingname",
        b"option_name",
        b"setting_name",
        b"variable_name",
        b"parameter_name",
        b"type",
        b"path",
    ),
)
"""Keys whose value names what stands beside them: `{"name": "password", "value": …}`."""


def telling(text: bytes, ends: Sequence[int]) -> list[int]:
    """Those of `ends`, where matches of `NAME` end, whose name may announce something."""
    out: list[int] = []
    idle: tuple[bytes, ...] = ()  # keys that were seen, with what is around them: most come again
    for end in ends:
        if text.endswith(idle, 0, end):
            continue
        if text[end - 1] == _COLON and text[end - 2] == _QUOTE:
            opening = text.rfind(b'"', max(0, end - _MAX_NAME), end - 2)
            if opening >= 0 and announces_nothing(text[opening + 1 : end - 2]):
                idle = (text[opening:end], *idle[: _IDLE - 1])
                continue
        if not is_idle(text, end):
            out.append(end)
    return out


def is_idle(text: bytes, end: int) -> bool:
    """Whether the match of `NAME` that ends at `end` announces nothing that anybody would mask."""
    last = text[end - 1]
    if last in b":=":
        return _is_idle_assignment(text, end - 1)
    closing = end - 2
    return text[closing] == _QUOTE and _is_idle_label(text, closing)


def _is_idle_assignment(text: bytes, end: int) -> bool:
    """`name:`, `name=` and `"name":`, with the operator at `end`; whatever looks different may be more."""
    start = max(0, end - _MAX_NAME)
    if text[end - 1] == _QUOTE:
        opening = text.rfind(b'"', start, end - 1)
        name = text[opening + 1 : end - 1].rstrip(b"\\")
        if opening < 0:
            return False
    else:
        window = text[start:end]
        rest = window.rstrip(_NAME_BYTES)
        name = window[len(rest) :]
        if rest[-1:] in _ESCAPING or (start and not rest) or rest[-1:] >= b"\x80" or rest.endswith(_OF):
            return False
        if text[end] == _EQUALS and name.lower() in _ALONE:
            return False
        name = spoken(rest, name)
        if b" " in name:
            return False
    return announces_nothing(name)


def spoken(before: bytes, name: bytes) -> bytes:
    """Give `name` with the words in front that say whose it is: `api key`, `scaleway env key`. `before`:
    escapes may be in it.
    """
    if before[-1:] != b" " or not name.lower().startswith(_SAYING_LITTLE):
        return name
    lowered = before[-_MAX_BEFORE:].lower()
    for word in _SPOKEN:
        if lowered.endswith(word):
            return word + name
    words = _BREAK.split(lowered[:-1])[-2:]
    if any(word.decode("latin-1") in SERVICES for word in words):
        full = b" ".join((*words, name))
        return full if classify(full.decode("latin-1")) is not NameClass.NONE else name
    return name


def _is_idle_label(text: bytes, closing: int) -> bool:
    """A value, or an element of a list, that ends like a name: idle unless it stands where names stand."""
    opening = text.rfind(b'"', max(0, closing - _MAX_NAME), closing)
    if opening < 0:
        return False
    before = text[max(0, opening - _MAX_BEFORE) : opening].rstrip(b"\\").rstrip()
    last = before[-1:]
    if last == b":":
        key = before[:-1].rstrip().rstrip(b'"\\')
        name = key[len(key.rstrip(_NAME_BYTES)) :].lower()
        if name not in LABELS and name != b"kind":  # of a Kubernetes object
            return True
        around = text[max(0, opening - _MAX_BEFORE) : closing + _MAX_BEFORE]
        if name in _OF_MUCH and b"value" not in around.lower():
            return True
    elif last and last not in b"[,=({":  # in running text a quoted word is just that
        return True
    return announces_nothing(text[opening + 1 : closing].rstrip(b"\\"))


@lru_cache(maxsize=4096)
def announces_nothing(name: bytes) -> bool:
    """Whether `name`, of letters, digits and `_.-` alone, is none that a secret stands under.
    Of others only random ids are known to be none.
    """
    if not name or name.strip(_NAME_BYTES):
        return is_noise(name)
    text = name.decode("latin-1")
    return classify(text) is NameClass.NONE and CONTAINERS.search(text) is None
