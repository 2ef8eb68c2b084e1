"""Callers that found all places taken, until it is clear whether one is free (section 4.4)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from palaver.machine import Address

MOST = 64
PATIENCE = 10.0  # seconds: as long as the longest wait between HELLOs


@dataclass(frozen=True)
class Wait:
    """When a caller first asked, and the link that is being checked for its sake."""

    since: float
    link: int


class WaitingRoom:
    """The callers that wait: the latest few, each for a while. Oldest first."""

    __slots__ = ("_waits",)

    def __init__(self) -> None:
        self._waits: OrderedDict[tuple[Address, int], Wait] = OrderedDict()

    def __len__(self) -> int:
        """Give how many wait."""
        return len(self._waits)

    @property
    def deadline(self) -> float:
        """When the oldest is to be forgotten."""
        for wait in self._waits.values():
            return wait.since + PATIENCE
        return float("inf")

    def find(self, caller: tuple[Address, int]) -> Wait | None:
        """Give what is known of a caller."""
        return self._waits.get(caller)

    def seat(self, caller: tuple[Address, int], now: float, link: int) -> None:
        """Let a caller wait until it is known whether `link` is alive."""
        if len(self._waits) >= MOST:
            del self._waits[next(iter(self._waits))]
        self._waits[caller] = Wait(now, link)

    def leave(self, caller: tuple[Address, int]) -> None:
        """Forget a caller."""
        self._waits.pop(caller, None)

    def expire(self, now: float) -> None:
        """Forget the callers that have asked too long ago."""
        while self._waits:
            caller, wait = next(iter(self._waits.items()))
            if now < wait.since + PATIENCE:
                return
            del self._waits[caller]

    def clone(self) -> WaitingRoom:
        """Give an independent twin."""
        twin = WaitingRoom()
        twin._waits = self._waits.copy()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return tuple((who, one.since - now, one.link) for who, one in self._waits.items())
