"""Which people may not decide for now: who is frozen, or whose tokens and logins are revoked.

Looked up at each request, of which there are few. A freeze of everyone is of agents: people can still say no.
"""

from __future__ import annotations

from collections.abc import Callable

from addons.core.blocklist import Block, Blocklist, Named, TokenLimits
from addons.core.model import Principal
from addons.store.blocking.blocks import Blocks
from addons.store.moment import Moment


class Blocked:
    def __init__(self, blocks: Blocks, limits: TokenLimits, now: Callable[[], Moment]) -> None:
        self._blocks = blocks
        self._limits = limits
        self._now = now

    def find(self, principal: Principal) -> Block | None:
        """What stops this person. Blocks for a moment. Raises AuditLogUnusable where nobody can tell."""
        now = self._now()
        stored = [one for one in self._blocks.all() if one.block.named is not Named.EVERYONE]
        in_force = [one.block for one in stored if not one.is_over(now, self._limits.longest)]
        return Blocklist(in_force, self._limits.leeway).find(principal)

    def close(self) -> None:
        self._blocks.close()
