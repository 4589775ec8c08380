"""A recorded call as a curl command that makes it again, through the gateway.

What comes out of a recording may be anybody's, and stands in a shell script: every piece of it is quoted, a
body goes in without curl's own meaning of `@`, and nothing names a file.
"""

from __future__ import annotations

import base64
import re
import shlex
import textwrap

from mitmproxy import http

from addons.cli.policy.recordings import shown, when
from addons.core import hosts
from addons.core.agent_keys import DROPPED_HEADERS
from addons.core.redact.masking.mask import contains_mask
from addons.store.recordings.bodies import body_of
from addons.store.recordings.entry import Entry

HEAD = """\
#!/bin/sh
# Recorded calls, to be made again through ddgate: as whoever the token names, under policy, approval and
# audit. DDGATE_TOKEN: the token. DDGATE_PROXY: the gateway. DDGATE_CA: its certificate.
: "${DDGATE_TOKEN:?set it to your token}"
: "${DDGATE_PROXY:=http://127.0.0.1:8080}"
: "${DDGATE_CA:=certs/ddgate-ca.pem}"
"""
BETWEEN = ""
TAIL = ""

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}", re.ASCII)
_LONGEST_ARGUMENT = 64 * 1024  # Linux takes 128 KiB
# curl makes these itself, or they belong to one connection; the rest are credentials.
_LEFT_OUT = DROPPED_HEADERS | {
    b"connection",
    b"content-encoding",
    b"content-length",
    b"expect",
    b"host",
    b"keep-alive",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"x-ddgate-identity",
}


class NoCommand(ValueError):  # noqa: N818 - named after what is wrong
    """There is no command that makes this call again; the text says why."""


def curl_command(entry: Entry, flow: http.HTTPFlow) -> str:
    """Write the lines of one call. Raises `NoCommand`, or one of `NOT_A_FLOW`."""
    request = flow.request
    method, host = request.method, hosts.normalise_host(request.host)
    if not _METHOD.fullmatch(method) or method.upper() == "CONNECT":
        raise NoCommand(f"{shown(method)!r} is no method of a request")
    if host is None:
        raise NoCommand("its host is no name")
    if not request.path.startswith("/") or not request.path.isprintable() or " " in request.path:
        raise NoCommand("its path is not of a form that can be sent")
    body = body_of(request)
    if body.data is None:
        raise NoCommand("its body is not in the recording")
    if body.problem:
        raise NoCommand(f"its body can't be sent as it is, {body.problem}")
    if method == "HEAD" and body.data:
        raise NoCommand("curl sends no HEAD with a body")
    lines = [f"# {shown(entry.call)}  {when(entry.time)}"]
    if contains_mask(request.path.encode("utf-8", "replace")) or contains_mask(body.data):
        lines.append(
            "# It holds masks where there were secrets: the gateway refuses it until they are filled in."
        )
    command = [
        "curl --silent --show-error --globoff --path-as-is",
        '--proxy "$DDGATE_PROXY" --proxy-user "agent:$DDGATE_TOKEN" --cacert "$DDGATE_CA"',
        "--head" if method == "HEAD" else f"--request {shlex.quote(method)}",
        *(f"--header {shlex.quote(header)}" for header in _headers(request, has_body=bool(body.data))),
    ]
    before, after = "", ""
    text = body.text
    if text is not None and text and len(body.data) <= _LONGEST_ARGUMENT and _fits_a_script(text):
        command.append(f"--data-raw {shlex.quote(text)}")
    elif body.data:
        before = "base64 -d <<'=END=' | "
        command.append("--data-binary @-")
        after = "\n".join(["", *textwrap.wrap(base64.b64encode(body.data).decode(), 100), "=END="])
    command.append(f"--url {shlex.quote(f'https://{host}{request.path}')}")
    lines.append(before + " \\\n  ".join(command) + after)
    return "\n".join(["", *lines, ""])


def _headers(request: http.Request, *, has_body: bool) -> list[str]:
    made, has_type = [], False
    for name, value in request.headers.fields:
        lowered = name.lower()
        text = value.decode("utf-8", "replace").strip()
        if lowered.replace(b"_", b"-") in _LEFT_OUT or not _TOKEN.fullmatch(name) or not text.isprintable():
            continue
        has_type = has_type or lowered == b"content-type"
        made.append(f"{name.decode()}: {text}" if text else f"{name.decode()};")
    if has_body and not has_type:
        made.append("Content-Type:")  # or curl says that it is a form
    return made


def _fits_a_script(text: str) -> bool:
    return all(char.isprintable() or char in "\n\t" for char in text)
