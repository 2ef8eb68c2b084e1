"""A path whose round-trip time is known and that no congestion control looks after.

Neither is the subject of an exploration, and both would make each world unlike all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from palaver.link import recovery
from palaver.link.congestion import Congestion
from palaver.link.rtt import RttEstimator


class KnownRtt(RttEstimator):
    """The round-trip time that `Timing` assumes at first, for ever."""

    __slots__ = ()

    def sample(self, rtt: float, ack_delay: float) -> None:
        """Learn nothing."""


class WideRoad(Congestion):
    """A window that nothing fills and nothing changes."""

    __slots__ = ()

    def __init__(self, mtu: int) -> None:
        super().__init__(mtu)
        self.window = 1 << 40

    def restart(self) -> None:
        """Change nothing."""

    def acked(self, size: int, sent_at: float, *, was_limited: bool) -> None:
        """Count what is in flight, and change nothing else."""
        self.in_flight -= size

    def lost(self, size: int, sent_at: float, now: float, queued: float) -> None:
        """Count what is in flight, and change nothing else."""
        self.in_flight -= size


@contextmanager
def known_path() -> Iterator[None]:
    """Let links have such a path, until the context is left."""
    with (
        patch.object(recovery, "RttEstimator", KnownRtt),
        patch.object(recovery, "Congestion", WideRoad),
    ):
        yield
