"""An outbox with real approvals in it, and senders for it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from addons.control.messages.receivers import Receiver, make_receiver
from addons.control.messages.sending import Sender, SenderLimits
from addons.core.approvals.approval import Approval
from addons.core.config_approvals import Notify
from addons.store.approvals.outbox import Outbox
from addons.store.approvals.votes import BreakTheGlass
from addons.store.moment import Moment
from addons.store.state_dir import StateDir
from tests.control.messages.webhook_receiver import WebhookReceiver
from tests.store.approval_samples import CAROL, Store

KEY = f"whsec_{base64.b64encode(b'a key of thirty-two bytes, to sign').decode()}"
QUICK = SenderLimits(post=5, lease=30, pause=0.01)


def moment() -> Moment:
    return Moment(time.time(), 5000.0, "boot-1")


def link(approval: str) -> str:
    return f"https://approvals.example/approvals/{approval}"


class Office:
    """Files of secrets are written below `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = StateDir.open(directory / "state")
        self.store = Store(self.state.audit_log)
        self.outbox = Outbox.open(self.state.audit_log)

    def close(self) -> None:
        self.outbox.close()
        self.store.log.close()

    def receiver(self, url: str, name: str = "hook", key: str | None = KEY, **changed: Any) -> Receiver:
        """`changed` are keys of `notify`; without a key it is one of Slack's."""
        (self.directory / f"{name}.url").write_text(f"{url}\n")
        notify: dict[str, Any] = {
            "name": name,
            "url": {"file": f"{name}.url"},
            "retries": ("0s", "0s"),
            **changed,
        }
        if key is None:
            notify["format"] = "slack"
        else:
            (self.directory / f"{name}.key").write_text(f"{key}\n")
            notify["secret"] = {"file": f"{name}.key"}
        return make_receiver(Notify.model_validate(notify), self.directory, {})

    def sender(
        self, *receivers: Receiver, clock: Callable[[], float] = time.time, limits: SenderLimits = QUICK
    ) -> Sender:
        return Sender(self.state.audit_log, receivers, link, clock, limits)

    def ask(self, digest: str = "d1", **more: Any) -> Approval:
        return self.store.ask(digest, moment(), thread=f"thread of {digest}", **more)

    def approve(self, approval: Approval) -> Approval:
        return self.store.vote(approval, at=moment())

    def break_glass(self, approval: Approval) -> None:
        self.store.do(BreakTheGlass(approval.id, CAROL, "production is down", moment()))

    def damage(self, statement: str, *parameters: object) -> None:
        self.store.sql(statement, *parameters)

    def deliveries(self) -> list[dict[str, Any]]:
        names = ("target", "state", "attempts", "next_at", "last_error")
        found = self.store.sql(f"SELECT {', '.join(names)} FROM deliveries ORDER BY id")  # noqa: S608 - names
        return [dict(zip(names, row, strict=True)) for row in found]

    async def until(self, what: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
        """The deliveries, once `what` holds for them."""
        await eventually(lambda: what(self.deliveries()))
        return self.deliveries()

    async def settled(self, count: int) -> list[dict[str, Any]]:
        """The deliveries, once there are so many and each is sent or dead."""
        return await self.until(
            lambda found: len(found) == count and all(one["state"] != "queued" for one in found)
        )


@asynccontextmanager
async def running(*senders: Sender) -> AsyncIterator[None]:
    """They must not end by themselves."""
    tasks = [asyncio.create_task(sender.run()) for sender in senders]
    try:
        yield
        assert not any(task.done() for task in tasks), [task for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def eventually(holds: Callable[[], object], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for is in another process's file
            await asyncio.sleep(0.01)


async def got(receiver: WebhookReceiver, count: int) -> list[Any]:
    return list(await asyncio.to_thread(receiver.wait_for, count))


def slower(limits: SenderLimits = QUICK, **changed: Any) -> SenderLimits:
    return replace(limits, **changed)
