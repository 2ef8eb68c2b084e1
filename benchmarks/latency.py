"""How long messages take over a bad wire, in virtual time.

    python benchmarks/latency.py [--seeds N]

Three measurements, each over many seeds, with 50 ms of round trip:

* a thin stream, 50 messages of 64 bytes a second at 20 % loss each way: from sending to in-order
  delivery;
* a first message at the same loss: from the call to its delivery;
* 2,000 messages of 1 KiB as fast as the protocol allows, at 0, 1 and 5 % loss.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from palaver import Address, Call, Duo, Notice, Said, Say, WouldBlock, Writable
from palaver.sim import Faults, Sim

ANN, BOB = ("ann", 1), ("bob", 2)
ONE_WAY = 0.025


def stage(seed: int, loss: float) -> Sim:
    """Give two machines, and a wire between them that loses."""
    sim = Sim(seed, Faults(loss=loss, delay=ONE_WAY), record=False)
    sim.add(ANN, Duo(sim.entropy("ann"), accept=False))
    sim.add(BOB, Duo(sim.entropy("bob")))
    return sim


def thin_stream(seed: int, messages: int) -> list[float]:
    """Give the seconds that each message took."""
    sim = stage(seed, 0.0)
    sim.command(ANN, Call(BOB))
    sim.run_for(1.0)
    sim.set_faults(Faults(loss=0.2, delay=ONE_WAY))
    sent = []
    for number in range(messages):
        sent.append(sim.now)
        sim.command(ANN, Say(1, f"{number:063}", number))
        sim.run_for(0.02)
    sim.run_for(30.0)
    said = [at for at, notice in sim.notices(BOB) if isinstance(notice, Said)]
    assert len(said) == messages
    return [at - began for at, began in zip(said, sent, strict=True)]


def first_message(seed: int, loss: float) -> float:
    """Give the seconds from the call to the delivery of what was said at once."""
    sim = stage(seed, loss)
    sim.command(ANN, Call(BOB), Say(1, "hello"))
    sim.run_until(lambda: any(isinstance(one, Said) for _, one in sim.notices(BOB)), limit=120.0)
    return sim.now


def bulk(seed: int, loss: float, messages: int = 2000) -> float:
    """Give the seconds that a bulk transfer takes."""
    sim = stage(seed, 0.0)
    sim.command(ANN, Call(BOB))
    sim.run_for(1.0)
    sim.set_faults(Faults(loss=loss, delay=ONE_WAY))
    began, sent = sim.now, 0
    while True:
        try:
            while sent < messages:
                sim.command(ANN, Say(1, "x" * 1024, sent))
                sent += 1
        except WouldBlock:
            run_until_told(sim, ANN, Writable, 1)
        else:
            break
    run_until_told(sim, BOB, Said, messages - heard(sim))
    return sim.now - began


def heard(sim: Sim) -> int:
    """Give how many messages have arrived."""
    return sum(isinstance(notice, Said) for _, notice in sim.notices(BOB))


def run_until_told(sim: Sim, who: Address, kind: type[Notice], times: int) -> None:
    """Let time pass until so many more notices of a kind were told."""
    notices = sim.notices(who)
    seen, missing = len(notices), times

    def told() -> bool:
        nonlocal seen, missing
        missing -= sum(isinstance(notice, kind) for _, notice in notices[seen:])
        seen = len(notices)
        return missing <= 0

    sim.run_until(told, limit=300.0)


def percentile(values: list[float], share: float) -> float:
    """Give the value below which that share of the values lies, in milliseconds."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Latency over a bad wire, in virtual time.")
    parser.add_argument("--seeds", type=int, default=200)
    seeds = range(parser.parse_args().seeds)
    streams = seeds[: max(len(seeds) // 10, 1)]
    row("thin stream, 20% loss", [delay for seed in streams for delay in thin_stream(seed, 500)])
    for loss in (0.0, 0.2):
        row(f"first message, {loss:.0%} loss", [first_message(seed, loss) for seed in seeds])
    for loss in (0.0, 0.01, 0.05):
        row(f"2,000 x 1 KiB, {loss:.0%} loss", [bulk(seed, loss) for seed in range(5)])


def row(what: str, seconds: list[float]) -> None:
    """Print a line of figures."""
    p50, p99 = percentile(seconds, 0.5), percentile(seconds, 0.99)
    print(f"{what:<24} p50 {p50:8.0f} ms   p99 {p99:8.0f} ms   max {max(seconds) * 1000:8.0f} ms")


if __name__ == "__main__":
    main()
