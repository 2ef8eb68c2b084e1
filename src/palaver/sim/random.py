"""Numbers that look random and are the same on every run, machine and Python version.

The standard library's generator would do, but promises its sequence only for some of its methods,
and is forbidden in the core. This one is splitmix64 (Steele, Lea and Flood, 2014): one 64-bit
word of state, cheap to copy. It is for simulations; whoever sees its output can predict it.
"""

from __future__ import annotations

from hashlib import blake2b

from palaver.machine import UsageError

_SPAN = 1 << 64
_MASK = _SPAN - 1
_STEP = 0x9E3779B97F4A7C15


class SeededRandom:
    """A stream of numbers that `seed` (any integer, taken modulo 2**64) determines."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def next_u64(self) -> int:
        """Give the next number, from 0 to 2**64 - 1."""
        self._state = word = (self._state + _STEP) & _MASK
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
        return word ^ (word >> 31)

    def fraction(self) -> float:
        """Give a number from 0 up to, but not including, 1; a multiple of 2**-53."""
        return (self.next_u64() >> 11) * 2.0**-53

    def below(self, n: int) -> int:
        """Give a whole number from 0 to `n` - 1, all equally likely.

        Raises UsageError unless `n` is from 1 to 2**64.
        """
        if not 1 <= n <= _SPAN:
            raise UsageError(f"below() takes from 1 to 2**64, not {n}")
        fair = _SPAN - _SPAN % n  # numbers from here on would favour the small results
        word = self.next_u64()
        while word >= fair:
            word = self.next_u64()
        return word % n

    def chance(self, p: float) -> bool:
        """Say yes with probability `p`. At 0 or less, and at 1 or more, nothing is drawn."""
        if p <= 0:
            return False
        return p >= 1 or self.next_u64() < p * _SPAN

    def fork(self, label: str) -> SeededRandom:
        """Give a stream of its own for `label`, without drawing from this one.

        Different labels give streams that have nothing to do with each other or with this one;
        the same label at the same point gives the same stream.
        """
        state = self._state.to_bytes(8, "big")
        word = blake2b(label.encode(), key=state, digest_size=8).digest()
        return SeededRandom(int.from_bytes(word, "big"))

    def clone(self) -> SeededRandom:
        """Give a twin that will draw the same numbers."""
        return SeededRandom(self._state)

    def key(self) -> int:
        """Give the state: streams with equal keys go on alike."""
        return self._state

    def bytes(self, n: int) -> bytes:
        """Give `n` bytes; fit to be the `entropy` of a machine. Raises UsageError below 0."""
        if n < 0:
            raise UsageError(f"can't give {n} bytes")
        words = [self.next_u64().to_bytes(8, "big") for _ in range((n + 7) // 8)]
        return b"".join(words)[:n]
