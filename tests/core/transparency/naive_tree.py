"""RFC 6962, section 2.1, nearly word for word: recursive, and plainly what the text says."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


class NaiveTree:
    """MTH, PATH and PROOF over leaf data; D[a:b] is (a, b)."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._leaves = leaves
        self._known: dict[tuple[int, int], bytes] = {}

    def root(self, size: int) -> bytes:
        return self._mth(0, size)

    def path(self, m: int, size: int) -> tuple[bytes, ...]:
        return self._path(m, 0, size)

    def proof(self, m: int, size: int) -> tuple[bytes, ...]:
        return self._subproof(m, 0, size, whole=True)

    def range_root(self, level: int, index: int) -> bytes:
        start, end = index << level, (index + 1) << level
        assert end <= len(self._leaves), "not a complete subtree of this tree"
        return self._mth(start, end)

    def _mth(self, a: int, b: int) -> bytes:
        if (a, b) not in self._known:
            self._known[a, b] = self._hashed(a, b)
        return self._known[a, b]

    def _hashed(self, a: int, b: int) -> bytes:
        if a == b:
            return sha256(b"").digest()
        if b - a == 1:
            return sha256(b"\x00" + self._leaves[a]).digest()
        k = _split(b - a)
        return sha256(b"\x01" + self._mth(a, a + k) + self._mth(a + k, b)).digest()

    def _path(self, m: int, a: int, b: int) -> tuple[bytes, ...]:
        if b - a == 1:
            return ()
        k = _split(b - a)
        if m < k:
            return (*self._path(m, a, a + k), self._mth(a + k, b))
        return (*self._path(m - k, a + k, b), self._mth(a, a + k))

    def _subproof(self, m: int, a: int, b: int, *, whole: bool) -> tuple[bytes, ...]:
        if m == b - a:
            return () if whole else (self._mth(a, b),)
        k = _split(b - a)
        if m <= k:
            return (*self._subproof(m, a, a + k, whole=whole), self._mth(a + k, b))
        return (*self._subproof(m - k, a + k, b, whole=False), self._mth(a, a + k))


def _split(count: int) -> int:
    k = 1
    while k * 2 < count:
        k *= 2
    return k
