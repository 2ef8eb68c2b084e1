"""Worlds: where all parties stand, what is in flight, and what the wire may still do."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from explore_nodes import Broken, Nodes, Outcome
from explore_story import Facts, Flight, Story
from explore_wire import Catalogue, Way

from palaver.wire.frames import MAP_BITS

_NEVER = float("inf")

DELIVER, REPEAT, LOSE, DO, WAIT, TICK, FORGE = range(7)
_SHIFT = 32


class World(NamedTuple):
    """One moment of the whole."""

    nodes: tuple[int, ...]
    flights: tuple[int, ...]
    """What is in flight, sorted; what is there twice stands twice."""
    losses: int
    repeats: int
    delays: int
    forged: int
    """Bit i: forgery i was made."""


class Frame(NamedTuple):
    """What worlds with the same parties have in common."""

    like: int
    ways: dict[int, Way]
    """Both directions of all links, by the id that the receiver has it under."""
    meanings: dict[int, int | None]
    """What datagrams mean where these are so, as far as was asked yet."""
    last_words: tuple[int, ...]
    """Packets that are not in flight, but may be again."""
    wait: float


class Worlds:
    """The worlds of a story: which one it begins with, what follows which, and which are alike."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.catalogue = Catalogue()
        parties, now = story.begin()
        self.places = {party.address: who for who, party in enumerate(parties)}
        self.nodes = Nodes(story, self.catalogue, self.places)
        self.forgeries = [self._enter(flight) for flight in story.forged()]
        self.overflows = 0
        budget = story.budget
        self.first = World(
            tuple(
                self.nodes.enter(who, party.machine, now, party.memory)
                for who, party in enumerate(parties)
            ),
            (),
            budget.losses,
            budget.repeats,
            budget.delays,
            0,
        )
        self._frames: dict[tuple[int, ...], Frame] = {}
        self._frame_likes: dict[object, int] = {}

    def _enter(self, flight: Flight) -> int:
        return self.catalogue.enter(flight.source, flight.destination, flight.data)

    # What worlds are

    def facts(self, world: World) -> Facts:
        """Give what is known of all parties."""
        return tuple(self.nodes.all[node].fact for node in world.nodes)

    def frame(self, nodes: tuple[int, ...]) -> Frame:
        """Give what worlds with these parties have in common."""
        frame = self._frames.get(nodes)
        if frame is None:
            frame = self._frames[nodes] = self._make_frame(nodes)
        return frame

    def _make_frame(self, nodes: tuple[int, ...]) -> Frame:
        parties = [self.nodes.all[node] for node in nodes]
        ends = [end for party in parties for end in party.ends]
        receivers = {end.local: end for end in ends}
        senders = {end.remote: end for end in ends if end.remote}
        ways: dict[int, Way] = {}
        relative = []
        for link in (*receivers, *(one for one in senders if one not in receivers)):
            receiver, sender = receivers.get(link), senders.get(link)
            awaited = () if sender is None else sender.awaited
            assert not awaited or awaited[-1] - awaited[0] < MAP_BITS, "more than an ACK can tell"
            ways[link] = Way(receiver, {number: place for place, number in enumerate(awaited)})
            relative.append(
                (link, receiver is None or tuple([receiver.has(number) for number in awaited]))
            )
        key = (tuple(party.like for party in parties), tuple(relative))
        like = self._frame_likes.setdefault(key, len(self._frame_likes))
        last_words = tuple(word for party in parties for word in party.last_words)
        return Frame(like, ways, {}, last_words, min(party.wait for party in parties))

    def key(self, world: World) -> bytes:
        """Give what worlds share that have the same future: all of it, so no two are confused."""
        nodes, flights, losses, repeats, delays, forged = world
        frame = self.frame(nodes)
        rest = losses | repeats << 8 | delays << 16 | forged << 24
        packets = frame.last_words + flights
        if not packets:
            return array("I", (frame.like, rest)).tobytes()
        alike = self.catalogue.likes(packets, frame.ways, frame.meanings)
        said = len(frame.last_words)
        return array("I", (frame.like, rest, *alike[:said], *sorted(alike[said:]))).tobytes()

    # What follows

    def successors(self, world: World) -> Iterator[tuple[int, World | Broken]]:
        """Give each step that can be taken, and where it leads."""
        for step in self.steps(world):
            try:
                yield step, self.follow(world, step)
            except Broken as broken:
                yield step, broken

    def steps(self, world: World) -> Iterator[int]:
        """Give the steps that can be taken, always in the same order."""
        nodes, flights = self.nodes.all, world.flights
        before = -1
        for flight in flights:
            if flight != before:
                before = flight
                yield DELIVER << _SHIFT | flight
                if world.repeats:
                    yield REPEAT << _SHIFT | flight
                if world.losses:
                    yield LOSE << _SHIFT | flight
        for who, node in enumerate(world.nodes):
            for index in range(len(nodes[node].commands)):
                yield DO << _SHIFT | who << 16 | index
        wait = self.frame(world.nodes).wait
        if wait == 0.0:
            for who, node in enumerate(world.nodes):
                if nodes[node].wait == 0.0:
                    yield TICK << _SHIFT | who
        elif wait < _NEVER and self._may_wait(world):
            yield WAIT << _SHIFT
        for index in range(len(self.forgeries)):
            if self.story.budget.forgeries > world.forged.bit_count() and not (
                world.forged >> index & 1
            ):
                yield FORGE << _SHIFT | index

    def _may_wait(self, world: World) -> bool:
        """Tell whether time can pass: if something is in flight, that needs a delay."""
        return bool(world.delays or not world.flights) and self.story.may_wait(self.facts(world))

    def follow(self, world: World, step: int) -> World:
        """Give where a step leads. Raises Broken."""
        kind, what = step >> _SHIFT, step & ((1 << _SHIFT) - 1)
        nodes, flights, losses, repeats, delays, forged = world
        if kind in {DELIVER, REPEAT}:
            who = self.places[self.catalogue.flights[what].destination]
            outcome = self.nodes.give(nodes[who], what)
            if kind == DELIVER:
                flights = _without(flights, what)
            else:
                repeats -= 1
        elif kind == LOSE:
            return World(nodes, _without(flights, what), losses - 1, repeats, delays, forged)
        elif kind == DO:
            who = what >> 16
            outcome = self.nodes.do(nodes[who], what & 0xFFFF)
        elif kind == TICK:
            who = what
            outcome = self.nodes.wait(nodes[who], 0.0)
        elif kind == FORGE:
            flights = self._with(flights, (self.forgeries[what],))
            return World(nodes, flights, losses, repeats, delays, forged | 1 << what)
        else:
            return self._wait(world)
        nodes = (*nodes[:who], outcome.node, *nodes[who + 1 :])
        return World(nodes, self._with(flights, outcome.sent), losses, repeats, delays, forged)

    def _wait(self, world: World) -> World:
        seconds = self.frame(world.nodes).wait
        outcomes: list[Outcome] = [self.nodes.wait(node, seconds) for node in world.nodes]
        flights = world.flights
        for outcome in outcomes:
            flights = self._with(flights, outcome.sent)
        delays = world.delays - 1 if world.flights else world.delays
        return World(
            tuple(outcome.node for outcome in outcomes),
            flights,
            world.losses,
            world.repeats,
            delays,
            world.forged,
        )

    def _with(self, flights: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
        """Put datagrams on the wire, as far as it takes them: the others are lost."""
        room = self.story.most_in_flight - len(flights)
        if len(more) > room:
            self.overflows += len(more) - max(room, 0)
            more = more[: max(room, 0)]
        return tuple(sorted(flights + more)) if more else flights

    def describe(self, world: World, step: int) -> str:
        """Say for people what a step is."""
        kind, what = step >> _SHIFT, step & ((1 << _SHIFT) - 1)
        names = [address[0] for address in self.places]
        if kind == DO:
            who = what >> 16
            label = self.nodes.all[world.nodes[who]].commands[what & 0xFFFF][0]
            return f"{names[who]} does: {label}"
        if kind == WAIT:
            return f"{self.frame(world.nodes).wait} s pass"
        if kind == TICK:
            return f"{names[what]} ticks"
        if kind == FORGE:
            return f"a stranger sends {self.catalogue.describe(self.forgeries[what])}"
        verb = {DELIVER: "arrives", REPEAT: "arrives and will again", LOSE: "is lost"}[kind]
        return f"{verb}: {self.catalogue.describe(what)}"


def _without(flights: tuple[int, ...], one: int) -> tuple[int, ...]:
    at = flights.index(one)
    return flights[:at] + flights[at + 1 :]
