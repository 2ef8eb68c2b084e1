"""What all the links of an endpoint share."""

from __future__ import annotations

from dataclasses import dataclass, field

from palaver.timing import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing

from .counters import Counters


@dataclass(frozen=True)
class Context:
    """Timers, limits, and the counters that all count in."""

    timing: Timing = DEFAULT_TIMING
    limits: Limits = DEFAULT_LIMITS
    counters: Counters = field(default_factory=Counters)
    streams: bool = False
    """Whether packets go over streams, which lose nothing and keep the order."""

    def clone(self) -> Context:
        """Give a twin that counts on its own."""
        return Context(self.timing, self.limits, self.counters.clone(), self.streams)
