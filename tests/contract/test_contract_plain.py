"""Plain text on every driver and transport: pairs, groups, and one port for both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from contract_support import DRIVERS, WAYS, Way
from io_support import leaving_nothing_behind
from stage_support import Actor, Stage

from palaver import (
    Call,
    Closed,
    ConversationOpened,
    Disband,
    Duo,
    EitherHub,
    EitherPair,
    Entered,
    JoinRoom,
    Leave,
    Member,
    MemberCame,
    MemberWent,
    PlainOpened,
    PlainPair,
    PlainRelay,
    Post,
    PostHeard,
    PostRelayed,
    PostTaken,
    Said,
    Say,
    Sent,
    Timing,
    WouldBlock,
    Writable,
)

STEADY = Timing(linger_min=0.01, linger_max=0.05)
MANY = 120  # more than may be sent at once, and than may wait for that


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@contextmanager
def stage_of(way: Way) -> Iterator[Stage]:
    stage = Stage(way.transport)
    try:
        yield stage
    finally:
        stage.end()


def dial(stage: Stage, there: Actor, driver: str) -> tuple[Actor, int]:
    """Give somebody with plain text who has called, and the link."""
    one = stage.call(PlainPair(accept=False, streams=stage.streams), driver, plain=True)
    one.do(Call(there.address, 1))
    return one, stage.expect(one, PlainOpened).link


def say(stage: Stage, one: Actor, link: int, text: str) -> None:
    one.do(Say(link, text, 7))
    stage.expect(one, Sent)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("who", ["the caller", "the listener"])
def test_two_talk_and_either_ends_it(way: Way, who: str) -> None:
    with stage_of(way) as stage:
        listener = stage.listen(PlainPair(streams=stage.streams), way.driver, plain=True)
        caller, link = dial(stage, listener, way.driver)
        say(stage, caller, link, "hello \u00e9 \x1b[2J")
        opened = stage.expect(listener, PlainOpened)
        assert stage.expect(listener, Said).text == "hello \u00e9 \x1b[2J"
        say(stage, listener, opened.link, "and to you")
        assert stage.expect(caller, Said).text == "and to you"
        ending, its = (caller, link) if who == "the caller" else (listener, opened.link)
        ending.do(Leave(its))
        for one in (caller, listener):
            stage.expect(one, Closed)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_what_is_said_at_once_waits_its_turn_and_comes_in_order(way: Way) -> None:
    with stage_of(way) as stage:
        listener = stage.listen(PlainPair(streams=stage.streams), way.driver, plain=True)
        caller, link = dial(stage, listener, way.driver)
        said = 0
        while said < MANY:
            try:
                caller.do(Say(link, f"line {said}", said))
                said += 1
            except WouldBlock:
                stage.expect(caller, Writable)
        heard = [stage.expect(listener, Said).text for _ in range(MANY)]
        assert heard == [f"line {number}" for number in range(MANY)]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_relay_tells_each_what_the_others_say(way: Way) -> None:
    with stage_of(way) as stage:
        relay = stage.listen(PlainRelay(streams=stage.streams), way.driver, plain=True)
        people = {
            name: dial(stage, relay, driver) for name, driver in zip("abc", DRIVERS, strict=True)
        }
        for name, (one, link) in people.items():
            say(stage, one, link, f"{name} : here I am")
            came = stage.expect(relay, MemberCame)
            assert came.name.startswith(name)
            assert stage.expect(relay, PostRelayed).text == "here I am"
            for before in "abc"[: "abc".index(name)]:
                assert stage.expect(people[before][0], Said).text == f"{name} : here I am"
        for name, (one, link) in people.items():
            say(stage, one, link, f"{name} : to all")
            for other, _ in people.values():
                if other is not one:
                    assert stage.expect(other, Said).text == f"{name} : to all"
            assert not [notice for notice in one.notices if isinstance(notice, Said)]
        leaver, link = people["a"]
        leaver.do(Leave(link))
        assert stage.expect(relay, MemberWent).name.startswith("a")
        relay.do(Disband())
        for name in "bc":
            stage.expect(people[name][0], Closed)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_listener_takes_both_at_one_port(way: Way) -> None:
    with stage_of(way) as stage:
        machine = EitherPair(os.urandom, name="Both", streams=stage.streams, timing=STEADY)
        both = stage.listen(machine, way.driver, plain_too=True)
        plain, link = dial(stage, both, way.driver)
        say(stage, plain, link, "plain")
        their = stage.expect(both, PlainOpened)
        assert stage.expect(both, Said).text == "plain"
        duo = Duo(os.urandom, name="Ann", accept=False, streams=stage.streams, timing=STEADY)
        ann = stage.call(duo, way.driver)
        ann.do(Call(both.address, 1))
        assert stage.expect(ann, ConversationOpened).name == "Both"
        opened = stage.expect(both, ConversationOpened)
        assert (opened.link > 0) > (their.link > 0)
        both.do(Say(opened.link, "to Ann", 1), Say(their.link, "to the other", 2))
        assert stage.expect(ann, Said).text == "to Ann"
        assert stage.expect(plain, Said).text == "to the other"


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_hub_has_members_of_both_kinds_at_one_port(way: Way) -> None:
    with stage_of(way) as stage:
        machine = EitherHub(os.urandom, streams=stage.streams, timing=STEADY)
        hub = stage.listen(machine, way.driver, plain_too=True)
        ann = stage.call(Member(os.urandom, streams=stage.streams, timing=STEADY), way.driver)
        ann.do(JoinRoom(hub.address, "Ann"))
        seat = stage.expect(ann, Entered).link
        guests = [dial(stage, hub, way.driver) for _ in range(2)]
        for number, (guest, link) in enumerate(guests):
            say(stage, guest, link, f"g{number} : hello")
            heard = stage.expect(ann, PostHeard)
            assert heard.text == "hello"
            assert heard.name.startswith(f"g{number}")
        assert stage.expect(guests[0][0], Said).text == "g1 : hello"
        ann.do(Post(seat, "to all", 1))
        stage.expect(ann, PostTaken)
        for guest, _ in guests:
            assert stage.expect(guest, Said).text == "Ann : to all"
            assert not [one for one in guest.notices if isinstance(one, Said)]
