"""One call to the stand-in as its operations see it, and the errors in Datadog's shape."""

from __future__ import annotations

import datetime as dt
import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from addons.sandbox.datadog_bodies import decoded_body
from addons.sandbox.datadog_state import State
from addons.sandbox.server import Answer, Json, Request


class ApiError(Exception):
    """Answered as `{"errors": [message]}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """`parameters` are the path's, `query` the query's; of a repeated query parameter the last counts."""

    request: Request
    state: State
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.request.query, keep_blank_values=True))

    def number(self, name: str, default: int, most: int) -> int:
        """Read a query parameter from 0 to `most`; above that, `most`. Raises ApiError if it's no number."""
        value = self.query.get(name, str(default))
        if not (value.isascii() and value.isdecimal()):
            raise ApiError(400, f"{name} must be a number")
        return min(int(value[:18]), most)

    def body(self) -> bytes:
        return decoded_body(self.request)

    def json(self) -> Json:
        try:
            content: Json = json.loads(self.body())
        except (ValueError, RecursionError) as error:
            raise ApiError(400, "Payload is not in the expected format: invalid JSON") from error
        return content

    def json_object(self) -> dict[str, Json]:
        return as_object(self.json())


type Operation = Callable[[Call], Answer]


def as_object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ApiError(400, "Payload is not in the expected format: an object is expected")
    return value


def as_list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise ApiError(400, "Payload is not in the expected format: a list is expected")
    return value


def required_string(body: Mapping[str, Json], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise ApiError(400, f"Missing required attribute: {name}")
    return value


def timestamp() -> str:
    """Now, as Datadog writes it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
