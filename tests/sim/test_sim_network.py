"""The simulated network: time, batches, partitions, crashes, and runs that repeat exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path as FilePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import palaver.machine
from palaver.machine import (
    Action,
    Address,
    Datagram,
    Event,
    Notice,
    Tick,
    Transmit,
    UsageError,
)
from palaver.sim import (
    NO_FAULTS,
    Arrived,
    Began,
    Bottleneck,
    Commanded,
    Dropped,
    DropReason,
    Faults,
    Noticed,
    Sent,
    Sim,
    SimError,
)
from palaver.values import value

A: Address = ("a", 1)
B: Address = ("b", 2)
C: Address = ("c", 3)


@value
class Say(Event):
    data: bytes
    destination: Address


@value
class Heard(Notice):
    data: bytes
    source: Address


@value
class Batch(Notice):
    size: int


class Toy:
    """Hears, perhaps echoes, says what it is told, and may repeat a count at an interval."""

    def __init__(
        self,
        echo: bool = False,
        interval: float | None = None,
        to: Address = B,
        first: float = 0.0,
    ) -> None:
        self.echo = echo
        self.interval = interval
        self.to = to
        self.timer = None if interval is None else first
        self.waiting: list[Transmit] = []
        self.events = 0
        self.count = 0
        self.now = 0.0
        self.times: list[float] = []

    def handle(self, event: Event, now: float) -> list[Action]:
        self.now = now
        self.times.append(now)
        if isinstance(event, Datagram):
            self.events += 1
            if self.echo:
                self.waiting.append(Transmit(b"re:" + event.data, event.source))
            return [Heard(event.data, event.source)]
        if isinstance(event, Say):
            self.events += 1
            self.waiting.append(Transmit(event.data, event.destination))
            return []
        if not isinstance(event, Tick):
            raise UsageError("a toy does not take that")
        return self.tick(now)

    def tick(self, now: float) -> list[Action]:
        actions: list[Action] = list(self.waiting)
        self.waiting.clear()
        if self.events:
            actions.append(Batch(self.events))
            self.events = 0
        if self.timer is not None and self.interval is not None and self.timer <= now:
            self.timer += self.interval
            self.count += 1
            actions.append(Transmit(b"%d" % self.count, self.to))
        return actions

    @property
    def deadline(self) -> float | None:
        if self.waiting or self.events:
            return self.now
        return self.timer


class Mirror:
    """Gives every datagram straight back, without waiting for a tick."""

    deadline = None

    def handle(self, event: Event, now: float) -> list[Action]:
        return [Transmit(event.data, event.source)] if isinstance(event, Datagram) else []


class Strange:
    """A machine that gives an action which nothing can perform."""

    deadline = None

    def handle(self, event: Event, now: float) -> list[Action]:
        return [Action()]


BAD = Faults(
    loss=0.2, duplicate=0.1, reorder=0.1, corrupt=0.05, delay=0.02, jitter=0.01, reorder_delay=0.05
)


def pair(faults: Faults = NO_FAULTS, seed: int = 1, echo: bool = False) -> Sim:
    sim = Sim(seed, faults)
    sim.add(A, Toy())
    sim.add(B, Toy(echo=echo))
    return sim


def busy_run(seed: int, faults: Faults = BAD, seconds: float = 5.0) -> Sim:
    """Three machines, one of which counts to the others and is answered by one."""
    sim = Sim(seed, faults)
    sim.add(A, Toy(interval=0.01, to=B))
    sim.add(B, Toy(echo=True))
    sim.add(C, Toy(interval=0.013, to=A))
    sim.run_for(seconds / 2)
    sim.partition(A, B)
    sim.run_for(seconds / 4)
    sim.heal()
    sim.crash(B)
    sim.run_for(seconds / 4)
    return sim


def heard(sim: Sim, address: Address) -> list[bytes]:
    return [notice.data for _, notice in sim.notices(address) if isinstance(notice, Heard)]


# Time and batches


@pytest.mark.smoke
def test_a_datagram_arrives_after_the_delay_and_is_answered() -> None:
    sim = pair(Faults(delay=0.25), echo=True)
    assert sim.command(A, Say(b"hi", B)) == [Batch(1)]
    sim.run_until(10)
    assert sim.now == 10
    assert list(sim.notices(B)) == [(0.25, Heard(b"hi", A)), (0.25, Batch(1))]
    assert list(sim.notices(A)) == [(0.0, Batch(1)), (0.5, Heard(b"re:hi", B)), (0.5, Batch(1))]
    assert sim.trace == [
        Began(0.0, A, 1),
        Began(0.0, B, 2),
        Commanded(0.0, A, Say(b"hi", B)),
        Sent(0.0, 1, A, B, b"hi"),
        Noticed(0.0, A, Batch(1)),
        Arrived(0.25, 1, A, B, b"hi"),
        Noticed(0.25, B, Heard(b"hi", A)),
        Sent(0.25, 2, B, A, b"re:hi"),
        Noticed(0.25, B, Batch(1)),
        Arrived(0.5, 2, B, A, b"re:hi"),
        Noticed(0.5, A, Heard(b"re:hi", B)),
        Noticed(0.5, A, Batch(1)),
    ]


def test_what_arrives_at_one_instant_is_one_batch() -> None:
    sim = pair(Faults(delay=0.25))
    sim.command(A, Say(b"1", B))
    sim.command(A, Say(b"2", B))
    sim.run_for(0.25)
    assert [notice for _, notice in sim.notices(B)] == [Heard(b"1", A), Heard(b"2", A), Batch(2)]


def test_what_arrives_at_one_instant_arrives_in_the_order_of_sending() -> None:
    sim = pair(Faults(duplicate=1, corrupt=0.5, reorder_delay=0))
    twin = sim.path(A, B)._injector.clone()
    expected = []
    for i in range(20):
        sim.command(A, Say(b"%d" % i, B))
        expected += [data for _, data in twin.apply(b"%d" % i, 0)]
    sim.run_for(0)
    assert heard(sim, B) == expected


def test_several_commands_can_be_one_batch() -> None:
    sim = pair()
    assert sim.command(A, Say(b"1", B), Say(b"2", B)) == [Batch(2)]


def test_a_command_gives_only_what_it_caused() -> None:
    sim = pair(echo=True)
    sim.command(A, Say(b"1", B))
    sim.run_for(1)
    assert sim.command(A, Say(b"2", B)) == [Batch(1)]


def test_timers_are_kept() -> None:
    sim = Sim(1, Faults(delay=0.5))
    sim.add(A, Toy(interval=2.0, first=1.0))
    sim.add(B, Toy())
    sim.run_until(7.5)
    arrived = [(time, notice.data) for time, notice in sim.notices(B) if isinstance(notice, Heard)]
    assert arrived == [(1.5, b"1"), (3.5, b"2"), (5.5, b"3"), (7.5, b"4")]


def test_a_deadline_in_the_past_is_due_at_once() -> None:
    sim = pair()
    sim.run_until(5)
    late = Toy(interval=10.0, first=1.0)
    sim.add(C, late)
    sim.run_until(5)
    assert heard(sim, B) == [b"1"]
    assert late.times == [5]


def test_time_only_goes_forward() -> None:
    sim = pair()
    sim.run_until(3)
    for moment in (2.9, float("nan"), float("inf")):
        with pytest.raises(UsageError):
            sim.run_until(moment)
    with pytest.raises(UsageError):
        sim.run_for(-1)
    assert sim.now == 3


def test_run_until_a_condition_stops_as_soon_as_it_holds() -> None:
    sim = pair(Faults(delay=0.25), echo=True)
    sim.command(A, Say(b"hi", B))
    sim.run_until(lambda: len(heard(sim, B)) == 1)
    assert sim.now == 0.25
    sim.run_until(lambda: len(heard(sim, B)) == 1)
    assert sim.now == 0.25


def test_a_condition_that_does_not_come_to_hold_is_an_error() -> None:
    sim = pair()
    with pytest.raises(SimError, match="nothing follows"):
        sim.run_until(lambda: False)
    sim.add(C, Toy(interval=1.0))
    with pytest.raises(AssertionError, match=r"in 20\.5 s"):
        sim.run_until(lambda: False, limit=20.5)
    assert sim.now == 20.5


# Machines that misbehave


@pytest.mark.parametrize("interval", [0.0, -1.0, 1e-300])
def test_a_timer_that_does_not_move_on_is_found(interval: float) -> None:
    sim = pair()
    sim.add(C, Toy(interval=interval, first=1.0))
    with pytest.raises(SimError, match=r"Toy at \('c', 3\) does not move on"):
        sim.run_until(2)
    with pytest.raises(SimError, match="does not move on"):
        sim.command(C)


def test_time_that_stands_still_is_found() -> None:
    sim = Sim(1)  # no delay: two machines that answer each other never come to an end
    sim.add(A, Mirror())
    sim.add(B, Mirror())
    sim.inject(B, b"", A)
    with pytest.raises(SimError, match="time stands still"):
        sim.run_until(1)


def test_an_unknown_action_is_found() -> None:
    sim = Sim(1)
    sim.add(A, Strange())
    with pytest.raises(SimError, match="Action"):
        sim.command(A, Tick())


def test_what_a_machine_raises_for_a_command_is_raised() -> None:
    sim = pair()
    with pytest.raises(UsageError, match="does not take"):
        sim.command(A, Say(b"1", B), Event())
    sim.run_for(0)  # what was queued before goes out all the same
    assert heard(sim, B) == [b"1"]


# The network


def test_each_direction_can_have_its_own_faults() -> None:
    sim = pair(echo=True)
    sim.path(B, A).faults = Faults(loss=1)
    sim.path(A, B).faults = Faults(delay=2)
    assert sim.path(A, B).faults.delay == 2
    sim.command(A, Say(b"hi", B))
    sim.run_for(5)
    assert (heard(sim, A), heard(sim, B)) == ([], [b"hi"])
    assert Dropped(2.0, 2, B, A, b"re:hi", DropReason.LOSS) in sim.trace
    sim.set_faults(NO_FAULTS)
    sim.command(A, Say(b"hi", B))
    sim.run_for(0)
    assert heard(sim, A) == [b"re:hi"]


def test_a_partition_loses_what_is_sent_until_it_heals() -> None:
    sim = pair(Faults(delay=0.1))
    sim.add(C, Toy())
    sim.command(A, Say(b"before", B))
    sim.partition(A, B)
    for say in (Say(b"lost", B), Say(b"around", C)):
        sim.command(A, say)
    sim.command(B, Say(b"lost too", A))
    sim.run_for(1)
    sim.heal()
    sim.command(A, Say(b"after", B))
    sim.run_for(1)
    assert heard(sim, B) == [b"before", b"after"]
    assert heard(sim, C) == [b"around"]
    assert heard(sim, A) == []
    assert sim.counts()["parted"] == 2
    assert Dropped(0.0, 2, A, B, b"lost", DropReason.PARTED) in sim.trace


def test_a_cut_can_be_one_way() -> None:
    sim = pair(echo=True)
    sim.path(B, A).cut = True
    sim.command(A, Say(b"hi", B))
    sim.run_for(1)
    assert (heard(sim, A), heard(sim, B)) == ([], [b"hi"])


def test_what_arrives_at_a_crashed_machine_is_lost() -> None:
    sim = pair(Faults(delay=1))
    old = Toy(interval=0.1)
    sim.add(C, old)
    assert sim.crash(C) is old
    sim.command(A, Say(b"lost", C))
    sim.run_for(5)
    assert old.times == []
    assert sim.counts()["absent"] == 1
    assert Dropped(1.0, 1, A, C, b"lost", DropReason.ABSENT) in sim.trace
    with pytest.raises(UsageError):
        sim.command(C, Tick())
    with pytest.raises(UsageError):
        sim.crash(C)


def test_a_restarted_machine_gets_what_is_under_way() -> None:
    sim = pair(Faults(delay=1))
    sim.command(A, Say(b"1", B))
    sim.run_for(2)
    sim.crash(B)
    sim.command(A, Say(b"2", B))
    sim.run_for(0.5)
    sim.restart(B, Toy(echo=True))
    sim.run_for(2)
    assert heard(sim, B) == [b"1", b"2"]  # one log for the address
    assert heard(sim, A) == [b"re:2"]
    sim.restart(B, Toy())  # not crashed before
    sim.command(A, Say(b"3", B))
    sim.run_for(2)
    assert heard(sim, A) == [b"re:2"]


def test_addresses_are_used_as_they_should_be() -> None:
    sim = pair()
    with pytest.raises(UsageError, match="restart"):
        sim.add(A, Toy())
    with pytest.raises(UsageError, match="add"):
        sim.restart(C, Toy())
    with pytest.raises(UsageError):
        sim.notices(C)


def test_forged_datagrams_arrive_whatever_the_path_is_like() -> None:
    sim = pair(Faults(loss=1, delay=5))
    sim.partition(A, B)
    sim.inject(B, b"forged", A)
    sim.inject(B, b"from nowhere", ("nowhere", 0))
    sim.run_for(0)
    assert heard(sim, B) == [b"forged", b"from nowhere"]
    assert not any(isinstance(entry, Sent) for entry in sim.trace)


def test_answers_to_forged_sources_leave_nothing_behind() -> None:
    sim = pair(echo=True)
    for i in range(100):
        sim.inject(B, b"x", ("nowhere", i))
    sim.run_for(1)
    assert sim.counts()["absent"] == 100
    assert sim.counts()["sent"] == 0  # no path was made


def test_a_bottleneck_spreads_and_drops() -> None:
    sim = Sim(1, bottleneck=Bottleneck(bandwidth=1000, queue=250))
    sim.add(A, Toy())
    sim.add(B, Toy())
    sim.command(A, *[Say(bytes([i]) * 100, B) for i in range(5)])
    sim.run_for(0.15)  # 100 to 150 bytes are still waiting: room for one more
    sim.command(A, Say(b"5" * 100, B))
    sim.run_for(10)
    times = [time for time, notice in sim.notices(B) if isinstance(notice, Heard)]
    assert times == pytest.approx([0.1, 0.2, 0.3])
    assert sim.counts()["overflowed"] == 3
    sim.set_bottleneck(None)
    sim.command(A, Say(b"6", B))
    assert sim.counts()["sent"] == 4


@pytest.mark.parametrize(("bandwidth", "queue"), [(0, 1), (-1, 1), (float("nan"), 1), (1, -1)])
def test_a_bottleneck_has_bounds(bandwidth: float, queue: int) -> None:
    with pytest.raises(UsageError):
        Bottleneck(bandwidth, queue)


# Whole runs


def test_every_fault_happens_and_overtaking_is_real() -> None:
    sim = busy_run(3)
    counts = sim.counts()
    for name in ("dropped", "duplicated", "reordered", "corrupted", "parted", "absent"):
        assert counts[name] > 0, name
    numbers = [
        entry.number
        for entry in sim.trace
        if isinstance(entry, Arrived) and (entry.source, entry.destination) == (A, B)
    ]
    assert any(later < earlier for earlier, later in pairwise(numbers))


runs = st.builds(
    Faults,
    loss=st.sampled_from([0.0, 0.3, 1.0]),
    duplicate=st.sampled_from([0.0, 0.3, 1.0]),
    reorder=st.sampled_from([0.0, 0.3]),
    corrupt=st.sampled_from([0.0, 0.3]),
    delay=st.floats(0, 0.1),
    jitter=st.floats(0, 0.1),
)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**64), runs)
def test_runs_are_in_order_and_account_for_every_datagram(seed: int, faults: Faults) -> None:
    sim = busy_run(seed, faults, seconds=1.0)
    times = [entry.time for entry in sim.trace]
    assert times == sorted(times)
    for address in (A, B, C):
        logged = [time for time, _ in sim.notices(address)]
        assert logged == sorted(logged)
    sent = {entry.number: entry for entry in sim.trace if isinstance(entry, Sent)}
    for entry in sim.trace:
        if isinstance(entry, (Arrived, Dropped)):
            origin = sent[entry.number]
            assert (entry.source, entry.destination) == (origin.source, origin.destination)
            assert entry.time >= origin.time + (faults.delay if isinstance(entry, Arrived) else 0)
    for address in (A, C):
        sim.crash(address)
    sim.run_for(10)
    counts = sim.counts()
    arrived = sum(isinstance(entry, Arrived) for entry in sim.trace)
    copies = counts["sent"] - counts["dropped"] + counts["duplicated"]
    assert arrived + counts["absent"] == copies
    assert len(sent) == counts["sent"] + counts["parted"]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**64), runs)
def test_the_same_seed_gives_the_same_run(seed: int, faults: Faults) -> None:
    one, other = (busy_run(seed, faults, seconds=0.5) for _ in range(2))
    assert one.trace == other.trace
    assert one.digest() == other.digest()


def test_another_seed_gives_another_run() -> None:
    assert len({busy_run(seed, seconds=1.0).digest() for seed in range(10)}) == 10


PINNED = "33599e95201dc3985eba76e98f28fa27"


def test_a_run_is_the_same_in_every_process_and_on_every_python() -> None:
    source = FilePath(palaver.machine.__file__).parents[1]
    for hash_seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, __file__],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(source)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == PINNED


def test_the_paths_of_some_do_not_disturb_those_of_others() -> None:
    def fates(with_others: bool) -> list[bytes]:
        sim = Sim(5, Faults(loss=0.5))
        for address in (A, B, C):
            sim.add(address, Toy())
        for i in range(50):
            if with_others:
                sim.command(C, Say(b"noise", A))
                sim.command(A, Say(b"noise", C))
            sim.command(A, Say(b"%d" % i, B))
        sim.run_for(1)
        return heard(sim, B)

    assert fates(True) == fates(False)


def test_entropy_comes_from_the_seed_and_the_label() -> None:
    assert Sim(1).entropy("a")(32) == Sim(1).entropy("a")(32)
    assert len({Sim(seed).entropy(label)(32) for seed in (1, 2) for label in "ab"}) == 4


def test_a_run_need_not_be_recorded() -> None:
    sim = Sim(1, record=False)
    sim.add(A, Toy(interval=1.0))
    sim.add(B, Toy())
    sim.run_for(10)
    assert sim.trace == []
    assert len(heard(sim, B)) == 11
    with pytest.raises(UsageError):
        sim.digest()


if __name__ == "__main__":
    sys.stdout.write(busy_run(11).digest())
