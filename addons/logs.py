"""The process's log: one handler, and nothing in it that came out of a message on the wire.

mitmproxy logs what it could not parse, and exceptions with their values; both may hold a token. What it says
is therefore reduced to what happened and where.
"""

from __future__ import annotations

import logging
import re
import sys

from mitmproxy.log import MitmLogHandler

from addons.store.log_format import Formatter, LogFormat

__all__ = ["Formatter", "LogFormat", "install"]

_BYTES = re.compile(r"""b'|b\"""")
# mitmproxy tells each connection's coming and going; that belongs into the audit trail, not here.
_CHATTER = re.compile(r"^(client|server) (connect|disconnect)|^(half-)?clos|^transports|^error establishing")


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
