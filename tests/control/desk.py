"""Control in this process, on a state directory of its own, as its HTTP clients see it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from addons.control.app import make_app
from addons.control.assembly import Control, assemble
from addons.control.login import csrf
from addons.core.approvals.approval import Approval
from addons.core.approvals.needs import Needs
from addons.core.model import Json
from addons.store import moment
from addons.store.approvals.requests import Ask
from addons.store.config_file import read_config
from addons.store.moment import Moment
from tests.control.people_issuer import AUDIENCE, CLIENT_ID, PeopleIssuer
from tests.store import approval_samples

ORIGIN = "http://127.0.0.1:8081"
ROOT = Path(__file__).resolve().parents[2]


async def until(ask: Callable[[], bool]) -> None:
    """Waits for something that another task brings about."""
    async with asyncio.timeout(15):
        while not ask():  # noqa: ASYNC110 - what is waited for may be in a file
            await asyncio.sleep(0.01)


def configured(directory: Path, issuer: PeopleIssuer, **control: Json) -> Path:
    """A configuration with a login; `control` is laid over that section, `login` over its login; `issuers`
    are those of agents.
    """
    (directory / "key").write_text("0" * 32)
    login: dict[str, Json] = {
        "issuer": issuer.url,
        "client_id": CLIENT_ID,
        "audience": AUDIENCE,
        "algorithms": ["ES256"],
    }
    over = control.pop("login", {})
    issuers = control.pop("issuers", [{"issuer": "https://agents.example", "audience": "ddgate"}])
    section: dict[str, Json] = {"login": {**login, **over} if isinstance(over, dict) else None, **control}
    config = {
        "version": 1,
        "policy": [str(ROOT / "policies" / "default.yaml")],
        "issuers": issuers,
        "credentials": {"default": {"api_key": {"file": "key"}}},
        "control": {name: value for name, value in section.items() if value is not None},
    }
    path = directory / "ddgate.yaml"
    path.write_text(json.dumps(config))
    return path


@dataclass
class Clock:
    """The machine's own, moved by `offset` seconds."""

    offset: float = 0.0

    def now(self) -> Moment:
        real = moment.now()
        return replace(real, wall=real.wall + self.offset, boot=real.boot + self.offset)


@dataclass
class Desk:
    control: Control
    issuer: PeopleIssuer
    clock: Clock
    client: httpx.AsyncClient = field(init=False)

    @staticmethod
    def open(directory: Path, issuer: PeopleIssuer, port: int = 8081, **control: Json) -> Desk:
        loaded = read_config(configured(directory, issuer, **control), {})
        clock = Clock()
        return Desk(assemble(loaded, directory / "state", {}, port, clock.now), issuer, clock)

    def __post_init__(self) -> None:
        self.app = make_app(self.control.parts)
        self.client = self.browser()

    def browser(self) -> httpx.AsyncClient:
        """One with cookies of its own. It follows no redirect by itself."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=self.control.parts.public.origin)

    async def ask(self, digest: str = "d" * 64, needs: Needs | None = None, **asked: Any) -> Approval:
        """An agent's request, which waits from now on. `asked` is laid over it; `by` is who asks."""
        wanted = approval_samples.approval(
            digest, needs=needs or approval_samples.NEEDS, by=asked.pop("by", None)
        )
        wanted = replace(wanted, **asked)
        done = await self.control.parts.journal.change(Ask(wanted, self.clock.now(), 1000))
        return done.approval

    async def call(
        self, method: str, path: str, token: str | None, body: Json = None, **options: Any
    ) -> httpx.Response:
        """With a bearer token, unless it is None."""
        headers = {**options.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return await self.client.request(method, f"/api/v1/{path}", headers=headers, json=body, **options)

    async def decide(self, approval: Approval, what: str, token: str | None, **word: Json) -> httpx.Response:
        return await self.call("POST", f"approvals/{approval.id}/{what}", token, {"reason": "", **word})

    async def log_in(
        self, browser: httpx.AsyncClient, name: str, *groups: str, next_path: str = "/approvals"
    ) -> httpx.Response:
        """The whole way through the issuer; the answer is that of the callback."""
        started = await browser.get("/login/start", params={"next": next_path})
        assert started.status_code == 303, started.text
        answer = self.issuer.log_in(started.headers["location"], name, *groups)
        return await browser.get("/login/callback", params=answer)

    def csrf_token(self, browser: httpx.AsyncClient) -> str:
        return csrf.token_for(browser.cookies[self.control.parts.public.session_cookie])

    def own_headers(self, browser: httpx.AsyncClient) -> Mapping[str, str]:
        """What a script of our own page sends along."""
        return {
            "Origin": self.control.parts.public.origin,
            "Sec-Fetch-Site": "same-origin",
            csrf.HEADER: self.csrf_token(browser),
        }

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The audit trail, or those of one kind."""
        with sqlite3.connect(self.control.parts.state.audit_log) as connection:
            rows = connection.execute("SELECT body FROM records ORDER BY idx").fetchall()
        found = [json.loads(body) for (body,) in rows]
        return [one for one in found if kind is None or one["kind"] == kind]

    def damage(self, approval: Approval) -> None:
        """As a failing disk, or somebody with an editor."""
        with sqlite3.connect(self.control.parts.state.audit_log) as connection:
            connection.execute("UPDATE approvals SET fixed = '{' WHERE id = ?", (approval.id,))

    def damage_everything(self) -> None:
        log = self.control.parts.state.audit_log
        for path in log.parent.glob(f"{log.name}*"):  # what is in the write-ahead log counts too
            path.unlink()
        log.write_bytes(b"no database" * 100)

    async def close(self) -> None:
        await self.client.aclose()
        self.control.close()
