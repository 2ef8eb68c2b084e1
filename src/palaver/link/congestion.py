"""How much may be in flight (PROTOCOL.md, section 7.6).

This is NewReno as RFC 9002 writes it, with TCP Veno's distinction between congestion and a wire
that loses.
"""

from __future__ import annotations

from palaver.machine import copy_slots

INITIAL_PACKETS = 10
INITIAL_BYTES = 14720
MINIMUM_PACKETS = 2
QUEUED_PACKETS = 3


class Congestion:
    """A window of bytes that grows with acks and is halved, once per round trip, by losses."""

    __slots__ = ("_mtu", "_recovery_start", "_threshold", "in_flight", "window")

    def __init__(self, mtu: int) -> None:
        self._mtu = mtu
        self.window = _first_window(mtu)
        # Bytes of packets that are to be acknowledged. Whoever sends one adds to it, and who hears
        # that it has arrived takes it off.
        self.in_flight = 0
        self._threshold: float = float("inf")
        # Losses among packets sent before this time belong to a reduction already made.
        self._recovery_start = float("-inf")

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be sent for now."""
        return self.in_flight >= self.window

    def restart(self) -> None:
        """Take note that the path was left alone for a while: what it can bear may have changed."""
        self.window = min(self.window, _first_window(self._mtu))

    def grow(self, size: int, sent_at: float) -> None:
        """Widen the window for an acked packet; not to be called if something else limited us."""
        if sent_at <= self._recovery_start:
            return
        if self.window < self._threshold:
            self.window += size
        else:
            self.window += self._mtu * size // self.window

    def lost(self, size: int, sent_at: float, now: float, queued: float) -> None:
        """Take note of a lost packet.

        `queued` is the share of the round trip that packets seem to spend in queues, 0 to 1. A
        loss without a queue is the wire's fault rather than congestion, and costs less.
        """
        self.in_flight -= size
        if sent_at <= self._recovery_start:
            return
        self._recovery_start = now
        congested = self.window * queued >= QUEUED_PACKETS * self._mtu
        kept = self.window // 2 if congested else self.window * 4 // 5
        self.window = max(kept, MINIMUM_PACKETS * self._mtu)
        self._threshold = self.window

    def clone(self) -> Congestion:
        """Give an independent twin."""
        return copy_slots(self)

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (self.window, self.in_flight, self._threshold, self._recovery_start - now)


def _first_window(mtu: int) -> int:
    return min(INITIAL_PACKETS * mtu, max(INITIAL_BYTES, MINIMUM_PACKETS * mtu))
