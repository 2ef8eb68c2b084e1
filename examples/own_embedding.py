"""Test your own embedding: your machine, on a network that loses, copies and damages.

    PYTHONPATH=src python3 examples/own_embedding.py [SEED]

`Thermometer` is what you would write: it wraps a machine of Palaver, has the same shape, and so
can be put on a simulated network. Minutes pass at once, and every run repeats by its seed.
"""

from __future__ import annotations

import sys

from palaver import Action, Call, Duo, Event, Said, Say
from palaver.sim import DROP, Dropped, Faults, Script, Sim, describe

SENSOR, DESK = ("sensor", 1), ("desk", 1)


class Thermometer:
    """Tells whoever asks how warm it is; this is the embedding under test."""

    def __init__(self, duo: Duo) -> None:
        self.duo = duo
        self.degrees = 20

    @property
    def deadline(self) -> float | None:
        """When it has to be ticked: when the machine within has to be."""
        return self.duo.deadline

    def stats(self) -> dict[str, int]:
        """Give the counts of the machine within."""
        return self.duo.stats()

    def handle(self, event: Event, now: float) -> list[Action]:
        """Hand an event to the machine, and answer what it was asked."""
        actions = self.duo.handle(event, now)
        for action in list(actions):
            if isinstance(action, Said) and action.text == "how warm?":
                self.degrees += 1
                actions += self.duo.handle(Say(action.link, f"{self.degrees} degrees"), now)
        return actions


def make(faults: Faults, seed: int, script: Script | None = None) -> Sim:
    """Put both machines on a network, and let the desk call."""
    sim = Sim(seed, faults, script=script)
    sim.add(SENSOR, Thermometer(Duo(sim.entropy("sensor"), name="sensor")))
    sim.add(DESK, Duo(sim.entropy("desk"), name="desk"))
    sim.command(DESK, Call(SENSOR))
    return sim


def heard(sim: Sim) -> list[str]:
    """Give the answers so far."""
    return [notice.text for _, notice in sim.notices(DESK) if isinstance(notice, Said)]


def ask(sim: Sim) -> str:
    """Ask, and let time pass until the answer is there; it raises SimError if it never comes."""
    before = len(heard(sim))
    sim.command(DESK, Say(1, "how warm?"))
    sim.run_until(lambda: len(heard(sim)) > before)
    return heard(sim)[-1]


def main(seed: int) -> None:
    """Ask ten times on a terrible network, with a nap; then follow a script."""
    faults = Faults(loss=0.3, duplicate=0.2, reorder=0.2, corrupt=0.05, delay=0.05)
    sim = make(faults, seed)
    answers = [ask(sim) for _ in range(5)]
    sim.stall(SENSOR, 3.0)  # the sensor is busy for so long; what arrives waits for it
    answers += [ask(sim) for _ in range(5)]
    assert answers == [f"{21 + number} degrees" for number in range(10)], answers
    counts, stats = sim.counts(), sim.stats()
    print(f"ten answers, each once and in order, in {sim.now:.1f} virtual seconds")
    print(f"{counts['dropped']} datagrams were lost, {counts['duplicated']} doubled")
    print(f"{sim.counts()['corrupted']} were damaged, {stats['damaged']} refused by the checksum")
    scripted = make(Faults(delay=0.05), seed, {1: DROP})  # the first is lost, and nothing else
    print(ask(scripted), f"after {scripted.now:.2f} s:")
    for entry in scripted.trace:
        if isinstance(entry, Dropped):
            print(describe(entry))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
