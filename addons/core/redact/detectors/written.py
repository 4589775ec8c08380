"""Secrets as programs, protocols and people write them down: in code, in sessions of a protocol, in pairs."""

# ruff: noqa: E501 - a table of patterns

from __future__ import annotations

import binascii
import re
from contextlib import suppress

from addons.core.redact.detectors.detector import Detector
from addons.core.redact.detectors.names import can_be_password, can_be_secret, is_dense, looks_random
from addons.core.redact.detectors.randomness import UUID, has_digit, switches
from addons.core.redact.detectors.vendors import fill, hex_, shaped

_LEAST_SWITCHES = 4
_KINDS = (re.compile(rb"[a-z]"), re.compile(rb"[A-Z]"), re.compile(rb"[0-9]"))
_SIGNING_KEY = fill(20) + "/" + fill(19)


def is_made(value: bytes) -> bool:
    """For what stands after a word that often has another meaning: no name, version or id."""
    return is_dense(value) and switches(value) >= _LEAST_SWITCHES and UUID.match(value) is None


def _in_all_cases(value: bytes) -> bool:
    return all(kind.search(value) is not None for kind in _KINDS)


def _is_plain(value: bytes) -> bool:
    """RFC 4616: what authorises, who, and the password, with NULs between."""
    with suppress(binascii.Error):
        return b"\0" in binascii.a2b_base64(value)
    return False


_CODE: tuple[Detector, ...] = (
    shaped(
        "typed-string",
        r"(?i:password|passwd|passphrase|secret|token|api_?key|secret_?key) string ?= ?[\"`]([^\"`\s\\]{6,256})[\"`]",
        r" string ?= ?\\*[\"`]",
        (b" string",),
        ('var dbPassword string = "Ny8fVq3x"', "const apiToken string = `Ny8fVq3x`"),
        ('var password string = ""', 'var tokenName string = "Ny8fVq3x"', 'var token string = "required"'),
        group=1,
        check=can_be_secret,
        structural=True,
    ),
    shaped(
        "password-call",
        r"(?i:password|passwd|passphrase|passcode) ?\( ?[bNru]?[\"']([^\"'\s\\]{6,256})[\"'] ?\)",
        r"(?i:passw(?:or)?d|passphrase|passcode) ?\( ?[bNru]?\\*[\"']",
        (b"(",),
        ('conn.setPassword("Ny8fVq3x")', 'with_password("Ny8fVq3x")', "SET p = PASSWORD('Ny8fVq3x')"),
        ('getPassword("database")', "password('confirm')", 'setPassword("")', "setPassword(value2x)"),
        group=1,
        check=is_dense,
        structural=True,
    ),
    shaped(
        "secret-call",
        r"(?i:(?:set|with|use)_?[a-z_]{0,20}(?:secret|token|api_?key|access_?key)) ?\( ?[bNru]?[\"']([^\"'\s\\]{12,512})[\"'] ?\)",
        r"(?i:secret|token|api_?key|access_?key) ?\( ?[bNru]?\\*[\"']",
        (b"(",),
        (f'client.setApiKey("{fill(24)}")', f"with_token('{fill(24)}')"),
        ('getToken("Ny8fVq3xkQ7z")', 'setToken("stock-orders-v2")', f'setToken("{"a" * 24}")'),
        group=1,
        check=is_made,
        structural=True,
    ),
    shaped(
        "sql-password",
        r"\b(?:IDENTIFIED BY|identified by) [\"']([^\"'\s\\]{6,256})[\"']",
        r"(?:IDENTIFIED BY|identified by) \\*[\"']",
        (b"IDENTIFIED", b"identified"),
        ("... IDENTIFIED BY 'Ny8fVq3x'", "... identified by 'Ny8fVq3x'"),
        ("IDENTIFIED BY '?'", "IDENTIFIED BY 'required'"),
        group=1,
        check=is_dense,
        structural=True,
    ),
    shaped(
        "terraform-variable",
        r"\bvariable \"[A-Za-z0-9_\-]{0,60}(?i:password|passwd|passphrase|secret|token|api_?key|access_?key|private_?key)\" \{[^{}]{0,200}?\bdefault\s{0,20}= ?\"([^\"\s\\]{6,512})\"",
        r"variable \\*\"[A-Za-z0-9_\-]{1,80}\\*\" \{",
        (b"variable",),
        ('variable "db_password" {\n  type    = string\n  default = "Ny8fVq3x"\n}',),
        (
            'variable "db_password" {\n  type = string\n}\nvariable "region" {\n  default = "eu-west-1"\n}',
            'variable "token" {\n  default = "required"\n}',
        ),
        group=1,
        check=can_be_secret,
        structural=True,
    ),
)

_PROTOCOLS: tuple[Detector, ...] = (
    shaped(
        "redis-auth",
        r"\bAUTH (?:default )?([^\s\"'\\]{8,256})",
        r"AUTH (?:default )?[^\s\"'\\]{8}",
        (b"AUTH ",),
        ("redis: AUTH Ny8fVq3xkQ7z", "> AUTH default Ny8fVq3xkQ7z"),
        ("AUTH SCRAM-SHA-256", "AUTH XOAUTH2 failed", "AUTH module-v2 loaded", "AUTH required for default"),
        group=1,
        check=is_made,
        structural=True,
    ),
    shaped(
        "sasl-credential",
        r"\bAUTH PLAIN ([A-Za-z0-9+/]{8,512}={0,2})",
        r"AUTH PLAIN [A-Za-z0-9+/]{8}",
        (b"AUTH PLAIN ",),
        ("C: AUTH PLAIN AHRpbGwATnk4ZlZxM3g=",),
        ("250-AUTH PLAIN LOGIN", "AUTH PLAIN mechanism refused"),
        group=1,
        check=_is_plain,
        structural=True,
    ),
    shaped(
        "ftp-password",
        r"(?:[>:\-] ?|\bUSER [^\s\"'\\]{1,64}\s{1,3})PASS ([^\s\"'\\]{4,256})",
        r"(?:[>:\-] ?|USER [^\s\"'\\]{1,64}[\s\\nrt]{1,12})PASS [^\s\"'\\]{4}",
        (b"PASS ",),
        ("> USER till\n> PASS Ny8fVq3x\n< 230 in", "USER till\r\nPASS Ny8fVq3x"),
        ("PASS src/orders.test.js", "--- PASS: TestOrders2 (0.00s)", "> PASS (hidden)", "> PASS ********"),
        group=1,
        check=lambda value: is_dense(value) and has_digit(value),
        structural=True,
    ),
    shaped(
        "url-signature",
        r"~hmac=([0-9a-fA-F]{32,128})",
        r"~hmac=[0-9a-fA-F]{20}",
        (b"~hmac=",),
        ("https://cdn.example.net/v?hdnts=exp=1785000000~acl=/*~hmac=" + hex_(64),),
        ("~hmac=none", "hmac=" + hex_(12)),
        group=1,
        structural=True,
    ),
    shaped(
        "oracle-connect",
        r"(?:^|[\s\"'=])[A-Za-z][A-Za-z0-9_$#]{0,29}/([^\s/@\"'\\]{4,128})@(?://)?[A-Za-z0-9.\-]{1,253}:152[0-9][/:]",
        r":152[0-9]\\?[/:]",
        (b":152",),
        ("dsn till/Ny8fVq3x@ora.example.net:1521/STK", "till/Ny8fVq3x@//ora:1522/STK"),
        ("//ora.example.net:1521/STK", "https://h.example.net/a@ora:1521/STK"),
        group=1,
        check=can_be_password,
        structural=True,
    ),
)

_PAIRS: tuple[Detector, ...] = (
    shaped(
        "aws-secret-key",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}[\"']?(?:\s{0,3}[,:;/|]\s{0,3}|\s{1,4}"
        r"|[,\s]{1,3}(?:and |with )?(?i:(?:aws[ _\-])?secret(?:[ _\-]?access)?(?:[ _\-]?key)?)[\s:=]{1,4})"
        r"[\"']?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}[^A-Z0-9]",
        (b"AKIA", b"ASIA"),
        (
            f"till,AKIA{fill(16).upper()},{_SIGNING_KEY}",
            f"access key AKIA{fill(16).upper()} secret key {_SIGNING_KEY}",
            f"AKIA{fill(16).upper()} / {_SIGNING_KEY}",
        ),
        (f"AKIA{fill(16).upper()} {hex_(40)}", f"AKIA{fill(16).upper()} was seen"),
        group=1,
        kind="aws-secret-key",
        check=_in_all_cases,
        structural=True,
    ),
    shaped(
        "credential-pair",
        r"(?i:\b(?:credentials?|creds|basic auth)) [A-Za-z0-9_.@\-]{1,64}:([^\s\"'`,;:/\\]{8,256})",
        r"(?i:credentials?|creds|basic auth) [A-Za-z0-9_.@\-]{1,64}:[^\s\"'`,;:/\\]{8}",
        (b":",),
        ("using basic auth till:Ny8fVq3xkQ7z", "credentials till:Ny8fVq3xkQ7z rejected"),
        (
            "credentials provider:sts-v2-default",
            "credentials arn:aws:iam::1:role/x",
            "credential id:" + "5c1e0b7a-42d9-4f63-8b1e-7d20c9a6f314",
        ),
        group=1,
        check=is_made,
        structural=True,
    ),
    shaped(
        "url-token",
        r":(?:\\?/){2}([A-Za-z0-9]{16,19})@[A-Za-z0-9.\-]{0,60}(?:git|bitbucket)[A-Za-z0-9]{0,20}\.",
        r":(?:\\?/){2}[A-Za-z0-9]{16,19}@[A-Za-z0-9.\-]{0,60}(?:git|bitbucket)",
        (b"@",),
        ("https://" + fill(18) + "@github.example.net/till/stock",),
        ("https://deployaccount2024@github.example.net/till/stock", "https://till@git.example.net/stock"),
        group=1,
        check=lambda value: _in_all_cases(value) and looks_random(value),
        structural=True,
    ),
)

WRITTEN: tuple[Detector, ...] = (*_CODE, *_PROTOCOLS, *_PAIRS)
