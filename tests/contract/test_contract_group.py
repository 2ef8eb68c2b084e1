"""A hub and its members on every driver and transport, and with the drivers mixed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from zlib import crc32

import pytest
from contract_support import DRIVERS, WAYS, Way
from io_support import STEADY, leaving_nothing_behind
from stage_support import Actor, Stage

from palaver import (
    Address,
    CameIn,
    Closed,
    Entered,
    Gap,
    Hub,
    HubRules,
    Interrupted,
    JoinRefused,
    JoinRoom,
    Leave,
    Limits,
    Member,
    MemberCame,
    MemberRules,
    MemberWent,
    Notice,
    Pause,
    Post,
    PostHeard,
    PostRelayed,
    PostSpread,
    PostTaken,
    Reason,
    Resume,
    Timing,
    Undelivered,
    WentOut,
)
from palaver.sim import FaultInjector, Faults
from palaver.wire.group import JoinRefusal, Welcome
from palaver.wire.group_log import Coming, Going

# A peer is soon missed, also by who is silent, and not too soon on a busy machine.
SOON_MISSED = Timing(
    linger_min=0.01, linger_max=0.05, dead_peer=2.0, keepalive=0.25, probe_cap=0.25
)
# Who is lost comes back soon.
RULES = MemberRules(rejoin_first=0.02, rejoin_max=0.1)


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


class Party(Stage):
    """A hub, and members that come to it."""

    def __init__(
        self, way: Way, *, timing: Timing = STEADY, faults: Faults | None = None, **rules: int
    ) -> None:
        super().__init__(way.transport)
        self.driver = way.driver
        self.timing = timing
        self.faults = faults
        self.rules = HubRules(**rules)
        self.address: Address = ("127.0.0.1", 0)
        self.hub = self.open_hub()

    def open_hub(self) -> Actor:
        """Open the hub: anywhere at first, and later where it was."""
        hub = Hub(os.urandom, rules=self.rules, timing=self.timing, streams=self.streams)
        self.hub = self.listen(hub, self.driver, self.address, injector=self.injector("hub"))
        self.address = self.hub.address
        return self.hub

    def injector(self, name: str) -> FaultInjector | None:
        return None if self.faults is None else FaultInjector(self.faults, crc32(name.encode()))

    def join(
        self,
        name: str,
        driver: str = "",
        *,
        room: str = "lobby",
        backlog: int = 0,
        limits: Limits | None = None,
    ) -> Actor:
        member = self.arrive(name, driver, limits)
        member.do(JoinRoom(self.hub.address, name, room, backlog=backlog))
        self.expect(member, Entered)
        return member

    def arrive(self, name: str, driver: str = "", limits: Limits | None = None) -> Actor:
        machine = Member(
            os.urandom,
            rules=RULES,
            timing=self.timing,
            limits=limits or Limits(),
            streams=self.streams,
        )
        return self.call(machine, driver or self.driver, injector=self.injector(name))


@pytest.fixture(params=WAYS, ids="-".join)
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


def texts(notices: list[Notice]) -> list[str]:
    return [one.text for one in notices if isinstance(one, PostHeard)]


def test_what_is_said_goes_to_all_others_and_is_receipted(way: Way) -> None:
    party = Party(way)
    try:
        ann = party.join("Ann")
        bob = party.join("Bob")
        assert party.expect(ann, CameIn, lambda one: one.name == "Bob").how is Coming.NEW
        ann.do(Post(1, "hello", 7))
        heard = party.expect(bob, PostHeard)
        assert (heard.name, heard.text) == ("Ann", "hello")
        assert party.expect(ann, PostTaken).number == heard.number
        relayed = party.expect(party.hub, PostRelayed)
        assert (relayed.room, relayed.name, relayed.number) == ("lobby", "Ann", heard.number)
        spread = party.expect(ann, PostSpread, lambda one: not one.awaited)
        assert (spread.ref, spread.acknowledged) == (7, 1)
        bob.do(Leave(1))
        assert party.expect(bob, Closed).clean
        assert party.expect(ann, WentOut).how is Going.LEFT
        assert texts(ann.notices) == []
    finally:
        party.end()


def test_a_name_that_is_taken_is_refused_with_a_suggestion(way: Way) -> None:
    party = Party(way)
    try:
        party.join("Ann")
        twin = party.arrive("twin")
        twin.do(JoinRoom(party.hub.address, "ann"))
        refused = party.expect(twin, JoinRefused)
        assert (refused.reason, refused.suggestion) == (JoinRefusal.NAME_TAKEN, "ann-2")
        assert party.expect(twin, Closed).reason == JoinRefusal.NAME_TAKEN
    finally:
        party.end()


def test_rooms_are_apart_and_keep_what_was_said_last(way: Way) -> None:
    party = Party(way, backlog=2)
    try:
        ann = party.join("Ann")
        ann.do(*(Post(1, text) for text in "abc"))
        for _ in "abc":
            party.expect(ann, PostTaken)
        # One machine may be in several rooms.
        ann.do(JoinRoom(party.hub.address, "Ann", "garden"))
        garden = party.expect(ann, Entered).link
        ann.do(Post(garden, "flowers"))
        party.expect(ann, PostTaken)
        bob = party.join("Bob", backlog=9)
        party.expect(bob, CameIn, lambda one: one.name == "Bob")
        assert texts(bob.notices) == ["b", "c"]
    finally:
        party.end()


def test_the_successor_of_a_killed_member_gets_its_name(way: Way) -> None:
    party = Party(way, timing=SOON_MISSED)
    try:
        ann = party.join("Ann")
        bob = party.join("Bob")
        party.kill(bob)
        gone = party.expect(ann, WentOut)
        assert (gone.name, gone.how) == ("Bob", Going.LOST)
        party.expect(party.hub, MemberWent)
        again = party.join("Bob")
        ann.do(Post(1, "welcome back"))
        assert party.expect(again, PostHeard).text == "welcome back"
    finally:
        party.end()


def test_a_hub_that_was_restarted_is_joined_anew(way: Way) -> None:
    party = Party(way, timing=SOON_MISSED)
    try:
        ann, bob = party.join("Ann"), party.join("Bob")
        party.kill(party.hub)
        ann.do(Post(1, "is anybody there?", 1))
        party.open_hub()
        for one in (ann, bob):
            party.expect(one, Interrupted)
            assert party.expect(one, Gap).last == 0
            assert party.expect(one, Entered).how is Welcome.NEW
        ann.do(Post(1, "again", 2))
        party.expect(bob, PostHeard, lambda one: one.text == "again")
        # What was sent to the old hub may have been lost with it, and that was said; else it
        # had not been sent, and the new one has it.
        lost = [one.ref for one in ann.notices if isinstance(one, Undelivered)]
        assert lost == ([] if "is anybody there?" in _order(party.hub) else [1])
    finally:
        party.end()


def test_who_takes_nothing_is_dropped_and_the_others_go_on(way: Way) -> None:
    party = Party(way, log=32)
    try:
        ann, bob = party.join("Ann"), party.join("Bob")
        cy = party.join("Cy", limits=Limits(window=16384, queue_messages=8))
        cy.do(Pause(1))
        lines = [f"{number} {'x' * 1000}" for number in range(150)]
        for number, line in enumerate(lines):
            ann.do(Post(1, line, number))
            party.expect(bob, PostHeard, lambda one, line=line: one.text == line)  # type: ignore[misc]
        went = party.expect(bob, WentOut)
        assert (went.name, went.how) == ("Cy", Going.DROPPED)
        gone = party.expect(party.hub, MemberWent)
        assert gone.reason == Reason.OVERWHELMED
        cy.do(Resume(1))
        assert party.expect(cy, Interrupted).reason == Reason.OVERWHELMED
        back = party.expect(cy, Entered)
        assert back.how is Welcome.GAP
        came = party.expect(party.hub, MemberCame, lambda one: one.how is Coming.BACK)
        assert came.name == "Cy"
    finally:
        party.end()


@pytest.mark.parametrize("mixed", [False, True], ids=["alike", "mixed"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_bad_network_changes_nothing_in_the_order(driver: str, mixed: bool) -> None:
    faults = Faults(loss=0.2, duplicate=0.1, reorder=0.1, corrupt=0.05)
    party = Party(Way(driver, "udp"), faults=faults)
    try:
        names = ["Ann", "Bob", "Cy"]
        drivers = DRIVERS if mixed else [driver] * 3
        members = [party.join(*one) for one in zip(names, drivers, strict=True)]
        for number in range(20):
            for name, member in zip(names, members, strict=True):
                member.do(Post(1, f"{name} {number}", number))
        for name, member in zip(names, members, strict=True):
            party.turn(member, lambda member=member: len(texts(member.notices)) == 40)  # type: ignore[misc]
            party.turn(member, lambda member=member: _taken(member) == 20)  # type: ignore[misc]
            assert not [text for text in texts(member.notices) if text.startswith(name)]
        party.turn(party.hub, lambda: len(_order(party.hub)) == 60)
        for name, member in zip(names, members, strict=True):
            order = [text for text in _order(party.hub) if not text.startswith(name)]
            assert texts(member.notices) == order
    finally:
        party.end()


def test_members_on_every_driver_in_one_room(way: Way) -> None:
    party = Party(way)
    try:
        members = [party.arrive(driver, driver) for driver in DRIVERS]
        for driver, member in zip(DRIVERS, members, strict=True):
            member.do(JoinRoom(party.hub.address, driver))
            party.expect(member, Entered)
        for member in members:
            member.do(Post(1, "hi"))
            for other in members:
                if other is not member:
                    party.expect(other, PostHeard)
    finally:
        party.end()


def _taken(member: Actor) -> int:
    return sum(isinstance(one, PostTaken) for one in member.notices)


def _order(hub: Actor) -> list[str]:
    return [one.text for one in hub.notices if isinstance(one, PostRelayed)]
