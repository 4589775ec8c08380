"""Who can get a token from the development issuer: `clients.json`.

It is made at the first start with a few people and agents, and read anew for every token, so that an edit
acts at once.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path

from addons.sandbox.lifecycle import SandboxError, read_json_object, write_private_json
from addons.sandbox.server import Json

CLIENT_FILE = "clients.json"

_READY_MADE: dict[str, list[Json]] = {
    "demo-agent": ["agents"],
    "sre-agent": ["agents", "sre-agents"],
    "alice": ["sre-leads"],
    "bob": ["secops"],
    "carol": ["sre-leads"],
}
_AGENTS = "agents"
_MAIL_DOMAIN = "sandbox.example"


@dataclass(frozen=True, slots=True)
class Client:
    client_id: str
    client_secret: str
    groups: tuple[str, ...]

    @property
    def is_person(self) -> bool:
        """Whether somebody can log in as this one: whoever isn't of the group `agents`."""
        return _AGENTS not in self.groups

    @property
    def email(self) -> str:
        return f"{self.client_id}@{_MAIL_DOMAIN}"


class Clients:
    """The file, shaped `{client_id: {"client_secret": str, "groups": [str]}}`.

    Reading raises SandboxError where it is anything else.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / CLIENT_FILE

    def make_if_absent(self) -> None:
        if not self._path.exists():
            content: dict[str, Json] = {
                name: {"client_secret": secrets.token_urlsafe(24), "groups": groups}
                for name, groups in _READY_MADE.items()
            }
            write_private_json(self._path, content)
        self.find("")  # a broken file shows at start, not at the first token

    def find(self, client_id: str) -> Client | None:
        return self._all().get(client_id)

    def people(self) -> list[Client]:
        return [client for client in self._all().values() if client.is_person]

    def authenticated(self, client_id: str, unverified_secret: str) -> Client | None:
        client = self.find(client_id)
        if client is None:
            return None
        good = hmac.compare_digest(client.client_secret.encode(), unverified_secret.encode())
        return client if good else None

    def _all(self) -> dict[str, Client]:
        content = read_json_object(self._path) or {}
        return {name: self._read(name, entry) for name, entry in content.items()}

    def _read(self, name: str, entry: Json) -> Client:
        if isinstance(entry, dict):
            secret, groups = entry.get("client_secret"), entry.get("groups", [])
            if isinstance(secret, str) and secret and isinstance(groups, list):
                names = tuple(group for group in groups if isinstance(group, str))
                if len(names) == len(groups):
                    return Client(name, secret, names)
        raise SandboxError(f'{self._path}: {name} must be {{"client_secret": "…", "groups": ["…"]}}')
