"""One property of the core under random input, and the clock that holds it to linear time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True)
class Property:
    """`check` raises for an input that breaks the property; `known` are inputs that once did."""

    inputs: SearchStrategy[Any]
    check: Callable[[Any], None]
    known: Sequence[Any] = ()


@contextmanager
def linear(size: int, *, seconds_per_mib: float, base: float = 0.5) -> Iterator[None]:
    """Fails if the block takes more processor time than is fair for `size` bytes.

    Time of this thread alone, so that a busy machine fails nothing; `base` (seconds) pays for what is made
    at first use.
    """
    before = time.thread_time()
    yield
    took = time.thread_time() - before
    allowed = base + seconds_per_mib * size / 2**20
    assert took <= allowed, f"{size} bytes took {took:.3f} s, more than {allowed:.3f} s"
