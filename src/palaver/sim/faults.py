"""What a bad network does to datagrams: loss, copies, delay, changed order, flipped bits.

    injector = FaultInjector(Faults(loss=0.2, reorder=0.1), seed=7)
    for release, data in injector.apply(datagram, now):
        ...                     # send `data` at time `release`

The simulator puts an injector on each direction between two addresses; a driver puts one on all
that its process sends. Neither the injector nor its randomness knows the difference.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeAlias

from palaver.machine import UsageError, copy_slots

from .random import SeededRandom

Copies: TypeAlias = list[tuple[float, bytes]]
"""When to release each copy of a datagram, in seconds, and its bytes."""

_MAX_SECONDS = 1e9


@dataclass(frozen=True)
class Faults:
    """How bad a network is: chances from 0 (never) to 1 (always), and times in seconds.

    Raises UsageError for a chance or a time (0 to 1e9) out of its bounds.
    """

    loss: float = 0.0
    """The chance that a datagram vanishes."""
    duplicate: float = 0.0
    """The chance that a second copy follows it, by a random part of `reorder_delay`."""
    reorder: float = 0.0
    """The chance that a copy is held back, so that later ones overtake it."""
    corrupt: float = 0.0
    """The chance that one to three bits of a copy are flipped."""
    delay: float = 0.0
    """How long every datagram is under way, at least."""
    jitter: float = 0.0
    """Up to how much longer it may be under way. This alone does not change the order."""
    reorder_delay: float = 0.05
    """How long a copy is held back; it must be longer than the gaps between datagrams."""

    def __post_init__(self) -> None:
        """Check the bounds."""
        for field in fields(self):
            number = getattr(self, field.name)
            most = _MAX_SECONDS if field.name in _TIMES else 1
            if not 0 <= number <= most:
                raise UsageError(f"Faults.{field.name} must be from 0 to {most:g}, not {number}")


_TIMES = frozenset({"delay", "jitter", "reorder_delay"})

NO_FAULTS = Faults()
"""A perfect network: everything arrives at once."""


class FaultCounters:
    """What an injector has done so far."""

    __slots__ = ("corrupted", "dropped", "duplicated", "reordered", "sent")

    sent: int
    """Datagrams that came in."""
    dropped: int
    """Datagrams that vanished."""
    duplicated: int
    """Datagrams that became two: sent - dropped + duplicated copies came out."""
    reordered: int
    """Copies that were held back."""
    corrupted: int
    """Copies with flipped bits."""

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def as_dict(self) -> dict[str, int]:
        """Give all counts by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    def clone(self) -> FaultCounters:
        """Give an independent twin."""
        return copy_slots(self)


class FaultInjector:
    """Does to each datagram what `faults` say; the same for the same `seed` and input.

    `faults` may be set to others at any time; `counters` go on counting.
    """

    __slots__ = ("_last_release", "_random", "counters", "faults")

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self.counters = FaultCounters()
        self._random = SeededRandom(seed)
        self._last_release = float("-inf")

    def apply(self, data: bytes, now: float) -> Copies:
        """Give the copies of a datagram that was sent at `now`, the original first.

        The chances are independent, and taken in this order: loss; if not lost, duplicate; then
        for each copy corrupt and reorder. Copies that were not held back, and are not the second
        of two, keep the order in which they were sent; without delay and jitter their release
        is `now`. `now` must not go backwards.
        """
        faults, random, counters = self.faults, self._random, self.counters
        counters.sent += 1
        if random.chance(faults.loss):
            counters.dropped += 1
            return []
        twice = random.chance(faults.duplicate)
        usual = self._usual_release(now)
        copies = [self._disturb(data, usual)]
        if twice:
            counters.duplicated += 1
            later = usual + faults.reorder_delay * random.fraction()
            copies.append(self._disturb(data, later))
        return copies

    def clone(self) -> FaultInjector:
        """Give an independent twin that will do the same."""
        twin: FaultInjector = copy_slots(self)
        twin._random = self._random.clone()
        twin.counters = self.counters.clone()
        return twin

    def _usual_release(self, now: float) -> float:
        """Give when a datagram comes out that is not held back: never before the one ahead."""
        faults = self.faults
        release = now + faults.delay
        if faults.jitter:
            release += faults.jitter * self._random.fraction()
        self._last_release = release = max(release, self._last_release)
        return release

    def _disturb(self, data: bytes, release: float) -> tuple[float, bytes]:
        """Corrupt one copy, hold it back, or both, or neither."""
        faults, random, counters = self.faults, self._random, self.counters
        if data and random.chance(faults.corrupt):
            counters.corrupted += 1
            data = flip_bits(data, 1 + random.below(3), random)
        if random.chance(faults.reorder):
            counters.reordered += 1
            release += faults.reorder_delay
        return release, data


def flip_bits(data: bytes, count: int, random: SeededRandom) -> bytes:
    """Flip `count` different bits; `data` must have that many."""
    size = len(data)
    flips: set[int] = set()
    while len(flips) < count:
        flips.add(random.below(size * 8))
    mask = sum(1 << place for place in flips)
    return (int.from_bytes(data, "big") ^ mask).to_bytes(size, "big")
