"""A run through every fault there is, to compare across processes and Pythons: needs no pytest."""

from __future__ import annotations

from palaver import Call, Duo, Leave, Said, Say
from palaver.sim import DROP, Faults, Sim, Verdict

ANN, BOB, ELSEWHERE = ("ann", 1), ("bob", 1), ("ann", 2)
SPOILED = Faults(
    loss=0.1, duplicate=0.1, reorder=0.1, corrupt=0.05, delay=0.02, jitter=0.01, burst=0.02,
    truncate=0.03, extend=0.03, replay=0.05, forge=0.05,
)  # fmt: skip


def spoiled_run() -> Sim:
    """Two who talk through everything that there is."""
    sim = Sim(11, SPOILED, script={9: Verdict(flip=(3,)), 12: DROP})
    sim.add(ANN, Duo(sim.entropy("ann"), name="Ann"))
    sim.add(BOB, Duo(sim.entropy("bob"), name="Bob"))
    sim.command(ANN, Call(BOB))
    for n in range(30):
        sim.command(ANN, Say(1, f"text {n}"))
        sim.run_for(0.1)
    sim.rebind(ANN, ELSEWHERE)
    sim.stall(BOB, 0.7, clock_stops=True)
    sim.command(ELSEWHERE, Say(1, "moved"))
    sim.run_until(lambda: sum(isinstance(one, Said) for _, one in sim.notices(BOB)) == 31)
    sim.command(ELSEWHERE, Leave(1))
    sim.run_for(60)
    return sim
