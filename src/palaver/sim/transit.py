"""What is under way between the machines, and the paths that it takes."""

from __future__ import annotations

from collections.abc import Container
from heapq import heappop, heappush
from typing import TypeAlias

from palaver.machine import Address

from .faults import NO_FAULTS, Faults
from .path import Bottleneck, Path
from .random import SeededRandom
from .trace import Arrived, Dropped, DropReason, Entry, Sent
from .verdict import Script

_Copy: TypeAlias = tuple[float, int, int, Address, Address, bytes]
"""Time of arrival, order, number, source, destination, data. No two have the same order."""


class Transit:
    """All paths, and all datagrams on them, in the order in which they arrive.

    What arrives at the same time arrives in the order in which it was sent. Datagrams to an
    address that is not `known` are lost at once, so that a machine that answers forged sources
    does not make a path for each. `script` overrules the faults of the paths. `trace` is told
    what happens to datagrams, unless it is None.
    """

    def __init__(
        self,
        random: SeededRandom,
        faults: Faults,
        bottleneck: Bottleneck | None,
        known: Container[Address],
        trace: list[Entry] | None,
        script: Script,
    ) -> None:
        self._random = random
        self._script = script
        self._faults = faults
        self._bottleneck = bottleneck
        self._known = known
        self._trace = trace
        self._paths: dict[tuple[Address, Address], Path] = {}
        self._under_way: list[_Copy] = []  # a heap
        self._order = 0
        self._number = 0
        self._absent = 0
        self._injected = 0
        self._stalled = 0

    @property
    def next_time(self) -> float:
        """When something arrives next; infinity if nothing is under way."""
        return self._under_way[0][0] if self._under_way else float("inf")

    def path(self, source: Address, destination: Address) -> Path:
        """Give one direction. Its randomness depends on the seed and the two addresses only."""
        ends = (source, destination)
        path = self._paths.get(ends)
        if path is None:
            seed = self._random.fork(repr(ends)).key()
            path = self._paths[ends] = Path(self._faults, self._bottleneck, seed)
        return path

    def set_faults(self, faults: Faults) -> None:
        """Set the faults of all paths, now and later."""
        self._faults = faults
        for path in self._paths.values():
            path.faults = faults

    def set_bottleneck(self, bottleneck: Bottleneck | None) -> None:
        """Set the bottleneck of all paths, now and later."""
        self._bottleneck = bottleneck
        for path in self._paths.values():
            path.bottleneck = bottleneck

    def heal(self) -> None:
        """End the cut of every path."""
        for path in self._paths.values():
            path.cut = False

    def counts(self) -> dict[str, int]:
        """Give the sum over all paths, by name, and the copies that found nobody as `absent`."""
        totals = Path(NO_FAULTS, None, 0).counts()
        for path in self._paths.values():
            for name, count in path.counts().items():
                totals[name] += count
        return totals | {
            "absent": self._absent,
            "injected": self._injected,
            "stalled": self._stalled,
        }

    def send(self, now: float, source: Address, destination: Address, data: bytes) -> None:
        """Put a datagram on its path."""
        self._number += 1
        sent = Sent(now, self._number, source, destination, data)
        if self._trace is not None:
            self._trace.append(sent)
        if destination not in self._known:
            self.lose(sent, DropReason.ABSENT)
            return
        verdict = self._script.get(sent.number)
        copies = self.path(source, destination).send(data, now, verdict)
        if isinstance(copies, DropReason):
            self.lose(sent, copies)
            return
        for release, copy in copies:
            self._schedule(release, sent.number, source, destination, copy)

    def inject(self, now: float, source: Address, destination: Address, data: bytes) -> None:
        """Let a datagram arrive now that nobody sent."""
        self._number += 1
        self._injected += 1
        self._schedule(now, self._number, source, destination, data)

    def take(self, now: float) -> list[Arrived]:
        """Give what has arrived by `now`, and forget it."""
        arrived: list[Arrived] = []
        while self._under_way and self._under_way[0][0] <= now:
            _, _, number, source, destination, data = heappop(self._under_way)
            arrived.append(Arrived(now, number, source, destination, data))
        return arrived

    def lose(self, copy: Sent | Arrived, reason: DropReason) -> None:
        """Note that a datagram, or one copy of it, is lost."""
        if reason is DropReason.ABSENT:
            self._absent += 1
        elif reason is DropReason.STALLED:
            self._stalled += 1
        if self._trace is not None:
            ends = (copy.source, copy.destination)
            self._trace.append(Dropped(copy.time, copy.number, *ends, copy.data, reason))

    def _schedule(
        self, time: float, number: int, source: Address, destination: Address, data: bytes
    ) -> None:
        self._order += 1
        heappush(self._under_way, (time, self._order, number, source, destination, data))
