"""One seed, and many: the swarm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from palaver.machine import PalaverError
from palaver.sim.random import SeededRandom
from palaver.sim.trace import Entry, digest
from palaver.sim.verdict import Script

from .duo_world import DuoWorld
from .group_world import GroupWorld
from .observer import observe
from .people_world import PeopleWorld
from .weather import ALL, Weather, draw_weather
from .world import World

ROLES: dict[str, type[World]] = {"duo": DuoWorld, "people": PeopleWorld, "group": GroupWorld}
"""The worlds that there are, by name."""
MOST_STEPS = 60


@dataclass
class Run:
    """What one seed has shown."""

    role: str
    seed: int
    weather: Weather
    seconds: float
    violations: list[str]
    witnesses: Counter[str]
    faults: Counter[str]
    machines: Counter[str]
    trace: list[Entry] = field(repr=False)

    def digest(self) -> str:
        """Give a fingerprint of all that happened."""
        return digest(self.trace)


@dataclass
class Summary:
    """What many seeds have shown together: sums, and the seeds that failed."""

    runs: int = 0
    seconds: float = 0.0
    datagrams: int = 0
    failed: dict[int, list[str]] = field(default_factory=dict)
    witnesses: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    machines: Counter[str] = field(default_factory=Counter)

    def add(self, run: Run) -> None:
        """Count one more."""
        self.runs += 1
        self.seconds += run.seconds
        self.datagrams += run.faults["sent"]
        if run.violations:
            self.failed[run.seed] = run.violations
        self.witnesses.update(run.witnesses)
        self.faults.update(run.faults)
        self.machines.update(run.machines)


def run_seed(
    role: str, seed: int, faults: tuple[str, ...] = ALL, script: Script | None = None
) -> Run:
    """Play one run of `role`; of the `faults` that are named the seed draws some.

    Whatever is wrong is in `violations`, an exception too. Raises KeyError for an unknown role.
    """
    random = SeededRandom(seed).fork("swarm")
    weather = draw_weather(random, faults)
    world = ROLES[role](seed, weather, script)
    try:
        world.play(10 + random.below(MOST_STEPS - 9))
    except (PalaverError, AssertionError, ArithmeticError, LookupError, TypeError) as error:
        world.violations.append(f"{type(error).__name__} at {world.sim.now:.4f} s: {error}")
    observers = world.observers()
    violations = world.violations + observe(world.sim.trace, observers)
    witnesses = world.witnesses
    for observer in observers:
        for name, count in observer.witnesses.items():
            witnesses[f"{type(observer).__name__}: {name}"] += count
    return Run(
        role=role,
        seed=seed,
        weather=weather,
        seconds=world.sim.now,
        violations=violations,
        witnesses=witnesses,
        faults=Counter(world.sim.counts()),
        machines=Counter(world.sim.stats()),
        trace=world.sim.trace,
    )


def swarm(role: str, seeds: Iterable[int], faults: tuple[str, ...] = ALL) -> Iterator[Run]:
    """Play one seed after the other."""
    for seed in seeds:
        yield run_seed(role, seed, faults)
