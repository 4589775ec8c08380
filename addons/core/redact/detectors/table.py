"""The table of detectors: vendors' tokens, then forms that many share, then personal data."""

# ruff: noqa: E501 - a table of patterns and lengths

from __future__ import annotations

import re

from addons.core.redact.detectors.commands import COMMANDS, is_no_word
from addons.core.redact.detectors.detector import Detector, jwt_header
from addons.core.redact.detectors.names import can_be_password, is_dense, looks_random
from addons.core.redact.detectors.personal import PERSONAL
from addons.core.redact.detectors.randomness import is_jumbled
from addons.core.redact.detectors.vendors import VENDORS, fill, hex_, shaped, upper
from addons.core.redact.detectors.vendors_platforms import PLATFORMS
from addons.core.redact.detectors.vendors_products import PRODUCTS
from addons.core.redact.detectors.vendors_services import SERVICES
from addons.core.redact.detectors.written import WRITTEN

_JWT = "eyJ" + "hbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9" + ".eyJ" + "zdWIiOiJhIn0." + fill(43)
_PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{fill(64)}\n{fill(40)}\n-----END RSA PRIVATE KEY-----"


# The head alone, as a sentence names it.
_HEAD_IN_PROSE = re.compile(
    rb"-----BEGIN [A-Z0-9 ]{1,60}+-----[\"'\\]{0,2}+,?[ \t]++[a-z]{2,20}+(?![A-Z0-9+/=])"
)
_OF_A_KEY = re.compile(rb"[A-Za-z0-9+/]{24}")
_FOLLOWING = 200  # bytes
_PORT_AND_PATH = re.compile(rb"[0-9]{2,5}/")
_MIXED = (re.compile(rb"[a-z]"), re.compile(rb"[A-Z]"), re.compile(rb"[0-9]"))


def _holds_key(value: bytes) -> bool:
    head = _HEAD_IN_PROSE.match(value)
    return head is None or _OF_A_KEY.search(value, head.end(), head.end() + _FOLLOWING) is not None


def _userinfo(value: bytes) -> bool:
    return (
        can_be_password(value)
        and not value.startswith((b"{", b"$", b"<"))
        and _PORT_AND_PATH.match(value) is None
    )


def _in_all_cases(value: bytes) -> bool:
    """For a value whose name says little: no id, hash or word has letters of both cases and digits."""
    return looks_random(value) and all(kind.search(value) is not None for kind in _MIXED)


_SHARED: tuple[Detector, ...] = (
    shaped(
        "private-key",
        # No alternative reads on to an END that may never come: a text of BEGINs would cost its square.
        r"----(?:-| )BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?(?:-| )----"
        r"(?:(?:\s|\\[rn])*[A-Za-z\-]{2,20}: [^\r\n\\]+(?:\s|\\[rn])+){0,6}[A-Za-z0-9+/=\s\\\"',]*"
        r"(?:-{1,5}(?: ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?(?: -{4})?)?-{0,5})?",
        "PRIVATE KEY",
        (b"PRIVATE KEY",),
        (
            _PEM,
            _PEM.replace("\n", "\\n"),
            _PEM[:90],
            _PEM.replace("RSA ", "OPENSSH "),
            _PEM.replace("RSA ", ""),
            _PEM.replace("-----", "----").replace("----B", "---- B").replace("KEY----", "KEY ----"),
        ),
        (
            "-----BEGIN PUBLIC KEY-----\nabc",
            "the PRIVATE KEY is missing",
            "-----BEGIN CERTIFICATE-----\nMII",
            "no -----BEGIN PRIVATE KEY----- line in it\nnor an END",
        ),
        check=_holds_key,
        doubtful=False,
    ),
    shaped(
        "putty-key",
        r"PuTTY-User-Key-File-[0-9]:[\x00-\xff]*?Private-MAC: [0-9a-f]{40,64}",
        "PuTTY-User-Key-File",
        (b"PuTTY-User-Key-File",),
        ("PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 1\n" + fill(64) + "\nPrivate-MAC: " + hex_(64),),
        ("PuTTY-User-Key-File is a format",),
        doubtful=False,
    ),
    shaped(
        "jwt",
        r"eyJ[A-Za-z0-9_\-]{8,}={0,2}(?:\.[A-Za-z0-9_\-=]{2,}){1,4}",
        "eyJ",
        (b"eyJ",),
        (f"token {_JWT}.", f"jwt={_JWT}&x=1"),
        ("eyJwYWdlIjogMiwgInNpemUiOiAyNX0", "eyJwYWdlIjogMiwgInNpemUiOiAyNX0.eyJiIjoyfQ"),
        check=jwt_header,
    ),
    shaped(
        "authorization",
        r"(?i:\b(?:bearer|ssws|geniekey|delegated|negotiate|splunk)\\?[ +]{1,3}|\bauthorization: ?token\s+)"
        r"([A-Za-z0-9._~+/=\-|:%]{12,})",
        r"(?i:bearer|ssws|geniekey|delegated|negotiate|splunk|token)[ +][A-Za-z0-9._~+/=\-|:%]{12}",
        (b" ", b"+"),
        ("Authorization: Bearer " + fill(40), "curl -H 'authorization: token " + fill(40) + "'"),
        (
            "scheme:Bearer host:edge-router-canary",
            "Bearer authentication-required",
            "bearer credentials rejected",
        ),
        group=1,
        check=is_dense,
        structural=True,
    ),
    shaped(
        "basic-auth",
        r"(?i:\bbasic\s{1,3})([A-Za-z0-9+/_\-]{8,}={0,2})",
        r"(?i:basic) {1,3}[A-Za-z0-9+/_\-]{8}",
        (b"asic", b"ASIC"),
        ("Authorization: Basic YXBwOnMzY3IzdA==",),
        ("basic authentication failed", "Basic realm=shop", "basic understanding"),
        group=1,
        check=lambda value: is_dense(value) or value.endswith(b"="),
        structural=True,
    ),
    shaped(
        "cookie",
        r"(?i:\b(?:set-)?cookie['\"]?: ?['\"]?)([!#$%&'*+\-.^_`|~0-9A-Za-z]+=[^\s;\"']+"
        r"(?:;[ \t]?[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=[^\s;\"']*)?)*)",
        r"(?i:cookie['\"]?: ?['\"]?)[!#$%&'*+\-.^_`|~0-9A-Za-z]+=",
        (b"ookie", b"OOKIE"),
        ("< Set-Cookie: sid=" + fill(20) + "; Path=/", "Cookie: a=1; dogweb=" + fill(40)),
        ("the cookie was set; cookies=3", "Cookie: none"),
        group=1,
        structural=True,
    ),
    shaped(
        "url-userinfo",
        r":(?:\\?/){2}[^\s/\"'@:<>\\?#]{0,100}:([^\s/\"'<>@?#\\]{1,256}(?:@[^\s/\"'<>@?#\\,]{1,128})?|[^\s\"'<>@\\]{1,128})@[A-Za-z0-9\[.\-$_]",
        r":(?:\\?/){2}[^\s/\"'@:<>\\?#]*:[^\s\"'<>@\\]+@",
        (b"@",),
        (
            "postgres://shop:Ny8fVq@pg:5432/x",
            "fetch https:\\/\\/ci:Ny8fVq@code.example.net",
            "amqp://:pw1@mq/",
        ),
        ("http://a:8080/x", "https://h/a:b/c", "mongodb+srv://shard7.example.net/stock"),
        group=1,
        check=_userinfo,
        structural=True,
    ),
    shaped(
        "url-token",
        r":(?:\\?/){2}([A-Za-z0-9_\-]{20,100})(?::(?:x-oauth-basic)?)?@[A-Za-z0-9\[]",
        r":(?:\\?/){2}[A-Za-z0-9_\-]{20,100}(?::(?:x-oauth-basic)?)?@",
        (b"@",),
        (
            "https://" + hex_(32) + "@sentry.example.com/1",
            "git+https://" + fill(40) + "@code.example.net/a",
            "https://" + fill(20, "QzXwBvNcMsLfjDhGtPy") + ":@gems.example.net/a",
        ),
        (
            "https://blog.example.net/@ines",
            "ssh://ines@code.example.net",
            "ssh://deploy-account-of-stock@h.example.net",
        ),
        group=1,
        check=lambda value: is_dense(value) or is_jumbled(value),
        structural=True,
    ),
    shaped(
        "oracle-url",
        r"(?i)jdbc:oracle:[a-z]{2,4}:[^/\s\"@]{1,64}/([^@\s\"]{1,128})@",
        "(?i:jdbc:oracle:)",
        (b"racle", b"RACLE"),
        ("jdbc:oracle:oci:stock/Ny8fVq@//ora:1521/STK",),
        ("jdbc:oracle:oci:@//ora:1521/STK",),
        group=1,
        structural=True,
    ),
    shaped(
        "sql-password",
        r"(?i:\b(?:user|role|grant)\b[^\n;]{0,200}?\bidentified\s+(?:with\s+[A-Za-z0-9_'\"`]{1,40}\s+)?(?:by|as)\s+(?:password\s+)?"
        r"|\bset\s+password\s+for\b[^\n;=]{1,120}=\s*(?:password\()?)\\*['\"]([^'\"\s\\]{4,256})",
        r"(?i:identified\s+(?:by|with)|set\s+password\s+for)",
        (b"dentified", b"DENTIFIED", b"or", b"OR"),
        (
            "SET PASSWORD FOR 'till'@'%' = 'Ny8fVq3'",
            "CREATE USER till IDENTIFIED BY 'Ny8fVq3'",
            'ALTER USER a IDENTIFIED WITH sha2 AS "Ny8fVq3"',
        ),
        (
            "the user was identified by 'name'd rule",
            "identified by 'till-3'",
            "IDENTIFIED BY '?'",
            "identified by '%s'",
        ),
        group=1,
        check=is_no_word,
        structural=True,
    ),
    shaped(
        "datadog-key-path",
        r"/(?:v1/input|api/v[12]/(?:[A-Za-z0-9_\-]{1,64}/){0,3}(?:api_keys?|application_keys?))/([0-9a-fA-F]{32,40})",
        r"/(?:input|api_keys?|application_keys?)/[0-9a-fA-F]{32}",
        (b"/",),
        ("/v1/input/" + hex_(32) + "?x", "/api/v1/application_key/" + hex_(40)),
        ("/api/v2/api_keys/" + "5c1e0b7a-42d9-4f63-8b1e-7d20c9a6f314", "/v1/input/x"),
        group=1,
        structural=True,
    ),
    shaped(
        "datadog-key-in-key-answer",
        r"(?i)(?:dd|datadog)[_\-. ]{0,2}(?:api|app|application)[_\-. ]{0,2}key[^A-Za-z0-9]{1,6}([0-9a-f]{40}|[0-9a-f]{32})",
        r"(?i:(?:dd|datadog)[_\-. ]{0,2}(?:api|app|application)[_\-. ]{0,2}key)[^A-Za-z0-9]{1,6}[0-9a-fA-F]{32}",
        (b"key", b"KEY", b"Key"),
        ("DD_API_KEY " + hex_(32), "datadog api key: " + hex_(32)),
        ("DD_API_KEY is unset",),
        group=1,
        kind="datadog-key",
        structural=True,
    ),
    shaped(
        "dsn-userinfo",
        r"(?:^|[\s\"'=])[A-Za-z0-9_.\-]{1,64}:([^\s\"'@]{4,256})@(?:tcp|unix)\(",
        r"@(?:tcp\(|unix\()",
        (b"@tcp(", b"@unix("),
        ("till:Ny8fVq3x@tcp(db:3306)/stock", "DSN=till:Ny8fVq3x@unix(/tmp/mysql.sock)/stock"),
        ("till@tcp(db:3306)/stock",),
        group=1,
        check=can_be_password,
        structural=True,
    ),
    shaped(
        "bare-userinfo",
        # An address of mail has no port, and none of an IP address has a password in it.
        r"(?:^|[\s\"'=,(\[])[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}:([^\s\"'@/:,;<>(){}\[\]\\]{6,128})@"
        r"(?:[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){1,6}:[0-9]{2,5}|(?:[0-9]{1,3}\.){3}[0-9]{1,3})(?:[^A-Za-z0-9_.\-]|$)",
        # Open repeats would halve the speed of Hyperscan beside the one of mail addresses.
        r"@[A-Za-z0-9\-]{1,63}\.[A-Za-z0-9.\-]{1,80}:[0-9]{2}|@[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
        (b"@",),
        ("connect till:Ny8fVq3x@pg.example.net:5432/stock", "proxy=till:Ny8fVq3x@10.0.0.7, retry"),
        (
            "mail:till7@mail.example.net, next",
            "registry.example.net/till:1.2.7@sha256:" + hex_(64),
            "till:till@pg.example.net:5432",
            "at 12:30:07@10.0.0.7",
        ),
        group=1,
        check=lambda value: (
            is_dense(value) and can_be_password(value) and not value.replace(b".", b"").isdigit()
        ),
        structural=True,
    ),
    shaped(
        "pgpass-line",
        r"(?:(?:^|[\s\"'])[A-Za-z0-9*][^\s:]{0,100}:(?:543[0-9]|6432|\*):[^\s:]{1,63}:|\]:(?:25|465|587)\s+)"
        r"[^\s:]{1,63}:([^\s:\"'\\]{4,128})",
        r":(?:543[0-9]|6432|\*):[^\s:]{1,63}:[^\s:]{1,63}:|\]:(?:25|465|587)[\s\\t]+[^\s:]{1,63}:",
        (b":543", b":6432:", b":*:", b"]:"),
        (
            "db.example.net:5432:stock:till:Ny8fVq3x",
            "*:*:*:till:Ny8fVq3x",
            "[smtp.example.net]:587 till:Ny8fVq3x",
        ),
        ("db.example.net:5432:up",),
        group=1,
        check=can_be_password,
        structural=True,
    ),
    shaped(
        "piped-password",
        r"\becho\s+(?:-n\s+)?\\?[\"']?([^\s\"'|\\]{4,256})\\?[\"']?\s*\|\s*(?:sudo\s+-S|[^\n|]{0,80}(?:--password-stdin|--with-token)|chpasswd)",
        r"sudo\s+-S|--password-stdin|--with-token|chpasswd",
        (b"|",),
        ("echo Ny8fVq3x | sudo -S id", 'echo "Ny8fVq3x" | docker login -u till --password-stdin'),
        ('echo "$PASS" | docker login --password-stdin',),
        group=1,
        check=can_be_password,
        structural=True,
    ),
    shaped(
        "url-secret",
        r"(?i)[?&;#](?:key|code|ticket|sas|session_?id|sid|jsessionid|phpsessid|auth_?code|invite|magic)="
        r"([A-Za-z0-9_\-.~%+/=]{20,})",
        r"(?i:[?&;#](?:key|code|ticket|sas|session_?id|sid|jsessionid|phpsessid|auth_?code|invite|magic)=)[A-Za-z0-9_\-.~%+/=]{20}",
        (b"=",),
        ("https://x.example.net/cb?code=" + fill(32) + "&state=1", "/in?a=1&key=" + fill(32)),
        (
            "/x?session_id=5c1e0b7a-42d9-4f63-8b1e-7d20c9a6f314",
            "/x?key=orders.created.by.customer",
            "/x?key=" + hex_(32),
        ),
        group=1,
        check=_in_all_cases,
        structural=True,
    ),
    shaped(
        # OAuth 2.0 (RFC 6749, 4.1.2), of any letters: its state beside it tells what it is.
        "oauth-code",
        r"[?&]code=([A-Za-z0-9_\-.~%/]{16,512})&(?:amp;)?state=",
        r"[?&]code=[A-Za-z0-9_\-.~%/]{16}",
        (b"code=",),
        ("https://x.example.net/cb?code=" + hex_(64) + "&state=xy",),
        ("/list?code=" + hex_(64), "/search?code=orders.created.in.berlin&state=open"),
        group=1,
        check=is_dense,
        structural=True,
    ),
    shaped(
        "url-path-secret",
        r"(?i)/(?:token|reset-?password|password[-_/]?reset|magic(?:-?link)?|invite|verify-?email|confirm)/"
        r"([A-Za-z0-9_\-]{20,})",
        r"(?i:/(?:token|reset-?password|password[-_/]?reset|magic(?:-?link)?|invite|verify-?email|confirm)/)[A-Za-z0-9_\-]{20}",
        (b"/",),
        ("https://x.example.net/reset-password/" + fill(32),),
        ("/token/introspection-endpoint-of-us", "/confirm/" + hex_(32)),
        group=1,
        check=_in_all_cases,
        structural=True,
    ),
    shaped(
        "session-cookie",
        r"\b(?:PHPSESSID|JSESSIONID|ASP\.NET_SessionId|connect\.sid|_?[a-z]{3,20}_session|dogweb)=\"?"
        r"([A-Za-z0-9%._\-~]{16,})",
        r"(?:PHPSESSID|JSESSIONID|ASP\.NET_SessionId|connect\.sid|_session|dogweb)=",
        (b"=",),
        ("_gitlab_session=" + hex_(32) + "; path=/", "JSESSIONID=" + upper(32)),
        ("user_session=expired", "max_session=12"),
        group=1,
        check=looks_random,
        structural=True,
    ),
    shaped(
        "xml-rsa-key",
        r"<(?:D|P|Q|DP|DQ|InverseQ)>([A-Za-z0-9+/=\s]{40,})</",
        "<D>[A-Za-z0-9+/]{20}",
        (b"<D>",),
        ("<RSAKeyValue><D>" + fill(86) + "==</D></RSAKeyValue>",),
        ("<D>1</D>", "<Modulus>" + fill(86) + "</Modulus>"),
        group=1,
        structural=True,
    ),
)

DETECTORS: tuple[Detector, ...] = (
    *VENDORS,
    *PLATFORMS,
    *PRODUCTS,
    *SERVICES,
    *_SHARED,
    *COMMANDS,
    *WRITTEN,
    *PERSONAL,
)
