"""Whom the gateway refuses whatever their tokens prove: those who are frozen, and those whose tokens are
revoked before their time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from addons.core.model import Principal


class BlockKind(StrEnum):
    """A freeze is of an identity, with any token it has or gets. A revocation is of tokens."""

    FREEZE = "freeze"
    REVOCATION = "revocation"


class Named(StrEnum):
    """What a block names. A session is what an agent run is called by: the session claim, else the `jti`."""

    EVERYONE = "all"
    SUBJECT = "subject"
    TOKEN = "jti"  # noqa: S105 - the name of a claim, not a password
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Block:
    """One entry. `name` is "" for everyone; without an `issuer` it is of any. `reason` and `by` (who said so)
    are for people. Times are in seconds since the epoch; `until` is None for a freeze that somebody has to
    end, and for a revocation that ends when no token from before it can be alive.
    """

    id: str
    kind: BlockKind
    named: Named
    name: str
    issuer: str | None
    reason: str
    by: str
    at: float
    until: float | None = None


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """The longest that a token may live, and how far its issuer's clock may be off, in seconds."""

    lifetime: float
    leeway: float

    @property
    def longest(self) -> float:
        """How long after a moment a token that was made before it can be alive."""
        return self.lifetime + self.leeway


class Blocklist:
    """The blocks that are in force. `leeway`, in seconds: see `TokenLimits`."""

    def __init__(self, blocks: Iterable[Block], leeway: float) -> None:
        self.blocks = tuple(blocks)
        self._leeway = leeway
        self._everyone: Block | None = None
        self._names = frozenset(block.name for block in self.blocks)
        self._by_name: dict[tuple[Named, str], list[Block]] = {}
        for block in self.blocks:
            if block.named is Named.EVERYONE:
                self._everyone = block
            else:
                self._by_name.setdefault((block.named, block.name), []).append(block)

    def find(self, principal: Principal) -> Block | None:
        """What stops this principal with this token, a freeze before a revocation."""
        if not self.blocks:
            return None
        if self._everyone is not None:
            return self._everyone
        if self._names.isdisjoint(_every_name(principal)):  # quickly: it is asked at each step of a call
            return None
        found = None
        for block in self._matching(principal):
            if block.kind is BlockKind.FREEZE:
                return block
            found = found or block
        return found

    def _matching(self, principal: Principal) -> Iterator[Block]:
        for named, name, issuer in _names(principal):
            for block in self._by_name.get((named, name), ()):
                if block.issuer in {None, issuer} and self._covers(block, principal):
                    yield block

    def _covers(self, block: Block, principal: Principal) -> bool:
        """To revoke a subject's tokens ends those there are: those it gets later are good. By how the clocks
        differ one may seem to be later; one that doesn't say when it was issued may be from before.
        """
        if block.kind is BlockKind.FREEZE or block.named is not Named.SUBJECT or principal.issued is None:
            return True
        return principal.issued <= block.at + self._leeway


def _every_name(principal: Principal) -> tuple[str | None, ...]:
    """Whatever `_names` gives, without whose it is."""
    known = (principal.subject, principal.on_behalf_of, principal.token_id, principal.session)
    return (*known, *[actor.subject for actor in principal.actors]) if principal.actors else known


def _names(principal: Principal) -> Iterator[tuple[Named, str, str]]:
    """Everybody who takes part, and what the token and its run are called; each with whose name that is."""
    signer = principal.token_issuer or principal.issuer
    yield Named.SUBJECT, principal.subject, principal.issuer
    for actor in principal.actors:
        yield Named.SUBJECT, actor.subject, actor.issuer
    if principal.on_behalf_of is not None:
        yield Named.SUBJECT, principal.on_behalf_of, signer
    if principal.token_id is not None:
        yield Named.TOKEN, principal.token_id, signer
    run = principal.session or principal.token_id
    if run is not None:
        yield Named.SESSION, run, signer
