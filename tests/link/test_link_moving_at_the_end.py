"""Links whose peers move while they close: both ends are well all the same (8.4, 8.8)."""

from __future__ import annotations

from typing import TypeVar

import pytest
from pairs import ROLE, STRANGER, A, B, Pair, entropy, message

from palaver import (
    Address,
    Closed,
    Delivered,
    Dial,
    Endpoint,
    Leave,
    Notice,
    Reason,
    Received,
    Send,
    Side,
    Timing,
)
from palaver.link.states import State
from palaver.sim import Bottleneck, Faults, Sim
from palaver.wire.frames import Ping, Segment

N = TypeVar("N", bound=Notice)
ANN: Address = ("ann", 1)
BEN: Address = ("ben", 1)


class Two:
    """Ann has called Ben; either may move, again and again."""

    def __init__(self, seed: int = 1, faults: Faults | None = None, bandwidth: float = 0) -> None:
        bottleneck = Bottleneck(bandwidth, 16_000) if bandwidth else None
        self.sim = Sim(seed, faults or Faults(delay=0.05), bottleneck)
        self.where = {"ann": ANN, "ben": BEN}
        self.been = {"ann": [ANN], "ben": [BEN]}
        self.machines = {name: Endpoint(entropy(name), roles=(ROLE,)) for name in self.where}
        for name, machine in self.machines.items():
            self.sim.add(self.where[name], machine)
        self.sim.command(ANN, Dial(BEN, ROLE))
        self.sim.run_for(2)
        for name in self.where:
            self.say(name, b"known")
        self.sim.run_for(1)

    def say(self, name: str, *bodies: bytes) -> None:
        for ref, body in enumerate(bodies):
            self.sim.command(self.where[name], Send(1, message(body), ref))

    def state(self, name: str) -> State:
        links = self.machines[name].links
        return links[1].state if 1 in links else State.CLOSED

    def move(self, name: str) -> None:
        old = self.where[name]
        new = self.where[name] = (name, old[1] + 1)
        self.sim.rebind(old, new)
        self.been[name].append(new)

    def told(self, name: str, kind: type[N]) -> list[N]:
        found = [one for at in self.been[name] for _, one in self.sim.notices(at)]
        return [one for one in found if isinstance(one, kind)]

    def check(self, *names: str) -> None:
        for name in names or ("ann", "ben"):
            (closed,) = self.told(name, Closed)
            assert closed.graceful, f"{name}: {closed}"
            assert self.machines[name].is_idle


@pytest.mark.spec("L-16", "L-20")
@pytest.mark.parametrize("mover", ["ann", "ben"])
@pytest.mark.parametrize("state", [State.ANSWERING, State.LAST_ACK])
def test_who_moves_while_the_other_answers_ends_well(mover: str, state: State) -> None:
    """Ann leaves; what Ben answers is lost until one of the two has moved."""
    two = Two()
    two.sim.partition(BEN, ANN, one_way=True)
    if state is State.ANSWERING:
        two.say("ben", b"a last word")
    two.sim.command(ANN, Leave(1))
    two.sim.run_until(lambda: two.state("ben") is state, limit=5)
    two.move(mover)
    two.sim.heal()
    two.sim.run_for(8)
    two.check()


@pytest.mark.spec("L-20")
@pytest.mark.parametrize(
    ("mover", "leaver"),
    # Not Ben if Ann leaves: he knows of no close before he has all, and is silent meanwhile.
    [("ann", "ann"), ("ann", "ben"), ("ben", "ben")],
)
def test_a_long_close_goes_on_where_a_peer_has_moved_to(leaver: str, mover: str) -> None:
    """Much waits to be sent by Ann, so that Ben has nothing to say but what acknowledges it."""
    two = Two(bandwidth=20_000)
    two.say("ann", *(bytes(6000) for _ in range(30)))
    two.sim.command(two.where[leaver], Leave(1))
    for _ in range(2):
        two.sim.run_for(2)
        two.move(mover)
    two.sim.run_for(40)
    two.check()
    assert len(two.told("ann", Delivered)) == 31
    assert len(two.told("ben", Received)) == 31


@pytest.mark.spec("L-16", "L-20")
@pytest.mark.parametrize("texts", [0, 5])
@pytest.mark.parametrize("leaver", ["ann", "ben"])
@pytest.mark.parametrize("mover", ["ann", "ben"])
def test_a_close_with_a_move_at_any_time_ends_well(mover: str, leaver: str, texts: int) -> None:
    for place in range(45):
        two = Two()
        for name in two.where:
            two.say(name, *(b"%d" % number for number in range(texts)))
        two.sim.command(two.where[leaver], Leave(1))
        two.sim.run_for(0.01 * place)
        # Who has moved and does not know yet that anything is to be said can't be found (8.8).
        is_silent = two.state(mover) is State.OPEN and not texts
        two.move(mover)
        two.sim.run_for(70)
        if not is_silent:
            two.check()
        assert all(machine.is_idle for machine in two.machines.values())


@pytest.mark.spec("L-20")
def test_who_waits_for_the_goodbye_of_the_other_shows_where_it_is_each_second() -> None:
    pair = Pair().open()
    pair.wire.run(1)
    pair.wire.lose = lambda flight: flight.source == B and flight.has(Segment)
    pair.a.tell(Leave(1))
    start = pair.wire.now
    pair.wire.run(10)
    sent = [one for one in pair.wire.sent_by(A) if one.time > start and one.has(Ping)]
    assert [one.time - start for one in sent] == pytest.approx([1, 2, 3, 4, 5], abs=0.2)
    # That these are acknowledged is no progress: the close has its 5 s and no more.
    assert pair.a.closed == Closed(1, 0, Reason.FLUSH_TIMEOUT, Side.LOCAL)
    assert pair.a.times(Closed)[0] + pair.wire.start - start < 5.2


@pytest.mark.spec("P-7", "L-17")
def test_to_a_stranger_go_no_more_bytes_than_came_from_it_at_the_end_either() -> None:
    pair = Pair().open()
    pair.wire.run(1)
    pair.wire.lose_from(B)
    pair.a.tell(Leave(1))
    pair.wire.run_until(lambda: pair.b.state is State.LAST_ACK)
    packet = pair.a.forge(Ping())
    pair.wire.inject(packet, STRANGER, B)
    pair.wire.run(10)
    there = [one for one in pair.wire.flights if one.destination == STRANGER]
    assert sum(len(one.data) for one in there) <= len(packet)
    assert pair.b.state is State.CLOSED
    assert pair.b.notices(Closed)[-1].graceful


def test_no_pings_are_sent_once_a_link_is_over() -> None:
    # It lingers for longer than a second.
    two = Two(faults=Faults(delay=0.4))
    two.sim.command(ANN, Leave(1))
    two.sim.run_until(lambda: two.state("ann") is State.LINGERING)
    began = two.sim.now
    two.sim.run_for(0.5)
    before = two.machines["ann"].counters.datagrams_out
    two.sim.run_until(lambda: two.state("ann") is State.CLOSED)
    assert two.sim.now - began > 1.2
    assert two.machines["ann"].counters.datagrams_out == before


@pytest.mark.spec("L-6", "L-7")
def test_a_peer_that_goes_on_with_segments_makes_nobody_linger_for_longer() -> None:
    pair = Pair().open()
    pair.wire.run(1)
    # New each time, and never complete, so that no rule is broken yet.
    packets = [pair.b.forge(Segment(n, message(b"more"), last=False)) for n in range(10, 60)]
    pair.a.tell(Leave(1))
    pair.wire.run_until(lambda: pair.a.state is State.LINGERING)
    began = pair.wire.now
    for packet in packets:
        if pair.a.state is State.LINGERING:
            pair.wire.inject(packet, B, A)
            pair.wire.run(0.1)
    assert pair.a.state is State.CLOSED
    assert pair.wire.now - began < 2.2


@pytest.mark.spec("L-7")
def test_who_answers_waits_no_longer_than_a_minute_for_a_peer_with_more_patience() -> None:
    sim = Sim(1, Faults(delay=0.02), Bottleneck(2_000, 16_000))
    patient = Timing(close_flush=400.0, close_flush_max=400.0)
    for name, timing in (("ann", Timing()), ("ben", patient)):
        sim.add((name, 1), Endpoint(entropy(name), roles=(ROLE,), timing=timing))
    sim.command(ANN, Dial(BEN, ROLE))
    sim.run_for(2)
    for ref in range(40):
        sim.command(ANN, Send(1, message(bytes(6000)), ref))
    began = sim.now
    sim.command(BEN, Leave(1))
    sim.run_for(100)
    ((at, closed),) = [(at, one) for at, one in sim.notices(ANN) if isinstance(one, Closed)]
    assert (closed.reason, closed.by) == (Reason.FLUSH_TIMEOUT, Side.LOCAL)
    assert at == pytest.approx(began + 60, abs=2)
