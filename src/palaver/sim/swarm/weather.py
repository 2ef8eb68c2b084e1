"""How bad the network of a run is: each seed draws which faults there are, and how hard."""

from __future__ import annotations

from dataclasses import dataclass, replace

from palaver.sim.faults import NO_FAULTS, Faults
from palaver.sim.random import SeededRandom

ALL = ("loss", "duplicate", "reorder", "corrupt", "burst", "truncate", "extend", "replay", "forge")
"""The faults that may be on; `Faults` says what they are."""

_HARD = {"loss": 0.5, "burst": 0.05, "corrupt": 0.2, "truncate": 0.2, "extend": 0.2, "forge": 0.3}
_MOST = 0.3


@dataclass(frozen=True)
class Weather:
    """The faults of a run: first `bad`, and later, when all else is healed, `lasting`."""

    bad: Faults
    lasting: Faults


def draw_weather(random: SeededRandom, allowed: tuple[str, ...] = ALL) -> Weather:
    """Draw the faults of a run, each on with a chance of 0.4; in one run of four, half stays."""
    chances = {
        name: random.fraction() * _HARD.get(name, _MOST) for name in allowed if random.chance(0.4)
    }
    delay = (1 / 1024, 0.02, 0.1, 0.3)[random.below(4)]
    jitter = delay * random.fraction() if random.chance(0.5) else 0.0
    calm = replace(NO_FAULTS, delay=delay, jitter=jitter)
    bad = replace(
        calm,
        reorder_delay=(0.05, 0.5)[random.below(2)],
        replay_delay=1 + 30 * random.fraction(),
        **chances,
    )
    if not random.chance(0.25):
        return Weather(bad, calm)
    halves = {name: chance / 2 for name, chance in chances.items()}
    return Weather(bad, replace(bad, **halves))
