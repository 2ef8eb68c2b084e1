"""One direction between two addresses, and all that can happen to a datagram on it."""

from __future__ import annotations

from dataclasses import dataclass

from palaver.machine import UsageError

from .faults import Copies, FaultCounters, FaultInjector, Faults
from .trace import DropReason
from .verdict import Verdict


@dataclass(frozen=True)
class Bottleneck:
    """The slowest part of a path: what comes faster waits, and beyond the queue is dropped.

    Raises UsageError for a bandwidth that is not above 0 and finite, or a queue below 0.
    """

    bandwidth: float
    """In bytes per second."""
    queue: int
    """Bytes on hold or being sent, at most; an idle path takes a datagram of any size."""

    def __post_init__(self) -> None:
        """Check the bounds."""
        if not 0 < self.bandwidth < float("inf"):
            raise UsageError(f"Bottleneck.bandwidth must be above 0, not {self.bandwidth}")
        if not self.queue >= 0:
            raise UsageError(f"Bottleneck.queue must not be below 0, and is {self.queue}")


class Path:
    """One direction: a cut, then a bottleneck, then faults. All three may change at any time."""

    __slots__ = ("_busy_until", "_injector", "bottleneck", "cut", "overflowed", "parted")

    def __init__(self, faults: Faults, bottleneck: Bottleneck | None, seed: int) -> None:
        self.bottleneck = bottleneck
        self.cut = False
        """Whether all that is sent is lost; what is under way still arrives."""
        self.overflowed = 0
        """Datagrams dropped by the bottleneck. The injector never sees them."""
        self.parted = 0
        """Datagrams dropped by a cut. The injector never sees them either."""
        self._injector = FaultInjector(faults, seed)
        self._busy_until = float("-inf")

    @property
    def faults(self) -> Faults:
        """What the path does to datagrams from now on."""
        return self._injector.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._injector.faults = faults

    @property
    def counters(self) -> FaultCounters:
        """What the faults have done so far."""
        return self._injector.counters

    def counts(self) -> dict[str, int]:
        """Give what was done so far, by name: by the faults, the bottleneck and the cuts."""
        own = {"overflowed": self.overflowed, "parted": self.parted}
        return self.counters.as_dict() | own

    def send(self, data: bytes, now: float, verdict: Verdict | None = None) -> Copies | DropReason:
        """Say when each copy of a datagram arrives, or why none does."""
        if self.cut:
            self.parted += 1
            return DropReason.PARTED
        departure = self._pass_bottleneck(len(data), now)
        if departure is None:
            self.overflowed += 1
            return DropReason.OVERFLOW
        return self._injector.apply(data, departure, verdict) or DropReason.LOSS

    def _pass_bottleneck(self, size: int, now: float) -> float | None:
        """Say when the last byte leaves, or None if there is no room."""
        start = max(now, self._busy_until)
        if self.bottleneck is None:
            return start
        waiting = (start - now) * self.bottleneck.bandwidth
        if waiting and waiting + size > self.bottleneck.queue:
            return None
        self._busy_until = start + size / self.bottleneck.bandwidth
        return self._busy_until
