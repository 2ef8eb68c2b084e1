"""The callee's part of a handshake: a WELCOME, and for how long it stands (section 4.2)."""

from __future__ import annotations

from palaver.machine import copy_slots
from palaver.timing import Limits, Timing
from palaver.wire.packets import Hello

from .handshake import make_welcome


class Callee:
    """The WELCOME that every HELLO of this caller gets, byte by byte the same."""

    __slots__ = ("_sent", "_since", "_timing", "welcome")

    def __init__(
        self, hello: Hello, local: int, now: float, timing: Timing, limits: Limits
    ) -> None:
        self.welcome = make_welcome(hello, local, limits)
        self._since = now
        self._sent = 0
        self._timing = timing

    def expiry(self, now: float) -> float:
        """Give when the half-open link goes if this HELLO is the last."""
        timing = self._timing
        return min(now + timing.half_open, self._since + timing.half_open_max)

    def count(self) -> None:
        """Take note that the WELCOME was sent."""
        self._sent += 1

    def rtt(self, now: float) -> float | None:
        """Give the round-trip time if the first packet comes now; None if that can't be told."""
        return now - self._since if self._sent == 1 else None

    def clone(self) -> Callee:
        """Give an independent twin."""
        return copy_slots(self)

    def key(self) -> tuple[object, ...]:
        """Give the state as a comparable value."""
        return (self.welcome, self._sent == 1)
