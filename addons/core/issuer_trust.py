"""What is believed of an issuer: its keys, the limits on its tokens, and what their claims mean here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from addons.core.verification_keys import ACCEPTED_ALGORITHMS, KeysById

MAX_LEEWAY = 300.0

type Admitted = str | int | bool


@dataclass(frozen=True, slots=True)
class IssuerTrust:
    """What is believed of one issuer: its name, its keys, and the limits on its tokens.

    `max_lifetime` and `leeway` (for `iat` and `nbf`, never for `exp`) in seconds. A claim name is a
    top-level member, or a JSON Pointer (RFC 6901) when it begins with `/`. `attributes` are what policy sees
    as claims beside the token's own, by the name it uses. `required` are the values of which each claim must
    have one; a text may begin or end with `*`. `actor_issuers` are the other issuers whose subjects this one
    may name in `act`: none by default, since an issuer that could name them freely would speak for them.
    `names_itself`: its tokens carry `iss`, which only JWT-SVIDs may lack. Raises ValueError where a value
    would make a check void.
    """

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    keys: KeysById
    max_lifetime: float
    leeway: float = 30.0
    subject_claim: str = "sub"
    groups_claim: str | None = "groups"
    session_claim: str | None = None
    on_behalf_of_claim: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    required: Mapping[str, tuple[Admitted, ...]] = field(default_factory=dict)
    actor_issuers: tuple[str, ...] = ()
    names_itself: bool = True

    def __post_init__(self) -> None:
        where = f"issuer {self.issuer!r}"
        if not self.issuer:
            raise ValueError("an issuer needs a name: the value of its tokens' `iss`")
        if not self.audiences or not all(self.audiences):
            raise ValueError(f"{where}: name at least one audience; without it any token of it would pass")
        refused = sorted(set(self.algorithms) - ACCEPTED_ALGORITHMS)
        if refused or not self.algorithms:
            raise ValueError(
                f"{where}: algorithms must be among {', '.join(sorted(ACCEPTED_ALGORITHMS))}"
                + (f", not {', '.join(refused)}" if refused else "")
            )
        if not (math.isfinite(self.max_lifetime) and self.max_lifetime > 0):
            raise ValueError(f"{where}: the maximum lifetime must be a positive number of seconds")
        if not 0 <= self.leeway <= MAX_LEEWAY:
            raise ValueError(f"{where}: the leeway must lie between 0 and {MAX_LEEWAY:.0f} seconds")
