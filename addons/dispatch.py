"""Runs the addons' hooks from a table.

mitmproxy walks the whole tree of addons for each event, and once more for an `update` event after it, which
nothing in a gateway listens to: half of its time per request goes there. What is kept is its promise that an
exception skips the rest of the one element of the chain it happened in, on which the gate relies.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from mitmproxy import exceptions, hooks
from mitmproxy.addonmanager import AddonManager, safecall


class TabledAddons(AddonManager):
    """An AddonManager whose tree is read once, and again after it changes."""

    def __init__(self, master: Any) -> None:
        self._table: dict[str, list[list[Callable[..., Any]]]] = {}
        super().__init__(master)

    def register(self, addon: Any) -> Any:
        self._table.clear()
        return super().register(addon)

    def add(self, *addons: Any) -> None:
        super().add(*addons)
        self._table.clear()

    def insert(self, position: int, addon: Any) -> None:
        """Adds an addon that comes before others in the chain."""
        self.chain.insert(position, self.register(addon))
        self._table.clear()

    def remove(self, addon: Any) -> None:
        super().remove(addon)
        self._table.clear()

    def clear(self) -> None:
        super().clear()
        self._table.clear()

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        await self.trigger_event(event)

    async def trigger_event(self, event: hooks.Hook) -> None:
        groups = self._table.get(event.name)
        if groups is None:
            groups = [[hook for _, hook in self._iter_hooks(addon, event)] for addon in self.chain]
            groups = self._table[event.name] = [group for group in groups if group]
        arguments = event.args()
        for group in groups:
            try:
                with safecall():
                    for hook in group:
                        result = hook(*arguments)
                        if result is not None and inspect.isawaitable(result):
                            await result
            except exceptions.AddonHalt:
                return
