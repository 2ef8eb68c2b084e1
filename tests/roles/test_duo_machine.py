"""Two people who do anything in any order, on a wire that does anything to their datagrams.

Hypothesis chooses the steps, and prints the shortest list of them that breaks a promise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from pairs import START, A, B, Flight, Ledger, entropy, examples

from palaver import (
    Abort,
    Action,
    Address,
    Call,
    Closed,
    ConversationOpened,
    Datagram,
    Delivered,
    Dialing,
    Duo,
    Event,
    Finish,
    Leave,
    Limits,
    Notice,
    Pause,
    Resume,
    Said,
    Say,
    Tick,
    Transmit,
    UsageError,
    WouldBlock,
)

HOP = 1 / 64
LIMITS = Limits(window=4096, queue_messages=16)


@dataclass
class Person:
    """One side since its last restart."""

    address: Address
    life: int
    duo: Duo
    ledger: Ledger
    # By link: how many texts it has taken.
    said: dict[int, int] = field(default_factory=dict)
    links: list[int] = field(default_factory=list)
    open: set[int] = field(default_factory=set)

    def text(self, link: int, size: int) -> str:
        return f"{self.address[0]}/{self.life}/{link}/{self.said.get(link, 0)}/{'x' * size}"


class Conversations(RuleBasedStateMachine):
    """The network and the two; every step is checked by the ledgers and by what is heard."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.air: list[Flight] = []
        self.people: dict[Address, Person] = {}
        # Texts heard, by who said them and where: the numbers that came, and who heard them.
        self.heard: dict[str, list[int]] = {}
        self.hearers: dict[str, tuple[Address, int, int]] = {}
        # What machines that were restarted had kept.
        self.lost_with: set[tuple[str, int]] = set()
        self.lives = 0

    @initialize(max_conversations=st.integers(1, 2), talking=st.sampled_from([True, True, False]))
    def begin(self, max_conversations: int, talking: bool) -> None:
        self.max_conversations = max_conversations
        for address in (A, B):
            self.born(address)
        if talking:
            self.command(self.people[A], Call(B))
            self.pass_time(1, flowing=True)

    def born(self, address: Address) -> None:
        if address in self.people:
            self.lost_with |= self.kept_by(self.people[address])
        self.lives += 1
        duo = Duo(
            entropy(f"{address} {self.lives}"),
            name=address[0],
            max_conversations=self.max_conversations,
            limits=LIMITS,
        )
        self.people[address] = Person(address, self.lives, duo, Ledger(f"{address} {self.lives}"))

    # Driving

    def handle(self, person: Person, event: Event) -> None:
        deadline = person.duo.deadline
        assert person.duo.deadline == deadline
        actions = person.duo.handle(event, self.now)
        person.ledger.asked(event)
        for action in actions:
            self.perform(person, action)

    def perform(self, person: Person, action: Action) -> None:
        if isinstance(action, Transmit):
            assert len(action.data) <= LIMITS.mtu
            self.air.append(Flight(self.now, person.address, action.destination, action.data))
            return
        assert isinstance(action, Notice)
        person.ledger.told(action)
        if isinstance(action, Dialing):
            person.links.append(action.link)
        elif isinstance(action, ConversationOpened):
            person.open.add(action.link)
            if action.link not in person.links:
                person.links.append(action.link)
        elif isinstance(action, Closed):
            person.open.discard(action.link)
        elif isinstance(action, Said):
            self.hear(person, action)
        elif isinstance(action, Delivered):
            source = f"{person.address[0]}/{person.life}/{action.link}"
            was_heard = action.ref in self.heard.get(source, [])
            assert was_heard or self.is_kept(source, action.ref), f"{source}: {action} is not true"

    def is_kept(self, source: str, number: int) -> bool:
        """Tell whether a text is with a machine that holds its caller, and tells of it later."""
        kept = set(self.lost_with).union(*map(self.kept_by, self.people.values()))
        return (source, number) in kept

    def kept_by(self, person: Person) -> set[tuple[str, int]]:
        texts = [
            notice.text.split("/")
            for held in person.duo._held.values()
            for notice in held.untold
            if isinstance(notice, Said)
        ]
        return {("/".join(text[:3]), int(text[3])) for text in texts}

    def hear(self, person: Person, said: Said) -> None:
        name, life, link, number, _ = said.text.split("/")
        source = f"{name}/{life}/{link}"
        heard = self.heard.setdefault(source, [])
        assert int(number) == len(heard), f"of {source} came {number} after {heard}"
        heard.append(int(number))
        self.judge_hearer(source, (person.address, person.life, said.link))

    def judge_hearer(self, source: str, hearer: tuple[Address, int, int]) -> None:
        assert self.hearers.setdefault(source, hearer) == hearer

    def tick(self, person: Person) -> None:
        deadline = person.duo.deadline
        if deadline is None or deadline > self.now:
            return
        self.handle(person, Tick())
        after = person.duo.deadline
        assert after is None or after > self.now, f"the deadline is {after} at {self.now}"

    def arrive(self, flight: Flight) -> None:
        if flight.destination in self.people:
            self.handle(self.people[flight.destination], Datagram(flight.data, flight.source))

    def pass_time(self, seconds: float, *, flowing: bool) -> None:
        """Let time pass; if the wire is `flowing`, all datagrams arrive after one hop."""
        end = self.now + seconds
        for _ in range(100_000):
            due = [
                deadline
                for person in self.people.values()
                if (deadline := person.duo.deadline) is not None
            ]
            if flowing:
                due += [flight.time + HOP for flight in self.air]
            if not due or min(due) > end:
                self.now = end
                return
            self.now = max(self.now, min(due))
            if flowing:
                arrived = [one for one in self.air if one.time + HOP <= self.now]
                self.air = [one for one in self.air if one.time + HOP > self.now]
                for flight in arrived:
                    self.arrive(flight)
            for person in self.people.values():
                self.tick(person)
        raise AssertionError("time stands still")

    def command(self, person: Person, event: Event) -> bool:
        key = person.duo.state_key(self.now)
        try:
            self.handle(person, event)
        except UsageError:
            assert person.duo.state_key(self.now) == key
            return False
        except WouldBlock:
            return False
        return True

    # What the two do

    @rule(caller=st.sampled_from([A, B]))
    def call(self, caller: Address) -> None:
        person = self.people[caller]
        if len(person.links) < 4:
            self.command(person, Call(B if caller == A else A, len(person.links)))

    @precondition(lambda self: any(one.links for one in self.people.values()))
    @rule(data=st.data(), count=st.integers(1, 6), size=st.sampled_from([0, 50, 900, 3000]))
    def say(self, data: st.DataObject, count: int, size: int) -> None:
        self.say_in(*self.pick(data), count, size)

    @precondition(lambda self: any(one.open for one in self.people.values()))
    @rule(data=st.data(), counts=st.lists(st.integers(1, 9), min_size=1, max_size=6))
    def chat(self, data: st.DataObject, counts: list[int]) -> None:
        for count in counts:
            able = [one for one in self.people.values() if one.open]
            if not able:
                return
            person = data.draw(st.sampled_from(able))
            self.say_in(person, data.draw(st.sampled_from(sorted(person.open))), count, 20)
            self.pass_time(HOP, flowing=data.draw(st.booleans()))

    def say_in(self, person: Person, link: int, count: int, size: int) -> None:
        for _ in range(count):
            number = person.said.get(link, 0)
            if self.command(person, Say(link, person.text(link, size), number)):
                person.said[link] = number + 1

    @precondition(lambda self: any(one.links for one in self.people.values()))
    @rule(
        data=st.data(),
        kind=st.sampled_from([Pause, Resume]),
    )
    def pause_or_resume(self, data: st.DataObject, kind: type[Pause | Resume]) -> None:
        person, link = self.pick(data)
        self.command(person, kind(link))

    @precondition(lambda self: any(one.links for one in self.people.values()))
    @rule(data=st.data(), kind=st.sampled_from([Finish, Finish, Leave, Leave, Abort]))
    def end(self, data: st.DataObject, kind: type[Finish | Leave | Abort]) -> None:
        person, link = self.pick(data)
        self.command(person, kind(link))

    def pick(self, data: st.DataObject) -> tuple[Person, int]:
        able = [one for one in self.people.values() if one.links]
        person = data.draw(st.sampled_from(able))
        return person, data.draw(st.sampled_from(person.links))

    @precondition(lambda self: self.lives < 4)
    @rule(address=st.sampled_from([A, B]))
    def restart(self, address: Address) -> None:
        self.born(address)

    @rule(address=st.sampled_from([A, B]))
    def become_a_twin(self, address: Address) -> None:
        person = self.people[address]
        twin = person.duo.clone()
        assert twin.state_key(self.now) == person.duo.state_key(self.now)
        assert twin.deadline == person.duo.deadline
        person.duo = twin

    # What the wire and the clock do

    @rule(seconds=st.sampled_from([0.0, 0.02, 0.1, 0.5, 2.0]))
    def flow(self, seconds: float) -> None:
        self.pass_time(seconds, flowing=True)

    @rule()
    def hop(self) -> None:
        self.pass_time(HOP, flowing=True)

    @rule(seconds=st.sampled_from([0.001, 0.03, 0.3, 1.5, 6.0, 12.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.pass_time(seconds, flowing=False)
        del self.air[200:]

    @precondition(lambda self: self.air)
    @rule(data=st.data())
    def deliver_one(self, data: st.DataObject) -> None:
        flight = self.air.pop(data.draw(st.integers(0, len(self.air) - 1)))
        self.arrive(flight)

    @precondition(lambda self: self.air)
    @rule(data=st.data())
    def duplicate_one(self, data: st.DataObject) -> None:
        self.arrive(self.air[data.draw(st.integers(0, len(self.air) - 1))])

    @precondition(lambda self: self.air)
    @rule(data=st.data())
    def drop_some(self, data: st.DataObject) -> None:
        keep = data.draw(st.integers(0, len(self.air) - 1))
        self.air = self.air[:keep]

    @precondition(lambda self: self.air)
    @rule()
    def reverse_all(self) -> None:
        self.air.reverse()

    @rule(address=st.sampled_from([A, B]))
    def tick_for_nothing(self, address: Address) -> None:
        person = self.people[address]
        self.tick(person)
        self.handle(person, Tick())
        after = person.duo.deadline
        assert after is None or after > self.now

    # What holds at all times

    @invariant()
    def places_are_not_exceeded(self) -> None:
        for person in self.people.values():
            stats = person.duo.stats()
            assert stats["half_open"] <= 8
            assert stats["links"] <= 64
            assert person.duo.is_idle == (stats["links"] == 0)

    def teardown(self) -> None:
        """On a good wire and with patient readers everything comes to an end."""
        if not self.people:
            return
        for person in self.people.values():
            for link in person.links:
                self.command(person, Resume(link))
        self.pass_time(45, flowing=True)
        for person in self.people.values():
            for link in person.open:
                settled = [
                    ref for (one, ref), n in person.ledger.pending.items() if one == link and n
                ]
                assert not settled, f"{person.ledger.who}: {settled} of {link} are not delivered"
        for person in self.people.values():
            for link in person.links:
                self.command(person, Leave(link))
        self.pass_time(120, flowing=True)
        for person in self.people.values():
            assert person.duo.is_idle, person.ledger.who
            assert person.duo.deadline is None
            assert not +person.ledger.pending, f"{person.ledger.who}: no outcome"


TestConversations = Conversations.TestCase
TestConversations.settings = settings(examples(300), stateful_step_count=40)
