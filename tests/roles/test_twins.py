"""Calls that cross on two links become one conversation (PROTOCOL.md, section 6.3)."""

from __future__ import annotations

import pytest
from pairs import DELAY
from twin_support import ANN, BOB, People

OFFSETS = [step * DELAY / 2 for step in range(8)]


@pytest.mark.smoke
@pytest.mark.parametrize("streams", [False, True], ids=["datagrams", "streams"])
@pytest.mark.parametrize("offset", OFFSETS)
def test_calls_that_cross_become_one_conversation(offset: float, streams: bool) -> None:
    for seed in range(8):
        people = People(seed=seed, streams=streams)
        ann = people.call(ANN, BOB, 10)
        people.say(ANN, ann, 3)
        people.wire.run(offset)
        bob = people.call(BOB, ANN, 20)
        people.say(BOB, bob, 3)
        for _ in range(40):
            people.wire.run(DELAY / 2)
            people.say(ANN, ann)
            people.say(BOB, bob)
        people.wire.run(3)
        people.check_one(ann, bob, (10, 20))
