"""Ports that change in mid-conversation, on real sockets (PROTOCOL.md, section 8.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from time import monotonic

import pytest
from io_support import PATIENCE, leaving_nothing_behind
from real_support import LOSSY, QUIET, RTT, TALK, Chat, Relay, stats_of

from palaver.sim import Faults
from palaver_io import Conversation, connect, listen

MOVES = 6
SEEDS = 5


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


class Journey:
    """Ann has called Bob through a relay, both talk, and the ports of either change."""

    def __init__(self, label: str, relay: Relay, ann: Conversation, bob: Conversation) -> None:
        self.relay = relay
        self.chat = Chat(label, ann, bob)
        self.ann = ann
        self.bob = bob
        # For each move, the longest time in which either heard nothing.
        self.pauses: list[float] = []
        # Until both know the round trip.
        self.chat.say_until(lambda: all(len(one.heard) >= 10 for one in self.chat.hearers))

    def move_ann(self) -> None:
        self._move(self.relay.move_caller, self.bob)

    def move_bob(self) -> None:
        self._move(self.relay.move_callee, self.ann)

    def _move(self, verb: Callable[[], None], follower: Conversation) -> None:
        """Let a port change, and talk until the other side has followed and both hear again."""
        moves = stats_of(follower)["moves"]
        began = monotonic()
        verb()
        self.chat.say_until(lambda: stats_of(follower)["moves"] > moves)
        followed = monotonic()
        self.chat.say_until(lambda: self.chat.is_heard_since(followed))
        self.pauses.append(self.chat.longest_pause(began))


@contextmanager
def journey(seed: int, faults: Faults) -> Iterator[Journey]:
    """Set out; what happened is looked at before, so the end is an abrupt one."""
    listener = listen("127.0.0.1", 0, timing=TALK)
    relay = Relay(listener.address, seed, faults)
    try:
        ann = connect(*relay.address, timeout=PATIENCE, timing=TALK)
        try:
            yield Journey(f"seed {seed}", relay, ann, listener.accept(PATIENCE))
        finally:
            ann.abort()
    finally:
        listener.abort()
        relay.close()


def travel(mover: str, seed: int, faults: Faults) -> list[float]:
    """Let ports change several times; give the pauses. All arrives once, in order, and is told."""
    with journey(seed, faults) as trip:
        verbs = {"ann": [trip.move_ann], "bob": [trip.move_bob]}
        verbs["each"] = verbs["ann"] + verbs["bob"]
        for turn in range(MOVES):
            verbs[mover][turn % len(verbs[mover])]()
        trip.chat.finish()
        moves = stats_of(trip.bob)["moves"], stats_of(trip.ann)["moves"]
        shares = {"ann": (MOVES, 0), "bob": (0, MOVES), "each": (MOVES // 2, MOVES // 2)}
        assert moves == shares[mover], f"seed {seed}"
        # It was not easy: the old ports got what was meant for the new ones, and more got lost.
        assert trip.relay.strays >= MOVES, f"seed {seed}"
        assert (min(trip.relay.lost) > 0) == (faults is LOSSY), f"seed {seed}"
        return trip.pauses


@pytest.mark.spec("L-16", "L-19")
@pytest.mark.parametrize("mover", ["ann", "bob", "each"])
@pytest.mark.parametrize("faults", [QUIET, LOSSY], ids=["quiet", "lossy"])
def test_a_conversation_pauses_for_a_few_round_trips_when_ports_change(
    faults: Faults, mover: str
) -> None:
    # They wait most of the time, and can do so at the same time.
    with ThreadPoolExecutor(SEEDS) as pool:
        trips = pool.map(lambda seed: travel(mover, seed, faults), range(SEEDS))
        pauses = sorted(pause / RTT for trip in trips for pause in trip)
    shown = [round(pause, 1) for pause in pauses]
    assert len(pauses) == SEEDS * MOVES
    # A challenge and its response take a round trip. Through loss that takes some attempts, and
    # how many is left to chance: one pause in a thousand is longer than 30 round trips.
    assert median(pauses) < (4 if faults is QUIET else 8), shown
    assert pauses[-1] < (15 if faults is QUIET else 60), shown
