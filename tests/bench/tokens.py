"""What verifying a token costs: one seen before, and a new one beside the check of its signature alone.

    .venv/bin/python -m tests.bench.tokens [--rounds 7] [--tokens 200]

All in one process and one run, taking turns, so that the machine's mood hits all alike; each figure is the
least of the rounds' medians, in microseconds for one token.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jwt import get_algorithm_by_name

from addons.store.identity.key_set_fetch import IssuerSettings
from addons.store.identity.key_sets import KeySets
from addons.store.identity.token_authority import TokenAuthority
from tests.core.token_minting import AUDIENCE, NOW, Signer
from tests.store.loopback_issuer import LoopbackIssuer

GOAL_KNOWN_US = 5.0
SIGNERS = {
    "RS256": Signer("RS256", "rsa-2048", "r1"),
    "ES256": Signer(),
    "EdDSA": Signer("EdDSA", "ed25519", "e"),
}


@dataclass
class Figures:
    known: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)
    signature: list[float] = field(default_factory=list)

    def row(self, algorithm: str) -> str:
        known, new, signature = min(self.known), min(self.new), min(self.signature)
        rest = new - signature
        return f"{algorithm:8} {known:8.2f} {new:8.1f} {signature:15.1f} {rest:9.1f} {new / signature:6.2f}"


def median_us(run: Callable[[str], object], tokens: Sequence[str]) -> float:
    taken = []
    for token in tokens:
        began = time.perf_counter_ns()
        run(token)
        taken.append((time.perf_counter_ns() - began) / 1000)
    return statistics.median(taken)


def signature_alone(signer: Signer) -> Callable[[str], object]:
    """As the library does it that PyJWT calls, from the text of the token on."""
    algorithm, public = get_algorithm_by_name(signer.algorithm), signer.private.public_key()

    def check(token: str) -> None:
        signed, _, signature = token.rpartition(".")
        raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        assert algorithm.verify(signed.encode(), public, raw)

    return check


async def measure(rounds: int, count: int) -> dict[str, Figures]:
    figures = {algorithm: Figures() for algorithm in SIGNERS}
    with LoopbackIssuer(*SIGNERS.values()) as issuer:
        key_sets = KeySets([IssuerSettings(issuer.url, (AUDIENCE,))], clock=lambda: 0.0)
        await key_sets.refresh_on_demand(issuer.url)
        for number in range(rounds):
            for algorithm, signer in SIGNERS.items():
                authority = TokenAuthority(key_sets, clock=lambda: NOW)
                tokens = [issuer.token(signer, jti=f"{number}-{each}") for each in range(count)]
                figures[algorithm].signature.append(median_us(signature_alone(signer), tokens))
                figures[algorithm].new.append(median_us(_finished(authority), tokens))
                figures[algorithm].known.append(median_us(_looked_up(authority), tokens))
                assert all(authority.known(token, NOW) for token in tokens)
        key_sets.close()
    return figures


def _looked_up(authority: TokenAuthority) -> Callable[[str], object]:
    return lambda token: authority.known(token, NOW)


def _finished(authority: TokenAuthority) -> Callable[[str], object]:
    """Run the coroutine by hand: it waits for nothing where the keys are there."""

    def authenticate(token: str) -> object:
        try:
            authority.authenticate(token).send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("it waited for keys")

    return authenticate


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=200)
    chosen = parser.parse_args()
    figures = asyncio.run(measure(chosen.rounds, chosen.tokens))
    print("microseconds   known      new  signature alone  the rest  ratio")
    for algorithm, each in figures.items():
        print(f"{'':7}{each.row(algorithm)}")
    worst = max(min(each.known) for each in figures.values())
    print(
        f"\nknown: {worst:.2f} us, goal {GOAL_KNOWN_US:g}: {'reached' if worst < GOAL_KNOWN_US else 'MISSED'}"
    )


if __name__ == "__main__":
    main()
