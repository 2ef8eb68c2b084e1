"""Properties of registry and peers under any order of commands, faults, crashes and restarts."""

from __future__ import annotations

from collections import Counter

from halls import DELAY, REGISTRY, Hall
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from pairs import examples

from palaver import (
    Accept,
    CallEnded,
    Calling,
    CallOpened,
    Connect,
    Delivered,
    Depart,
    Enlist,
    Heard,
    Limits,
    Outcome,
    Pause,
    Reject,
    Resume,
    Ringing,
    Say,
    Terminate,
    UsageError,
    Who,
    WouldBlock,
)
from palaver.machine import Event
from palaver.sim import Faults
from palaver.wire.names import fold_name

NAMES = ["ann", "bob", "cid"]
LIMITS = Limits(calls=6, ringing=3, answered=50, queue_messages=16, half_open_per_host=32)
SHAKY = Faults(delay=DELAY, jitter=3 * DELAY, loss=0.25, duplicate=0.2)
SMOOTH = Faults(delay=DELAY)


class People(RuleBasedStateMachine):
    """A registry and three peers; `Watched` checks each step, and this what holds between them."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: Counter[str] = Counter()
        self.restarts = 0

    @initialize(seed=st.integers(0, 1 << 32), shaky=st.booleans(), enlisted=st.booleans())
    def begin(self, seed: int, shaky: bool, enlisted: bool) -> None:
        self.hall = Hall(SMOOTH, seed, limits=LIMITS)
        if enlisted:
            self.hall.enlist(*NAMES)
        else:
            self.hall.add(*NAMES)
        self.hall.sim.set_faults(SHAKY if shaky else SMOOTH)

    # What people do

    def command(self, name: str, event: Event) -> bool:
        peer, now = self.hall.peer(name), self.hall.sim.now
        key = peer.state_key(now)
        try:
            self.hall.tell(name, event)
        except UsageError:
            assert peer.state_key(now) == key, f"{event} changed something"
            return False
        except WouldBlock:
            return False
        return True

    names = st.sampled_from(NAMES)

    @rule(name=names, to=st.sampled_from([None, *NAMES]))
    def enlist(self, name: str, to: str | None) -> None:
        self.command(name, Enlist(to))

    @rule(name=names, to=st.sampled_from([*NAMES, "nobody", 1, 2, 3, 4, 99]))
    def connect(self, name: str, to: str | int) -> None:
        self.command(name, Connect(to, 7))

    @rule(a=names, b=names, gap=st.sampled_from([0.0, DELAY, 3 * DELAY, 6 * DELAY]))
    def connect_both_ways(self, a: str, b: str, gap: float) -> None:
        self.command(a, Connect(b, 8))
        self.hall.run(gap)
        self.command(b, Connect(a, 9))

    def calls_of(self, name: str) -> list[int]:
        return list(self.hall.peer(name).calls.by_number)

    @rule(name=names, data=st.data())
    def answer(self, name: str, data: st.DataObject) -> None:
        calls = self.calls_of(name)
        if calls:
            call = data.draw(st.sampled_from(calls))
            yes = data.draw(st.sampled_from([True, True, False]))
            self.command(name, Accept(call) if yes else Reject(call, "no"))

    @rule(name=names, data=st.data(), count=st.integers(1, 6))
    def say(self, name: str, data: st.DataObject, count: int) -> None:
        calls = self.calls_of(name)
        if not calls:
            return
        call = data.draw(st.sampled_from(calls))
        for _ in range(count):
            life = id(self.hall.peer(name))
            key = f"{name}/{life}/{call}"
            if self.command(name, Say(call, f"{key}/{self.texts[key] + 1}", 5)):
                self.texts[key] += 1

    @rule(name=names, data=st.data())
    def end(self, name: str, data: st.DataObject) -> None:
        calls = self.calls_of(name)
        if calls:
            self.command(name, Terminate(data.draw(st.sampled_from(calls))))

    @rule(name=names, data=st.data(), what=st.sampled_from([Pause, Resume]))
    def pause(self, name: str, data: st.DataObject, what: type[Pause | Resume]) -> None:
        calls = self.calls_of(name)
        if calls:
            self.command(name, what(data.draw(st.sampled_from(calls))))

    @rule(name=names)
    def ask(self, name: str) -> None:
        self.command(name, Who())

    @rule(name=names)
    def depart(self, name: str) -> None:
        self.command(name, Depart())

    # What happens to them

    @rule(seconds=st.sampled_from([DELAY, 0.1, 0.5, 2.0, 11.0, 35.0]))
    def wait(self, seconds: float) -> None:
        self.hall.run(seconds)

    @rule(faults=st.sampled_from([SHAKY, SMOOTH]))
    def weather(self, faults: Faults) -> None:
        self.hall.sim.set_faults(faults)

    @rule(name=names, other=st.sampled_from([*NAMES, "registry"]))
    def part(self, name: str, other: str) -> None:
        there = REGISTRY if other == "registry" else self.hall.at(other)
        if there != self.hall.at(name):
            self.hall.sim.partition(self.hall.at(name), there)

    @rule()
    def heal(self) -> None:
        self.hall.sim.heal()

    @precondition(lambda self: self.restarts < 4)
    @rule(name=names, enlists=st.booleans())
    def restart(self, name: str, enlists: bool) -> None:
        self.restarts += 1
        self.hall.restart_peer(name)
        if enlists:
            self.command(name, Enlist())

    @precondition(lambda self: self.restarts < 4)
    @rule(keeps=st.booleans())
    def restart_registry(self, keeps: bool) -> None:
        self.restarts += 1
        snapshot = self.hall.registry.snapshot() if keeps else None
        self.hall.restart_registry(snapshot)

    @rule(name=names)
    def become_a_twin(self, name: str) -> None:
        for watched in (self.hall.watched(self.hall.at(name)), self.hall.watched(REGISTRY)):
            now = self.hall.sim.now
            twin = watched.machine.clone()
            assert twin.state_key(now) == watched.machine.state_key(now)
            assert twin.deadline == watched.machine.deadline
            watched.machine = twin

    # What holds at all times

    @invariant()
    def names_are_unique_and_all_is_bounded(self) -> None:
        names = self.hall.names()
        assert len(set(map(fold_name, names))) == len(names)
        assert self.hall.registry.stats()["links"] <= 40
        for name in NAMES:
            stats = self.hall.peer(name).stats()
            assert stats["calls"] <= LIMITS.calls
            assert stats["links"] <= 60
            assert stats["remembered"] <= LIMITS.answered

    @invariant()
    def what_is_heard_was_said_in_order_without_gaps(self) -> None:
        for name in NAMES:
            heard: dict[str, int] = {}
            for one in self.hall.told(name, Heard):
                key, _, number = one.text.rpartition("/")
                assert int(number) == heard.get(key, 0) + 1, f"{name} heard {one}"
                assert int(number) <= self.texts[key] + 1
                heard[key] = int(number)

    def teardown(self) -> None:
        """With a good wire and everybody there, all that was begun comes to an end."""
        if not hasattr(self, "hall"):
            return
        self.hall.sim.set_faults(SMOOTH)
        self.hall.sim.heal()
        self.hall.run(70)
        for name in NAMES:
            for call in self.calls_of(name):
                self.command(name, Resume(call))
                self.command(name, Terminate(call))
        self.hall.run(70)
        for name in NAMES:
            watched = self.hall.watched(self.hall.at(name))
            assert self.calls_of(name) == [], name
            assert watched.begun == watched.ended, name
            assert not +watched.pending
            self.command(name, Depart())
        self.hall.run(30)
        assert self.hall.names() == []
        for name in NAMES:
            assert self.hall.peer(name).is_idle, name
        assert self.hall.registry.is_idle


TestPeople = People.TestCase
TestPeople.settings = settings(examples(120), stateful_step_count=40)


def test_sometimes_everything_that_can_happen_does() -> None:
    """So that the properties above are not those of people who never talk."""
    outcomes: Counter[Outcome] = Counter()
    kinds: Counter[type] = Counter()
    for seed in range(12):
        hall = Hall(SHAKY, seed, limits=LIMITS)
        hall.enlist(*NAMES)
        hall.tell("ann", Connect("bob", 1))
        hall.tell("bob", Connect("ann" if seed % 2 else "cid", 1))
        hall.run(6)
        for name in NAMES:
            for ringing in hall.told(name, Ringing):
                yes = seed % 3
                try:
                    hall.tell(name, Accept(ringing.link) if yes else Reject(ringing.link))
                except UsageError:
                    continue
        hall.run(6)
        for name in NAMES:
            for opened in hall.told(name, CallOpened):
                hall.tell(name, Say(opened.link, "hello", 1))
        if seed % 4 == 0:
            hall.sim.crash(hall.at("bob"))
        hall.run(20)
        for call in list(hall.peer("ann").calls.by_number):
            hall.tell("ann", Terminate(call))
        hall.run(60)
        for name in NAMES:
            for _, notice in hall.sim.notices(hall.at(name)):
                kinds[type(notice)] += 1
                if isinstance(notice, CallEnded):
                    outcomes[notice.outcome] += 1
    for kind in (Calling, Ringing, CallOpened, Heard, Delivered, CallEnded):
        assert kinds[kind], kind
    for outcome in (Outcome.REJECTED, Outcome.TERMINATED, Outcome.GONE):
        assert outcomes[outcome], outcome


def test_two_calls_to_one_address_that_share_a_link_do_not_end_each_other() -> None:
    """Found by the properties above: one was to whoever had the address before."""
    people = People()
    people.begin(seed=0, shaky=True, enlisted=True)
    people.restart_registry(keeps=False)
    people.connect_both_ways(a="ann", b="bob", gap=0.0)
    people.connect_both_ways(a="bob", b="cid", gap=0.0)
    people.ask(name="ann")
    people.wait(seconds=2.0)
    people.depart(name="bob")
    people.connect_both_ways(a="cid", b="cid", gap=0.0)
    people.weather(faults=SMOOTH)
    people.restart(enlists=True, name="ann")
    people.connect_both_ways(a="ann", b="cid", gap=0.0)
    people.connect_both_ways(a="ann", b="cid", gap=0.046875)
    people.teardown()
