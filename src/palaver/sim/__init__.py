"""A network in virtual time: any machines, seeded faults, runs that repeat exactly.

    sim = Sim(seed=7, faults=Faults(loss=0.2, delay=0.05))
    sim.add(("a", 1), Duo(sim.entropy("a")))
    sim.add(("b", 1), Duo(sim.entropy("b")))
    sim.command(("a", 1), Call(("b", 1)))
    sim.run_until(lambda: bool(sim.notices(("b", 1))))

Faults are drawn from the seed, or told by a script: `Sim(7, script={3: DROP})`. Nothing here waits,
reads a clock or opens a socket. `FaultInjector` is also what the drivers put on real datagrams.
"""

from .faults import NO_FAULTS, FaultCounters, FaultInjector, Faults
from .network import Sim
from .node import SimError
from .path import Bottleneck, Path
from .random import SeededRandom
from .trace import (
    Arrived,
    Began,
    Changed,
    Commanded,
    Crashed,
    Dropped,
    DropReason,
    Entry,
    Moved,
    Noticed,
    Refused,
    Sent,
    describe,
    digest,
)
from .verdict import DROP, Script, Verdict

__all__ = [
    "DROP",
    "NO_FAULTS",
    "Arrived",
    "Began",
    "Bottleneck",
    "Changed",
    "Commanded",
    "Crashed",
    "DropReason",
    "Dropped",
    "Entry",
    "FaultCounters",
    "FaultInjector",
    "Faults",
    "Moved",
    "Noticed",
    "Path",
    "Refused",
    "Script",
    "SeededRandom",
    "Sent",
    "Sim",
    "SimError",
    "Verdict",
    "describe",
    "digest",
]
