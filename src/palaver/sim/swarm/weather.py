"""How bad the network of a run is: each seed draws which faults there are, and how hard."""

from __future__ import annotations

from dataclasses import dataclass, replace

from palaver.sim.faults import NO_FAULTS, Faults
from palaver.sim.path import Bottleneck
from palaver.sim.random import SeededRandom

FAULTS = (
    *("loss", "duplicate", "reorder", "corrupt", "burst", "truncate", "extend", "replay"),
    "forge",
)
"""The faults of `Faults` that may be on."""
ALL = (*FAULTS, "narrow", "flood")
"""All faults that may be on: `narrow` is a `Bottleneck`, `flood` lets a stranger pour datagrams."""

_HARD = {"loss": 0.5, "burst": 0.05, "corrupt": 0.2, "truncate": 0.2, "extend": 0.2, "forge": 0.3}
_MOST = 0.3


@dataclass(frozen=True)
class Weather:
    """The faults of a run: first `bad`, and later, when all else is healed, `lasting`.

    Until then all paths are as narrow as `bottleneck`, and a stranger pours if there are `floods`.
    """

    bad: Faults
    lasting: Faults
    bottleneck: Bottleneck | None = None
    floods: bool = False


def draw_weather(random: SeededRandom, allowed: tuple[str, ...] = ALL) -> Weather:
    """Draw the faults of a run, each on with a chance of 0.4; in one run of four, half stays."""
    chances = {
        name: random.fraction() * _HARD.get(name, _MOST)
        for name in FAULTS
        if name in allowed and random.chance(0.4)
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
    lasting = calm
    if random.chance(0.25):
        lasting = replace(bad, **{name: chance / 2 for name, chance in chances.items()})
    bottleneck = None
    if "narrow" in allowed and random.chance(0.2):
        bandwidth = (600, 4000, 30000)[random.below(3)]
        bottleneck = Bottleneck(bandwidth, (0, 300, 4000)[random.below(3)])
    return Weather(bad, lasting, bottleneck, "flood" in allowed and random.chance(0.3))
