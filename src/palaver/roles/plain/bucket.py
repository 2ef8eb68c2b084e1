"""How often something may happen."""

from __future__ import annotations


class Bucket:
    """Tokens that come at `rate` a second, up to `burst` of them; it begins full."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token, if there is one."""
        self._fill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def ready_at(self, now: float) -> float:
        """Give when there is a token: never earlier than `take` says so."""
        self._fill(now)
        # A thousandth of a token more than is wanted: sums of seconds are not exact.
        return now if self._tokens >= 1.0 else now + (1.001 - self._tokens) / self._rate

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now

    def clone(self) -> Bucket:
        """Give an independent twin."""
        twin = Bucket(self._rate, self._burst, self._at)
        twin._tokens = self._tokens
        return twin

    def key(self, now: float) -> float:
        """Give the state as a comparable value."""
        return min(self._burst, self._tokens + (now - self._at) * self._rate)
