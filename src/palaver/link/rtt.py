"""The round-trip estimator (PROTOCOL.md, section 7.3): RFC 6298 with RFC 9002's ack delay."""

from __future__ import annotations

from palaver.machine import copy_slots
from palaver.timing import Timing

_GRANULARITY = 0.001


class RttEstimator:
    """Smoothed round-trip time, its variation, and the probe timeout that follows from them."""

    __slots__ = ("_timing", "latest", "minimum", "smoothed", "timeout", "variation")

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self.smoothed = timing.initial_rtt
        self.variation = timing.initial_rtt / 2
        self.latest = timing.initial_rtt
        self.minimum: float | None = None
        # The probe timeout without backoff: asked for far more often than it changes.
        self.timeout = 0.0
        self._plan()

    def sample(self, rtt: float, ack_delay: float) -> None:
        """Take a measurement: seconds from sending to ack, and how long the peer held the ack."""
        self.latest = rtt
        if self.minimum is None:
            self.minimum = self.smoothed = rtt
            self.variation = rtt / 2
            self._plan()
            return
        if rtt < self.minimum:
            self.minimum = rtt
        # A delay that would put the path below its own minimum was not all delay.
        if rtt - ack_delay >= self.minimum:
            rtt -= ack_delay
        self.variation += (abs(self.smoothed - rtt) - self.variation) / 4
        self.smoothed += (rtt - self.smoothed) / 8
        self._plan()

    def _plan(self) -> None:
        timing = self._timing
        wait = self.smoothed + max(4 * self.variation, _GRANULARITY) + timing.ack_delay
        self.timeout = min(max(wait, timing.probe_floor), timing.probe_cap)

    def probe_timeout(self, backoff: int = 0) -> float:
        """Give the seconds to wait for an ack, after `backoff` probes that brought none."""
        return min(self.timeout * (1 << min(backoff, 16)), self._timing.probe_cap)

    def loss_delay(self) -> float:
        """Give the age at which a packet older than an acked one counts as lost."""
        return max(9 / 8 * max(self.smoothed, self.latest), _GRANULARITY)

    @property
    def queued(self) -> float:
        """The share of a round trip, 0 to 1, that is above the least ever seen."""
        if self.minimum is None or self.smoothed <= self.minimum:
            return 0.0
        return 1 - self.minimum / self.smoothed

    def start_afresh(self) -> None:
        """Forget the old path, but for a first guess at the new one."""
        self.minimum = None
        self.variation = self.smoothed / 2
        self._plan()

    def clone(self) -> RttEstimator:
        """Give an independent twin."""
        return copy_slots(self)

    def key(self) -> tuple[object, ...]:
        """Give the state as a comparable value."""
        return (self.smoothed, self.variation, self.latest, self.minimum)
