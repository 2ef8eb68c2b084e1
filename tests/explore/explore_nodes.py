"""One party of a world: a real machine at some moment, and what its program remembers.

Equal parties are one *node*, and each event is given to a node once: a machine is a function of its
state and its input, so what came of it holds in all worlds in which the node stands. Every node has
a clock of its own, because a machine knows times only by their differences.
"""

from __future__ import annotations

from copy import copy
from typing import Any, NamedTuple, TypeAlias

from explore_story import HORIZON, Explorable, Fact, Memory, Story
from explore_wire import Catalogue, Ends

from palaver.link.endpoint import Endpoint
from palaver.machine import Action, Address, Datagram, Disconnect, Event, Tick, Transmit

_NEVER = float("inf")

What: TypeAlias = "int | str | tuple[float]"
"""What happens to a node: a datagram arrives, its program does something, that much time passes."""


class Outcome(NamedTuple):
    """What came of an event: the node that follows, and what it put on the wire."""

    node: int
    sent: tuple[int, ...]


class Broken(Exception):
    """Something that must hold does not."""


class Node:
    """A party at some moment."""

    __slots__ = (
        "after",
        "commands",
        "ends",
        "fact",
        "last_words",
        "like",
        "machine",
        "now",
        "wait",
        "who",
    )

    def __init__(self, who: int, machine: Explorable, now: float, fact: Fact) -> None:
        self.who = who
        self.machine = machine
        self.now = now
        self.fact = fact
        self.ends = ends_of(machine)
        due = machine.deadline
        # Seconds until it is due; infinity if that is out of reach.
        self.wait = _NEVER if due is None or due - now > HORIZON else max(due - now, 0.0)
        # What the same number means the same: packet numbers apart.
        self.like = -1
        self.last_words: tuple[int, ...] = ()
        self.commands: list[tuple[str, Event]] = []
        self.after: dict[What, Outcome | Broken] = {}


class Nodes:
    """All nodes of an exploration, numbered from 0, and what follows which."""

    def __init__(self, story: Story, catalogue: Catalogue, places: dict[Address, int]) -> None:
        self.story = story
        self.catalogue = catalogue
        self.places = places
        self.all: list[Node] = []
        self.events = 0
        # Of how many machines that are taken for others one is doubted; 0 for none.
        self.doubts = 0
        self._hits = 0
        self._doubted: list[tuple[int, Explorable, float]] = []
        self._exact: dict[object, int] = {}
        self._likes: dict[object, int] = {}

    def enter(self, who: int, machine: Explorable, now: float, memory: Memory) -> int:
        """Give the number of a node, making it if there is none like it."""
        settle(machine, now)
        clock = self.story.clock(who, now)
        key = (who, plain(machine.state_key(now)), memory, clock)
        like = self._likes.setdefault(key, len(self._likes))
        exact = (like, exact_of(machine))
        ident = self._exact.get(exact)
        if ident is None:
            ident = self._exact[exact] = len(self.all)
            node = Node(who, machine, now, Fact(memory, self.story.view(who, machine)))
            node.like = like
            node.last_words = tuple(
                self.catalogue.enter(self._address(who), address, word)
                for address, word in last_words_of(machine)
            )
            node.commands = self.story.commands(who, memory, node.fact.view)
            self.all.append(node)
        elif self.doubts and machine is not self.all[ident].machine:
            self._hits += 1
            if self._hits % self.doubts == 0:
                self._doubted.append((ident, machine, now))
        return ident

    def audit(self) -> int:
        """Give to machines that were taken for others what those got: the same must come of it.

        Gives how many events that were. AssertionError if a key does not tell all that matters.
        """
        events = 0
        doubted, self._doubted, self.doubts = self._doubted, [], 0
        for ident, machine, now in doubted:
            node = self.all[ident]
            twin = copy(node)
            twin.machine, twin.now = machine, now
            for what, known in list(node.after.items()):
                if isinstance(known, Broken):
                    continue
                if isinstance(what, int):
                    one = self.catalogue.flights[what]
                    again = self.happen(twin, what, Datagram(one.data, one.source), now)
                elif isinstance(what, str):
                    again = self.happen(twin, what, dict(node.commands)[what], now)
                elif what[0] < node.wait:
                    memory = node.fact.memory
                    again = Outcome(self.enter(node.who, machine, now + what[0], memory), ())
                else:
                    again = self.happen(twin, what, None, now + what[0])
                assert again == known, f"two machines with one key part at {what!r}"
                events += 1
        return events

    def give(self, ident: int, flight: int) -> Outcome:
        """Let a datagram arrive at a node."""
        node = self.all[ident]
        known = node.after.get(flight)
        if known is None:
            one = self.catalogue.flights[flight]
            known = self._happen(node, flight, Datagram(one.data, one.source), node.now)
        return _sound(known)

    def do(self, ident: int, index: int) -> Outcome:
        """Let the program of a node do the command that stands there."""
        node = self.all[ident]
        label, event = node.commands[index]
        known = node.after.get(label)
        if known is None:
            known = self._happen(node, label, event, node.now)
        return _sound(known)

    def wait(self, ident: int, seconds: float) -> Outcome:
        """Let time pass, at most until the node is due."""
        node = self.all[ident]
        what = (seconds,)
        known = node.after.get(what)
        if known is None:
            if seconds < node.wait:
                known = Outcome(
                    self.enter(node.who, node.machine, node.now + seconds, node.fact.memory), ()
                )
                node.after[what] = known
            else:
                known = self._happen(node, what, None, node.now + seconds)
        return _sound(known)

    def _happen(self, node: Node, what: What, event: Event | None, now: float) -> Outcome | Broken:
        outcome: Outcome | Broken
        try:
            outcome = self.happen(node, what, event, now)
        except Exception as broken:  # noqa: BLE001 - whatever a machine raises here is its fault
            outcome = Broken(f"{type(broken).__name__}: {broken}")
        node.after[what] = outcome
        return outcome

    def happen(self, node: Node, what: What, event: Event | None, now: float) -> Outcome:
        """Give a twin of a node an event, or a tick."""
        self.events += 1
        story, who = self.story, node.who
        machine: Any = node.machine.clone()
        memory = node.fact.memory
        if isinstance(what, str):
            memory = story.did(who, memory, what)
        actions: list[Action] = [] if event is None else machine.handle(event, now)
        if event is None or not story.batches:
            actions += tick(machine, now)
        if isinstance(event, Datagram):
            datagrams = [one.data for one in actions if isinstance(one, Transmit)]
            story.heard(who, event.data, datagrams)
        sent = []
        here = self._address(who)
        for action in actions:
            if isinstance(action, Transmit):
                if action.destination in self.places:
                    sent.append(self.catalogue.enter(here, action.destination, action.data))
            elif not isinstance(action, Disconnect):
                memory = story.told(who, memory, action)  # type: ignore[arg-type]
        return Outcome(self.enter(who, machine, now, memory), tuple(sent))

    def _address(self, who: int) -> Address:
        return next(address for address, place in self.places.items() if place == who)


def _sound(outcome: Outcome | Broken) -> Outcome:
    if isinstance(outcome, Broken):
        raise outcome
    return outcome


def tick(machine: Explorable, now: float) -> list[Action]:
    """Tick a machine if it is due: then it must not be due again."""
    due = machine.deadline
    if due is None or due > now:
        return []
    actions = machine.handle(Tick(), now)
    after = machine.deadline
    assert after is None or after > now, f"after a tick, the deadline {after} is not past {now}"
    return actions


def endpoint_of(machine: Any) -> Endpoint | None:
    """Give the endpoint that a machine is or has."""
    found = machine if isinstance(machine, Endpoint) else getattr(machine, "_endpoint", None)
    return found if isinstance(found, Endpoint) else None


def settle(machine: Explorable, now: float) -> None:
    """Make deadlines exact that are kept lazily: early ticks do nothing, but cost worlds."""
    endpoint = endpoint_of(machine)
    if endpoint is None or endpoint._agenda.touched:
        return
    agenda = endpoint._agenda
    agenda.heap.clear()
    for link in endpoint.links.values():
        vigil = link.channel.vigil
        if vigil.due > now:
            vigil.plan(link.channel._suspicion)
        link.scheduled = _NEVER
        agenda.plan(link)


def ends_of(machine: Explorable) -> tuple[Ends, ...]:
    """Give what decides which packet numbers still matter."""
    endpoint = endpoint_of(machine)
    if endpoint is None:
        return ()
    return tuple(
        Ends(
            link.local,
            link.channel.remote,
            tuple(link.channel.recovery.packets),
            link.channel.outbox.delivered,
            link.channel.outbox.spent,
            link.channel.outbox.credit,
            link.channel.arrivals.highest,
            link.channel.arrivals._seen,
            link.channel.inbox.next,
            frozenset(link.channel.inbox._early),
        )
        for link in endpoint.links.values()
    )


def last_words_of(machine: Explorable) -> list[tuple[Address, bytes]]:
    """Give the packets that may be said again to those who go on talking, and to whom."""
    endpoint = endpoint_of(machine)
    if endpoint is None:
        return []
    words = [(link.channel.address, link.farewell.last_word) for link in endpoint.links.values()]
    words += [(one.address, one.last_word) for one in endpoint._tombstones._by_number.values()]
    return [(address, word) for address, word in words if word is not None]


def exact_of(machine: Explorable) -> object:
    """Give all numbers that a key leaves out, because only what they mean to others matters."""
    endpoint = endpoint_of(machine)
    if endpoint is None:
        return ()
    return (
        tuple(
            (
                link.channel.number,
                link.channel._news,
                link.channel.arrivals.highest,
                link.channel.arrivals._seen,
                link.channel.arrivals._newest,
                tuple(link.channel.recovery.packets),
                (link.channel.recovery._largest_acked or (None,))[0],
                link.channel.outbox.credit,
                link.channel.inbox.consumed,
            )
            for link in endpoint.links.values()
        ),
        tuple(last_words_of(machine)),
    )


def plain(value: Any) -> Any:
    """Give a key as one that can be hashed, in which times out of reach are all alike."""
    kind = type(value)
    if kind is float:
        return _NEVER if value > HORIZON else -_NEVER if value < -HORIZON else value
    if kind is tuple or kind is list:
        return tuple([plain(one) for one in value])
    return value
