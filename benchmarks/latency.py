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

from palaver import Call, Duo, Said, Say, WouldBlock, Writable
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
    began, sent, got, seen = sim.now, 0, 0, 0
    while got < messages:
        try:
            while sent < messages:
                sim.command(ANN, Say(1, "x" * 1024, sent))
                sent += 1
        except WouldBlock:
            pass
        mark = len(sim.notices(ANN))
        sim.run_until(
            lambda: (
                any(isinstance(one, Writable) for _, one in sim.notices(ANN)[mark:])
                or len(sim.notices(BOB)) > messages
            ),
            limit=sim.now + 60,
        )
        notices = sim.notices(BOB)
        got += sum(isinstance(one, Said) for _, one in notices[seen:])
        seen = len(notices)
    return sim.now - began


def percentile(values: list[float], share: float) -> float:
    """Give the value below which that share of the values lies, in milliseconds."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Latency over a bad wire, in virtual time.")
    parser.add_argument("--seeds", type=int, default=200)
    seeds = range(parser.parse_args().seeds)
    stream = [
        delay for seed in seeds[: max(len(seeds) // 10, 1)] for delay in thin_stream(seed, 500)
    ]
    print(
        f"thin stream, 20 % loss      p50 {percentile(stream, 0.5):6.0f} ms   p99 {percentile(stream, 0.99):6.0f} ms   max {max(stream) * 1000:6.0f} ms"
    )
    for loss in (0.0, 0.2):
        first = [first_message(seed, loss) for seed in seeds]
        print(
            f"first message, {loss:3.0%} loss   p50 {percentile(first, 0.5):6.0f} ms"
            f"   p99 {percentile(first, 0.99):6.0f} ms   max {max(first) * 1000:6.0f} ms"
        )
    for loss in (0.0, 0.01, 0.05):
        times = sorted(bulk(seed, loss) for seed in range(5))
        print(
            f"2,000 x 1 KiB, {loss:3.0%} loss   median {times[2]:5.2f} s   max {times[-1]:5.2f} s"
        )


if __name__ == "__main__":
    main()
