"""A network in virtual time: any machines, seeded faults, runs that repeat exactly.

    sim = Sim(seed=7, faults=Faults(loss=0.2, delay=0.05))
    sim.add(("a", 1), Duo(sim.entropy("a")))
    sim.add(("b", 1), Duo(sim.entropy("b")))
    sim.command(("a", 1), Call(("b", 1)))
    sim.run_until(lambda: bool(sim.notices(("b", 1))))

Nothing here waits, reads a clock or opens a socket. `FaultInjector` is also what the drivers put
on real datagrams.
"""

from .faults import NO_FAULTS, FaultCounters, FaultInjector, Faults
from .network import Sim
from .node import SimError
from .path import Bottleneck, Path
from .random import SeededRandom
from .trace import Arrived, Dropped, DropReason, Entry, Noticed, Sent, digest

__all__ = [
    "NO_FAULTS",
    "Arrived",
    "Bottleneck",
    "DropReason",
    "Dropped",
    "Entry",
    "FaultCounters",
    "FaultInjector",
    "Faults",
    "Noticed",
    "Path",
    "SeededRandom",
    "Sent",
    "Sim",
    "SimError",
    "digest",
]
