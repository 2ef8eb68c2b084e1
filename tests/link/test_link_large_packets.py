"""Packets so large that few of them use up the window (PROTOCOL.md, sections 7.1 and 7.7)."""

from __future__ import annotations

import random

import pytest

from palaver import Call, Duo, Limits, Say, WouldBlock
from palaver.sim import Faults, Sim

ANN, BOB = ("ann", 1), ("bob", 1)
STEP = 0.0005
MESSAGES = 400


@pytest.mark.spec("D-1")
def test_a_window_of_a_few_packets_does_not_make_the_sender_wait_for_late_acks() -> None:
    limits = Limits(window=65536, mtu=9000)
    draw = random.Random(1)
    sim = Sim(1, Faults(delay=STEP))
    sim.add(ANN, Duo(draw.randbytes, name="Ann", limits=limits))
    sim.add(BOB, Duo(draw.randbytes, name="Bob", limits=limits))
    sim.command(ANN, Call(BOB))
    sim.run_for(1)
    begun, waits = sim.now, 0
    for ref in range(MESSAGES):
        while True:
            try:
                sim.command(ANN, Say(1, "x" * 8900, ref))
                break
            except WouldBlock:
                waits += 1
                sim.run_for(STEP)
    assert waits, "the queue was full"
    # 7 messages a window, a window in a round trip of 1 ms or a little more.
    assert sim.now - begun < MESSAGES / 7 * 0.003
