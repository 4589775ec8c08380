"""Who is told: receivers as configured, with their secrets where these are read when they are needed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from addons.core import config_sections
from addons.core.approvals.messages.signing import SigningKey, headers, parse_keys
from addons.core.approvals.messages.slack import slack_message
from addons.core.approvals.messages.standard import standard_message
from addons.core.approvals.messages.told import Told
from addons.core.config_approvals import Notify
from addons.store.credentials import CredentialProblem, SecretReader, SecretSource, text_secret
from addons.store.identity.issuer_http import url_problem


class Unsendable(Exception):  # noqa: N818 - named after what is wrong
    """A message can't even be tried. The text says why, without a secret and without the address."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One attempt, ready to be posted. Neither its address nor its text is in its representation."""

    url: str = field(repr=False)
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a receiver is and what its messages are signed with, as just read. `keys` is None for Slack."""

    url: str = field(repr=False)
    keys: tuple[SigningKey, ...] | None = field(repr=False)

    def letter(self, message: str, told: Told, link: str, at: float) -> Letter:
        """What to post at `at`. `message` is its id, the same in every attempt. Raises Unsendable."""
        try:
            form = slack_message(told, link) if self.keys is None else standard_message(told, link)
            body = json.dumps(form, separators=(",", ":"), allow_nan=False).encode()
        except ValueError as error:
            raise Unsendable(f"the message can't be written: {error}") from None
        signed = {} if self.keys is None else headers(message, at, body, self.keys)
        return Letter(self.url, {"Content-Type": "application/json", **signed}, body)


@dataclass(frozen=True, slots=True)
class Receiver:
    """`keys` is None for Slack. `retries` are the seconds to wait after each attempt that failed; `events`
    is None for all of them.
    """

    name: str
    events: frozenset[str] | None
    retries: tuple[float, ...]
    ca: Path | None
    url: SecretReader
    keys: SecretReader | None

    def address(self) -> Address:
        """Blocks, for seconds where a command tells a secret. Raises Unsendable."""
        try:
            url = self.url.read().decode()
            text = None if self.keys is None else self.keys.read().decode()
        except CredentialProblem as problem:
            raise Unsendable(str(problem)) from None
        problem_of_url = url_problem(url, plain_allowed=True) if len(url.split()) == 1 else "is not one URL"
        if problem_of_url is not None:
            raise Unsendable(f"{self.url.source}: {problem_of_url}")
        if self.keys is None or text is None:
            return Address(url, None)
        try:
            return Address(url, parse_keys(text))
        except ValueError as error:
            raise Unsendable(f"{self.keys.source}: {error}") from None


def make_receiver(notify: Notify, base_dir: Path, environment: Mapping[str, str]) -> Receiver:
    """Names of files in `notify` are relative to `base_dir`."""

    def reader(source: config_sections.SecretSource) -> SecretReader:
        named = SecretSource(
            file=base_dir / source.file if source.file else None,
            variable=source.env,
            command=source.command,
        )
        return SecretReader(named, environment, time.monotonic, text_secret)

    return Receiver(
        name=notify.name,
        events=None if notify.events is None else frozenset(notify.events),
        retries=notify.retries,
        ca=base_dir / notify.ca if notify.ca is not None else None,
        url=reader(notify.url),
        keys=reader(notify.secret) if notify.secret is not None else None,
    )
