"""One line of a process's log: what happened and where, and no value that came from outside."""

from __future__ import annotations

import json
import logging
import re
import time
import traceback
from enum import StrEnum
from types import TracebackType

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


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
        # Neither the exception's text nor mitmproxy's own, which quotes it.
        kind, _, trace = record.exc_info
        return f"{kind_and_place(kind, trace)} (details are kept out of the log)"
    return record.getMessage()


def kind_and_place(kind: type[BaseException], trace: TracebackType | None) -> str:
    """What may be said of an exception whose text may quote anything."""
    frames = traceback.extract_tb(trace)
    where = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{kind.__name__}{where}"
