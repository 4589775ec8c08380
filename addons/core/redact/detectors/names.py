"""Which names announce a secret, and which values can be one.

A name is judged by how it ends, its separators and case dropped: `DB_PASSWORD`, `dbPassword` and
`acmesecretkey` announce a secret, `password_max_age`, `key_name` and `next_token` do not.
"""

# ruff: noqa: PLR2004 - thresholds of a heuristic stand beside what they judge

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from functools import lru_cache

import re2

from addons.core.redact.detectors.placeholders import is_placeholder
from addons.core.redact.detectors.randomness import (
    DIGITS,
    LETTERS,
    UUID,
    entropy,
    has_digit,
    is_jumbled,
    is_noise,
    is_opaque,
    is_wordless,
    switches,
)
from addons.core.redact.detectors.services import NAMES as SERVICES

_MAX_NAME = 120
_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1


class NameClass(Enum):
    """How much a name says about its value."""

    NONE = "none"
    PASSWORD = "password"  # noqa: S105 - a class of names. The value is a secret, plain words included
    SECRET = "secret"  # noqa: S105 - as above. The value is a secret unless it reads like prose
    WEAK = "key"  # `<vendor>_key`: a secret only if it looks random
    OPAQUE = "credential"  # `secret_id`: a secret only if it is a UUID or a digest


_SUFFIX = (
    r"(?:\d{0,2}|value|base|data|string|binary|text|plain|plaintext|raw|b64|base64|encoded|new|old|current"
    r"|confirm|confirmation|again|repeat)"
)
_PASSWORD = re2.compile(
    r"(?:password|passwd|passwrd|passphrase|passcode|passwort|pwd|contrasena|motdepasse|senha|dbpass|userpass|psk"
    r"|kennwort|wachtwoord|lozinka|haslo|salasana|losenord|adgangskode|passord|heslo|jelszo|presharedkey"
    r"|rootpass|smtppass|sshpass|mysqlpass|pgpass|redispass|authpass|adminpass|proxypass|keypass|storepass"
    r"|oldpass|newpass|userpw|dbpw|adminpw|rootpw|пароль|密码|密碼|ハスワート|비밀번호)s?" + _SUFFIX + "$",
)
_SECRET = re2.compile(
    r"(?:secret|token|tokn|apikey|apikeys|appkey|applicationkey|accesskey|authkey|privatekey|secretkey"
    r"|privkey|signingkey|signaturekey|encryptionkey|decryptionkey|cryptokey|hmackey|masterkey|sharedkey"
    r"|sharedaccesskey|accountkey|storagekey|servicekey|licensekey|sessionkey|consumerkey|clientkey"
    r"|webhookkey|deploykey|integrationkey|adminkey|rootkey|userkey|writekey|ingestkey|ingestionkey"
    r"|sshkey|rsakey|pgpkey|tlskey|sslkey|serverkey|serviceaccountkey|securitykey|credential|creds|credentials"
    r"|authorization|cookie|cookies|connectionstring|connstring|connstr|jwt|bearer|otp|totp|mfacode|otpcode"
    r"|cvv|cvc|recoverycode|backupcode|seedphrase|mnemonic|sessiontoken|sastoken|authtoken|apipat|subscriptionkey"
    r"|sharedaccesssignature|verificationcode|onetimecode|activationcode|authcode|jenkinscrumb|passwordsalt|parola"
    r"|recoveryphrase|passwordhash|passwdhash|pwdhash|deviceprovisionkey|provisiondevicekey|cypressrecordkey|azurefunctionkey"
    r"|otpseed|snmpcommunity|communitystring|securityanswer|unlockcode)s?" + _SUFFIX + "$",
)
_NOT_SECRET = re2.compile(
    r"(?:(?:page|nextpage|next|prev|previous|continuation|cursor|sync|resume|start|end|last|max|min|num|input"
    r"|output|prompt|completion|total|cached|reasoning|stop|eos|bos|pad|unk|cls|sep|mask|web|jsonweb|nextsync"
    r"|paging|pagination|sequence|scroll|word|sub|text|request|idempotency|client(?:request)?|llm|audio|image|accepted"
    r"|rejected|estimated|generated|cacheread|cachewrite|used|remaining|non|special|clienttoken|dedup|trace|span"
    r")tokens?|public[a-z]{0,12}key|pub[a-z]{0,4}key|samesitecookie"
    r")$",
)
# What people call what only a machine can have made: Vault's, SonarQube's, Agora's, Code Climate's.
_OPAQUE = re2.compile(r"(?:secretid|sonarlogin|appcertificate|testreporterid)$")
_QUESTIONS = frozenset(
    """
    is has have no non use uses used allow allows require requires required enable enabled disable disabled
    show hide forgot missing invalid needs need can should must supports support with without
    """.split()  # noqa: SIM905 - a table of words
)
_BENIGN_KEY_WORDS = frozenset(
    """
    foreign primary routing partition sort cache tag attribute aggregation bucket sequence group grouping
    idempotency dedup dedupe unique index object s3 row column field facet metric event lookup hash range
    shard translation i18n message label registry arrow hot short cut map dict json pem public pub kms vault
    host ssh composite natural surrogate business candidate super alternate ordering order redis hkey config
    setting settings locale string resource search filter query join entity record document doc cluster
    websocket socket issue jira project ticket monitor dashboard widget key any press enter escape function
    home
    """.split()  # noqa: SIM905 - a table of words
)
_BENIGN_ENDS = ("mon", "tur", "don", "whis", "s3", *(word for word in _BENIGN_KEY_WORDS if len(word) > 3))
_WEAK_NAMES = frozenset(
    (
        *("devicecode", "codeverifier", "authorizationcode", "samlresponse", "assertion", "clientassertion"),
        *("sas", "connectsid", "xhoneycombteam"),
    )
)
_SESSIONS = frozenset(("sessionid", "jsessionid", "phpsessid"))
"""What cookies are called; `session_id` and `sessionId` are ids of telemetry."""
_AFTER_NOISE = re2.compile(rb"(?i)[_\-.]((?:password|passwd|secret|token|credential|api[_\-]?key)s?)$")
_PLAIN_WORDS = re2.compile(rb"^[A-Za-z]?[a-z]+(?:[-_.:/,' ]+[A-Za-z]?[a-z]*)*[.!?:;,]?$", options=_LATIN1)
_ALL_CAPS_WORDS = re2.compile(rb"^[A-Z]+(?:[-_. ][A-Z]+)*$", options=_LATIN1)
_URL = re2.compile(rb"(?i)^[a-z][a-z0-9+.\-]{1,20}:\\?/\\?/", options=_LATIN1)
_PATH = re2.compile(
    rb"^(?:~|\.{0,2})/[\w./@\- ]*$|^[A-Za-z]:\\|^[\w\-]+(?:/[\w\-.]+)*\.[a-z]{2,5}$", options=_LATIN1
)
_FILE = re2.compile(rb"^/[\w.\-]+(?:/[\w.\-]+)+/?$|^arn:")
_MNEMONIC = re2.compile(rb"^[a-z]{3,8}(?: [a-z]{3,8})+$")
_PROSE_WORDS = frozenset(
    (b"the", b"and", b"for", b"are", b"was", b"from", b"your", b"please", b"been", b"has")
)
# Four words or more that somebody chose: a sentence has words between that say little, or such as are said of
# passwords.
_PASSPHRASE = re2.compile(rb"^[a-z]{3,9}(?: [a-z]{3,9}){3,7}$")
_SENTENCE_WORDS = _PROSE_WORDS | frozenset(
    b"""
    with this that must should not can cannot will would may have had were does doesn before after all any
    value values field fields password passwords passphrase secret required invalid enter missing contain
    contains least most than more less character characters letter letters number numbers match matches too
    blank empty wrong incorrect new old current change changed reset user users login account error failed
    using used via set get when where which what into only valid between long short special digit digits but
    one see use you our its then when while until
    """.split()
)
_GROUPS = re2.compile(rb"^[A-Za-z0-9]{4}(?: [A-Za-z0-9]{4}){3,7}$")
_WEAK_VALUE = re2.compile(rb"^[A-Za-z0-9+/=_\-.~:|]{16,512}$")
_DATE = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORDS = re2.compile(r"[A-Z]+(?:[^A-Za-z]|$)|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
CONTAINERS = re2.compile(
    r"(?i)^(?:.*[_\-.])?(?:secrets?|credentials?|creds|passwords?|tokens|api_?keys|private_?keys|cookies|secret_?data|secret_?values?)$"
)
"""Names of objects that hold secrets under names of any kind."""
_IDENTIFIERS = re2.compile(rb"^[A-Za-z_][\w\-]*(?:\.[A-Za-z_]\w*)+$")
_CARD_CODE = re2.compile(r"(?i)(?:^|[_\-. ]|card)(?:cvv|cvc)2?$")
_CODE = re.compile(rb"[A-Za-z_][A-Za-z0-9_.]*+[(\[].*+\Z")
_LEET = re2.compile(rb"^[A-Za-z]*[0-9]+[A-Za-z]+[(\[][A-Za-z]*[0-9]+[A-Za-z]+$")  # `P4ss(w0rd`


@lru_cache(maxsize=8192)
def classify(name: str) -> NameClass:
    """Tell what the value under `name` (a JSON key, header, query or variable name) is likely to be."""
    if len(name) > _MAX_NAME:
        return NameClass.NONE
    if is_noise(raw := name.encode("latin-1", "replace")):  # `<random id>_password` is a name all the same
        end = _AFTER_NOISE.search(raw)
        return classify(end.group(1).decode()) if end is not None else NameClass.NONE
    if not name.isascii():
        name = _without_accents(name)
    glued = "".join(c for c in name.lower() if c.isalnum())
    words = [word.strip("_-. :/").lower() for word in _WORDS.findall(name)]
    if not glued or _NOT_SECRET.fullmatch(glued) or (len(words) > 1 and words[0] in _QUESTIONS):
        return NameClass.NONE
    if is_benign_token(words):
        return NameClass.NONE
    last = words[-1] if words else ""
    if _PASSWORD.search(glued) or last in {"pass", "pw"}:
        return NameClass.PASSWORD
    if _SECRET.search(glued) or (last in {"pat", "sig"} and glued != last):
        return NameClass.SECRET
    if last == "auth" or last in _SESSIONS or glued in _WEAK_NAMES:
        return NameClass.WEAK
    return _of_little(words, glued, is_flag=name.startswith("--"))


def _of_little(words: list[str], glued: str, *, is_flag: bool) -> NameClass:
    """Of a name that says no more than whose it is."""
    if _OPAQUE.search(glued) or (words[-1:] == ["api"] and not SERVICES.isdisjoint(words[:-1])):
        return NameClass.OPAQUE
    if (glued == "key" and is_flag) or (words[:1] == ["x"] and words[-1:] == ["api"]):
        return NameClass.WEAK
    return _of_key(words, glued) if glued.endswith("key") else NameClass.NONE


def is_benign_token(words: Sequence[str]) -> bool:
    """Whether words in lower case end like `next page token`, which is no secret. A client's is to most an
    id against doing a thing twice; to Vault it is the secret itself.
    """
    return "vault" not in words and any(_NOT_SECRET.fullmatch("".join(words[-count:])) for count in (1, 2, 3))


def _of_key(words: list[str], glued: str) -> NameClass:
    """Of a name that ends in `key`: whose key it is tells most."""
    owner = glued[:-3]
    if not SERVICES.isdisjoint((owner, owner.removeprefix("x"), *words[-2:-1])):
        return NameClass.SECRET
    if len(words) > 1 and words[-1] == "key":
        is_benign = words[-2] in _BENIGN_KEY_WORDS
    else:
        is_benign = not owner or owner.endswith(_BENIGN_ENDS)
    return NameClass.NONE if is_benign else NameClass.WEAK


def _without_accents(name: str) -> str:
    """Names are read as Latin-1: what was UTF-8 is read as that, and letters lose their marks."""
    with suppress(UnicodeError):
        name = name.encode("latin-1").decode()
    folded = unicodedata.normalize("NFKD", name.replace("ł", "l").replace("ø", "o"))
    return "".join(char for char in folded if not unicodedata.combining(char))


def can_be_password(value: bytes) -> bool:
    """For a value under a password's name: anything that is not a placeholder or a sentence."""
    if len(value) > 4096 or is_placeholder(value):
        return False
    if value.startswith((b"/", b"arn:")) and _FILE.search(value) and not is_noisy_path(value):
        return False
    return not (value.count(b" ") >= 2 and _PLAIN_WORDS.search(value) is not None) or (
        is_phrase(value) or _is_passphrase(value)
    )


def is_noisy_path(value: bytes) -> bool:
    """Whether what is written like a path may be base64, in which one character of 64 is a slash."""
    return value.startswith(b"/") and _mixed(value) and switches(value) * 4 > len(value)


def is_phrase(value: bytes) -> bool:
    """Whether it is a mnemonic (BIP 39) of 12 to 24 words, or a password in groups of four letters."""
    if b" " not in value:
        return False
    if _GROUPS.search(value):
        return True
    return _MNEMONIC.search(value) is not None and value.count(b" ") in {11, 14, 17, 20, 23}


def _is_passphrase(value: bytes) -> bool:
    return _PASSPHRASE.search(value) is not None and _SENTENCE_WORDS.isdisjoint(value.split())


def is_phrase_under_name(value: bytes) -> bool:
    """For a value under a mnemonic's name: any such words but prose, whose commonest BIP 39 leaves out."""
    return _MNEMONIC.search(value) is not None and _PROSE_WORDS.isdisjoint(value.split())


def can_be_secret(value: bytes) -> bool:
    """For a value under a token's or key's name: not prose, a word, an identifier, a path or a URL."""
    text = value.strip()
    if len(text) < 6 or is_placeholder(text):
        return False
    if is_phrase(text):
        return True
    if not has_digit(text):
        if _PLAIN_WORDS.search(text) or (_ALL_CAPS_WORDS.search(text) and len(text) < 16):
            return is_wordless(text) or (len(text) >= 20 and not set(text) & set(b" -_./:,'"))
        if _IDENTIFIERS.search(text) and entropy(text) < 4.0:
            return any(is_jumbled(part) for part in text.split(b"."))
    if _is_code(text) or _DATE.match(text) or (_is_path(text) and not _mixed(text)):
        return False
    if _is_url(text):
        return b"@" in text
    if text.isdigit():
        return len(text) >= 6
    if b" " in text:
        return text.count(b" ") <= 2 and any(_mixed(part) and len(part) >= 8 for part in text.split())
    return True


def can_be_opaque(kind: NameClass, value: bytes) -> bool:
    """For a value under a name that leaves it open: what nobody chose."""
    return (kind is NameClass.WEAK and looks_random(value)) or (kind is NameClass.OPAQUE and is_opaque(value))


def is_card_code(name: str, value: bytes) -> bool:
    """Whether it is what is printed on a card beside its number, which nobody may store (PCI DSS, 3.3.1)."""
    return len(value) in {3, 4} and value.isdigit() and _CARD_CODE.search(name) is not None


def looks_random(value: bytes) -> bool:
    """For a value under a name that says little: long, mixed, of high entropy, and no id, date or path."""
    if not _WEAK_VALUE.search(value) or UUID.match(value) or _DATE.match(value) or _is_url(value):
        return False
    if _is_path(value) or not _mixed(value):
        return False
    return switches(value) >= 4 and entropy(value) >= 3.0


def is_dense(value: bytes) -> bool:
    """For a value under no name of its own inside a container of secrets, or after prose."""
    return (
        len(value) >= 8
        and b" " not in value
        and (_mixed(value) or is_wordless(value))
        and not (_DATE.match(value) or _is_url(value) or _is_path(value) or is_placeholder(value))
    )


def _is_code(value: bytes) -> bool:
    return _CODE.match(value) is not None and _LEET.search(value) is None


def _is_url(value: bytes) -> bool:
    return b":" in value and _URL.search(value) is not None


def _is_path(value: bytes) -> bool:
    signs = b"/" in value or b"." in value or b"\\" in value  # one of them is in each
    return signs and _PATH.search(value) is not None


def count_digits(value: bytes) -> int:
    return sum(code in DIGITS for code in value)


def _mixed(value: bytes) -> bool:
    kinds = set(value)
    return bool(kinds & LETTERS) and bool(kinds & DIGITS or len(kinds - LETTERS - frozenset(b" ._-/:,")) > 0)
