"""What a bad network does to datagrams: loss, copies, delay, changed order, damage, forgery.

    injector = FaultInjector(Faults(loss=0.2, reorder=0.1), seed=7)
    for release, data in injector.apply(datagram, now):
        ...                     # send `data` at time `release`

What happens to a datagram is drawn from the seed, or told by a `Verdict`.

The simulator puts an injector on each direction between two addresses; a driver puts one on all
that its process sends. Neither the injector nor its randomness knows the difference.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeAlias

from palaver.machine import UsageError, copy_slots

from .random import SeededRandom
from .verdict import Verdict

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
    burst: float = 0.0
    """The chance that a datagram begins a burst of losses (the model of Gilbert)."""
    burst_end: float = 0.25
    """The chance that a lost datagram is the last of its burst: 0.25 makes bursts of 4."""
    truncate: float = 0.0
    """The chance that a copy loses some of its last bytes, at least one."""
    extend: float = 0.0
    """The chance that 1 to 16 random bytes are appended to a copy."""
    replay: float = 0.0
    """The chance that a third copy comes much later, after `replay_delay`."""
    replay_delay: float = 5.0
    """How late that is."""
    forge: float = 0.0
    """The chance that forged bytes arrive as well: the first one is true, the rest is random."""

    def __post_init__(self) -> None:
        """Check the bounds."""
        for field in fields(self):
            number = getattr(self, field.name)
            most = _MAX_SECONDS if field.name in _TIMES else 1
            if not 0 <= number <= most:
                raise UsageError(f"Faults.{field.name} must be from 0 to {most:g}, not {number}")


_TIMES = frozenset({"delay", "jitter", "reorder_delay", "replay_delay"})

NO_FAULTS = Faults()
"""A perfect network: everything arrives at once."""


class FaultCounters:
    """What an injector has done so far.

    What came out is `sent - dropped + duplicated + replayed + forged` datagrams.
    """

    __slots__ = (
        "bursts",
        "corrupted",
        "dropped",
        "duplicated",
        "extended",
        "forged",
        "reordered",
        "replayed",
        "sent",
        "truncated",
    )

    bursts: int
    """Bursts of losses that have begun."""
    corrupted: int
    """Copies with flipped bits."""
    dropped: int
    """Datagrams that vanished, those in bursts too."""
    duplicated: int
    """Datagrams that were doubled."""
    extended: int
    """Copies that became longer."""
    forged: int
    """Datagrams that nobody sent."""
    reordered: int
    """Copies that were held back."""
    replayed: int
    """Copies that come again, much later."""
    sent: int
    """Datagrams that came in."""
    truncated: int
    """Copies that became shorter."""

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

    __slots__ = ("_in_burst", "_last_release", "_random", "counters", "faults")

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self.counters = FaultCounters()
        self._random = SeededRandom(seed)
        self._last_release = float("-inf")
        self._in_burst = False

    def apply(self, data: bytes, now: float, verdict: Verdict | None = None) -> Copies:
        """Give the copies of a datagram that was sent at `now`, the original first.

        The chances are independent, and taken in this order: burst and loss; if not lost,
        duplicate; then for each copy corrupt, reorder, truncate and extend; then replay and forge.
        Copies that were not held back, and are not the second of two, keep the order in which
        they were sent; without delay and jitter their release is `now`. `now` must not go
        backwards. With a `verdict` nothing is drawn but delay and jitter: it says what happens.
        """
        self.counters.sent += 1
        if verdict is not None:
            return self._obey(verdict, data, now)
        if self._is_lost():
            self.counters.dropped += 1
            return []
        return self._spoil(data, now)

    def clone(self) -> FaultInjector:
        """Give an independent twin that will do the same."""
        twin: FaultInjector = copy_slots(self)
        twin._random = self._random.clone()
        twin.counters = self.counters.clone()
        return twin

    def _is_lost(self) -> bool:
        """Say whether a datagram vanishes, in a burst or alone."""
        faults, random = self.faults, self._random
        if not self._in_burst and random.chance(faults.burst):
            self._in_burst = True
            self.counters.bursts += 1
        if self._in_burst:
            self._in_burst = not random.chance(faults.burst_end) and faults.burst > 0
            return True
        return random.chance(faults.loss)

    def _spoil(self, data: bytes, now: float) -> Copies:
        """Draw what happens to a datagram that is not lost."""
        faults, random, counters = self.faults, self._random, self.counters
        twice = random.chance(faults.duplicate)
        usual = self._usual_release(now)
        copies = [self._disturb(data, usual)]
        if twice:
            counters.duplicated += 1
            later = usual + faults.reorder_delay * random.fraction()
            copies.append(self._disturb(data, later))
        if random.chance(faults.replay):
            counters.replayed += 1
            copies.append((usual + faults.replay_delay, data))
        if random.chance(faults.forge):
            counters.forged += 1
            copies.append((usual, data[:1] + random.bytes(random.below(64))))
        return copies

    def _obey(self, verdict: Verdict, data: bytes, now: float) -> Copies:
        """Do what a verdict says."""
        counters = self.counters
        if verdict.drop:
            counters.dropped += 1
            return []
        usual = self._usual_release(now)
        whole = data
        if verdict.flip:
            data = flip_places(data, verdict.flip)
            counters.corrupted += data != whole
        if verdict.keep is not None and verdict.keep < len(data):
            counters.truncated += 1
            data = data[: verdict.keep]
        if verdict.append:
            counters.extended += 1
            data += verdict.append
        counters.reordered += verdict.late > 0
        copies = [(usual + verdict.late, data)]
        if verdict.again is not None:
            counters.duplicated += 1
            copies.append((usual + verdict.again, whole))
        if verdict.forge is not None:
            counters.forged += 1
            copies.append((usual, verdict.forge))
        return copies

    def _usual_release(self, now: float) -> float:
        """Give when a datagram comes out that is not held back: never before the one ahead."""
        faults = self.faults
        release = now + faults.delay
        if faults.jitter:
            release += faults.jitter * self._random.fraction()
        self._last_release = release = max(release, self._last_release)
        return release

    def _disturb(self, data: bytes, release: float) -> tuple[float, bytes]:
        """Corrupt one copy, hold it back, cut it short or extend it, each or none of these."""
        faults, random, counters = self.faults, self._random, self.counters
        if data and random.chance(faults.corrupt):
            counters.corrupted += 1
            data = flip_bits(data, 1 + random.below(3), random)
        if random.chance(faults.reorder):
            counters.reordered += 1
            release += faults.reorder_delay
        if data and random.chance(faults.truncate):
            counters.truncated += 1
            data = data[: random.below(len(data))]
        if random.chance(faults.extend):
            counters.extended += 1
            data += random.bytes(1 + random.below(16))
        return release, data


def flip_bits(data: bytes, count: int, random: SeededRandom) -> bytes:
    """Flip `count` different bits; `data` must have that many."""
    flips: set[int] = set()
    while len(flips) < count:
        flips.add(random.below(len(data) * 8))
    return flip_places(data, tuple(flips))


def flip_places(data: bytes, places: tuple[int, ...]) -> bytes:
    """Flip the bits at these places, counted from the end; a place outside wraps around."""
    size = len(data)
    if not size:
        return data
    mask = 0
    for place in places:
        mask ^= 1 << place % (size * 8)
    return (int.from_bytes(data, "big") ^ mask).to_bytes(size, "big")
