"""The explorer itself: what it finds is so, it finds what is wrong, and the cuts of all stories."""

from __future__ import annotations

from random import Random
from typing import Any

import explore_wire
import pytest
from explore_call import CallCrossed, CallRejected
from explore_catalogue import CUTS, STORIES, make
from explore_close import Close
from explore_delivery import Delivery, Paused
from explore_handshake import Handshake
from explore_nodes import tick
from explore_path import known_path
from explore_registry import RegistryExpiry
from explore_search import Search, Violation, explore
from explore_story import FAR, Budget, Story, still
from explore_worlds import DELIVER, DO, FORGE, LOSE, REPEAT, World, Worlds

from palaver.link.arrivals import Arrivals
from palaver.link.channel import Channel
from palaver.link.inbox import Inbox
from palaver.link.outbox import Outbox
from palaver.link.recovery import Recovery
from palaver.machine import Address, Datagram, Disconnect, Event, Transmit
from palaver.roles import being_called
from palaver.roles.registry_table import RegistryTable, Row
from palaver.timing import Timing
from palaver.wire.frames import Segment

NONE = Budget(0, 0, 0)


@pytest.mark.explore
@pytest.mark.parametrize("name", CUTS)
def test_a_cut_of_each_story_holds_and_has_its_figures(name: str) -> None:
    assert explore(make(name, cut=True)).figures == CUTS[name]


@pytest.mark.explore
def test_the_cuts_are_large_enough() -> None:
    assert sum(states for states, _ in CUTS.values()) >= 100_000


# What the explorer says is so


class Straight:
    """The same story with one clock and machines that are simply used: nothing is remembered."""

    def __init__(self, worlds: Worlds) -> None:
        self.worlds, self.story = worlds, worlds.story
        parties, self.now = self.story.begin()
        self.parties = parties
        self.places = {party.address: who for who, party in enumerate(parties)}
        self.air: list[tuple[Address, Address, bytes]] = []

    def take(self, world: World, step: int) -> None:
        """Do what a step does."""
        kind, what = step >> 32, step & 0xFFFFFFFF
        if kind in {DELIVER, REPEAT, LOSE, FORGE}:
            known = self.worlds.forgeries[what] if kind == FORGE else what
            one = self.worlds.catalogue.flights[known]
            flight = (one.source, one.destination, one.data)
            if kind == FORGE:
                self.put([flight])
            if kind in {DELIVER, LOSE}:
                self.air.remove(flight)
            if kind in {DELIVER, REPEAT}:
                self.put(self.tell(self.places[one.destination], Datagram(one.data, one.source)))
        elif kind == DO:
            who, index = what >> 16, what & 0xFFFF
            label, event = self.worlds.nodes.all[world.nodes[who]].commands[index]
            party = self.parties[who]
            party.memory = self.story.did(who, party.memory, label)
            self.put(self.tell(who, event))
        else:
            self.now += self.worlds.frame(world.nodes).wait
            for who in range(len(self.parties)):
                self.put(self.tell(who, None))

    def tell(self, who: int, event: Event | None) -> list[tuple[Address, Address, bytes]]:
        party, sent = self.parties[who], []
        machine: Any = party.machine
        actions = [] if event is None else machine.handle(event, self.now)
        for action in (*actions, *tick(machine, self.now)):
            if isinstance(action, Transmit):
                if action.destination in self.places:
                    sent.append((party.address, action.destination, action.data))
            elif not isinstance(action, Disconnect):
                party.memory = self.story.told(who, party.memory, action)
        return sent

    def put(self, flights: list[tuple[Address, Address, bytes]]) -> None:
        self.air += flights[: max(self.story.most_in_flight - len(self.air), 0)]


@pytest.mark.parametrize("name", sorted(STORIES.keys() - {"batches", "cookie"}))
def test_what_is_found_is_what_machines_do_that_are_simply_used(name: str) -> None:
    with known_path():
        for seed in range(3):
            random, worlds = Random(seed), Worlds(make(name))
            straight, world = Straight(worlds), worlds.first
            for _ in range(60):
                steps = list(worlds.steps(world))
                if not steps:
                    break
                step = random.choice(steps)
                straight.take(world, step)
                world = worlds.follow(world, step)
                flights = [worlds.catalogue.flights[one] for one in world.flights]
                assert sorted(straight.air) == sorted(
                    (one.source, one.destination, one.data) for one in flights
                )
                for party, fact in zip(straight.parties, worlds.facts(world), strict=True):
                    assert party.memory == fact.memory


@pytest.mark.parametrize(
    "name",
    [
        "fragments",
        "handshake",
        pytest.param("close-both", marks=pytest.mark.explore),
        pytest.param("registry-takeover", marks=pytest.mark.explore),
        pytest.param("call-rejected", marks=pytest.mark.explore),
    ],
)
def test_machines_with_one_key_do_the_same(name: str) -> None:
    story = make(name, cut=True)
    story.budget = Budget(1, 0, 0) if name in {"handshake", "call-rejected"} else NONE
    with known_path():
        search = Search(story)
        search._worlds.nodes.doubts = 1
        story.sometimes = frozenset()  # type: ignore[misc]
        search.run()
        assert search._worlds.nodes.audit() > 50


@pytest.mark.parametrize(
    "name",
    [
        "handshake",
        "close",
        pytest.param("paused", marks=pytest.mark.explore),
        pytest.param("cookie-late", marks=pytest.mark.explore),
        pytest.param("registry-takeover", marks=pytest.mark.explore),
        pytest.param("call-taken-back", marks=pytest.mark.explore),
        pytest.param("group-left", marks=pytest.mark.explore),
    ],
)
def test_what_can_happen_in_worlds_with_one_key_is_the_same(name: str) -> None:
    with known_path():
        search = Search(make(name, cut=True))
        search.doubts = 1
        search.run()
        assert search.audit() > 100


def test_a_key_that_leaves_too_much_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(frames: tuple[object, ...], receiver: object, back: object) -> tuple[object, ...]:
        return tuple(frame for frame in frames if not isinstance(frame, explore_wire._Ack))

    monkeypatch.setattr(explore_wire, "_told", told)
    with known_path():
        search = Search(with_budget(Close(), Budget(1, 0, 0)))
        search.doubts = 1
        search.run()
        with pytest.raises(AssertionError, match="two worlds with one key part"):
            search.audit()


def test_worlds_merge_that_differ_in_the_numbers_of_packets_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    merged = explore(with_budget(Close(), Budget(1, 0, 0)))

    def key(self: Worlds, world: World) -> bytes:
        return repr(world).encode()

    monkeypatch.setattr(Worlds, "key", key)
    apart = explore(with_budget(Close(), Budget(1, 0, 0)))
    assert apart.states > merged.states
    assert apart.witnessed.keys() == merged.witnessed.keys()


# It can fail


def with_budget(story: Story, budget: Budget) -> Story:
    """Give a story with another budget, that need not witness anything."""
    story.budget = budget
    story.sometimes = frozenset()  # type: ignore[misc]
    return story


def breaks(story: Story, budget: Budget, what: str) -> Violation:
    """Explore a story in which something is wrong; give what is found, as it must be."""
    with pytest.raises(Violation) as found:
        explore(with_budget(story, budget))
    assert what in str(found.value)
    again = f"run.py {story.name} --replay "
    assert again in str(found.value)
    return found.value


class ThreeMessages(Delivery):
    messages = (3, 0)


def test_an_inbox_that_skips_a_gap_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Inbox.receive

    def skip(self: Inbox, segment: Segment, out: list[bytes]) -> object:
        if segment.number > self.next:
            self.next = self.wanted = segment.number
        return receive(self, segment, out)

    monkeypatch.setattr(Inbox, "receive", skip)
    found = breaks(ThreeMessages(), NONE, "received is no prefix of sent")
    # Two are sent, and the second one overtakes the first.
    assert len(found.steps) == 3


def test_an_ack_of_what_the_program_has_not_taken_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ack(self: Channel, now: float) -> bytes:
        return self.arrivals.frame(self.inbox.next, self.inbox.credit, now)

    monkeypatch.setattr(Channel, "_ack", ack)
    breaks(Paused(), NONE, "delivered was said of what was not handed over")


def test_an_inbox_that_hands_repeats_over_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Inbox.receive

    def repeat(self: Inbox, segment: Segment, out: list[bytes]) -> object:
        if segment.number >= self.next:
            return receive(self, segment, out)
        self._starts.append(self.wanted)
        out.append(segment.data)
        return None

    monkeypatch.setattr(Inbox, "has", lambda self, number: False)
    monkeypatch.setattr(Inbox, "receive", repeat)
    breaks(ThreeMessages(), Budget(1, 0, 0), "received is no prefix of sent")


def test_a_sender_that_overdraws_its_credit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fill = Outbox.fill

    def overdraw(self: Outbox, parts: list[bytes], room: int, *, copies: bool = False) -> object:
        self.credit += 256
        try:
            return fill(self, parts, room, copies=copies)
        finally:
            self.credit -= 256

    monkeypatch.setattr(Outbox, "fill", overdraw)
    breaks(Delivery(), NONE, "more is spent than was granted")


def test_a_loss_that_nobody_makes_good_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hopeless(ThreeMessages):
        def timing(self) -> Timing:
            return still(bundling=False, probe_cap=FAR, probe_floor=FAR)

    found = breaks(Hopeless(), Budget(1, 0, 0), "the goal can't be reached any more")
    assert "is lost" in str(found)


def test_a_timer_that_never_moves_on_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recovery, "expire", lambda self, now: [])
    breaks(ThreeMessages(), Budget(1, 0, 0), "after a tick, the deadline")


def test_a_caller_that_asks_once_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timing, "hello_wait", lambda self, sent: FAR)
    found = breaks(Handshake(), Budget(1, 0, 0), "the goal can't be reached any more")
    assert len(found.steps) == 2


def test_a_callee_that_says_more_than_it_heard_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from palaver.link import callee
    from palaver.link.handshake import make_welcome

    monkeypatch.setattr(callee, "make_welcome", lambda *args: make_welcome(*args) + bytes(80))
    breaks(Handshake(), NONE, "more is said than was heard")


def test_a_registry_that_answers_for_a_kept_name_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def by_name(self: RegistryTable, name: str) -> Row | None:
        return self.holder(name)

    monkeypatch.setattr(RegistryTable, "by_name", by_name)
    found = breaks(RegistryExpiry(), NONE, "a lookup finds who is not there")
    assert found.steps == []


def test_a_registry_that_gives_a_name_away_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RegistryTable, "proves", lambda self, number, token, name: number == 1)
    holder = RegistryTable.holder

    def forget(self: RegistryTable, name: str) -> Row | None:
        row = holder(self, name)
        return None if row is not None and not row.link else row

    monkeypatch.setattr(RegistryTable, "holder", forget)
    with pytest.raises(AssertionError):
        explore(with_budget(RegistryExpiry(), NONE))


def test_a_call_that_rings_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ringing(CallRejected):
        def timing(self) -> Timing:
            return still(bundling=False, ring=4.0)

    def be_rung(*args: Any) -> None:
        peer, link, ring, *rest = args
        call = peer.calls.by_id(ring.call)
        if call is not None:
            peer.calls.drop(call)
        being_called.be_called(peer, link, ring, *rest)

    monkeypatch.setattr("palaver.roles.peer.be_rung", be_rung)
    breaks(Ringing(), NONE, "it rings a second time")


def test_what_is_left_of_a_crossed_call_that_rings_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(being_called, "is_left_over", lambda peer, call: False)
    monkeypatch.setattr("palaver.roles.peer.is_left_over", lambda peer, call: False)
    breaks(CallCrossed(), NONE, "it rings, and they talk already")


def test_a_violation_can_be_had_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timing, "hello_wait", lambda self, sent: FAR)
    found = breaks(Handshake(), Budget(1, 0, 0), "the goal can't be reached any more")
    with known_path():
        worlds = Worlds(with_budget(Handshake(), Budget(1, 0, 0)))
        world = worlds.first
        for choice in found.steps:
            world = worlds.follow(world, list(worlds.steps(world))[choice])
    # Ann waits for an answer that nobody will give, and nothing can happen any more.
    assert list(worlds.steps(world)) == []


def test_what_a_machine_raises_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Inbox, segment: Segment, out: list[bytes]) -> None:
        raise KeyError(segment.number)

    monkeypatch.setattr(Inbox, "receive", fail)
    breaks(ThreeMessages(), NONE, "KeyError")


def test_what_must_sometimes_be_so_has_to_be() -> None:
    story = Handshake()
    story.budget = NONE
    story.sometimes = frozenset({"never"})  # type: ignore[misc]
    with pytest.raises(AssertionError, match="never was it so: never"):
        explore(story)


def test_a_reset_for_a_packet_that_is_not_in_flight_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Recovery, "is_awaited", lambda self, number: True)
    breaks(make("close-forged", cut=True), Budget(0, 0, 0, 1), "the peer has the link still")


def test_a_replayed_packet_that_counts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Arrivals, "is_fresh", lambda self, number: True)
    breaks(make("close-forged", cut=True), Budget(0, 0, 0, 1), "closed for another reason")
