"""The stand-in's own Datadog keys: made at the first start, in Datadog's formats, good nowhere else."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import asdict, dataclass
from enum import Enum, auto
from pathlib import Path

from addons.sandbox.lifecycle import SandboxError, read_json_object, write_private_json
from addons.sandbox.server import Request

KEY_FILE = "keys.json"


class Access(Enum):
    """What a request's keys let it do."""

    NOTHING = auto()
    READ = auto()
    WRITE = auto()


class Needs(Enum):
    """Which keys an operation asks for."""

    API_KEY = auto()
    BOTH_KEYS = auto()


@dataclass(frozen=True, slots=True)
class Keys:
    """API keys are 32 hex digits, application keys 40."""

    api_key: str
    application_key: str
    readonly_api_key: str
    readonly_application_key: str

    def access(self, request: Request, needs: Needs) -> Access:
        """Tell what the request's keys let it do; it can write if every key that it needs can.

        Each key counts only in its header and only where the header is there once: a gateway that lets a
        second one through has failed.
        """
        granted = self._granted(request, "DD-API-KEY", self.api_key, self.readonly_api_key)
        if needs is Needs.API_KEY or granted is Access.NOTHING:
            return granted
        application = self._granted(
            request, "DD-APPLICATION-KEY", self.application_key, self.readonly_application_key
        )
        if Access.NOTHING is application:
            return Access.NOTHING
        return Access.WRITE if granted is application is Access.WRITE else Access.READ

    @staticmethod
    def _granted(request: Request, header: str, full: str, readonly: str) -> Access:
        unverified_key = (request.value(header) or "").encode("latin-1")
        if hmac.compare_digest(unverified_key, full.encode()):
            return Access.WRITE
        return Access.READ if hmac.compare_digest(unverified_key, readonly.encode()) else Access.NOTHING


def load_or_make(directory: Path) -> Keys:
    """Raise SandboxError where `keys.json` is there but isn't what this wrote."""
    path = directory / KEY_FILE
    content = read_json_object(path)
    if content is None:
        keys = Keys(
            secrets.token_hex(16), secrets.token_hex(20), secrets.token_hex(16), secrets.token_hex(20)
        )
        write_private_json(path, dict(asdict(keys)))
        return keys
    values = [content.get(name) for name in Keys.__slots__]
    strings = [value for value in values if isinstance(value, str) and value.isascii() and value]
    if len(set(strings)) != len(Keys.__slots__):
        raise SandboxError(
            f"{path} needs four different keys ({', '.join(Keys.__slots__)}); delete it to have them made"
        )
    return Keys(*strings)
