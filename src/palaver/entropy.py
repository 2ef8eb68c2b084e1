"""Unpredictable bytes for a machine, from one draw of injected entropy."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2s
from typing import TypeAlias

from .machine import UsageError

Entropy: TypeAlias = Callable[[int], bytes]
"""Gives that many unpredictable bytes: `os.urandom`, or something seeded in a test."""

SEED_SIZE = 32


class Draws:
    """A stream of unpredictable values, as many as wanted from one 32-byte seed.

    The seed is asked for once, so a machine and its clone draw the same values, and a run can be
    replayed. BLAKE2s keyed with the seed makes the values as hard to guess as the seed is.
    """

    __slots__ = ("_count", "_seed")

    def __init__(self, entropy: Entropy) -> None:
        """Take the seed. Raises UsageError if `entropy` gives another number of bytes."""
        seed = entropy(SEED_SIZE)
        if len(seed) != SEED_SIZE:
            raise UsageError(f"entropy({SEED_SIZE}) gave {len(seed)} bytes")
        self._seed = seed
        self._count = 0

    def bytes(self, size: int) -> bytes:
        """Give `size` (at most 32) bytes that were never given before."""
        self._count += 1
        return blake2s(self._count.to_bytes(8, "big"), key=self._seed, digest_size=size).digest()

    def clone(self) -> Draws:
        """Give a twin that will draw the same values."""
        twin = object.__new__(Draws)
        twin._seed = self._seed
        twin._count = self._count
        return twin

    def key(self) -> int:
        """Give how much was drawn."""
        return self._count
