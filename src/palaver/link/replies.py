"""How many stateless replies may go out (PROTOCOL.md, section 8.6)."""

from __future__ import annotations

from collections import OrderedDict

from palaver.machine import Address

from .hosts import host_of

HOSTS = 1024
REFILL = 1.0  # seconds until an empty bucket is full again


class ReplyBudget:
    """A bucket of tokens for each host, that fills at `rate` a second up to `rate` of them.

    Only the hosts answered last are remembered: a forgotten one begins with a full bucket.
    """

    __slots__ = ("_buckets", "_rate")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        # By host, the one answered last at the end: tokens, and when that was counted.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Give how many hosts are remembered."""
        return len(self._buckets)

    @property
    def deadline(self) -> float:
        """When the host answered least lately is to be forgotten."""
        for _, counted in self._buckets.values():
            return counted + REFILL
        return float("inf")

    def take(self, address: Address, now: float, cost: float = 1.0) -> bool:
        """Spend `cost` tokens of a host, if it has them."""
        host = host_of(address)
        tokens, counted = self._buckets.pop(host, (float(self._rate), now))
        tokens = min(tokens + (now - counted) * self._rate, float(self._rate))
        enough = tokens >= cost
        self._buckets[host] = (tokens - cost if enough else tokens, now)
        if len(self._buckets) > HOSTS:
            del self._buckets[next(iter(self._buckets))]
        return enough

    def forget(self, now: float) -> None:
        """Forget the hosts whose bucket is full again."""
        while self._buckets:
            host, (_, counted) = next(iter(self._buckets.items()))
            if now < counted + REFILL:
                return
            del self._buckets[host]

    def clone(self) -> ReplyBudget:
        """Give an independent twin."""
        twin = ReplyBudget(self._rate)
        twin._buckets = self._buckets.copy()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return tuple((host, tokens, then - now) for host, (tokens, then) in self._buckets.items())
