"""How many stateless replies may go out (PROTOCOL.md, section 8.6)."""

from __future__ import annotations

from palaver.machine import copy_slots


class ReplyBudget:
    """A bucket that fills at `rate` tokens a second up to `rate` of them."""

    __slots__ = ("_filled_at", "_rate", "_tokens")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._filled_at: float | None = None

    def take(self, now: float) -> bool:
        """Spend one token, if there is one."""
        if self._filled_at is not None:
            filled = self._tokens + (now - self._filled_at) * self._rate
            self._tokens = min(filled, float(self._rate))
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def clone(self) -> ReplyBudget:
        """Give an independent twin."""
        return copy_slots(self)

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value."""
        if self._filled_at is None:
            return (self._tokens,)
        return (min(self._tokens + (now - self._filled_at) * self._rate, float(self._rate)),)
