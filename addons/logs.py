"""The process's log: one handler, and nothing in it that came out of a message on the wire.

mitmproxy logs what it could not parse, and exceptions with their values; both may hold a token. What it says
is therefore reduced here to what happened and where.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import traceback
from enum import StrEnum

from mitmproxy.log import MitmLogHandler

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BYTES = re.compile(r"""b'|b\"""")
# mitmproxy tells each connection's coming and going; that belongs into the audit trail, not here.
_CHATTER = re.compile(r"^(client|server) (connect|disconnect)|^(half-)?clos|^transports|^error establishing")


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class Formatter(logging.Formatter):
    def __init__(self, form: LogFormat) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        message = _message(record)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        if self._form is LogFormat.JSON:
            line = {
                "time": stamp,
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": message,
            }
            return json.dumps(line)
        # One line a message, whatever it quotes: nobody may forge another line, or drive a terminal.
        shown = _CONTROL.sub(lambda found: repr(found[0])[1:-1], message)
        return f"{stamp} {record.levelname.lower():7} {shown}"


def _message(record: logging.LogRecord) -> str:
    if record.exc_info and record.exc_info[0] is not None:
        # Neither the exception's text nor mitmproxy's own, which quotes it: only its kind and its place.
        kind, _, trace = record.exc_info
        frames = traceback.extract_tb(trace)
        where = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
        return f"{kind.__name__}{where} (details are kept out of the log)"
    return record.getMessage()


class _FromElsewhere(logging.Filter):
    """Lets ddgate's own lines pass, of other libraries only warnings, and nothing that quotes bytes."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith(("addons", "ddgate")):
            return True
        if record.exc_info:
            return True
        message = record.getMessage()
        if _BYTES.search(message) or _CHATTER.search(message):
            return False
        return record.levelno >= logging.WARNING


def install(level: int, form: LogFormat) -> None:
    """Takes the root logger over, also from mitmproxy's terminal log where that is there already."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        is_errorcheck = isinstance(handler, MitmLogHandler) and "errorcheck" in type(handler).__module__
        if not is_errorcheck:
            root.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(form))
    handler.addFilter(_FromElsewhere())
    root.addHandler(handler)
    root.setLevel(level)
    # asyncio's debug messages and httpx's request lines carry URLs.
    for name in ("asyncio", "httpx", "httpcore", "hpack", "tornado"):
        logging.getLogger(name).setLevel(logging.WARNING)
