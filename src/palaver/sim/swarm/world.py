"""The world of a run: some machines, what their programs do, and what happens to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from palaver.machine import Address, Event, Notice, PalaverError
from palaver.sim.network import Sim
from palaver.sim.random import SeededRandom
from palaver.sim.trace import Sent
from palaver.sim.verdict import Script
from palaver.timing import DEFAULT_LIMITS
from palaver.wire.packets import HEADER_SIZE, Kind
from palaver.wire.sealing import CLEAR, TAG_SIZE

from .observer import Observer
from .weather import Weather

STALL = 1.5
"""The longest time in seconds that a machine stands still at once."""
STALLS = 3
"""How often a machine may stand still in a run."""
MOST_POURED = 600
"""The most datagrams of strangers that come at once."""
HOSTS = 100
"""How many hosts they have."""
RECENT = 400
"""How far back they have listened, in entries of the trace."""
SLACK = STALL * STALLS + 0.5
"""By how much at most that makes anything late, in seconds."""


class World:
    """A scenario. Subclasses say who there is, what they may do, and what must be true at the end.

    A run has three parts: `act` as often as asked for in bad weather; `drain`: everything is
    healed, some faults may stay; `part`: all is ended, and must come to an end.
    """

    def __init__(self, seed: int, weather: Weather, script: Script | None = None) -> None:
        self.random = SeededRandom(seed).fork("world")
        self.weather = weather
        self.sim = Sim(seed, weather.bad, weather.bottleneck, script=script)
        self.violations: list[str] = []
        self.witnesses: Counter[str] = Counter()
        self._stalls: Counter[Address] = Counter()

    # For subclasses

    def observers(self) -> list[Observer]:
        """Give those who judge the trace."""
        raise NotImplementedError

    def act(self) -> None:
        """Let something happen."""
        raise NotImplementedError

    def drain(self) -> None:
        """Let all that was begun come to rest on a network that is healed."""
        raise NotImplementedError

    def part(self) -> None:
        """End everything, and check that nothing stays."""
        raise NotImplementedError

    def check(self) -> None:
        """Check what always holds, after each step."""

    # For all

    def play(self, steps: int) -> None:
        """Run all three parts; `violations` then says what was wrong."""
        for _ in range(steps):
            self.act()
            self.sim.run_for(self._pause())
            self.check()
        self.sim.heal()
        self.sim.set_faults(self.weather.lasting)
        self.sim.set_bottleneck(None)
        self.drain()
        self.check()
        self.part()
        self.check()

    def tell(self, address: Address, event: Event) -> list[Notice]:
        """Give a command; what the machine refuses was no command."""
        try:
            return self.sim.command(address, event)
        except PalaverError as error:
            self.witnesses[f"refused: {type(error).__name__}"] += 1
            return []

    def pick(self, choices: Sequence[str]) -> str:
        """Draw one of these."""
        return choices[self.random.below(len(choices))]

    def disturb(self, address: Address, other: Address) -> None:
        """Let something happen to the network, or to the clock of a machine."""
        floods = ("flood", "flood") if self.weather.floods else ()
        what = self.pick(("part", "part one way", "heal", "heal", "stall", "sleep", *floods))
        self.witnesses[what] += 1
        if what == "heal":
            self.sim.heal()
        elif what == "flood":
            self._flood(address)
        elif what.startswith("part"):
            self.sim.partition(address, other, one_way=what != "part")
        elif self._stalls[address] < STALLS:
            self._stalls[address] += 1
            seconds = STALL * self.random.fraction()
            self.sim.stall(address, seconds, clock_stops=what == "sleep")
            if self.weather.floods and self.random.chance(0.5):
                self._flood(address)

    def _flood(self, address: Address) -> None:
        """Have strangers pour what somebody has been sent, as it was or as calls of their own."""
        seen = [
            entry.data
            for entry in self.sim.trace[-RECENT:]
            if isinstance(entry, Sent) and entry.destination == address
        ]
        for _ in range(self.random.below(MOST_POURED) if seen else 0):
            data = seen[self.random.below(len(seen))]
            if data[0] == Kind.HELLO and self.random.chance(0.9):
                link = self.random.bytes(HEADER_SIZE - 1)
                data = CLEAR.seal(data[:1] + link + data[HEADER_SIZE:-TAG_SIZE])
            host = self.random.below(HOSTS)
            self.sim.inject(address, data, (f"stranger-{host}", 1 + self.random.below(4)))

    def require(self, truth: object, what: str) -> None:
        """Note that something was wrong, unless it is true."""
        if not truth:
            self.violations.append(f"at {self.sim.now:.4f} s: {what}")

    def bound(self, who: str, stats: dict[str, int], bounds: dict[str, int]) -> None:
        """Check that nothing that is remembered is more than so many, and what a flood may add."""
        poured = DEFAULT_LIMITS.half_open if self.weather.floods else 0
        for name, bound in bounds.items():
            most = bound + poured if name in {"links", "half_open"} and bound else bound
            self.require(stats[name] <= most, f"{who} remembers {stats[name]} {name}")

    def _pause(self) -> float:
        """Draw the seconds until the next step: mostly short, now and then till a link is dead."""
        if self.random.chance(1 / 64):
            return 35.0
        return (0.0, 0.01, 0.05, 0.2, 0.2, 1.0, 1.0, 6.0)[self.random.below(8)]
